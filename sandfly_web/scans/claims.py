"""Turns due (schedule, host) rows into queued scans. Whoever locks a row claims it; others skip it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from sandfly_web.scans.models import Plan, Scan, Schedule, ScheduledHost
from sandfly_web.scans.schedules import held_back, move, next_times, plan_for_schedule
from sandfly_web.scans.services import visit_limits

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

log = logging.getLogger(__name__)

CHUNK_ROWS = 1000
# A tick ends, so that the next one sees new heartbeats; what is left is due then too.
MAX_CHUNKS = 50


@dataclass
class _Due:
    """What the rows of one schedule need."""

    schedule: Schedule
    plan: Plan | None

    @cached_property
    def limits(self) -> dict[str, int]:
        one = self.schedule
        return visit_limits(nice=one.nice, cpu_percent=one.cpu_percent, deadline_s=one.deadline_s)


def claim_due(now: datetime, rng: random.Random) -> int:
    """Claim all rows that are due and queue a scan for each; returns the number of scans."""
    known: dict[int, _Due] = {}
    held = held_back(now).schedules
    created = 0
    for _ in range(MAX_CHUNKS):
        claimed, scans = _claim_chunk(now, rng, known, held)
        created += scans
        if claimed < CHUNK_ROWS:
            break
    return created


def _claim_chunk(now: datetime, rng: random.Random, known: dict[int, _Due], held: Collection[int]) -> tuple[int, int]:
    """One transaction; returns rows claimed and scans created. The number of queries does not depend on the rows."""
    with transaction.atomic():
        rows = list(
            ScheduledHost.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(next_due_at__lte=now, schedule__is_enabled=True)
            .exclude(schedule__in=held)
            .select_related("host")
            .order_by("next_due_at")[:CHUNK_ROWS]
        )
        _look_up(rows, known, now)
        _move_on(rows, now, rng, known)
        scans = _new_scans(rows, now, known)
        Scan.objects.bulk_create(scans)
    return len(rows), len(scans)


def _look_up(rows: list[ScheduledHost], known: dict[int, _Due], now: datetime) -> None:
    """Schedules of the rows and their plans, once a tick."""
    missing = {row.schedule_id for row in rows} - known.keys()
    for schedule in Schedule.objects.filter(pk__in=missing) if missing else []:
        known[schedule.pk] = _Due(schedule, _plan(schedule, now))


def _plan(schedule: Schedule, now: datetime) -> Plan | None:
    try:
        return plan_for_schedule(schedule, now)
    except ValidationError as error:
        log.warning("schedule %s scans nothing: %s", schedule, "; ".join(error.messages))
        return None


def _move_on(rows: list[ScheduledHost], now: datetime, rng: random.Random, known: dict[int, _Due]) -> None:
    """Where a row has its next time already it takes that, else one of its schedule's."""
    for schedule_id, due in known.items():
        mine = [row for row in rows if row.schedule_id == schedule_id]
        drawn = next_times(due.schedule, len(mine), now, rng)
        move([row.pk for row in mine], [row.then_due_at or time for row, time in zip(mine, drawn, strict=True)])


def _new_scans(rows: list[ScheduledHost], now: datetime, known: dict[int, _Due]) -> list[Scan]:
    """A scan for each row but those of inactive hosts and of hosts that still have one of this schedule."""
    active = [row for row in rows if row.host.is_active]
    unfinished = set(
        Scan.objects.filter(
            status__in=Scan.UNFINISHED,
            host__in=[row.host_id for row in active],
            schedule__in={row.schedule_id for row in active},
        ).values_list("schedule_id", "host_id")
    )
    scans = []
    for row in active:
        due = known[row.schedule_id]
        if due.plan is None or (row.schedule_id, row.host_id) in unfinished:
            continue
        # A visit that waited until the next is due is of no use any more.
        lives_s = max(settings.SCAN_EXPIRES_S, due.schedule.interval_s)
        scans.append(
            Scan(
                host=row.host,
                schedule=due.schedule,
                plan=due.plan,
                priority=due.schedule.priority,
                limits=due.limits,
                expires_at=now + timedelta(seconds=lives_s),
            )
        )
    return scans
