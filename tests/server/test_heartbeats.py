"""Scans are followed by heartbeat; what falls silent is queued again, but never because nobody could listen."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from sandfly_web.scans.heartbeats import LISTENING_KEY
from scanners.contract import (
    INGEST_QUEUE,
    UNACKNOWLEDGED_KEY,
    Heartbeat,
    Phase,
    claim_key,
    encode,
    heartbeat_key,
    superseded_key,
    zone_queue,
)
from tests.server.builders import NOW, report

pytestmark = pytest.mark.django_db


@pytest.fixture
def listened(tick, settings):
    """Dispatch has been there for longer than a worker may be silent; the time now."""
    tick()
    later = NOW + timedelta(seconds=settings.SCAN_SILENCE_S + 1)
    tick(later)
    return later


def beat(redis, scan, phase=Phase.RUNNING, attempt=None, raw=None):
    heartbeat = Heartbeat(
        scan_id=str(scan.pk),
        attempt=attempt or scan.attempt,
        worker="worker-7",
        phase=phase,
        started_at=NOW - timedelta(seconds=9),
    )
    redis.set(heartbeat_key(str(scan.pk)), raw or encode(heartbeat))


def running(make, now, **fields):
    fields.setdefault("heartbeat_at", now - timedelta(minutes=5))
    return make.scan(in_flight=True, status="running", worker="w", phase="running", started_at=NOW, **fields)


def test_a_heartbeat_shows_worker_phase_and_start(make, tick, redis):
    scan = make.scan(in_flight=True, dispatched_at=NOW)
    beat(redis, scan, Phase.PROFILING)

    tick()

    scan.refresh_from_db()
    assert (scan.status, scan.worker, scan.phase) == ("running", "worker-7", "profiling")
    assert (scan.started_at, scan.heartbeat_at) == (NOW - timedelta(seconds=9), NOW)


def test_a_heartbeat_of_an_earlier_attempt_says_nothing(make, tick, redis):
    scan = make.scan(in_flight=True, attempt=2, dispatched_at=NOW)
    beat(redis, scan, attempt=1)

    tick()

    scan.refresh_from_db()
    assert scan.status == "queued"


def test_a_heartbeat_does_not_bring_back_a_finished_scan(make, tick, redis):
    scan = make.scan(status="done", dispatched_at=NOW)
    beat(redis, scan)

    tick()

    scan.refresh_from_db()
    assert scan.status == "done"


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[]", b'{"scan_id": 1}'])
def test_a_heartbeat_that_cannot_be_read_does_not_stop_the_others(make, tick, redis, raw):
    garbled, fine = (make.scan(in_flight=True, dispatched_at=NOW) for _ in range(2))
    beat(redis, garbled, raw=raw)
    beat(redis, fine)

    tick()

    fine.refresh_from_db()
    assert fine.status == "running"


def test_a_silent_scan_is_queued_again_as_a_new_attempt(make, tick, redis, listened):
    scan = running(make, listened)

    assert tick(listened).taken_back == 1

    scan.refresh_from_db()
    assert (scan.status, scan.attempt) == ("queued", 2)
    assert scan.dispatched_at == listened
    assert redis.llen(zone_queue(scan.host.zone.name)) == 1


def test_a_scan_that_still_beats_is_left_alone(make, tick, redis, listened):
    scan = running(make, listened)
    beat(redis, scan)

    tick(listened)

    scan.refresh_from_db()
    assert (scan.status, scan.attempt) == ("running", 1)


def test_a_scan_whose_workers_keep_dying_fails(make, tick, listened, settings):
    scan = running(make, listened, attempt=settings.SCAN_MAX_ATTEMPTS)

    tick(listened)

    scan.refresh_from_db()
    assert (scan.status, scan.error_code) == ("failed", "worker_lost")


def test_a_silent_scan_that_was_to_be_cancelled_ends_so(make, tick, listened):
    scan = running(make, listened, cancel_requested_at=NOW)

    tick(listened)

    scan.refresh_from_db()
    assert scan.status == "cancelled"


def test_silence_counts_only_from_when_dispatch_listens_again(make, tick):
    scan = running(make, NOW)

    tick()

    scan.refresh_from_db()
    assert scan.status == "running"


def test_silence_counts_anew_after_redis_lost_its_memory(make, tick, redis, listened):
    scan = running(make, listened)
    redis.flushdb()

    tick(listened)

    scan.refresh_from_db()
    assert scan.status == "running"


def test_scans_are_not_run_again_while_reports_wait_for_ingest(make, tick, redis, listened):
    scan = running(make, listened)
    redis.rpush(INGEST_QUEUE, "a report")

    tick(listened)

    scan.refresh_from_db()
    assert scan.status == "running"


def test_a_late_report_of_a_silent_worker_is_dropped(make, tick, ingest, listened):
    scan = running(make, listened)
    tick(listened)

    assert not ingest(report(scan))


def test_a_message_that_redis_lost_is_sent_again(make, tick, redis):
    scan = make.scan(in_flight=True, dispatched_at=NOW - timedelta(minutes=1))

    tick()

    scan.refresh_from_db()
    assert (scan.attempt, scan.dispatched_at) == (2, NOW)
    assert redis.llen(zone_queue(scan.host.zone.name)) == 1


def test_a_scan_that_a_worker_began_unheard_is_not_sent_again(make, tick, redis):
    """A busy machine: the heartbeats were read, then the worker took the last message, then the queue was empty."""
    begun = make.scan(in_flight=True, dispatched_at=NOW - timedelta(minutes=1))
    redis.set(claim_key(str(begun.pk), 1), "worker-7")

    tick()

    begun.refresh_from_db()
    assert (begun.status, begun.attempt, begun.heartbeat_at) == ("running", 1, NOW)
    assert redis.llen(zone_queue(begun.host.zone.name)) == 0


def test_a_scan_that_a_worker_began_and_died_before_it_was_heard_is_queued_again(make, tick, redis, listened):
    begun = make.scan(in_flight=True, dispatched_at=listened - timedelta(minutes=1))
    redis.set(claim_key(str(begun.pk), 1), "worker-7")
    tick(listened)

    for step in (1, 2):
        tick(listened + timedelta(seconds=20 * step))

    begun.refresh_from_db()
    assert begun.attempt == 2


def test_an_attempt_that_is_sent_again_can_be_begun_by_no_worker_any_more(make, tick, redis):
    """Its message was not lost but slow: it is still to arrive."""
    scan = make.scan(in_flight=True, dispatched_at=NOW - timedelta(minutes=1))

    tick()

    assert redis.exists(claim_key(str(scan.pk), 1))
    assert not redis.exists(claim_key(str(scan.pk), 2))


def test_a_worker_that_was_only_stopped_for_a_while_is_told_that_another_follows(make, tick, redis, listened):
    scan = running(make, listened)

    tick(listened)

    assert redis.exists(superseded_key(str(scan.pk), 1))
    assert not redis.exists(superseded_key(str(scan.pk), 2))


def test_a_message_that_waits_in_its_queue_is_not_sent_twice(make, tick, redis):
    scan = make.scan()
    tick()

    tick(NOW + timedelta(minutes=2))

    assert redis.llen(zone_queue(scan.host.zone.name)) == 1


def test_a_message_that_a_worker_holds_is_not_sent_again(make, tick, redis):
    held = make.scan(in_flight=True, dispatched_at=NOW - timedelta(minutes=1))
    lost = make.scan(in_flight=True, dispatched_at=NOW - timedelta(minutes=1))
    # As Kombu keeps what a worker took: message, exchange, routing key.
    message = [{"headers": {"id": f"{held.pk}.1"}}, "zone.default", "zone.default"]
    redis.hset(UNACKNOWLEDGED_KEY, "tag", json.dumps(message))
    redis.hset(UNACKNOWLEDGED_KEY, "other", "no message")

    tick()

    held.refresh_from_db()
    lost.refresh_from_db()
    assert (held.attempt, lost.attempt) == (1, 2)


def test_a_clock_that_was_set_back_holds_nobody_up(make, tick, redis):
    """As told by the rows: what happened lies ahead."""
    later = NOW + timedelta(days=1)
    silent = make.scan(status="running", in_flight=True, dispatched_at=later, heartbeat_at=later)
    retry = make.scan(not_before=later)
    redis.set(LISTENING_KEY, str(later.timestamp()))

    tick()
    tick(NOW + timedelta(seconds=31))
    tick(NOW + timedelta(seconds=62))

    silent.refresh_from_db()
    retry.refresh_from_db()
    assert silent.attempt == 2
    assert retry.dispatched_at is not None


def test_reports_that_wait_excuse_silence_for_a_while_only(make, tick, redis):
    silent = make.scan(status="running", in_flight=True, heartbeat_at=NOW - timedelta(minutes=4))
    redis.lpush(INGEST_QUEUE, "report of another")
    tick(NOW - timedelta(minutes=4))
    for minute in range(4):
        tick(NOW - timedelta(minutes=4) + timedelta(seconds=25 * minute))
    silent.refresh_from_db()
    assert silent.attempt == 1

    for step in range(1, 20):
        tick(NOW + timedelta(seconds=25 * step))

    silent.refresh_from_db()
    assert silent.attempt > 1
