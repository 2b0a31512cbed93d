"""Keeps the zone queues short and full: what is due becomes scans, what waits is sent, what fell silent is taken back.

`dispatch_due` is one tick. Any number of beats may run it at once: rows change only under a lock or a condition.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from sandfly_web.broker import redis_client
from sandfly_web.celery import app
from sandfly_web.inventory.models import Zone
from sandfly_web.rules.indicators.models import IndicatorSet
from sandfly_web.scans import heartbeats
from sandfly_web.scans.claims import claim_due
from sandfly_web.scans.jobs import JobError, build_job, load_jumps, scans_for_jobs
from sandfly_web.scans.models import Plan, Scan
from sandfly_web.scans.schedules import Held, held_back
from sandfly_web.scans.services import CANCEL_MARK_S, longest_retry_s
from scanners.contract import INGEST_QUEUE, SCAN_TASK, ScanJob, cancel_key, plan_key, set_key, zone_queue

if TYPE_CHECKING:
    import random
    from uuid import UUID

    from redis import Redis

log = logging.getLogger(__name__)

# Plans outlive the scans that name them by this much, for retries and late workers.
PLAN_MARGIN_S = 3600
# Any number that nobody else uses as an advisory lock.
FOLLOW_LOCK = 0x5AFD_F117
BROKER_ERRORS = (RedisError, KombuError, OSError)


@dataclass(frozen=True)
class Tick:
    """What one tick did, in scans."""

    claimed: int = 0
    sent: int = 0
    heard: int = 0
    taken_back: int = 0
    ended: int = 0


def dispatch_due(now: datetime, rng: random.Random) -> Tick:
    """One tick. While the broker is away rows stay as they are, one line is logged, and the next tick goes on."""
    try:
        with redis_client() as redis:
            redis.ping()
            held = held_back(now)
            heard, taken_back, ended = _follow(redis, now, held)
            claimed = claim_due(now, rng)
            sent = _send_waiting(redis, now, held)
    except BROKER_ERRORS as error:
        log.warning("the broker is away, nothing is dispatched until it is back: %s", error)
        return Tick()
    return Tick(claimed, sent, heard, taken_back, ended)


def _follow(redis: Redis, now: datetime, held: Held) -> tuple[int, int, int]:
    """Heartbeats, silence, expiry and cancelling, by one dispatcher at a time: bulk updates of the same rows by two
    would wait for each other crosswise.
    """
    with transaction.atomic():
        if not _take_lock(FOLLOW_LOCK):
            return 0, 0, 0
        heartbeats.mend_times(now)
        heard = heartbeats.follow_running(redis, now)
        ended = _expire(redis, now, held) + _cancel(redis, now)
        taken_back = heartbeats.recover_silent(redis, now) + heartbeats.resend_lost(redis, now)
    return heard, taken_back, ended


def _take_lock(number: int) -> bool:
    """A lock of PostgreSQL's until the transaction ends; false when somebody else holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _expire(redis: Redis, now: datetime, held: Held) -> int:
    """End what waited too long, but what is held back; running scans get the time for their report to arrive."""
    message = "no worker finished it before it expired"
    waiting = held.leave_out(Scan.objects.filter(status=Scan.Status.QUEUED, expires_at__lte=now))
    ended = _end(redis, waiting, Scan.Status.EXPIRED, now, message)
    patience = heartbeats.PATIENCE_FACTOR if heartbeats.has_reports_waiting(redis) else 1
    silent_since = now - timedelta(seconds=patience * settings.SCAN_SILENCE_S)
    running = Scan.objects.filter(status=Scan.Status.RUNNING, expires_at__lte=silent_since)
    return ended + _end(redis, running, Scan.Status.EXPIRED, now, message)


def _cancel(redis: Redis, now: datetime) -> int:
    """End what is to be cancelled and no worker began; remind the workers of the others."""
    wanted = Scan.objects.filter(cancel_requested_at__isnull=False, status__in=Scan.UNFINISHED)
    _mark_cancelled(redis, list(wanted.filter(status=Scan.Status.RUNNING).values_list("pk", flat=True)))
    return _end(redis, wanted.filter(status=Scan.Status.QUEUED), Scan.Status.CANCELLED, now, "")


