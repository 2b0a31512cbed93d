"""One step of triage for every finding that a query matches: one statement, one entry of the audit log.

Findings whose state does not allow the step are left as they are; `look` counts both before anything is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet, ValidationError
from django.db import connection, transaction
from django.db.models import Count, Q
from django.utils import timezone

from sandfly_web.accounts.audit import record_many
from sandfly_web.findings import snoozing
from sandfly_web.findings.models import Finding, FindingEvent
from sandfly_web.findings.risk import weigh
from sandfly_web.findings.services import MAX_COMMENT_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from django.contrib.auth.models import User
    from django.db.models import QuerySet

# Done in one transaction; more is a rule to mend or to allow-list.
MAX_FINDINGS = 100_000

Status = Finding.Status
Kind = FindingEvent.Kind


class Action(StrEnum):
    """A step of triage."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    COMMENT = "comment"
    CLOSE = "close"
    FALSE_POSITIVE = "false_positive"
    REOPEN = "reopen"
    SNOOZE = "snooze"
    UNSNOOZE = "unsnooze"


@dataclass(frozen=True)
class Rule:
    """Which states a step is for, what it leads to (None: the state stays), what its event is called.

    `asleep_only`: of those in these states, it is for what is snoozed.
    """

    allowed: frozenset[str]
    kind: FindingEvent.Kind
    status: str | None = None
    needs_text: bool = False
    asleep_only: bool = False


RULES = {
    Action.ACKNOWLEDGE: Rule(frozenset({Status.OPEN}), Kind.ACKNOWLEDGED, Status.ACKNOWLEDGED),
    Action.ASSIGN: Rule(frozenset(Finding.UNRESOLVED), Kind.ASSIGNED),
    Action.COMMENT: Rule(frozenset(Status.values), Kind.COMMENTED, needs_text=True),
    Action.CLOSE: Rule(frozenset(Finding.UNRESOLVED), Kind.CLOSED, Status.CLOSED, needs_text=True),
    Action.FALSE_POSITIVE: Rule(
        frozenset({*Finding.UNRESOLVED, Status.CLOSED}), Kind.FALSE_POSITIVE, Status.FALSE_POSITIVE, needs_text=True
    ),
    Action.REOPEN: Rule(frozenset({Status.CLOSED, Status.FALSE_POSITIVE}), Kind.REOPENED, Status.OPEN),
    Action.SNOOZE: Rule(frozenset(Finding.UNRESOLVED), Kind.SNOOZED, needs_text=True),
    Action.UNSNOOZE: Rule(frozenset(Finding.UNRESOLVED), Kind.WOKE, asleep_only=True),
}


@dataclass(frozen=True)
class Step:
    """What is to be done; `text` is the reason or comment, `assignee` None gives the findings to nobody.

    `until` is what findings are snoozed until.
    """

    action: Action
    text: str = ""
    assignee: User | None = None
    until: datetime | None = None

    def check(self) -> None:
        """Raises ValidationError."""
        if RULES[self.action].needs_text and not self.text.strip():
            raise ValidationError({"reason" if self.action != Action.COMMENT else "comment": "say why"})
        if len(self.text) > MAX_COMMENT_CHARS:
            raise ValidationError(f"at most {MAX_COMMENT_CHARS} characters")
        if self.assignee is not None and not self.assignee.is_active:
            raise ValidationError(f"{self.assignee} is not active")
        if self.action == Action.SNOOZE:
            if self.until is None:
                raise ValidationError({"until": "say until when"})
            snoozing.check_until(self.until, timezone.now())


@dataclass(frozen=True)
class Preview:
    """How many findings match, by status; `is_over`: more than may be changed at once, and not all were counted."""

    by_status: dict[str, int]
    # Of the unresolved ones.
    asleep: int = 0

    @property
    def matched(self) -> int:
        return sum(self.by_status.values())

    @property
    def is_over(self) -> bool:
        return self.matched > MAX_FINDINGS

    def applies(self, action: Action) -> int:
        """To how many of them the step applies."""
        if RULES[action].asleep_only:
            return self.asleep
        return sum(count for status, count in self.by_status.items() if status in RULES[action].allowed)


