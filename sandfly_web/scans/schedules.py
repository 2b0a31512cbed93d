"""Writes of schedules: which hosts they visit, when each is due, what a visit runs; pausing, running now, aborting."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from sandfly_web.findings.models import Baseline
from sandfly_web.inventory.models import Host
from sandfly_web.rules.models import Rule
from sandfly_web.rules.services import select_rules
from sandfly_web.scans.draw import DRAW_S, draw_part
from sandfly_web.scans.models import Plan, Scan, ScanBatch, Schedule, ScheduledHost
from sandfly_web.scans.nudge import nudge_dispatch
from sandfly_web.scans.services import cancel_all, ensure_plan, resume, scans_of
from sandfly_web.scans.timing import place

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Sequence
    from uuid import UUID

INSERT_ROWS = 1000
# New hosts are visited soon, but not more of them than one in this many seconds.
FIRST_VISIT_S = 1.0


# --- what a visit runs ---


def rules_of(schedule: Schedule) -> list[Rule]:
    """Every rule that its visits may run, ordered by id. Raises ValidationError for names that are no rule's."""
    if schedule.is_drift_check:
        chosen = _drift_rules(deep=schedule.is_deep)
    else:
        chosen = select_rules(schedule.rule_types, schedule.rule_tags, deep=schedule.is_deep)
    unwanted = {tag.lower() for tag in schedule.excluded_rule_tags}
    left = {
        rule.pk: rule for rule in chosen if rule.name not in schedule.excluded_rules and not _tags_of(rule) & unwanted
    }
    if schedule.always_rules:
        left |= {rule.pk: rule for rule in select_rules(names=schedule.always_rules)}
    return [left[key] for key in sorted(left)]


def _drift_rules(*, deep: bool) -> list[Rule]:
    """The recon rules that show what enforced baselines compare."""
    compared = {name for subjects in _enforced().values_list("subjects", flat=True) for name in subjects}
    return [rule for rule in select_rules((Rule.Type.RECON,), deep=deep) if rule.subject in compared]


def _enforced() -> QuerySet[Baseline]:
    return Baseline.objects.filter(state=Baseline.State.ENFORCED)


def unknown_rules(names: Collection[str]) -> list[str]:
    """Those that are the name of no rule."""
    known = set(Rule.objects.filter(name__in=names).values_list("name", flat=True)) if names else set()
    return [name for name in names if name not in known]


def _tags_of(rule: Rule) -> set[str]:
    """With and without their namespace, as people write them."""
    return {word for tag in rule.tags for word in (tag, tag.partition(".")[2])}


def plan_for_schedule(schedule: Schedule, now: datetime) -> Plan:
    """The plan of visits that begin now. Raises ValidationError when the schedule's choice fits no enabled rule."""
    rules: Sequence[Rule] = rules_of(schedule)
    if schedule.rule_percent < 100:
        _draw_anew(schedule, now)
        rules = draw_part(rules, schedule.rule_percent, schedule.always_rules, schedule.draw_seed)
    return ensure_plan(rules)


def _draw_anew(schedule: Schedule, now: datetime) -> None:
    """A new seed once the last has been used for DRAW_S; of several dispatchers one draws."""
    old = Q(drawn_at__isnull=True) | Q(drawn_at__lte=now - timedelta(seconds=DRAW_S))
    this = Schedule.objects.filter(pk=schedule.pk)
    this.filter(old).update(draw_seed=secrets.token_hex(16), drawn_at=now)
    schedule.draw_seed = this.values_list("draw_seed", flat=True).get()


# --- when a host is due ---


def next_times(schedule: Schedule, count: int, now: datetime, rng: random.Random) -> list[datetime]:
    """When `count` hosts that are visited now are due again."""
    window = [now + timedelta(seconds=schedule.interval_s + rng.uniform(0, schedule.jitter_s)) for _ in range(count)]
    if schedule.is_trickle:
        return [place(moment, schedule.blackout, schedule.interval_s, rng) for moment in window]
    return [_next_run(schedule, window[0], now)] * count if window else []


