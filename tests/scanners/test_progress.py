"""How far a visit is, heard while it goes on; what the host says of it is never believed further than that."""

from __future__ import annotations

import json

import pytest

from scanners.connection import Chunk
from scanners.contract import Become, HostEndpoint, Limits, Outcome, Transport
from scanners.errors import ProbeError
from scanners.launch import Launched
from scanners.report import ReportReader
from scanners.running import run_probe
from scanners.visit import run_visit
from tests.scanners.fakes import FakeProcess
from tests.scanners.standin import make_job
from tests.scanners.test_real_probe import QUICK_PLAN


def test_upload_and_run_are_told_in_percent_up_to_the_end() -> None:
    said: list[object] = []
    job = make_job(HostEndpoint(transport=Transport.LOCAL, address="local"), limits=Limits())

    report = run_visit(job, QUICK_PLAN, [], on_phase=said.append, on_percent=said.append)

    assert report.outcome is Outcome.DONE
    staging, running = said.index("staging"), said.index("running")
    uploaded = [word for word in said[staging:running] if isinstance(word, int)]
    assert uploaded == sorted(uploaded) and uploaded[-1] == 100
    assert [word for word in said[running:] if isinstance(word, int)][-1] == 100


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"SANDFLY-AT 3 4\n", [75]),
        (b"SANDFLY-AT 1 4\nSANDFLY-AT 2 4\n", [50]),
        (b"SANDFLY-AT 1 0\n", [100]),
        (b"SANDFLY-AT 9 4\n", [100]),
        (b"SANDFLY-AT 99999999999999999999 1\n", []),
        (b"SANDFLY-AT -1 4\n", []),
        (b"SANDFLY-AT 1 4", []),
    ],
)
def test_only_whole_lines_with_numbers_count(said: bytes, heard: list[int]) -> None:
    assert run_saying(said) == heard


def run_saying(said: bytes) -> list[int]:
    process = FakeProcess([Chunk(stderr=said), Chunk(stderr=b"probe: no memory\n")], status=1)
    heard: list[int] = []

    with pytest.raises(ProbeError) as raised:
        run_probe(Launched(process, Become.NONE), b"{}\n", ReportReader([], 1000), 5, lambda: False, heard.append)

    # Progress never stands in the way of what the probe said at last.
    assert raised.value.message.endswith("probe: no memory")
    return heard


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("rules[1]: subject: empty", "rules[1] (rule-b): subject: empty"),
        ("rules[2]: subject: empty", "rules[2]: subject: empty"),
        ("sets[0]: too short", "sets[0]: too short"),
    ],
)
def test_rule_that_the_probe_does_not_take_is_named(said: str, heard: str) -> None:
    process = FakeProcess([Chunk(stderr=json.dumps({"error": said}).encode() + b"\n")], status=2)

    with pytest.raises(ProbeError) as raised:
        run_probe(Launched(process, Become.NONE), b"", ReportReader(["rule-a", "rule-b"], 1000), 5, lambda: False)

    assert (raised.value.code, raised.value.message) == ("plan_rejected", f"the probe does not take the plan: {heard}")