def _end(redis: Redis, scans: QuerySet[Scan], status: str, now: datetime, message: str) -> int:
    """Settle the scans; workers that hold one of them stop, and their reports are dropped."""
    rows = list(scans.values_list("pk", "dispatched_at"))
    _mark_cancelled(redis, [pk for pk, dispatched_at in rows if dispatched_at is not None])
    if not rows:
        return 0
    changes = {"status": status, "error_code": status, "error_message": message, "finished_at": now}
    return scans.filter(pk__in=[pk for pk, _ in rows]).update(**changes)


def _mark_cancelled(redis: Redis, scan_ids: list[UUID]) -> None:
    if not scan_ids:
        return
    with redis.pipeline(transaction=False) as pipe:
        for scan_id in scan_ids:
            pipe.set(cancel_key(str(scan_id)), "1", ex=CANCEL_MARK_S)
        pipe.execute()


def _send_waiting(redis: Redis, now: datetime, held: Held) -> int:
    """Fill every zone's queue up to ZONE_QUEUE_LENGTH."""
    zones = Zone.objects.filter(Exists(_waiting(now, held).filter(host__zone=OuterRef("pk"))))
    return sum(_send_zone(redis, zone_id, now, held) for zone_id in zones.values_list("pk", flat=True))


def _waiting(now: datetime, held: Held) -> QuerySet[Scan]:
    # What is to wait longer than any retry does was told so before the clock was set back.
    never = now + timedelta(seconds=longest_retry_s())
    return held.leave_out(Scan.objects.all()).filter(
        Q(not_before__isnull=True) | Q(not_before__lte=now) | Q(not_before__gt=never),
        status=Scan.Status.QUEUED,
        dispatched_at__isnull=True,
        cancel_requested_at__isnull=True,
        expires_at__gt=now,
    )


# Sorted and not joined with itself: right after many scans were queued PostgreSQL knows nothing of them yet, and would
# choose to compare each with each.
_LINE = """
    SELECT id FROM (
        SELECT id, priority, created_at,
            row_number() OVER (PARTITION BY priority, schedule_id, batch ORDER BY created_at, id) AS turn
        FROM (
            SELECT DISTINCT ON (host_id) * FROM ({waiting}) AS waiting ORDER BY host_id, priority DESC, created_at, id
        ) AS first
    ) AS line
    ORDER BY priority DESC, turn, created_at, id
    LIMIT %s
"""


def _next_in_line(zone_id: int, busy: list[UUID], room: int, now: datetime, held: Held) -> list[UUID]:
    """Scans of a zone that are sent now: of each host the first, and none of a host that has one in flight (`busy`).

    By priority, and within it in turns: one of each schedule and batch, then the next of each, so that a schedule of
    ten hosts does not wait until one of a hundred thousand is through.
    """
    waiting = _waiting(now, held).filter(host__zone=zone_id).exclude(host__in=busy).order_by()
    sql, parameters = waiting.values(
        "id", "host_id", "priority", "created_at", "schedule_id", "batch"
    ).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_LINE.format(waiting=sql), [*parameters, room])
        return [pk for (pk,) in cursor.fetchall()]


@dataclass(frozen=True)
class _Keep:
    """A plan and until when some scan in flight needs it."""

    digest: str
    body: str
    sets: list[str]
    expires_at: datetime


@dataclass(frozen=True)
class _Outgoing:
    """Messages of one zone that go out once their rows are committed."""

    queue: str
    jobs: list[ScanJob]
    plans: list[_Keep]
    sent_at: datetime


def _send_zone(redis: Redis, zone_id: int, now: datetime, held: Held) -> int:
    """Claim and send one zone's scans. The number of queries does not depend on how many there are."""
    with transaction.atomic():
        # The lock keeps two dispatchers from filling the same room, or sending two scans of one host.
        zone = Zone.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=zone_id).first()
        if zone is None:
            return 0
        in_flight = Scan.objects.filter(host__zone=zone_id, status__in=Scan.UNFINISHED, dispatched_at__isnull=False)
        busy = list(in_flight.values_list("host_id", flat=True))
        room = queue_length(redis) - len(busy)
        if room <= 0:
            return 0
        scans = _lock(_next_in_line(zone_id, busy, room, now, held))
        jobs = _build_jobs(scans, zone_id, now)
        Scan.objects.filter(pk__in=[job.scan_id for job in jobs]).update(dispatched_at=now, heartbeat_at=None)
        outgoing = _Outgoing(zone_queue(zone.name), jobs, _plans_of(jobs), now)
        transaction.on_commit(lambda: _publish(redis, outgoing))
    return len(jobs)


