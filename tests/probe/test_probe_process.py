"""The built probe as a process: it removes itself, keeps its limits, and stops when nobody listens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from probes.build import Build
from scanners import contract

READY = b"SANDFLY-READY\n"
HOST = contract.PlanRule(id="host", subject="host", fields=["hostname"])


def plan(*rules: contract.PlanRule, **limits: int) -> bytes:
    return contract.encode(contract.Plan(rules=list(rules), limits=contract.PlanLimits(**limits))) + b"\n"


def hash_everything(root: Path) -> contract.PlanRule:
    """A rule that keeps the probe busy: every file below root is hashed, and none matches."""
    return contract.PlanRule(
        id="busy",
        subject="file",
        when={"field": "sha256", "op": "eq", "values": ["0" * 64]},
        scope=contract.Scope(paths=[str(root)]),
        fields=["path"],
    )


def run(program: os.PathLike[str], text: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([program, *options], input=text, capture_output=True, timeout=60, check=False)


def lines(output: bytes) -> list[contract.ReportLine]:
    return [contract.decode_report_line(line) for line in output.splitlines()]


def footer(output: bytes) -> contract.ProbeFooter:
    last = lines(output)[-1]
    assert isinstance(last, contract.ProbeFooter)
    return last


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    """A tree whose hashing takes far longer than any of these tests: sparse files cost no disk."""
    for number in range(200):
        with (tmp_path / f"f{number}").open("wb") as file:
            file.truncate(16 << 20)
    return tmp_path


@pytest.fixture
def started(probe: Build) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(
    started: list[subprocess.Popen[bytes]], program: os.PathLike[str], text: bytes, options: Sequence[str] = ("--keep",)
) -> subprocess.Popen[bytes]:
    """A probe that has its plan and has sent its header; its stdin stays open."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([program, *options], stdin=pipe, stdout=pipe, stderr=pipe)
    started.append(process)
    assert process.stdin and process.stdout and process.stderr
    assert process.stderr.readline() == READY
    process.stdin.write(text)
    process.stdin.flush()
    assert b'"type":"header"' in process.stdout.readline()
    return process


def test_a_plan_gives_a_whole_report(probe: Build) -> None:
    done = run(probe, plan(HOST), "--keep")

    kinds = [type(line).__name__ for line in lines(done.stdout)]
    assert (done.returncode, done.stderr) == (0, READY + b"SANDFLY-AT 1 1\n")
    assert kinds == ["ProbeHeader", "Match", "CollectorStatus", "ProbeRuleStatus", "ProbeFooter"]


def test_the_header_names_build_and_machine(probe: Build) -> None:
    header = lines(run(probe, plan(), "--keep").stdout)[0]

    assert isinstance(header, contract.ProbeHeader)
    assert (header.probe_version, header.arch, header.uid) == (probe.version, probe.arch, os.geteuid())


def test_a_staged_probe_is_gone_before_it_asks_for_the_plan(
    staged: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    process = subprocess.Popen([staged], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    started.append(process)
    assert process.stderr

    assert process.stderr.readline() == READY

    assert not staged.parent.exists()


def test_the_footer_lists_what_was_removed(staged: Path) -> None:
    done = run(staged, plan())

    assert footer(done.stdout).removed == [str(staged), str(staged.parent)]


def test_keep_leaves_a_staged_probe_alone(staged: Path) -> None:
    run(staged, plan(), "--keep")

    assert staged.exists()


def test_a_probe_outside_a_staging_directory_is_never_removed(probe: Build, tmp_path: Path) -> None:
    program = Path(shutil.copy(probe.path, tmp_path / "probe"))

    done = run(program, plan())

    assert program.exists()
    assert footer(done.stdout).removed == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "plan: empty or cut short"),
        (b"secret-password\n", "plan: byte 1: invalid character"),
        (b'{"schema":1,"rules":[],"run":"x"}', 'unknown field "run"'),
        (
            b'{"schema":1,"rules":[{"id":"r","subject":"nope","fields":[]}]}',
            'rules[0] (r): subject: this probe has no "nope"',
        ),
        (
            b'{"schema":1,"rules":[{"id":"r","subject":"host","fields":[],"when":'
            b'{"and":[{"field":"hostname","op":"re","values":["("]}]}}]}',
            "rules[0] (r): when.and[0].values[0]: error parsing regexp",
        ),
    ],
)
def test_a_broken_plan_is_refused_with_its_place(probe: Build, text: bytes, said: str) -> None:
    done = run(probe, text, "--keep")

    ready, line = done.stderr.splitlines()
    assert (done.returncode, done.stdout, ready + b"\n") == (2, b"", READY)
    assert said in json.loads(line)["error"]


