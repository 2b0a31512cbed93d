"""What waits and what runs: zones with their queues, schedules with how far they are, reports that wait for ingest."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import (
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce, JSONObject
from redis.exceptions import RedisError

from sandfly_web.broker import redis_client
from sandfly_web.inventory.models import Zone
from sandfly_web.inventory.scope import present_limit
from sandfly_web.scans.models import Scan, ScanBatch, Schedule, ScheduledHost
from scanners.contract import INGEST_QUEUE, zone_queue

WAITING = Q(status=Scan.Status.QUEUED, dispatched_at__isnull=True)
IN_FLIGHT = Q(status__in=Scan.UNFINISHED, dispatched_at__isnull=False)


@dataclass
class ZoneQueue:
    """`waiting` scans are rows, `queued` ones messages no worker took yet, `phases` those that workers are at.

    `queued` is None while the broker is away. `workers` were heard of within the time a silent one is given up after.
    """

    zone: Zone
    waiting: int = 0
    oldest_waiting: datetime | None = None
    queued: int | None = None
    in_flight: int = 0
    workers: int = 0
    phases: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """A schedule: hosts it has, those that are due now, those visited within the last interval, and what is next."""

    schedule: Schedule
    hosts: int
    due: int
    unfinished: int
    visited: int
    next_due_at: datetime | None


@dataclass(frozen=True)
class Overview:
    """`ingest_depth` and what the queues hold are None when the broker is away, which `broker_fault` then tells."""

    zones: list[ZoneQueue]
    schedules: list[Progress]
    batches: list[ScanBatch]
    ingest_depth: int | None
    broker_fault: str


def look(now: datetime) -> Overview:
    """A fixed number of queries, whatever the number of hosts, zones and scans."""
    zones = _zones(now)
    depth, fault = _ask_broker(zones)
    batches = with_counts(ScanBatch.objects.filter(paused_at__isnull=False).select_related("requested_by", "callback"))
    return Overview(list(zones.values()), _schedules(now), list(batches), depth, fault)


def with_counts(batches: QuerySet[ScanBatch]) -> QuerySet[Any]:
    """With the number of each one's scans by status, for `counts_of`; no query of its own.

    Call it within the request, so that its limit to hosts holds for the scans.
    """
    scans = Scan.objects.filter(batch=OuterRef("pk")).order_by().values("status").annotate(rows=Count("pk"))
    return known_batches(batches).annotate(
        by_status=ArraySubquery(scans.values(pair=JSONObject(status="status", rows="rows")))
    )


def with_hosts(schedules: QuerySet[Schedule]) -> QuerySet[Any]:
    """With the number of each one's hosts and when the first of them is due; no query of its own.

    Call it within the request, as `with_counts`.
    """
    rows = ScheduledHost.objects.filter(schedule=OuterRef("pk")).order_by().values("schedule")
    return schedules.annotate(
        host_count=Coalesce(Subquery(rows.values(hosts=Count("pk"))), 0),
        due=Subquery(rows.values(first=Min("next_due_at"))),
    )


def known_batches(batches: QuerySet[ScanBatch]) -> QuerySet[ScanBatch]:
    """Those with a scan of a host that the request may know of."""
    if present_limit() is None:
        return batches
    return batches.filter(Exists(Scan.objects.filter(batch=OuterRef("pk"))))


def counts_of(batch: Any) -> dict[str, int]:
    """Scans by status of a batch that `with_counts` fetched."""
    return {pair["status"]: pair["rows"] for pair in batch.by_status}


def _zones(now: datetime) -> dict[int, ZoneQueue]:
    queues = {zone.pk: ZoneQueue(zone) for zone in Zone.objects.all()}
    unfinished = Scan.objects.filter(status__in=Scan.UNFINISHED).order_by()
    rows = unfinished.values_list("host__zone", "phase").annotate(
        waiting=Count("pk", filter=WAITING),
        oldest=Min("created_at", filter=WAITING),
        in_flight=Count("pk", filter=IN_FLIGHT),
    )
    for zone_id, phase, waiting, oldest, in_flight in rows:
        queue = queues[zone_id]
        queue.waiting += waiting
        queue.in_flight += in_flight
        queue.oldest_waiting = min(filter(None, (queue.oldest_waiting, oldest)), default=None)
        if in_flight:
            queue.phases[phase or "queued"] = queue.phases.get(phase or "queued", 0) + in_flight
    heard = unfinished.filter(heartbeat_at__gte=now - timedelta(seconds=settings.SCAN_SILENCE_S)).exclude(worker="")
    for zone_id, workers in heard.values_list("host__zone").annotate(workers=Count("worker", distinct=True)):
        queues[zone_id].workers = workers
    return queues


def _ask_broker(zones: dict[int, ZoneQueue]) -> tuple[int | None, str]:
    """Depth of the ingest queue, and why it is not known; fills in the queues' lengths."""
    if present_limit() is not None:
        # It counts those of all hosts.
        return None, ""
    try:
        with redis_client() as redis, redis.pipeline(transaction=False) as pipe:
            for queue in zones.values():
                pipe.llen(zone_queue(queue.zone.name))
            pipe.llen(INGEST_QUEUE)
            *lengths, depth = pipe.execute()
    except (RedisError, OSError) as error:
        return None, f"the broker is away ({type(error).__name__})"
    for queue, length in zip(zones.values(), lengths, strict=True):
        queue.queued = length
    return depth, ""


def _schedules(now: datetime) -> list[Progress]:
    hosts = {
        row["schedule"]: row
        for row in ScheduledHost.objects.order_by()
        .values("schedule")
        .annotate(hosts=Count("pk"), due=Count("pk", filter=Q(next_due_at__lte=now)), next_due=Min("next_due_at"))
    }
    none: dict[str, Any] = {"hosts": 0, "due": 0, "next_due": None}
    unfinished = dict(
        Scan.objects.filter(status__in=Scan.UNFINISHED, schedule__isnull=False)
        .order_by()
        .values_list("schedule")
        .annotate(rows=Count("pk"))
    )
    visited = _visited(now)
    return [
        Progress(one, row["hosts"], row["due"], unfinished.get(one.pk, 0), visited.get(one.pk, 0), row["next_due"])
        for one in Schedule.objects.all()
        for row in (hosts.get(one.pk, none),)
    ]


_VISITED = """
    SELECT schedule.id, (
        SELECT count(DISTINCT host_id) FROM scans_scan
        WHERE schedule_id = schedule.id AND observed_at > %s - schedule.interval_s * interval '1 second'
    ) FROM scans_schedule AS schedule
"""


def _visited(now: datetime) -> dict[int, int]:
    if present_limit() is not None:
        interval = ExpressionWrapper(F("schedule__interval_s") * timedelta(seconds=1), output_field=DurationField())
        recent = Scan.objects.filter(schedule__isnull=False, observed_at__gt=Value(now) - interval).order_by()
        return dict(recent.values_list("schedule").annotate(rows=Count("host", distinct=True)))
    with connection.cursor() as cursor:
        cursor.execute(_VISITED, [now])
        return dict(cursor.fetchall())
