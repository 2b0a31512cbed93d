"""Turns due (schedule, host) rows into queued scans. Whoever locks a row claims it; others skip it."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from sandfly_web.scans.models import Plan, Scan, Schedule, ScheduledHost
from sandfly_web.scans.schedules import held_back, move, next_times, plan_for_schedule
from sandfly_web.scans.services import visit_limits

if TYPE_CHECKING:
    import random
    from collections.abc import Collection
    from uuid import UUID

log = logging.getLogger(__name__)

CHUNK_ROWS = 10_000
# A tick ends, so that the next one sees new heartbeats; what is left is due then too.
MAX_CHUNKS = 10


class _Row(NamedTuple):
    """One due row, as little of it as claiming needs."""

    pk: int
    schedule_id: int
    host_id: UUID
    is_active: bool
    then_due_at: datetime | None


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
        due = (
            ScheduledHost.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(next_due_at__lte=now, schedule__is_enabled=True)
            .exclude(schedule__in=held)
            .order_by("next_due_at")
            .values_list("pk", "schedule_id", "host_id", "host__is_active", "then_due_at")
        )
        rows: dict[int, list[_Row]] = defaultdict(list)
        for row in map(_Row._make, due[:CHUNK_ROWS]):
            rows[row.schedule_id].append(row)
        _look_up(rows, known, now)
        created = 0
        for schedule_id, mine in rows.items():
            _move_on(mine, known[schedule_id].schedule, now, rng)
            created += _insert_scans(mine, known[schedule_id], now)
    return sum(map(len, rows.values())), created


def _look_up(schedule_ids: Collection[int], known: dict[int, _Due], now: datetime) -> None:
    """Schedules of the rows and their plans, once a tick."""
    missing = set(schedule_ids) - known.keys()
    for schedule in Schedule.objects.filter(pk__in=missing) if missing else []:
        known[schedule.pk] = _Due(schedule, _plan(schedule, now))


def _plan(schedule: Schedule, now: datetime) -> Plan | None:
    try:
        return plan_for_schedule(schedule, now)
    except ValidationError as error:
        log.warning("schedule %s scans nothing: %s", schedule, "; ".join(error.messages))
        return None


def _move_on(rows: list[_Row], schedule: Schedule, now: datetime, rng: random.Random) -> None:
    """Where a row has its next time already it takes that, else one of its schedule's."""
    drawn = next_times(schedule, len(rows), now, rng)
    move([row.pk for row in rows], [row.then_due_at or time for row, time in zip(rows, drawn, strict=True)])


def _insert_scans(rows: list[_Row], due: _Due, now: datetime) -> int:
    """A scan for each row but those of inactive hosts and of hosts that still have one of this schedule.

    One statement: the rows of a hundred thousand scans as objects would take longer than to store them.
    """
    hosts = [row.host_id for row in rows if row.is_active]
    if due.plan is None or not hosts:
        return 0
    # A visit that waited until the next is due is of no use any more.
    lives_s = max(settings.SCAN_EXPIRES_S, due.schedule.interval_s)
    alike = Scan(
        schedule=due.schedule,
        plan=due.plan,
        priority=due.schedule.priority,
        limits=due.limits,
        expires_at=now + timedelta(seconds=lives_s),
    )
    columns, values = [], []
    for field in Scan._meta.concrete_fields:
        if field.name not in {"id", "host"}:
            columns.append(f'"{field.column}"')
            values.append(field.get_db_prep_save(field.pre_save(alike, add=True), connection))
    marks = ", ".join(["%s"] * len(values))
    statement = f"""
        INSERT INTO scans_scan (id, host_id, {", ".join(columns)})
        SELECT gen_random_uuid(), due.host_id, {marks} FROM unnest(%s::uuid[]) AS due (host_id)
        WHERE NOT EXISTS (
            SELECT FROM scans_scan AS scan
            WHERE scan.host_id = due.host_id AND scan.schedule_id = %s AND scan.status IN ('queued', 'running')
        )
    """  # noqa: S608 - names of our own columns
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, [str(host) for host in hosts], due.schedule.pk])
        return int(cursor.rowcount)
