"""Follows the scans in flight by what their workers say in Redis; takes back those that nobody works on any more."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Least

from sandfly_web.inventory.models import Zone
from sandfly_web.scans.cleaning import clean_text
from sandfly_web.scans.models import Scan
from scanners.contract import (
    CLAIM_TTL_S,
    INGEST_QUEUE,
    UNACKNOWLEDGED_KEY,
    Heartbeat,
    claim_key,
    heartbeat_key,
    superseded_key,
    zone_queue,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis

log = logging.getLogger(__name__)

KEYS_PER_READ = 1000
# Reports that wait excuse the silence of their scans, but not for ever: under load some always wait.
PATIENCE_FACTOR = 10
LISTENING_KEY = "sandfly:dispatch:listening_since"
WORKER_LOST = "worker_lost"
# Stands where else the name of the worker does that took an attempt.
GIVEN_UP = "given up by the dispatcher"

_FOLLOW = """
    UPDATE scans_scan AS scan
    SET status = 'running', phase = beat.phase, worker = beat.worker, heartbeat_at = %(now)s,
        started_at = coalesce(scan.started_at, beat.started_at)
    FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(phases)s::text[], %(workers)s::text[],
                %(started)s::timestamptz[]) AS beat (id, attempt, phase, worker, started_at)
    WHERE scan.id = beat.id AND scan.attempt = beat.attempt AND scan.status IN ('queued', 'running')
        AND scan.dispatched_at IS NOT NULL
