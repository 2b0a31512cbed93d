"""The messages that both languages read: one report written by Go, one plan written by Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanners import contract

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

PLAN = contract.Plan(
    limits=contract.PlanLimits(cpu_percent=25, value_bytes=128),
    passwords=contract.PasswordAudit(cpu_s=7, words=["Zürich 1"]),
    rules=[
        contract.PlanRule(
            id="process_deleted",
            subject="process",
            when={
                "and": [
                    {"field": "exe_deleted", "op": "eq", "values": [True]},
                    {"not": {"field": "path", "op": "startswith", "values": ["/usr/", "/opt/"]}},
                ]
            },
            fields=["pid", "path"],
        ),
        contract.PlanRule(
            id="file_hidden",
            subject="file",
            when={
                "or": [
                    {"field": "name", "op": "glob", "values": [".*"], "cased": True},
                    {"field": "size", "op": "gt", "values": [1048576]},
                ]
            },
            scope=contract.Scope(paths=["/tmp/*"], exclude=["/tmp/systemd-*"], max_depth=4, cross_mounts=True),
            fields=["path"],
            max_matches=7,
        ),
        contract.PlanRule(id="host_facts", subject="host", fields=["hostname"]),
        contract.PlanRule(
            id="log_many",
            subject="log_line",
            fields=["text"],
            host={"field": "os_id", "op": "eq", "values": ["debian"]},
            correlation=contract.Correlation(
                type="temporal",
                parts=[
                    contract.CorrelationPart(name="a", subject="log_line", time="time", group_by=["username"]),
                    contract.CorrelationPart(
                        name="b",
                        group_by=["username"],
                        correlation=contract.Correlation(
                            type="value_sum",
                            parts=[
                                contract.CorrelationPart(
                                    name="c", subject="log_line", group_by=["username"], values=["web.size"]
                                )
                            ],
                            group_by=["username"],
                            timespan_s=60,
                            op="gte",
                            count=2.5,
                        ),
                    ),
                ],
                group_by=["username"],
                timespan_s=600,
                presence={"and": [{"part": 0}, {"not": {"part": 1}}]},
            ),
        ),
        contract.PlanRule(id="process_missing", subject="process", fields=["pid"], absent=True),
    ],
    sets=[
        contract.PlanSet(
            kind="ip", count=3, bits=24, size_bytes=10, digest="ab" * 32, prefixes4=[8, 24], prefixes6=[48]
        ),
    ],
)


@pytest.fixture(scope="module")
def lines() -> list[contract.ReportLine]:
    text = (GOLDEN / "report.ndjson").read_bytes()
    return [contract.decode_report_line(line) for line in text.splitlines()]


def test_the_plan_that_go_reads_is_what_python_writes() -> None:
    assert (GOLDEN / "plan.json").read_bytes() == contract.encode(PLAN) + b"\n"


def test_a_report_is_header_matches_statuses_and_footer(lines: list[contract.ReportLine]) -> None:
    kinds = [type(line).__name__ for line in lines]

    assert kinds == ["ProbeHeader", "Match", *["CollectorStatus"] * 2, *["ProbeRuleStatus"] * 3, "ProbeFooter"]


def test_the_header_says_who_speaks(lines: list[contract.ReportLine]) -> None:
    assert lines[0] == contract.ProbeHeader(
        schema=contract.REPORT_SCHEMA,
        probe_version="0.1.0",
        arch="amd64",
        uid=1000,
        root="/",
        started_at=1700000000.25,
        host={"hostname": "web-\\xf0", "kernel": "6.1.0"},
    )


def test_a_match_keeps_types_escapes_bad_bytes_and_names_what_was_cut(lines: list[contract.ReportLine]) -> None:
    path = '/tmp/\\xff"x\\'

    assert lines[1] == contract.Match(
        subject="process",
        rules=[0, 3],
        identity={"path": path, "uid": 0, "name": None},
        record={
            "argv": ["sh", "-c", "a\nb\\x00"],
            "cmdline": "ä" * 64,
            "cpu_time": 1.5,
            "exe_deleted": True,
            "path": path,
            "ports": [22, 443],
            "uid": 0,
        },
        truncated=["cmdline"],
        unknown={"environ": "needs_root"},
        candidates=[
            contract.Candidate(kind="path", field="path", value=path),
            contract.Candidate(kind="domain", field="cmdline", value="evil.example"),
        ],
    )


def test_statuses_say_what_could_not_be_looked_at(lines: list[contract.ReportLine]) -> None:
    assert lines[3] == contract.CollectorStatus(
        subject="file", state=contract.CollectorState.PARTIAL, reason="needs_root", detail="open /root: denied"
    )
    assert lines[5] == contract.ProbeRuleStatus(
        rule=2, state=contract.RuleState.SKIPPED, reason="needs_root", unknown={"needs_root": 7}
    )


def test_the_footer_accounts_for_the_visit(lines: list[contract.ReportLine]) -> None:
    assert lines[-1] == contract.ProbeFooter(
        complete=True,
        passed=[1],
        matches=1,
        wall_s=0.5,
        cpu_s=0.25,
        paused_s=0.1,
        max_rss_bytes=12 << 20,
        removed=["/dev/shm/.sf-1/p", "/dev/shm/.sf-1"],
        errors=["ioprio: not permitted"],
    )
