"""Triage: what people say of findings. Every step writes an event that names who did it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from sandfly_web.findings import snoozing
from sandfly_web.findings.models import Finding, FindingEvent
from sandfly_web.findings.risk import weigh

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import User

    from sandfly_web.inventory.models import Host

MAX_BULK = 10_000
MAX_COMMENT_CHARS = 10_000
HOST_KEY_CHANGED = "host_key_changed"

Status = Finding.Status
Kind = FindingEvent.Kind
# Steps after which as many findings are unresolved as before.
UNWEIGHED = (Kind.ACKNOWLEDGED, Kind.ASSIGNED, Kind.COMMENTED, Kind.SNOOZED, Kind.WOKE)
# What a step can change.
CHANGED = ("status", "close_reason", "closed_at", "assignee", "snoozed_until", "woke_at")


def acknowledge(findings: Iterable[Finding], actor: User | None, comment: str = "") -> list[Finding]:
    """Somebody looks into it. Raises ValidationError unless all are open."""
    return _change(findings, Kind.ACKNOWLEDGED, actor, comment, {Status.OPEN}, _set_status(Status.ACKNOWLEDGED))


def snooze(findings: Iterable[Finding], actor: User | None, until: datetime, reason: str) -> list[Finding]:
    """Not now: see `snoozing`. Raises ValidationError without a reason, for such a time, or for what is resolved."""
    _require_reason(reason)
    snoozing.check_until(until, timezone.now())

    def change(finding: Finding) -> None:
        finding.snoozed_until, finding.woke_at = until, None

    said = snoozing.words(until, reason)
    return _change(findings, Kind.SNOOZED, actor, said, Finding.UNRESOLVED, change)


def unsnooze(findings: Iterable[Finding], actor: User | None, comment: str = "") -> list[Finding]:
    """Now, after all. Raises ValidationError for what is not asleep."""
    now = timezone.now()

    def change(finding: Finding) -> None:
        if finding.snoozed_until is None or finding.snoozed_until <= now:
            raise ValidationError(f"{finding.title}: is not snoozed, so it cannot be woken")
        finding.snoozed_until = finding.woke_at = None

    return _change(findings, Kind.WOKE, actor, comment, Finding.UNRESOLVED, change)


def close(findings: Iterable[Finding], actor: User | None, reason: str) -> list[Finding]:
    """Dealt with; seen again, it opens again. Raises ValidationError without a reason or for what is resolved."""
    _require_reason(reason)
    return _change(findings, Kind.CLOSED, actor, reason, Finding.UNRESOLVED, _resolve(Status.CLOSED, reason))


def mark_false_positive(findings: Iterable[Finding], actor: User | None, reason: str) -> list[Finding]:
    """No threat; stays resolved when seen again. Raises ValidationError without a reason or when it is one already."""
    _require_reason(reason)
    allowed = {Status.OPEN, Status.ACKNOWLEDGED, Status.CLOSED}
    return _change(findings, Kind.FALSE_POSITIVE, actor, reason, allowed, _resolve(Status.FALSE_POSITIVE, reason))


def reopen(findings: Iterable[Finding], actor: User | None, comment: str = "") -> list[Finding]:
    """Not settled after all. Raises ValidationError for what is not resolved."""
    allowed = {Status.CLOSED, Status.FALSE_POSITIVE}
    return _change(findings, Kind.REOPENED, actor, comment, allowed, _set_status(Status.OPEN))


def assign(findings: Iterable[Finding], actor: User | None, assignee: User | None, comment: str = "") -> list[Finding]:
    """Give to somebody, or to nobody. Raises ValidationError for an inactive user or what is resolved."""
    if assignee is not None and not assignee.is_active:
        raise ValidationError(f"{assignee} is not active")
    said = f"to {assignee}" if assignee else "to nobody"

    def change(finding: Finding) -> None:
        finding.assignee = assignee

    return _change(findings, Kind.ASSIGNED, actor, f"{said}\n{comment}".strip(), Finding.UNRESOLVED, change)


def add_comment(findings: Iterable[Finding], actor: User | None, comment: str) -> list[Finding]:
    """Raises ValidationError for an empty comment."""
    if not comment.strip():
        raise ValidationError({"comment": "write something"})
    return _change(findings, Kind.COMMENTED, actor, comment, set(Status), lambda finding: None)


def resolve_host_key_findings(host: Host, fingerprint: str, actor: User | None) -> None:
    """Close what was found about a key that is now trusted."""
    findings = Finding.objects.filter(
        host=host, rule_name=HOST_KEY_CHANGED, identity__fingerprint=fingerprint, status__in=Finding.UNRESOLVED
    )
    if findings:
        close(findings, actor, f"host key {fingerprint} was accepted")


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise ValidationError({"reason": "say why"})


def _set_status(status: str) -> Callable[[Finding], None]:
    def change(finding: Finding) -> None:
        finding.status, finding.close_reason, finding.closed_at = status, "", None
        finding.snoozed_until = finding.woke_at = None

    return change


def _resolve(status: str, reason: str) -> Callable[[Finding], None]:
    now = timezone.now()

    def change(finding: Finding) -> None:
        finding.status, finding.close_reason, finding.closed_at = status, reason, now
        finding.snoozed_until = finding.woke_at = None

    return change


def _change(
    findings: Iterable[Finding],
    kind: FindingEvent.Kind,
    actor: User | None,
    comment: str,
    allowed: Iterable[str],
    change: Callable[[Finding], None],
) -> list[Finding]:
    """Change all of them or, when one may not be changed so, none. As many queries for many as for few."""
    ids = [finding.pk for finding in findings]
    _check_bounds(ids, comment)
    with transaction.atomic():
        # Locked in one order, so that two people's bulk actions cannot block each other for ever.
        rows = list(Finding.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))
        _check_allowed(rows, kind, set(allowed))
        for row in rows:
            change(row)
        Finding.objects.bulk_update(rows, CHANGED, batch_size=MAX_BULK)
        FindingEvent.objects.bulk_create(
            [FindingEvent(finding=row, kind=kind, actor=actor, comment=comment) for row in rows], batch_size=MAX_BULK
        )
        if kind not in UNWEIGHED:
            weigh({row.host_id for row in rows})
    return rows


def _check_bounds(ids: list[UUID], comment: str) -> None:
    if len(ids) > MAX_BULK:
        raise ValidationError(f"{len(ids)} findings; at most {MAX_BULK} at once")
    if len(comment) > MAX_COMMENT_CHARS:
        raise ValidationError({"comment": f"at most {MAX_COMMENT_CHARS} characters"})


def _check_allowed(rows: list[Finding], kind: FindingEvent.Kind, allowed: set[str]) -> None:
    wrong = [row for row in rows if row.status not in allowed]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        state = wrong[0].get_status_display().lower()
        raise ValidationError(f"{wrong[0].title}: is {state}, so it cannot be {_DONE[kind]}{more}")


_DONE = {
    Kind.ACKNOWLEDGED: "acknowledged",
    Kind.CLOSED: "closed",
    Kind.FALSE_POSITIVE: "marked as a false positive",
    Kind.REOPENED: "reopened",
    Kind.ASSIGNED: "assigned",
    Kind.COMMENTED: "commented on",
    Kind.SNOOZED: "snoozed",
    Kind.WOKE: "woken",
}