"""


def mend_times(now: datetime) -> int:
    """Times ahead of now were written before the clock was set back: nothing waits until they are past."""
    ahead = Q(heartbeat_at__gt=now) | Q(dispatched_at__gt=now)
    in_flight = Scan.objects.filter(ahead, status__in=Scan.UNFINISHED, dispatched_at__isnull=False)
    return in_flight.update(heartbeat_at=Least("heartbeat_at", now), dispatched_at=Least("dispatched_at", now))


def follow_running(redis: Redis, now: datetime) -> int:
    """Write phase, worker and time of every heartbeat to its scan; returns how many were heard."""
    scans = Scan.objects.filter(status__in=Scan.UNFINISHED, dispatched_at__isnull=False)
    ids = [str(pk) for pk in scans.values_list("pk", flat=True)]
    heard = 0
    for start in range(0, len(ids), KEYS_PER_READ):
        heartbeats = read_heartbeats(redis, ids[start : start + KEYS_PER_READ])
        if heartbeats:
            _write(heartbeats, now)
        heard += len(heartbeats)
    return heard


def read_heartbeats(redis: Redis, scan_ids: Sequence[str]) -> list[Heartbeat]:
    """The heartbeats there are. One that cannot be read counts as silence and is logged."""
    values: Any = redis.mget([heartbeat_key(scan_id) for scan_id in scan_ids])
    heartbeats = []
    for scan_id, value in zip(scan_ids, values, strict=True):
        if value is None:
            continue
        try:
            heartbeat = msgspec.json.decode(value, type=Heartbeat)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("heartbeat of scan %s cannot be read: %s", scan_id, error)
            continue
        if heartbeat.scan_id == scan_id:
            heartbeats.append(heartbeat)
    return heartbeats


def _write(heartbeats: list[Heartbeat], now: datetime) -> None:
    parameters: dict[str, Any] = {
        "now": now,
        "ids": [beat.scan_id for beat in heartbeats],
        "attempts": [beat.attempt for beat in heartbeats],
        "phases": [str(beat.phase) for beat in heartbeats],
        "workers": [clean_text(beat.worker) for beat in heartbeats],
        "started": [beat.started_at for beat in heartbeats],
    }
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW, parameters)


def listening_since(redis: Redis, now: datetime) -> datetime:
    """Since when Redis and somebody who reads the heartbeats were there without a break.

    After a break the workers have not had the time to be heard, so their silence says nothing yet.
    """
    kept_for_s = max(settings.SCAN_SILENCE_S, 3 * settings.DISPATCH_INTERVAL_S)
    with redis.pipeline(transaction=False) as pipe:
        pipe.set(LISTENING_KEY, str(now.timestamp()), nx=True, ex=kept_for_s)
        pipe.expire(LISTENING_KEY, kept_for_s)
        pipe.get(LISTENING_KEY)
        since = pipe.execute()[-1]
    if since and float(since) > now.timestamp():
        # The clock was set back.
        redis.set(LISTENING_KEY, str(now.timestamp()), ex=kept_for_s)
        return now
    return datetime.fromtimestamp(float(since), tz=now.tzinfo) if since else now


def recover_silent(redis: Redis, now: datetime) -> int:
    """Queue again what a worker began and fell silent on; after SCAN_MAX_ATTEMPTS it fails. Returns how many."""
    cutoff = now - timedelta(seconds=settings.SCAN_SILENCE_S)
    if listening_since(redis, now) > cutoff:
        return 0
    if has_reports_waiting(redis):
        # The silent ones may have finished: their reports lie in the queue.
        cutoff = now - timedelta(seconds=PATIENCE_FACTOR * settings.SCAN_SILENCE_S)
    silent = Scan.objects.filter(status=Scan.Status.RUNNING, heartbeat_at__lt=cutoff)
    attempts = list(silent.values_list("pk", "attempt"))
    if not attempts:
        return 0
    _supersede(redis, attempts)
    silent = silent.filter(pk__in=[pk for pk, _ in attempts])
    ended = silent.filter(cancel_requested_at__isnull=False).update(
        status=Scan.Status.CANCELLED, finished_at=now, error_code="cancelled"
    )
    failed = silent.filter(attempt__gte=settings.SCAN_MAX_ATTEMPTS).update(
        status=Scan.Status.FAILED,
        finished_at=now,
        error_code=WORKER_LOST,
        error_message=f"its worker fell silent {settings.SCAN_MAX_ATTEMPTS} times",
    )
    again = silent.update(attempt=F("attempt") + 1, **QUEUED_AGAIN)
    if failed or again:
        log.warning("%d scans whose worker fell silent are queued again, %d are given up", again, failed)
    return ended + failed + again


def _supersede(redis: Redis, attempts: list[tuple[UUID, int]]) -> None:
    """Should their worker only have been stopped for a while, it ends those visits with its next beat."""
    with redis.pipeline(transaction=False) as pipe:
        for pk, attempt in attempts:
            pipe.set(superseded_key(str(pk), attempt), "1", ex=CLAIM_TTL_S)
        pipe.execute()


# What a scan looks like that waits for a worker once more.
QUEUED_AGAIN: dict[str, Any] = {
    "status": Scan.Status.QUEUED,
    "dispatched_at": None,
    "heartbeat_at": None,
    "started_at": None,
    "worker": "",
    "phase": "",
}


def has_reports_waiting(redis: Redis) -> bool:
    return bool(redis.llen(INGEST_QUEUE))


def resend_lost(redis: Redis, now: datetime) -> int:
    """Send again what no worker ever began although its queue is empty: Redis lost the message. Returns how many.

    That no heartbeat was heard proves nothing: a worker on a busy machine may have begun after the heartbeats of this
    tick were read. So the attempt is taken here first, as workers take it: either no worker can begin it any more, or
    one has, and then its silence counts from now.
    """
    silent = Scan.objects.filter(
        status=Scan.Status.QUEUED,
        heartbeat_at__isnull=True,
        dispatched_at__lt=now - timedelta(seconds=settings.SCAN_SILENCE_S),
    )
    zones = Zone.objects.filter(pk__in=silent.values("host__zone")).values_list("pk", "name")
    empty = [pk for pk, name in zones if not redis.llen(zone_queue(name))]
    if not empty:
        return 0
    candidates = silent.filter(host__zone__in=empty).exclude(pk__in=_held_by_workers(redis))
    given_up = _give_up(redis, list(candidates.values_list("pk", "attempt")))
    begun = [pk for pk, is_given_up in given_up.items() if not is_given_up]
    silent.filter(pk__in=begun).update(status=Scan.Status.RUNNING, heartbeat_at=now)
    lost = silent.filter(pk__in=given_up.keys() - begun).update(attempt=F("attempt") + 1, **QUEUED_AGAIN)
    if lost:
        log.warning("%d scans are sent again: the broker lost them", lost)
    return lost


def _give_up(redis: Redis, attempts: list[tuple[UUID, int]]) -> dict[UUID, bool]:
    """Take each attempt unless a worker has; which were taken."""
    if not attempts:
        return {}
    with redis.pipeline(transaction=False) as pipe:
        for pk, attempt in attempts:
            pipe.set(claim_key(str(pk), attempt), GIVEN_UP, nx=True, ex=CLAIM_TTL_S)
        return {pk: bool(taken) for (pk, _), taken in zip(attempts, pipe.execute(), strict=True)}


def _held_by_workers(redis: Redis) -> list[UUID]:
    """Scans whose message a worker took and has not begun; it comes back to the queue should the worker die."""
    values: Any = redis.hvals(UNACKNOWLEDGED_KEY)
    return [scan_id for value in values if (scan_id := _scan_of(value)) is not None]


def _scan_of(value: bytes) -> UUID | None:
    """Of a message as Kombu keeps it: with exchange and routing key; its task id begins with the scan's."""
    try:
        message = msgspec.json.decode(value)[0]
        return UUID(message["headers"]["id"].partition(".")[0])
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError, ValueError, AttributeError):
        return None
