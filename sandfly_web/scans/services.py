"""Writes of scans that people and programs ask for: scans now, cancelling, which hosts a schedule visits."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from redis.exceptions import RedisError

from sandfly_web.broker import redis_client
from sandfly_web.findings.models import Finding, FindingEvent
from sandfly_web.inventory.models import Host
from sandfly_web.rules.indicators.services import active_sets
from sandfly_web.rules.indicators.sets import find_kinds
from sandfly_web.rules.models import Rule
from sandfly_web.rules.plan import build_plan
from sandfly_web.rules.services import select_rules, stored_rules
from sandfly_web.scans.models import Plan, Scan, Schedule, ScheduledHost
from sandfly_web.scans.nudge import nudge_dispatch
from scanners.contract import Limits, cancel_key

if TYPE_CHECKING:
    import random

    from django.contrib.auth.models import User

log = logging.getLogger(__name__)

INSERT_ROWS = 1000
MAX_HOSTS = 100_000
# Longer than any visit that still ends after its scan is settled.
CANCEL_MARK_S = 4 * 3600


@dataclass(frozen=True)
class RuleChoice:
    """Which rules to run; see `rules.services.select_rules`."""

    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    deep: bool = False


@dataclass(frozen=True)
class Batch:
    """Scans that were asked for together."""

    id: uuid.UUID
    scans: list[Scan]


def request_scans(
    hosts: Sequence[Host],
    choice: RuleChoice,
    *,
    requested_by: User | None = None,
    priority: int = Scan.Priority.NORMAL,
    batch: uuid.UUID | None = None,
    finding: Finding | None = None,
) -> Batch:
    """Queue a scan of each host and ask for a dispatch. All share one plan. `finding` is what it is done for.

    Inactive hosts are scanned too when they are asked for by hand. Raises ValidationError without hosts or rules.
    """
    unique = list({host.pk: host for host in hosts}.values())
    if not unique:
        raise ValidationError({"hosts": "no host to scan"})
    if len(unique) > MAX_HOSTS:
        raise ValidationError({"hosts": f"{len(unique)} hosts; at most {MAX_HOSTS} at once"})
    if priority not in Scan.Priority.values:
        raise ValidationError({"priority": f"{priority} is no priority"})
    plan = ensure_plan(select_rules(choice.types, choice.tags, choice.names, deep=choice.deep))
    batch_id = batch or uuid.uuid4()
    expires_at = timezone.now() + timedelta(seconds=settings.SCAN_EXPIRES_S)
    scans = [
        Scan(
            batch=batch_id,
            host=host,
            plan=plan,
            requested_by=requested_by,
            priority=priority,
            expires_at=expires_at,
            finding=finding,
        )
        for host in unique
    ]
    nudge_dispatch()
    return Batch(batch_id, Scan.objects.bulk_create(scans, batch_size=INSERT_ROWS))


def collect_forensics(finding: Finding, names: Sequence[str], actor: User | None) -> Scan:
    """Run incident rules on the finding's host now, all that are enabled when none are named; what they bring is kept.

    Raises ValidationError for a rule that is not there or of another type, or when there is none to run.
    """
    known = {rule.name: rule for rule in select_rules((Rule.Type.INCIDENT,), deep=True)}
    if strange := [name for name in names if name not in known]:
        raise ValidationError({"rules": f"{strange[0]!r} is no enabled incident rule"})
    if not known:
        raise ValidationError({"rules": "no incident rule is enabled"})
    chosen = tuple(dict.fromkeys(names)) or tuple(known)
    with transaction.atomic():
        batch = request_scans(
            [finding.host],
            RuleChoice(names=chosen),
            requested_by=actor,
            priority=Scan.Priority.HIGH,
            finding=finding,
        )
        said = f"{len(chosen)} rule{'s' if len(chosen) != 1 else ''}: {', '.join(sorted(chosen))}"
        FindingEvent.objects.create(finding=finding, kind=FindingEvent.Kind.COLLECTED, actor=actor, comment=said)
    return batch.scans[0]


def ensure_plan(rules: Sequence[Rule]) -> Plan:
    """The plan of these rules, which all scans with the same rules share. Raises ValidationError without rules."""
    if not rules:
        raise ValidationError({"rules": "no enabled rule fits the choice"})
    stored = stored_rules(rules)
    sets = active_sets() if any(find_kinds(rule.plan_rule.when) for rule in stored) else {}
    built = build_plan(stored, Limits(), sets)
    plan, _ = Plan.objects.get_or_create(
        digest=built.digest,
        defaults={
            "body": built.body.decode(),
            "rule_ids": [rule.id for rule in built.plan.rules],
            "set_digests": [one.digest for one in built.plan.sets],
        },
    )
    return plan


def plan_for_schedule(schedule: Schedule) -> Plan:
    """Raises ValidationError when the schedule's types and tags fit no enabled rule."""
    return ensure_plan(select_rules(schedule.rule_types, schedule.rule_tags, deep=schedule.is_deep))