def look(findings: QuerySet[Finding]) -> Preview:
    """One query, which reads no more than one above the bound."""
    counts = {status: Count("pk", filter=Q(status=status)) for status in Status.values}
    counts["asleep"] = Count("pk", filter=snoozing.asleep(timezone.now()) & Q(status__in=Finding.UNRESOLVED))
    found = findings.order_by().values("pk", "status", "snoozed_until")[: MAX_FINDINGS + 1].aggregate(**counts)
    asleep = found.pop("asleep")
    return Preview({status: count for status, count in found.items() if count}, asleep)


def triage_all(
    findings: QuerySet[Finding], step: Step, actor: User, asked: Mapping[str, Any], expect: int | None = None
) -> int:
    """Do the step for all that match and may take it; returns how many. `asked` is the filter, for the audit log.

    `expect` is the number that somebody agreed to. Raises ValidationError when it is another by now, when more match
    than MAX_FINDINGS, and for a step that is not whole: then nothing is changed.
    """
    step.check()
    with transaction.atomic():
        if look(findings).is_over:
            raise ValidationError(f"more than {MAX_FINDINGS:,} findings match; narrow the filter")
        hosts = _hosts(findings, step)
        changed = _change(findings, step, actor)
        if expect is not None and changed != expect:
            raise ValidationError(f"{changed:,} findings would change now, not {expect:,}; look again")
        weigh(hosts)
        if changed:
            said = {"action": step.action.value, "reason": step.text, "findings": f"{changed}"}
            if step.action == Action.ASSIGN:
                said["assignee"] = str(step.assignee or "nobody")
            if step.until is not None:
                said["until"] = f"{step.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            said |= {f"filter.{name}": _words(value) for name, value in asked.items()}
            record_many(Finding, f"{changed:,} findings", said, actor)
    return changed


def _hosts(findings: QuerySet[Finding], step: Step) -> set[UUID]:
    """Whose risk the step changes."""
    rule = RULES[step.action]
    if rule.status is None:
        # Neither does what is put off weigh less.
        return set()
    chosen = Finding.objects.filter(pk__in=findings.order_by().values("pk"), status__in=rule.allowed)
    return set(chosen.order_by().values_list("host", flat=True).distinct())


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


# Locked in one order, so that two people cannot block each other for ever.
_CHOSEN = """
    WITH chosen AS MATERIALIZED (
        SELECT id FROM findings_finding
        WHERE id IN ({subquery}) AND status = ANY(%s){more} ORDER BY id FOR NO KEY UPDATE
    )
"""

_CHANGED = """,
    changed AS (
        UPDATE findings_finding AS finding SET {columns} FROM chosen WHERE finding.id = chosen.id RETURNING finding.id
    )
"""

_EVENTS = """
    INSERT INTO findings_findingevent (finding_id, kind, actor_id, comment, created_at)
    SELECT id, %s, %s, %s, %s FROM {source}
"""


def _change(findings: QuerySet[Finding], step: Step, actor: User) -> int:
    rule, now = RULES[step.action], timezone.now()
    try:
        subquery, parameters = findings.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return 0
    columns: dict[str, Any] = {}
    comment = step.text
    if rule.status is not None:
        is_resolved = rule.status in {Status.CLOSED, Status.FALSE_POSITIVE}
        columns = {
            "status": rule.status,
            "close_reason": step.text if is_resolved else "",
            "closed_at": now if is_resolved else None,
            "snoozed_until": None,
            "woke_at": None,
        }
    elif step.action == Action.ASSIGN:
        columns = {"assignee_id": step.assignee.pk if step.assignee else None}
        comment = f"to {step.assignee or 'nobody'}\n{comment}".strip()
    elif step.action in {Action.SNOOZE, Action.UNSNOOZE}:
        columns = {"snoozed_until": step.until, "woke_at": None}
        comment = snoozing.words(step.until, comment) if step.until else comment
    statement = _CHOSEN.format(subquery=subquery, more=" AND snoozed_until > %s" if rule.asleep_only else "")
    if columns:
        statement += _CHANGED.format(columns=", ".join(f"{name} = %s" for name in columns))
    statement += _EVENTS.format(source="changed" if columns else "chosen")
    said = [rule.kind, actor.pk, comment, now]
    values = [*parameters, list(rule.allowed), *([now] if rule.asleep_only else []), *columns.values(), *said]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