def _next_run(schedule: Schedule, drawn: datetime, now: datetime) -> datetime:
    """The moment at which all hosts are due; the first host of a run draws the next one."""
    blackout = schedule.blackout
    moment = blackout.ends_after(drawn) if blackout else drawn
    this = Schedule.objects.filter(pk=schedule.pk)
    this.filter(Q(next_run_at__isnull=True) | Q(next_run_at__lte=now)).update(next_run_at=moment)
    schedule.next_run_at = this.values_list("next_run_at", flat=True).get()
    return schedule.next_run_at or moment


def _first_times(
    schedule: Schedule, count: int, now: datetime, rng: random.Random
) -> list[tuple[datetime, datetime | None]]:
    """For new hosts: soon, and the time after it, which is where spread hosts find their place in the interval."""
    if not schedule.is_trickle:
        at = schedule.next_run_at if schedule.next_run_at and schedule.next_run_at > now else now
        return [(schedule.blackout.ends_after(at) if schedule.blackout else at, None)] * count
    soon_s = min(schedule.interval_s, max(schedule.jitter_s, count * FIRST_VISIT_S))
    times: list[tuple[datetime, datetime | None]] = []
    for _ in range(count):
        first = now + timedelta(seconds=rng.uniform(0, soon_s))
        then = now + timedelta(seconds=soon_s + rng.uniform(0, schedule.interval_s))
        spread = schedule.interval_s
        times.append((place(first, schedule.blackout, spread, rng), place(then, schedule.blackout, spread, rng)))
    return times


def sync_schedules(now: datetime, rng: random.Random) -> None:
    """Bring the rows of every enabled schedule in step with hosts, tags and zones."""
    for schedule in Schedule.objects.filter(is_enabled=True):
        sync_schedule(schedule, now, rng)


def sync_schedule(schedule: Schedule, now: datetime, rng: random.Random) -> int:
    """Give each host of the schedule its row; drop those it no longer covers.

    Returns the number of new hosts. Safe to run at the same time twice.
    """
    _mend_times(schedule, now, rng)
    covered = schedule_hosts(schedule)
    ScheduledHost.objects.filter(schedule=schedule).exclude(host__in=covered).delete()
    planned = ScheduledHost.objects.filter(schedule=schedule, host=OuterRef("pk"))
    new = list(covered.filter(~Exists(planned)).values_list("pk", flat=True))
    rows = [
        ScheduledHost(schedule=schedule, host_id=pk, next_due_at=first, then_due_at=then)
        for pk, (first, then) in zip(new, _first_times(schedule, len(new), now, rng), strict=True)
    ]
    ScheduledHost.objects.bulk_create(rows, batch_size=INSERT_ROWS, ignore_conflicts=True)
    return len(rows)


def _mend_times(schedule: Schedule, now: datetime, rng: random.Random) -> None:
    """Hosts that are due later than any visit can be were planned before the clock was set back."""
    latest = now + timedelta(days=1, seconds=2 * schedule.interval_s + schedule.jitter_s)
    if ScheduledHost.objects.filter(schedule=schedule, next_due_at__gt=latest).exists():
        replan_schedule(schedule, now, rng)


def schedule_hosts(schedule: Schedule) -> QuerySet[Host]:
    """The active hosts, none of them retired, with one of the schedule's tags, or all, in one of its zones, or all.

    Of a drift check, those of them that an enforced baseline covers.
    """
    hosts = Host.objects.filter(is_active=True, retired_at__isnull=True)
    if schedule.is_drift_check:
        covering = Baseline.tags.through.objects.filter(baseline__in=_enforced()).values("tag")
        hosts = hosts.filter(Exists(Host.tags.through.objects.filter(host=OuterRef("pk"), tag__in=covering)))
    tags = list(schedule.host_tags.values_list("pk", flat=True))
    if tags:
        hosts = hosts.filter(Exists(Host.tags.through.objects.filter(host=OuterRef("pk"), tag__in=tags)))
    zones = list(schedule.zones.values_list("pk", flat=True))
    return hosts.filter(zone__in=zones) if zones else hosts


def timing_of(schedule: Schedule) -> tuple[object, ...]:
    """What decides when hosts are due; a change of it calls for `replan_schedule`."""
    return schedule.interval_s, schedule.is_trickle, schedule.blackout


