"""The probe on hosts that are hard to look at: what `python -m tests.bench.stress` measures, on smaller ones."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from probes.build import Build

Outcomes = dict[str, dict[str, Any]]

HOSTS = ("files", "odd", "hanging")
MEMORY_BYTES = 64 << 20
CPU_PERCENT = 50


@pytest.fixture(scope="module")
def outcomes(probe: Build) -> Outcomes:
    """One visit to each host; nothing but its report and /proc tells."""
    argv = [sys.executable, "-m", "tests.bench.stress", "--small", "--json", *HOSTS]
    done = subprocess.run(argv, capture_output=True, timeout=300, check=False)
    assert done.stdout, done.stderr.decode()
    return {outcome["name"]: outcome for outcome in json.loads(done.stdout)}


def test_a_host_is_looked_at_to_the_end_whatever_lies_on_it(outcomes: Outcomes) -> None:
    assert {name: outcome["reason"] for name, outcome in outcomes.items()} == dict.fromkeys(HOSTS)


def test_memory_stays_small_by_both_accounts(outcomes: Outcomes) -> None:
    for outcome in outcomes.values():
        assert 0 < outcome["memory_bytes"] <= MEMORY_BYTES
        assert 0 < outcome["kernel_memory_bytes"] <= MEMORY_BYTES


def test_the_share_of_the_cpu_that_was_asked_for_holds_over_any_two_seconds(outcomes: Outcomes) -> None:
    for outcome in outcomes.values():
        assert 0 < outcome["window_percent"] <= CPU_PERCENT * 1.2


def test_the_probe_tells_the_cpu_it_used_as_the_kernel_does(outcomes: Outcomes) -> None:
    for outcome in outcomes.values():
        assert outcome["cpu_s"] == pytest.approx(outcome["kernel_cpu_s"], rel=0.1, abs=0.05)


def test_access_times_stay_as_they_are(outcomes: Outcomes) -> None:
    assert {name: outcome["touched"] for name, outcome in outcomes.items()} == dict.fromkeys(HOSTS, 0)


def test_a_server_that_never_answers_is_not_waited_for_and_what_lies_there_is_told(outcomes: Outcomes) -> None:
    dead = outcomes["hanging"]

    assert dead["wall_s"] - dead["paused_s"] < 60
    assert {"authorized_key", "web_script", "shell_history"} <= dead["gaps"].keys()
    assert {dead["gaps"][name] for name in ("authorized_key", "web_script", "shell_history")} == {"not_entered"}
    # A machine with very much of its own meets a bound there too; nothing failed and nothing was waited for.
    assert set(dead["gaps"].values()) <= {"not_entered", "limit"}
    assert "process" not in dead["gaps"]


def test_lines_without_end_are_a_limit_and_no_missing_answer(outcomes: Outcomes) -> None:
    assert {"cron_job", "log_line", "authorized_key"} <= outcomes["odd"]["gaps"].keys()
    assert set(outcomes["odd"]["gaps"].values()) == {"limit"}
