"""What waits and what runs, told per zone and schedule."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sandfly_web.scans.models import Scan, ScanBatch, ScheduledHost
from sandfly_web.scans.queue.overview import counts_of, look, with_counts
from sandfly_web.scans.services import RuleChoice, pause, request_scans
from scanners.contract import INGEST_QUEUE, zone_queue
from tests.server.builders import NOW

pytestmark = pytest.mark.django_db


def test_zones_tell_what_waits_what_runs_and_who_works(make, redis):
    zone, plan = make.zone("edge"), make.plan()
    for fields in (
        {},
        {"in_flight": True},
        {"in_flight": True, "status": "running", "phase": "running", "worker": "w1", "heartbeat_at": NOW},
        {"in_flight": True, "status": "running", "phase": "running", "worker": "w2", "heartbeat_at": NOW},
        {"status": "done"},
    ):
        make.scan(make.host(zone), plan=plan, **fields)
    redis.rpush(zone_queue("edge"), "{}")
    redis.rpush(INGEST_QUEUE, "{}", "{}")

    overview = look(NOW)

    (queue,) = overview.zones
    assert (queue.waiting, queue.queued, queue.in_flight, queue.workers) == (1, 1, 3, 2)
    assert queue.phases == {"queued": 1, "running": 2}
    assert queue.oldest_waiting == Scan.objects.get(status="queued", dispatched_at=None).created_at
    assert (overview.ingest_depth, overview.broker_fault) == (2, "")


def test_schedules_tell_how_far_they_are(make, redis):
    schedule, zone, plan = make.schedule(interval_s=3600), make.zone(), make.plan()
    hosts = [make.host(zone) for _ in range(4)]
    for number, host in enumerate(hosts):
        ScheduledHost.objects.create(
            schedule=schedule, host=host, next_due_at=NOW + timedelta(minutes=number * 20 - 20)
        )
    make.scan(hosts[0], plan=plan, schedule=schedule)
    for host, minutes in ((hosts[1], 5), (hosts[1], 30), (hosts[2], 90)):
        make.scan(host, plan=plan, schedule=schedule, status="done", observed_at=NOW - timedelta(minutes=minutes))

    (progress,) = look(NOW).schedules

    assert (progress.hosts, progress.due, progress.unfinished, progress.visited) == (4, 2, 1, 1)
    assert progress.next_due_at == NOW - timedelta(minutes=20)


def test_a_broker_that_is_away_is_told_and_not_taken_for_empty_queues(make, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    make.zone()

    overview = look(NOW)

    assert overview.ingest_depth is None
    assert overview.zones[0].queued is None
    assert "the broker is away" in overview.broker_fault


def test_the_number_of_queries_does_not_depend_on_zones_and_scans(make, redis):
    counts = []
    for _ in range(2):
        for _ in range(3):
            make.scan(schedule=make.schedule())
        with CaptureQueriesContext(connection) as queries:
            look(NOW)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_a_batch_counts_its_scans_by_status(make, redis):
    make.rule()
    zone = make.zone()
    batch = request_scans([make.host(zone) for _ in range(3)], RuleChoice())
    Scan.objects.filter(pk=batch.scans[0].pk).update(status="done")
    request_scans([make.host(zone)], RuleChoice())
    row = ScanBatch.objects.get(pk=batch.id)
    pause(row, "look first")

    (paused,) = look(NOW).batches

    assert counts_of(paused) == {"done": 1, "queued": 2}
    assert counts_of(with_counts(ScanBatch.objects.exclude(pk=batch.id)).get()) == {"queued": 1}


def test_whoever_is_limited_to_hosts_is_told_the_counts_of_those(make, redis):
    from sandfly_web.inventory.models import Tag
    from sandfly_web.inventory.scope import limited_to
    from sandfly_web.scans.models import Schedule, ScheduledHost
    from sandfly_web.scans.queue.overview import with_hosts

    schedule, tag = make.schedule(), Tag.objects.create(name="mine")
    mine, *others = [make.host() for _ in range(3)]
    mine.tags.add(tag)
    for host in (mine, *others):
        ScheduledHost.objects.create(schedule=schedule, host=host, next_due_at=NOW - timedelta(hours=1))
        make.scan(host, schedule=schedule, status="done", observed_at=NOW - timedelta(minutes=1))
    ScheduledHost.objects.filter(host=mine).update(next_due_at=NOW + timedelta(hours=1))

    with limited_to((frozenset({tag.pk}),)):
        seen = look(NOW)
        [row] = with_hosts(Schedule.objects.all())
    [own], [whole] = seen.schedules, look(NOW).schedules

    assert (own.hosts, own.due, own.visited, row.host_count) == (1, 0, 1, 1)
    assert (own.next_due_at, row.due) == (NOW + timedelta(hours=1), NOW + timedelta(hours=1))
    assert (whole.hosts, whole.due, whole.visited) == (3, 2, 3)
    assert (seen.ingest_depth, {zone.queued for zone in seen.zones}) == (None, {None})
