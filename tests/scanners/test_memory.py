"""Large reports share what a worker has, and none of them stops the others for good."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scanners.connection import Chunk
from scanners.contract import Become, Limits, Outcome, ScanReport
from scanners.errors import CancelledError
from scanners.launch import Launched
from scanners.memory import FREE_BYTES, VARIABLE, ReportMemory, from_environment
from scanners.report import ReportReader
from scanners.running import run_probe
from scanners.visit import run_visit
from tests.hosts.host import make_host
from tests.scanners.fakes import FakeProcess
from tests.scanners.standin import FOOTER, HEADER, LINGER, PLAN, READ_PLAN, READY, UNLINK, make_job, script_build

MOST = 8 << 20
LINE = json.dumps(
    {"type": "match", "subject": "process", "rules": [0], "identity": {}, "record": {"pid": 1, "cmdline": "x" * 30000}}
)
# Three MiB: more than what each has for itself.
LARGE = f"n=0; while [ $n -lt 100 ]; do echo '{LINE}'; n=$((n+1)); done\n"


@pytest.mark.integration
def test_hosts_that_send_much_at_once_stay_within_the_memory_and_all_are_heard(tmp_path: Path) -> None:
    (tmp_path / "hostile").mkdir()
    honest = script_build(tmp_path, UNLINK + READY + READ_PLAN + HEADER + LARGE + FOOTER)
    # Sends as much, and then holds what it got until its time is over.
    hostile = script_build(tmp_path / "hostile", UNLINK + READY + READ_PLAN + HEADER + LARGE + LINGER)
    memory = ReportMemory(MOST + (1 << 20))

    with make_host("large", address="127.0.5.7") as host:

        def visit(build: Any, deadline_s: int) -> ScanReport:
            limits = Limits(connect_timeout_s=60, probe_deadline_s=deadline_s, visit_deadline_s=900, report_bytes=MOST)
            job = make_job(host.endpoint, limits=limits)
            with memory.room() as room:
                return run_visit(job, PLAN, [host.secret()], get_build=lambda arch: build, room=room)

        with ThreadPoolExecutor(5) as pool:
            bad = pool.submit(visit, hostile, 10)
            good = [pool.submit(visit, honest, 600) for _ in range(4)]
            ends = [one.result() for one in good]

        assert [(end.outcome, len(end.matches)) for end in ends] == [(Outcome.DONE, 100)] * 4
        assert bad.result().failure
        assert host.wait_clean() == []
    # Never two of them, as there is room for one.
    assert MOST <= memory.peak_bytes < 2 * MOST


def test_a_host_whose_report_finds_no_room_is_not_read_and_can_be_cancelled() -> None:
    memory = ReportMemory(MOST)
    process = FakeProcess(chunks=[Chunk(stdout=b" " * FREE_BYTES), Chunk(stdout=b"never read")])
    asked = iter(range(10))

    with memory.room() as other, memory.room() as room:
        assert other.allows(FREE_BYTES, MOST, 0)
        with pytest.raises(CancelledError):
            run_probe(
                Launched(process, Become.NONE), b"", ReportReader([], MOST), 60, lambda: next(asked) > 1, room=room
            )

    assert process.chunks == [Chunk(stdout=b"never read")]


def test_who_waits_goes_on_when_another_has_handed_over() -> None:
    memory = ReportMemory(MOST)
    with memory.room() as second:
        with memory.room() as first:
            assert first.allows(FREE_BYTES, MOST, 0)
            assert not second.allows(FREE_BYTES, MOST, 0)
            assert second.allows(FREE_BYTES - 1, MOST, 0)
        assert second.allows(FREE_BYTES, MOST, 60)


def test_a_report_that_may_be_larger_than_all_there_is_is_read_alone() -> None:
    memory = ReportMemory(MOST)
    with memory.room() as large, memory.room() as other:
        assert large.allows(FREE_BYTES, 4 * MOST, 0)
        assert not other.allows(FREE_BYTES, 1, 0)


def test_the_size_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3")
    with from_environment().room() as room:
        assert room.allows(FREE_BYTES, 3 << 20, 0)
        assert room.taken_bytes == 3 << 20
    monkeypatch.setenv(VARIABLE, "0")
    with pytest.raises(ValueError, match="1 MiB"):
        from_environment()
