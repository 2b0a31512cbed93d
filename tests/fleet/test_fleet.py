"""The simulator's hosts are what their addresses say, and a visit ends with each of them in its own way."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from scanners.contract import Limits, Outcome, ScanReport
from scanners.visit import run_visit
from tests.fleet.fleet import Fleet, wait_quiet
from tests.fleet.kinds import BY_NAME, KINDS, addresses, kind_of
from tests.scanners.standin import PLAN, make_job, script_build

# Room for a busy machine, where fourteen visits go on at once; those that are to run out of time have less.
LIMITS = Limits(connect_timeout_s=60, visit_deadline_s=180, probe_deadline_s=120)
SHORT = Limits(connect_timeout_s=4, visit_deadline_s=12, probe_deadline_s=10)


@pytest.fixture(scope="session")
def visit(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory):
    # Large enough for the kinds that break off in the middle of it.
    build = script_build(tmp_path_factory.mktemp("probe"), tail=os.urandom(800_000))

    def run(address: str) -> ScanReport:
        is_short = ENDS.get(kind_of(address).name) in ("timeout", "visit_deadline")
        job = make_job(fleet.endpoint(address), limits=SHORT if is_short else LIMITS)
        return run_visit(job, PLAN, [fleet.secret], get_build=lambda arch: build)

    return run


def test_every_address_is_a_host_of_its_own(fleet: Fleet, visit) -> None:
    one, other = visit("127.20.0.1"), visit("127.20.255.7")

    assert [report.outcome for report in (one, other)] == [Outcome.DONE, Outcome.DONE]
    assert one.profile and other.profile
    assert (one.profile.hostname, other.profile.hostname) == ("host-127-20-0-1", "host-127-20-255-7")
    assert one.presented_host_keys == fleet.endpoint("127.20.0.1").host_keys != other.presented_host_keys
    assert fleet.sign_ins("127.20.255.7") == 1


# What each sort of trouble is called in a report.
ENDS = {
    "near": None,
    "sluggish": None,
    "reset": "connection_lost",
    "silent": "timeout",
    "stalled": "visit_deadline",
    "cut": "connection_lost",
    "garbage": "not_ssh",
    "chatter": "not_ssh",
    "wrong_key": "host_key_changed",
    "flood": "profile_malformed",
    "noise": "profile_malformed",
    "hanging": "visit_deadline",
    "truncated": "report_truncated",
    "endless": "report_wrong_schema",
}


def test_every_kind_ends_as_what_it_is_and_nothing_is_left(fleet: Fleet, visit) -> None:
    with ThreadPoolExecutor(len(ENDS)) as pool:
        ended = dict(zip(ENDS, pool.map(visit, [next(addresses(name, 1)) for name in ENDS]), strict=True))

    assert {name: report.failure and report.failure.code for name, report in ended.items()} == ENDS
    wait_quiet(fleet)
    assert fleet.host.wait_clean() == []


def test_flaky_host_is_visited_the_second_time(visit) -> None:
    first, second = visit("127.44.0.9"), visit("127.44.0.9")

    assert first.failure and (first.failure.code, first.failure.retryable) == ("connection_lost", True)
    assert second.outcome is Outcome.DONE


def test_distance_is_that_of_the_address(fleet: Fleet, visit) -> None:
    begun = time.monotonic()

    assert visit("127.22.3.4").outcome is Outcome.DONE

    # Greeting, key exchange, sign-in and four commands take more than five ways there and back.
    assert time.monotonic() - begun > 5 * BY_NAME["far"].round_trip_s


def test_mixed_fleet_has_every_kind_and_is_the_same_each_time() -> None:
    drawn = [kind_of(address).name for address in addresses("mixed", 2000)]

    assert set(drawn) == {kind.name for kind in KINDS if kind.share}
    assert drawn == [kind_of(address).name for address in addresses("mixed", 2000)]
    assert 0.5 < drawn.count("plain") / 2000 < 0.7
