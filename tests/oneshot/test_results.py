"""What a one-shot scan says of a visit, in each format."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from sandfly_web.scans.oneshot.formats import Ecs, JsonDocument, JsonLines, Sarif
from sandfly_web.scans.oneshot.results import Summary, describe_report
from sandfly_web.scans.oneshot.table import TableOutput
from scanners.contract import Failure, Interference, Meddling, RuleState, RuleStatus, ScanReport
from tests.oneshot.builders import failed_report, make_match, make_report, make_rule


def written(writer_class: Any, report: ScanReport, rule_type: str = "detection") -> str:
    out = io.StringIO()
    result = describe_report("web1", report, {make_rule().id: make_rule(rule_type)})
    summary = Summary()
    writer = writer_class(out)
    writer.add(result)
    summary.add(result)
    writer.finish(summary)
    return out.getvalue()


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def status_after(*reports: ScanReport, fail_on: str = "medium") -> int:
    summary = Summary(fail_on=fail_on)
    for report in reports:
        summary.add(describe_report("web1", report, {make_rule().id: make_rule()}))
    return summary.exit_status


def test_a_finding_line_carries_rule_explanation_subject_and_fingerprint() -> None:
    host, finding, *_ = lines_of(written(JsonLines, make_report(make_match())))

    assert host["type"] == "host"
    assert finding["type"] == "finding"
    assert finding["rule"]["level"] == "high"
    assert finding["explanation"] == "/tmp/x runs as root"
    assert finding["subject"]["kind"] == "process"
    assert finding["subject"]["pid"] == 7
    assert len(finding["fingerprint"]) == 64


def test_the_fingerprint_does_not_follow_the_pid() -> None:
    first, second = (lines_of(written(JsonLines, make_report(make_match(pid=pid))))[1] for pid in (7, 8))

    assert first["fingerprint"] == second["fingerprint"]


def test_a_recon_match_is_a_record_and_no_finding() -> None:
    types = [line["type"] for line in lines_of(written(JsonLines, make_report(make_match()), rule_type="recon"))]

    assert "record" in types
    assert "finding" not in types


def test_a_rule_that_could_not_look_is_a_line_of_its_own() -> None:
    skipped = RuleStatus(rule_id=make_rule().id, state=RuleState.SKIPPED, reason="needs_root")

    rules = [line for line in lines_of(written(JsonLines, make_report(rules=[skipped]))) if line["type"] == "rule"]

    assert [(rule["status"], rule["reason"]) for rule in rules] == [("skipped", "needs_root")]


def test_a_clean_host_gives_exit_status_0() -> None:
    assert status_after(make_report()) == 0


def test_a_finding_gives_exit_status_1_from_the_chosen_level_on() -> None:
    assert status_after(make_report(make_match())) == 1
    assert status_after(make_report(make_match()), fail_on="critical") == 0


def test_a_host_that_could_not_be_scanned_gives_exit_status_2_even_beside_findings() -> None:
    assert status_after(make_report(make_match()), failed_report("refused", "nothing listens there")) == 2


def test_a_changed_host_key_is_a_critical_finding_and_an_error() -> None:
    lines = lines_of(written(JsonLines, failed_report("host_key_changed", "the key changed")))

    assert [line["rule"]["level"] for line in lines if line["type"] == "finding"] == ["critical"]
    assert [line["code"] for line in lines if line["type"] == "error"] == ["host_key_changed"]


@pytest.mark.parametrize(
    ("what", "out_of_memory", "level"),
    [
        (Meddling.KILLED, False, "high"),
        (Meddling.KILLED, None, "medium"),
        (Meddling.KILLED, True, "low"),
        (Meddling.STOPPED, False, "medium"),
        (Meddling.CHANGED, False, "high"),
        (Meddling.HALTED, None, "high"),
    ],
)
def test_a_probe_that_was_interfered_with_is_a_finding(what: Meddling, out_of_memory: bool | None, level: str) -> None:
    report = make_report(interference=Interference(what=what, out_of_memory=out_of_memory))

    (finding,) = [line for line in lines_of(written(JsonLines, report)) if line["type"] == "finding"]

    assert (finding["rule"]["name"], finding["rule"]["level"]) == ("probe_interfered", level)
    assert finding["subject"] == {"kind": "probe", "what": what, "out_of_memory": out_of_memory}


def test_a_clean_up_that_failed_is_an_error_beside_the_result() -> None:
    report = make_report(cleanup=Failure(code="cleanup_failed", message="/tmp/.sf-1 is still there"))

    lines = lines_of(written(JsonLines, report))

    assert [line["code"] for line in lines if line["type"] == "error"] == ["cleanup_failed"]
    assert lines[0]["outcome"] == "done"


def test_json_is_one_document_with_the_same_objects() -> None:
    report = make_report(make_match())

    assert json.loads(written(JsonDocument, report)) == lines_of(written(JsonLines, report))


def test_sarif_names_rule_place_and_fingerprint() -> None:
    run = json.loads(written(Sarif, make_report(make_match())))["runs"][0]

    assert run["tool"]["driver"]["rules"][0]["id"] == "process_test"
    assert run["results"][0]["level"] == "error"
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "tmp/x"
    assert run["invocations"][0]["executionSuccessful"] is True


def test_sarif_says_which_host_was_not_scanned() -> None:
    run = json.loads(written(Sarif, failed_report("refused", "nothing listens there")))["runs"][0]

    assert run["invocations"][0]["executionSuccessful"] is False
    assert "nothing listens" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_ecs_events_have_process_host_rule_and_technique() -> None:
    event = lines_of(written(Ecs, make_report(make_match())))[0]

    assert event["process"]["executable"] == "/tmp/x"
    assert event["host"]["name"] == "web1"
    assert event["threat"]["technique"] == [{"id": "T1059.004"}]
    assert event["event"]["kind"] == "alert"


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "\u202egnp.exe", "a\nb", "\ud800"])
def test_nothing_from_a_host_reaches_the_terminal_unescaped(hostile: str) -> None:
    out = io.StringIO()
    result = describe_report("web1", make_report(make_match(cmdline=hostile)), {make_rule().id: make_rule()})

    TableOutput(Console(file=out, width=100, force_terminal=False)).add(result)

    assert not set(out.getvalue()) & {"\x1b", "\u202e", "\ud800"}
    assert out.getvalue().isascii() or hostile not in out.getvalue()


def test_rich_markup_from_a_host_is_plain_text() -> None:
    out = io.StringIO()
    result = describe_report(
        "web1", make_report(make_match(cmdline="[link=http://x]y[/link]")), {make_rule().id: make_rule()}
    )

    TableOutput(Console(file=out, width=100)).add(result)

    assert "[link=http://x]y[/link]" in out.getvalue()


def test_the_table_says_what_could_not_be_decided_and_how_to_mend_it() -> None:
    out = io.StringIO()
    skipped = RuleStatus(rule_id=make_rule().id, state=RuleState.SKIPPED, reason="needs_root")

    TableOutput(Console(file=out, width=200)).add(
        describe_report("web1", make_report(rules=[skipped]), {make_rule().id: make_rule()})
    )

    assert "could not decide 1 rule (needs_root)" in out.getvalue()
    assert "--become" in out.getvalue()


def test_the_table_shows_times_as_dates() -> None:
    out = io.StringIO()
    result = describe_report("web1", make_report(make_match(start_time=1767323045)), {make_rule().id: make_rule()})

    TableOutput(Console(file=out, width=100)).add(result)

    assert "2026-01-02 03:04:05 UTC" in out.getvalue()


def test_a_rule_for_another_system_leaves_nothing_undecided() -> None:
    out = io.StringIO()
    skipped = RuleStatus(rule_id=make_rule().id, state=RuleState.SKIPPED, reason="os")

    TableOutput(Console(file=out, width=200)).add(
        describe_report("web1", make_report(rules=[skipped]), {make_rule().id: make_rule()})
    )

    assert "could not decide" not in out.getvalue()
    assert "1 skipped" in out.getvalue()
