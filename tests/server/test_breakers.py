"""Schedules and batches pause themselves when hosts pay too much or probes fail, and name what to look at."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sandfly_web.rules.models import Rule
from sandfly_web.scans.breakers import Last, judge, watch
from sandfly_web.scans.models import Scan, ScanBatch
from sandfly_web.scans.services import RuleChoice, request_scans, resume
from scanners.contract import CollectorState, CollectorStatus, Cost, Failure, Outcome, Profile
from tests.server.builders import NOW, report

pytestmark = pytest.mark.django_db
MIB = 1 << 20


@pytest.fixture
def visits(make, ingest):
    """Reports of visits of a schedule, as ingest takes them."""

    def run(
        schedule, count, *, cpu_s=1.0, memory_mib=20, wall_s=2.0, code="", arch="amd64", plan=None, at=NOW, host=None
    ):
        for number in range(count):
            scan = make.scan(host, schedule=schedule, in_flight=True, status="running", plan=plan)
            cost = Cost(probe_wall_s=wall_s, probe_cpu_s=cpu_s, probe_max_rss_bytes=memory_mib * MIB)
            fields = {
                "cost": cost,
                "profile": Profile(arch=arch),
                "probe_digest": arch * 9,
                "collectors": [
                    CollectorStatus(subject="process", state=CollectorState.OK, cpu_s=cpu_s * 0.1),
                    CollectorStatus(subject="file", state=CollectorState.OK, cpu_s=cpu_s * 0.9),
                ],
            }
            if code:
                failure = Failure(code=code, message="no", retryable=code == "probe_timed_out")
                fields |= {"outcome": Outcome.FAILED, "failure": failure, "cost": Cost(), "collectors": []}
            assert ingest(report(scan, finished_at=at + timedelta(seconds=number), **fields), at + timedelta(minutes=1))

    return run


@pytest.fixture
def schedule(make):
    return make.schedule(watched_from=NOW - timedelta(hours=1))


def paused(schedule):
    watch(NOW + timedelta(minutes=2))
    schedule.refresh_from_db()
    return schedule.pause_reason


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        ({"cpu_s": 40.0}, "the last 6 visits took 40 s of CPU on average, more than 30"),
        ({"memory_mib": 120}, "the last 6 visits took 120 MiB of memory on average, more than 96"),
        ({"wall_s": 115.0}, "the last 6 visits took 115 s of run time on average, more than 100"),
    ],
)
def test_visits_above_an_average_pause_their_schedule(visits, schedule, cost, said, caplog):
    visits(schedule, 6, **cost)

    with caplog.at_level(logging.WARNING):
        assert said in paused(schedule)

    assert schedule.is_tripped
    assert "is paused" in caplog.text


def test_visits_within_limits_and_single_dear_ones_pause_nothing(visits, schedule):
    visits(schedule, 20)
    visits(schedule, 4, cpu_s=100.0)

    assert paused(schedule) == ""


def test_few_visits_say_nothing_about_averages(visits, schedule):
    visits(schedule, 4, cpu_s=100.0)

    assert paused(schedule) == ""


def test_the_subject_that_costs_most_and_its_newest_rules_are_named(make, visits, schedule):
    old, new, other = make.rule(subject="file"), make.rule(subject="file"), make.rule(subject="process")
    Rule.objects.filter(pk=old.pk).update(updated_at=NOW - timedelta(days=9))
    visits(schedule, 6, cpu_s=40.0, plan=make.plan(old, new, other))

    reason = paused(schedule)

    assert "90 % of it went into collecting files" in reason
    assert f"{new.name}, {old.name} changed last" in reason
    assert other.name not in reason


@pytest.mark.parametrize("code", ["probe_crashed", "probe_killed", "probe_timed_out", "report_truncated"])
def test_more_than_a_few_failed_probes_pause_their_schedule(visits, schedule, code):
    """A visit that is to be tried again counts as well: else the whole fleet is met before the first gives up."""
    visits(schedule, 3, code=code)
    assert paused(schedule) == ""

    visits(schedule, 1, code=code)

    assert "4 of the last 4 probes crashed or ran out of time" in paused(schedule)


def test_hosts_that_cannot_be_reached_are_no_failed_probes(visits, schedule):
    visits(schedule, 10, code="unreachable")

    assert paused(schedule) == ""


def test_a_few_failures_among_many_visits_are_the_hosts_own():
    limits = {"id": 1, "max_cpu_s": 30, "max_memory_mib": 96, "max_wall_s": 100, "max_crashes": 1}
    usual = {"hosts": 90, "crash_hosts": 2, "probes": 90, "cpu_s": 1.0, "memory_mib": 20.0, "wall_s": 2.0}

    assert judge(Last(**limits, **usual, visits=100, crashes=2)) is None
    assert judge(Last(**limits, **usual, visits=90, crashes=2)) is not None


def test_whoever_kills_the_probe_on_one_host_stops_no_visits_to_the_others(make, visits, schedule):
    visits(schedule, 6)
    visits(schedule, 20, code="probe_killed", host=make.host())

    assert paused(schedule) == ""


def test_the_only_host_of_a_schedule_pauses_it(make, visits, schedule):
    visits(schedule, 4, code="probe_crashed", host=make.host())

    assert "4 of the last 4 probes crashed" in paused(schedule)


@pytest.mark.parametrize("lie", [{"cpu_s": 1e9}, {"memory_mib": 1 << 30}, {"wall_s": 1e9}])
def test_a_host_that_lies_about_what_it_cost_stops_no_visits_to_the_others(make, visits, schedule, lie):
    visits(schedule, 6)
    visits(schedule, 1, host=make.host(), **lie)

    assert paused(schedule) == ""


def test_a_build_that_crashes_is_named(visits, schedule):
    visits(schedule, 12, arch="amd64")
    visits(schedule, 5, arch="mips", code="probe_crashed")

    reason = paused(schedule)

    assert "It is the probe build mips (mipsmipsmips): 5 of its 5 failed, 0 of 12 of the others." in reason


def test_a_rule_that_only_the_crashes_have_is_named(make, visits, schedule):
    fine, bad = make.rule(), make.rule()
    visits(schedule, 12, plan=make.plan(fine))
    visits(schedule, 5, plan=make.plan(fine, bad), code="probe_crashed")

    reason = paused(schedule)

    assert f"All of them ran {bad.name}, few of the others did." in reason
    assert fine.name not in reason


def test_after_resuming_only_new_visits_count(visits, schedule):
    visits(schedule, 5, code="probe_crashed")
    assert paused(schedule)

    resume(schedule)

    assert paused(schedule) == ""


def test_a_batch_pauses_too_and_its_waiting_scans_stay(make, ingest, tick):
    make.rule()
    zone = make.zone()
    batch = request_scans([make.host(zone) for _ in range(8)], RuleChoice())
    ScanBatch.objects.update(watched_from=NOW - timedelta(hours=1))
    Scan.objects.update(expires_at=NOW + timedelta(hours=1))
    for scan in Scan.objects.all()[:4]:
        Scan.objects.filter(pk=scan.pk).update(dispatched_at=NOW, status="running")
        failure = Failure(code="probe_crashed", message="no")
        assert ingest(report(scan, outcome=Outcome.FAILED, failure=failure, cost=Cost()), NOW + timedelta(minutes=1))

    assert watch(NOW + timedelta(minutes=2)) == 1

    row = ScanBatch.objects.get(pk=batch.id)
    assert row.is_tripped
    assert tick(NOW + timedelta(minutes=2)).sent == 0
    resume(row)
    assert tick(NOW + timedelta(minutes=2)).sent == 4


def test_what_is_watched_takes_two_queries(visits, make, schedule):
    for one in (schedule, make.schedule(watched_from=NOW - timedelta(hours=1))):
        visits(one, 6)

    with CaptureQueriesContext(connection) as queries:
        watch(NOW)

    assert len(queries) == 2