def queue_length(redis: Redis) -> int:
    """How many scans of a zone may be in flight: ZONE_QUEUE_LENGTH, less while reports pile up before ingest.

    From half of INGEST_BACKLOG on it shrinks, at all of it nothing is sent: what is visited faster than it is stored
    would only fill the memory of Redis.
    """
    waiting = int(redis.llen(INGEST_QUEUE))
    share = 2 * (1 - waiting / settings.INGEST_BACKLOG)
    return int(settings.ZONE_QUEUE_LENGTH * max(0.0, min(1.0, share)))


def _lock(chosen: list[UUID]) -> list[Scan]:
    """The scans in the order given, without those that somebody else is changing (PostgreSQL locks no windows)."""
    free = Scan.objects.select_for_update(skip_locked=True, of=("self",), no_key=True).filter(
        pk__in=chosen, status=Scan.Status.QUEUED, dispatched_at__isnull=True, cancel_requested_at__isnull=True
    )
    found = {scan.pk: scan for scan in scans_for_jobs(free).order_by()}
    return [found[pk] for pk in chosen if pk in found]


def _plans_of(jobs: list[ScanJob]) -> list[_Keep]:
    """The plans of the jobs, with the last expiry among all scans in flight that share them."""
    digests = {job.plan_digest for job in jobs}
    in_flight = Scan.objects.filter(plan__in=digests, status__in=Scan.UNFINISHED, dispatched_at__isnull=False)
    last = dict(in_flight.order_by().values("plan").annotate(last=Max("expires_at")).values_list("plan", "last"))
    bodies = Plan.objects.filter(pk__in=digests).values_list("pk", "body", "set_digests")
    return [_Keep(digest, body, sets, last[digest]) for digest, body, sets in bodies]


def _build_jobs(scans: list[Scan], zone_id: int, now: datetime) -> list[ScanJob]:
    """The messages; scans that no worker could do fail here, with the reason."""
    jumps = load_jumps(zone_id)
    jobs, failed = [], []
    for scan in scans:
        try:
            jobs.append(build_job(scan, jumps))
        except JobError as error:
            scan.status, scan.finished_at = Scan.Status.FAILED, now
            scan.error_code, scan.error_message = error.code, error.message
            failed.append(scan)
    if failed:
        Scan.objects.bulk_update(failed, ["status", "finished_at", "error_code", "error_message"])
    return jobs


def _publish(redis: Redis, outgoing: _Outgoing) -> None:
    """Plans first, then the messages. What could not be sent waits again; what is lost later `resend_lost` finds."""
    unsent = {job.scan_id for job in outgoing.jobs}
    try:
        _put_plans(redis, outgoing)
        with app.producer_or_acquire() as producer:
            for job in outgoing.jobs:
                _send(job, outgoing, producer)
                unsent.discard(job.scan_id)
    except BROKER_ERRORS as error:
        log.warning("the broker went away, %d scans wait again: %s", len(unsent), error)
        mine = Scan.objects.filter(pk__in=unsent, status=Scan.Status.QUEUED, dispatched_at=outgoing.sent_at)
        mine.update(dispatched_at=None)


def _put_plans(redis: Redis, outgoing: _Outgoing) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for plan in outgoing.plans:
            left_s = int((plan.expires_at - outgoing.sent_at).total_seconds())
            pipe.set(plan_key(plan.digest), plan.body, ex=left_s + PLAN_MARGIN_S)
        pipe.execute()
    _put_sets(redis, outgoing)


def _put_sets(redis: Redis, outgoing: _Outgoing) -> None:
    """Sets are large and seldom change: those that Redis has are only kept for longer."""
    lives_s: dict[str, int] = {}
    for plan in outgoing.plans:
        left_s = int((plan.expires_at - outgoing.sent_at).total_seconds()) + PLAN_MARGIN_S
        lives_s |= {digest: max(left_s, lives_s.get(digest, 0)) for digest in plan.sets}
    missing = [digest for digest, left_s in lives_s.items() if not redis.expire(set_key(digest), left_s)]
    for row in IndicatorSet.objects.filter(pk__in=missing) if missing else []:
        redis.set(set_key(row.digest), bytes(row.body), ex=lives_s[row.digest])


def _send(job: ScanJob, outgoing: _Outgoing, producer: Any) -> None:
    app.send_task(
        SCAN_TASK,
        args=[msgspec.to_builtins(job)],
        task_id=f"{job.scan_id}.{job.attempt}",
        queue=outgoing.queue,
        expires=(job.expires_at - outgoing.sent_at).total_seconds(),
        producer=producer,
        ignore_result=True,
        retry=False,
    )
