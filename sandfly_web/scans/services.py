"""Writes of scans that people and programs ask for: scans now, cancelling, which hosts a schedule visits."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from redis.exceptions import RedisError

from sandfly_web.broker import redis_client
from sandfly_web.findings.models import Finding, FindingEvent
from sandfly_web.inventory.models import Host
from sandfly_web.inventory.scope import present_limit
from sandfly_web.rules.indicators.services import active_sets
from sandfly_web.rules.indicators.sets import find_kinds
from sandfly_web.rules.models import Rule
from sandfly_web.rules.plan import build_plan
from sandfly_web.rules.services import select_rules, stored_rules
from sandfly_web.scans.models import Plan, Scan, ScanBatch, Schedule
from sandfly_web.scans.nudge import nudge_dispatch
from scanners.contract import Limits, cancel_key

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)

INSERT_ROWS = 1000
MAX_HOSTS = 100_000
# Longer than any visit that still ends after its scan is settled.
CANCEL_MARK_S = 4 * 3600


# Each retry of a visit waits this many times as long as the one before.
RETRY_FACTOR = 4


def longest_retry_s() -> int:
    """More than any retry waits."""
    factor: int = RETRY_FACTOR ** max(settings.SCAN_MAX_ATTEMPTS - 1, 0)
    return settings.SCAN_RETRY_S * (factor + 1)


@dataclass(frozen=True)
class RuleChoice:
    """Which rules to run; see `rules.services.select_rules`."""

    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    deep: bool = False


# Of a visit, on top of what its probe may take.
VISIT_MARGIN_S = 180


def visit_limits(*, nice: int = 19, cpu_percent: int = 50, deadline_s: int = 120) -> dict[str, int]:
    """What `Scan.limits` keeps: only what differs from the usual `contract.Limits`."""
    usual = Limits()
    wanted = {"nice": nice, "cpu_percent": cpu_percent, "probe_deadline_s": deadline_s}
    changed = {name: value for name, value in wanted.items() if value != getattr(usual, name)}
    if "probe_deadline_s" in changed:
        changed["visit_deadline_s"] = deadline_s + VISIT_MARGIN_S
    return changed


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
    batch: ScanBatch | None = None,
    finding: Finding | None = None,
    limits: dict[str, int] | None = None,
) -> Batch:
    """Queue a scan of each host and ask for a dispatch. All share one plan. `finding` is what it is done for.
    `limits` is what `visit_limits` gives.

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
    batch_id = batch.pk if batch else uuid.uuid4()
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
            limits=limits or {},
        )
        for host in unique
    ]
    with transaction.atomic():
        if batch is None:
            ScanBatch.objects.create(pk=batch_id, requested_by=requested_by)
        Scan.objects.bulk_create(scans, batch_size=INSERT_ROWS)
        nudge_dispatch()
    return Batch(batch_id, scans)


def retry_hosts(states: Sequence[str], requested_by: User | None = None) -> Batch:
    """Scan all active hosts in these states again. Raises ValidationError when there is none."""
    hosts = Host.objects.filter(state__in=states, is_active=True).defer("profile")
    return request_scans(list(hosts), RuleChoice(), requested_by=requested_by)


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


def cancel_all(scans: QuerySet[Scan]) -> int:
    """Stop these scans as `cancel_scan` does, in two writes; returns how many were not over yet."""
    now = timezone.now()
    waiting = scans.filter(status=Scan.Status.QUEUED, dispatched_at__isnull=True).order_by()
    stopped = waiting.update(
        status=Scan.Status.CANCELLED, finished_at=now, cancel_requested_at=now, error_code="cancelled"
    )
    in_flight = list(
        scans.filter(status__in=Scan.UNFINISHED, cancel_requested_at__isnull=True).values_list("pk", flat=True)
    )
    Scan.objects.filter(pk__in=in_flight, status__in=Scan.UNFINISHED).update(cancel_requested_at=now)
    _ask_workers(in_flight)
    return stopped + len(in_flight)


def _ask_workers(scan_ids: list[uuid.UUID]) -> None:
    try:
        with redis_client() as redis, redis.pipeline(transaction=False) as pipe:
            for scan_id in scan_ids:
                pipe.set(cancel_key(str(scan_id)), "1", ex=CANCEL_MARK_S)
            pipe.execute()
    except RedisError as error:
        # The rows remember; dispatch sets the marks when Redis is back.
        log.warning("the broker is away, workers are asked to stop %d scans later: %s", len(scan_ids), error)


def pause(watched: Schedule | ScanBatch, reason: str, *, is_tripped: bool = False) -> None:
    """Begin no further visits until `resume`; those under way end as they would. Raises ValidationError."""
    if watched.paused_at is not None:
        raise ValidationError("it is paused already")
    _check_known(watched)
    watched.paused_at, watched.pause_reason, watched.is_tripped = timezone.now(), reason, is_tripped
    watched.save(update_fields=["paused_at", "pause_reason", "is_tripped"])


def resume(watched: Schedule | ScanBatch) -> None:
    """Go on; what was seen until now no longer trips a limit. Scans that waited get their time anew.

    Raises ValidationError when it is not paused.
    """
    if watched.paused_at is None:
        raise ValidationError("it is not paused")
    _check_known(watched)
    now = timezone.now()
    waited = now - watched.paused_at
    waiting = scans_of(watched).filter(status=Scan.Status.QUEUED, dispatched_at__isnull=True)
    waiting.order_by().update(expires_at=F("expires_at") + waited)
    watched.paused_at, watched.pause_reason, watched.is_tripped, watched.watched_from = None, "", False, now
    watched.save(update_fields=["paused_at", "pause_reason", "is_tripped", "watched_from"])
    nudge_dispatch()


def _check_known(watched: Schedule | ScanBatch) -> None:
    """Raises ValidationError where it has scans of hosts that the request may not know of."""
    column = "schedule" if isinstance(watched, Schedule) else "batch"
    if present_limit() is None:
        return
    every = Scan._base_manager.filter(**{column: watched.pk})
    if every.exclude(pk__in=scans_of(watched).values("pk")).exists():
        raise ValidationError("it scans hosts of others, too; stop the scans of yours one by one")


def scans_of(watched: Schedule | ScanBatch) -> QuerySet[Scan]:
    """All scans of a schedule or batch."""
    if isinstance(watched, Schedule):
        return Scan.objects.filter(schedule=watched.pk)
    return Scan.objects.filter(batch=watched.pk)