def test_the_deadline_ends_the_visit_with_a_footer(probe: Build, busy: Path) -> None:
    began = time.monotonic()

    done = run(probe, plan(hash_everything(busy), deadline_s=1, cpu_percent=20), "--keep")

    end = footer(done.stdout)
    assert (done.returncode, end.complete, end.reason, end.passed) == (3, False, "deadline", [])
    assert time.monotonic() - began < 60


def test_the_cpu_share_is_held(probe: Build, busy: Path) -> None:
    done = run(probe, plan(hash_everything(busy), deadline_s=4, cpu_percent=20), "--keep")

    end = footer(done.stdout)
    assert end.cpu_s <= 1.2 * 0.20 * end.wall_s
    assert end.paused_s > 0


def test_the_report_keeps_to_its_bound_and_says_so(probe: Build, tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"file-{number:04}").touch()
    rule = contract.PlanRule(id="all", subject="file", scope=contract.Scope(paths=[str(tmp_path)]), fields=["path"])

    done = run(probe, plan(rule, report_bytes=20000), "--keep")

    assert (done.returncode, footer(done.stdout).reason) == (3, "report_limit")
    assert len(done.stdout) <= 20000


def test_a_closed_stdout_ends_the_probe(probe: Build, busy: Path, started: list[subprocess.Popen[bytes]]) -> None:
    process = start(started, probe, plan(hash_everything(busy), cpu_percent=5))
    assert process.stdout

    process.stdout.close()

    assert process.wait(timeout=10) == 1


def test_a_closed_stdin_after_the_plan_means_nothing(
    probe: Build, busy: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    process = start(started, probe, plan(hash_everything(busy), cpu_percent=5, deadline_s=2))
    assert process.stdin and process.stdout

    process.stdin.close()

    assert footer(process.stdout.read()).reason == "deadline"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_the_visit_with_a_footer(
    probe: Build, busy: Path, started: list[subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    process = start(started, probe, plan(hash_everything(busy), cpu_percent=5))
    assert process.stdout

    process.send_signal(number)

    assert footer(process.stdout.read()).reason == "signal"
    assert process.wait(timeout=10) == 3


def test_a_reader_that_hangs_does_not_keep_the_probe(
    probe: Build, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    for number in range(3000):
        (tmp_path / f"file-{number:04}").touch()
    rule = contract.PlanRule(
        id="all", subject="file", scope=contract.Scope(paths=[str(tmp_path)]), fields=["path"], max_matches=5000
    )

    process = start(started, probe, plan(rule, deadline_s=1))

    assert process.wait(timeout=15) == 3


def test_the_probe_makes_itself_small(probe: Build, busy: Path, started: list[subprocess.Popen[bytes]]) -> None:
    process = start(started, probe, plan(hash_everything(busy), cpu_percent=5, nice=15))

    proc = Path(f"/proc/{process.pid}")
    nices = {int(stat.read_text().rsplit(")", 1)[1].split()[16]) for stat in proc.glob("task/*/stat")}
    assert nices == {15}
    assert (proc / "oom_score_adj").read_text().strip() == "1000"
    assert "Max core file size        0                    0" in (proc / "limits").read_text()


def test_memory_stays_within_its_bound(probe: Build, busy: Path) -> None:
    done = run(probe, plan(hash_everything(busy), deadline_s=2, cpu_percent=100), "--keep")

    assert 1 << 20 < footer(done.stdout).max_rss_bytes < 64 << 20


def test_thousands_of_recorded_facts_are_matched_in_one_run(probe: Build) -> None:
    shell = contract.PlanRule(
        id="shell", subject="process", when={"field": "name", "op": "eq", "values": ["sh"]}, fields=[]
    )
    rules = contract.Plan(rules=[shell])
    records: list[dict[str, Any]] = [
        {"subject": "process", "record": {"name": "SH" if n % 2 else "cat", "pid": n}} for n in range(5000)
    ]
    text = json.dumps({"plan": json.loads(contract.encode(rules)), "records": records}).encode()

    done = run(probe, text, "--match")

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[:2] == [{"rules": [], "unknown": {}}, {"rules": [0], "unknown": {}}]
    assert sum(bool(answer["rules"]) for answer in answers) == 2500


def test_a_fact_that_could_not_be_looked_at_is_unknown_in_a_rule_test(probe: Build) -> None:
    rule = {"id": "r", "subject": "process", "fields": [], "when": {"field": "path", "op": "null"}}
    record = {"subject": "process", "record": {"path": {"$unknown": "needs_root"}}}
    text = json.dumps({"plan": {"schema": 1, "rules": [rule]}, "records": [record]}).encode()

    done = run(probe, text, "--match")

    assert json.loads(done.stdout) == {"rules": [], "unknown": {"0": "needs_root"}}
