"""Scans that somebody asks for, cancelling, and which hosts a schedule covers."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sandfly_web.inventory.models import Host
from sandfly_web.inventory.services import set_tags
from sandfly_web.scans.models import Scan, ScheduledHost
from sandfly_web.scans.schedules import run_schedule_now, sync_schedule, sync_schedules
from sandfly_web.scans.services import RuleChoice, cancel_scan, request_scans
from scanners.contract import cancel_key
from tests.server.builders import NOW

pytestmark = pytest.mark.django_db


def test_scans_of_a_batch_share_batch_plan_and_requester(make):
    rule, hosts, user = make.rule(), [make.host(), make.host()], make.user()

    batch = request_scans(hosts, RuleChoice(), requested_by=user, priority=2)

    rows = Scan.objects.all()
    assert {(row.batch, row.plan.rule_ids[0], row.requested_by, row.priority) for row in rows} == {
        (batch.id, str(rule.pk), user, 2)
    }
    assert {row.host for row in rows} == set(hosts)


def test_a_host_named_twice_is_scanned_once_also_when_it_is_inactive(make):
    make.rule()
    host = make.host(is_active=False)

    assert len(request_scans([host, host], RuleChoice()).scans) == 1


def test_a_hundred_hosts_take_as_many_queries_as_two(make):
    make.rule()
    zone, counts = make.zone(), []
    request_scans([make.host(zone)], RuleChoice())
    for number in (2, 100):
        hosts = [make.host(zone) for _ in range(number)]
        with CaptureQueriesContext(connection) as queries:
            request_scans(hosts, RuleChoice())
        counts.append(len(queries))

    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("hosts", "choice", "priority"),
    [
        (0, RuleChoice(), 1),
        (1, RuleChoice(types=("incident",)), 1),
        (1, RuleChoice(names=("none",)), 1),
        (1, RuleChoice(), 9),
    ],
    ids=["no host", "no rule", "no such rule", "no such priority"],
)
def test_a_request_that_means_nothing_is_refused(make, hosts, choice, priority):
    make.rule()

    with pytest.raises(ValidationError):
        request_scans([make.host() for _ in range(hosts)], choice, priority=priority)

    assert not Scan.objects.exists()


def test_a_waiting_scan_is_cancelled_at_once(make, redis):
    scan = make.scan()

    cancel_scan(scan)

    assert (scan.status, scan.error_code) == ("cancelled", "cancelled")
    assert not redis.exists(cancel_key(str(scan.pk)))


def test_a_running_scan_is_cancelled_by_its_worker(make, redis):
    scan = make.scan(in_flight=True, status="running")

    cancel_scan(scan)

    assert scan.status == "running"
    assert scan.cancel_requested_at is not None
    assert redis.exists(cancel_key(str(scan.pk)))


def test_cancelling_without_redis_is_remembered(make, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    scan = make.scan(in_flight=True, status="running")

    cancel_scan(scan)

    assert Scan.objects.get().cancel_requested_at is not None


def test_a_finished_scan_cannot_be_cancelled(make, redis):
    with pytest.raises(ValidationError, match="finished"):
        cancel_scan(make.scan(status="done"))


def due_times(schedule):
    return dict(ScheduledHost.objects.filter(schedule=schedule).values_list("host", "next_due_at"))


def test_new_hosts_are_due_spread_over_the_jitter(make, rng):
    schedule = make.schedule(jitter_s=600)
    for _ in range(20):
        make.host()

    assert sync_schedule(schedule, NOW, rng) == 20

    times = due_times(schedule).values()
    assert min(times) >= NOW
    assert timedelta(minutes=5) < max(times) - min(times) <= timedelta(minutes=10)


def test_hosts_that_have_their_time_keep_it(make, rng):
    schedule, host = make.schedule(), make.host()
    sync_schedule(schedule, NOW, rng)
    before = due_times(schedule)
    make.host()

    sync_schedule(schedule, NOW + timedelta(hours=1), random.Random(9))

    assert due_times(schedule)[host.pk] == before[host.pk]
    assert len(due_times(schedule)) == 2


def test_a_schedule_covers_active_hosts_with_one_of_its_tags(make, rng):
    schedule = make.schedule()
    web, db, other, off = make.host(), make.host(), make.host(), make.host(is_active=False)
    set_tags([web, off], ["web"])
    set_tags([db], ["db", "web"])
    schedule.host_tags.set(web.tags.all())

    sync_schedule(schedule, NOW, rng)

    assert set(due_times(schedule)) == {web.pk, db.pk}
    assert other.pk not in due_times(schedule)


def test_hosts_that_left_a_schedule_are_not_visited_any_more(make, rng):
    schedule, host = make.schedule(), make.host()
    sync_schedule(schedule, NOW, rng)
    Host.objects.filter(pk=host.pk).update(is_active=False)

    sync_schedule(schedule, NOW, rng)

    assert not due_times(schedule)


def test_only_schedules_that_are_on_are_kept_in_step(make, rng):
    make.host()
    on, off = make.schedule(), make.schedule(is_enabled=False)

    sync_schedules(NOW, rng)

    assert (len(due_times(on)), len(due_times(off))) == (1, 0)


def test_a_schedule_run_now_makes_all_its_hosts_due(make, rng):
    schedule = make.schedule(jitter_s=3600)
    make.host()
    sync_schedule(schedule, NOW, rng)
    make.host()

    assert run_schedule_now(schedule, NOW, rng) == 2

    assert set(due_times(schedule).values()) == {NOW}


def test_a_schedule_that_is_off_is_not_run(make, rng):
    with pytest.raises(ValidationError, match="switched off"):
        run_schedule_now(make.schedule(is_enabled=False), NOW, rng)