def replan_schedule(schedule: Schedule, now: datetime, rng: random.Random) -> None:
    """After interval, blackout or spreading were changed: every host that is not due yet gets a time that fits them."""
    Schedule.objects.filter(pk=schedule.pk).update(next_run_at=None)
    schedule.next_run_at = None
    rows = list(ScheduledHost.objects.filter(schedule=schedule, next_due_at__gt=now).values_list("pk", flat=True))
    spread_s = schedule.interval_s if schedule.is_trickle else 0
    drawn = [now + timedelta(seconds=rng.uniform(0, spread_s)) for _ in rows]
    move(rows, [place(moment, schedule.blackout, spread_s, rng) for moment in drawn])


# --- running, pausing, aborting ---


def run_schedule_now(schedule: Schedule, now: datetime, rng: random.Random) -> int:
    """Make all hosts of the schedule due; where they are spread, each keeps its next regular time.

    Returns how many. Raises ValidationError when it is switched off, paused, or within its blackout.
    """
    if not schedule.is_enabled:
        raise ValidationError("this schedule is switched off")
    if schedule.paused_at is not None:
        raise ValidationError("this schedule is paused")
    if schedule.blackout is not None and schedule.blackout.holds_at(now):
        raise ValidationError(f"this schedule visits no host until {schedule.blackout.ends_after(now):%H:%M} UTC")
    sync_schedule(schedule, now, rng)
    nudge_dispatch()
    rows = ScheduledHost.objects.filter(schedule=schedule)
    if schedule.is_trickle:
        rows.filter(next_due_at__gt=now).update(then_due_at=Coalesce("then_due_at", "next_due_at"))
    return rows.update(next_due_at=now)


def abort_schedule(schedule: Schedule, now: datetime, rng: random.Random) -> int:
    """Stop all its scans; hosts that are due wait for their next time. Returns how many scans were not over yet."""
    due = list(ScheduledHost.objects.filter(schedule=schedule, next_due_at__lte=now).values_list("pk", "then_due_at"))
    drawn = next_times(schedule, len(due), now, rng)
    move([pk for pk, _ in due], [then or time for (_, then), time in zip(due, drawn, strict=True)])
    return cancel_all(scans_of(schedule))


def resume_schedule(schedule: Schedule, now: datetime, rng: random.Random) -> None:
    """Go on; hosts that became due meanwhile do not all come at once. Raises ValidationError when it is not paused."""
    resume(schedule)
    late = list(ScheduledHost.objects.filter(schedule=schedule, next_due_at__lte=now).values_list("pk", flat=True))
    move(late, [first for first, _ in _first_times(schedule, len(late), now, rng)])


_MOVE = """
    UPDATE scans_scheduledhost AS scheduled SET next_due_at = moved.next_due_at, then_due_at = NULL
    FROM unnest(%(ids)s::bigint[], %(times)s::timestamptz[]) AS moved (id, next_due_at)
    WHERE scheduled.id = moved.id
"""


def move(row_ids: Sequence[int], times: Sequence[datetime]) -> None:
    """Give rows of ScheduledHost their next time: one write."""
    if row_ids:
        with connection.cursor() as cursor:
            cursor.execute(_MOVE, {"ids": list(row_ids), "times": list(times)})


# --- what is held back ---


@dataclass(frozen=True)
class Held:
    """Schedules and batches of which no visit begins now."""

    schedules: Collection[int] = ()
    batches: Collection[UUID] = ()

    def leave_out(self, scans: QuerySet[Scan]) -> QuerySet[Scan]:
        """The scans but those held back."""
        if self.schedules:
            scans = scans.exclude(schedule__in=self.schedules)
        return scans.exclude(batch__in=self.batches) if self.batches else scans


def held_back(now: datetime) -> Held:
    """Two queries, whatever the number of hosts."""
    quiet = Schedule.objects.filter(Q(paused_at__isnull=False) | Q(blackout_start__isnull=False))
    return Held(
        schedules=[one.pk for one in quiet if one.paused_at or (one.blackout and one.blackout.holds_at(now))],
        batches=list(ScanBatch.objects.filter(paused_at__isnull=False).values_list("pk", flat=True)),
    )