def cancel_scan(scan: Scan) -> Scan:
    """Stop a scan: at once while it waits, else by asking its worker. Raises ValidationError for a finished one."""
    now = timezone.now()
    this = Scan.objects.filter(pk=scan.pk)
    waiting = this.filter(status=Scan.Status.QUEUED, dispatched_at__isnull=True)
    if not waiting.update(
        status=Scan.Status.CANCELLED, finished_at=now, cancel_requested_at=now, error_code="cancelled"
    ):
        if not this.filter(status__in=Scan.UNFINISHED).update(cancel_requested_at=now):
            raise ValidationError("this scan is finished")
        _ask_worker(scan)
    scan.refresh_from_db()
    return scan


def _ask_worker(scan: Scan) -> None:
    try:
        with redis_client() as redis:
            redis.set(cancel_key(str(scan.pk)), "1", ex=CANCEL_MARK_S)
    except RedisError as error:
        # The row remembers; dispatch sets the mark when Redis is back.
        log.warning("scan %s: the broker is away, its worker is asked to stop later: %s", scan.pk, error)


def sync_schedules(now: datetime, rng: random.Random) -> None:
    """Bring the rows of every enabled schedule in step with hosts and tags."""
    for schedule in Schedule.objects.filter(is_enabled=True):
        sync_schedule(schedule, now, rng)


def sync_schedule(schedule: Schedule, now: datetime, rng: random.Random) -> int:
    """Give each host of the schedule its row, first due within the jitter; drop those it no longer covers.

    Returns the number of new hosts. Safe to run at the same time twice.
    """
    covered = schedule_hosts(schedule)
    ScheduledHost.objects.filter(schedule=schedule).exclude(host__in=covered).delete()
    planned = ScheduledHost.objects.filter(schedule=schedule, host=OuterRef("pk"))
    new = covered.filter(~Exists(planned)).values_list("pk", flat=True)
    rows = [
        ScheduledHost(
            schedule=schedule, host_id=pk, next_due_at=now + timedelta(seconds=rng.uniform(0, schedule.jitter_s))
        )
        for pk in new
    ]
    ScheduledHost.objects.bulk_create(rows, batch_size=INSERT_ROWS, ignore_conflicts=True)
    return len(rows)


def schedule_hosts(schedule: Schedule) -> QuerySet[Host]:
    """The active hosts with one of the schedule's tags, or all."""
    hosts = Host.objects.filter(is_active=True)
    tags = list(schedule.host_tags.values_list("pk", flat=True))
    if tags:
        hosts = hosts.filter(Exists(Host.tags.through.objects.filter(host=OuterRef("pk"), tag__in=tags)))
    return hosts


def run_schedule_now(schedule: Schedule, now: datetime, rng: random.Random) -> int:
    """Make all hosts of the schedule due; returns how many. Raises ValidationError when it is switched off."""
    if not schedule.is_enabled:
        raise ValidationError("this schedule is switched off")
    sync_schedule(schedule, now, rng)
    nudge_dispatch()
    return ScheduledHost.objects.filter(schedule=schedule).update(next_due_at=now)
