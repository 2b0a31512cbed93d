"""Hosts that are due go through the whole product and none is lost."""

from __future__ import annotations

from tests.fleet.fleet import Fleet
from tests.fleet.whole import RULES, run_whole

HOSTS = 12


def test_every_due_host_is_visited_stored_and_its_findings_seen_in_every_round(fleet: Fleet) -> None:
    whole = run_whole(fleet, HOSTS, rounds=2, threads=4)

    assert [(one.ends, one.lost) for one in whole.rounds] == [({"done": HOSTS}, 0)] * 2
    assert whole.findings == {2: HOSTS * len(RULES)}
    assert whole.leftovers == []
    for one in whole.rounds:
        assert all(load.cpu_s > 0 and load.peak_bytes >= load.end_bytes > 0 for load in one.loads.values())
