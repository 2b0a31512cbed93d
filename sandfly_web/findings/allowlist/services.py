"""The life of allow-list entries: preview, create, end; and what they do to findings. Every step writes events."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from sandfly_web.findings.allowlist.matching import Entry, Seen, carried_fields, find_entry
from sandfly_web.findings.models import AllowlistEntry, Finding, FindingEvent
from sandfly_web.findings.risk import weigh
from sandfly_web.rules.compiled import RuleErrors
from sandfly_web.rules.condition import parse_condition
from sandfly_web.rules.fields import registry
from sandfly_web.rules.models import Rule
from sandfly_web.rules.simplify import field_names

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from sandfly_web.inventory.models import Host, Tag
    from scanners.contract import Expr

MAX_DETECTION_CHARS = 16_384
MAX_REASON_CHARS = 10_000
MAX_SCOPED = 1000
BATCH_ROWS = 1000
# A preview of a rule with more findings than this says so and shows what the newest are.
MAX_PREVIEWED = 50_000

Scope = AllowlistEntry.Scope
Status = Finding.Status
# What an entry can hide: a false positive already says more, and what is closed is out of sight.
HIDDEN_FROM = (Status.OPEN, Status.ACKNOWLEDGED)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """An entry that is not made yet. `rule` None: every rule of `subject`; `detection` empty: all of the rule."""

    title: str
    reason: str
    rule: Rule | None = None
    subject: str = ""
    detection: str = ""
    scope: str = Scope.ALL
    hosts: Sequence[Host] = ()
    tags: Sequence[Tag] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Preview:
    """What a proposal would hide now: ids of unresolved findings and on how many hosts. `is_cut`: there may be more."""

    hidden: list[uuid.UUID]
    host_count: int
    looked_at: int
    is_cut: bool
    levels: dict[str, int] = field(default_factory=dict)


def preview(proposal: Proposal) -> Preview:
    """Look at unresolved findings without changing any. Raises ValidationError for a proposal that cannot be made."""
    entry = _checked(proposal, timezone.now())
    findings = _in_scope(_of(proposal), proposal)
    rows = list(_facts(findings.order_by("-last_seen_at"))[: MAX_PREVIEWED + 1])
    looked_at = rows[:MAX_PREVIEWED]
    hidden = _hidden_by(entry, looked_at)
    levels: dict[str, int] = {}
    for row in hidden:
        levels[row.level] = levels.get(row.level, 0) + 1
    hosts = {row.host_id for row in hidden}
    return Preview([row.pk for row in hidden], len(hosts), len(looked_at), len(rows) > MAX_PREVIEWED, levels)


def check(proposal: Proposal) -> None:
    """Raises ValidationError, with every fault by the name of its part."""
    _checked(proposal, timezone.now())


def create(proposal: Proposal, owner: User | None) -> AllowlistEntry:
    """Make the entry and hide what it fits, now and at every later visit. Raises ValidationError."""
    now = timezone.now()
    draft = _checked(proposal, now)
    with transaction.atomic():
        entry = AllowlistEntry.objects.create(
            id=draft.id,
            title=proposal.title.strip(),
            reason=proposal.reason.strip(),
            rule=proposal.rule,
            subject=draft.subject,
            detection=proposal.detection.strip(),
            condition=draft.condition,
            scope=proposal.scope,
            owner=owner,
            expires_at=proposal.expires_at,
        )
        if proposal.scope == Scope.HOSTS:
            entry.hosts.set(proposal.hosts)
        if proposal.scope == Scope.TAGS:
            entry.tags.set(proposal.tags)
        _hide(entry, draft, _in_scope(_of(proposal), proposal), owner)
    return entry


def end(entry: AllowlistEntry, actor: User | None) -> int:
    """From now on it hides nothing; what it hid is open again. Returns how many. ValidationError when it has ended."""
    with transaction.atomic():
        row = AllowlistEntry.objects.select_for_update(no_key=True).get(pk=entry.pk)
        if row.ended_at is not None:
            raise ValidationError("this entry has ended already")
        row.ended_at, row.ended_by = timezone.now(), actor
        row.save(update_fields=["ended_at", "ended_by"])
        return _release(Finding.objects.filter(allowed_by=row), actor, f"allow-list entry ended: {row.title}")


def end_expired(now: datetime) -> int:
    """End entries whose time is over, and open what no entry hides any more; returns how many findings."""
    opened = 0
    for entry in AllowlistEntry.objects.filter(ended_at__isnull=True, expires_at__lte=now):
        with transaction.atomic():
            if AllowlistEntry.objects.filter(pk=entry.pk, ended_at__isnull=True).update(ended_at=now):
                opened += _release(
                    Finding.objects.filter(allowed_by=entry), None, f"allow-list entry expired: {entry.title}"
                )
    # Entries vanish with a deleted rule.
    with transaction.atomic():
        opened += _release(
            Finding.objects.filter(status=Status.ALLOWED, allowed_by__isnull=True), None, "allow-list entry deleted"
        )
    return opened


# Oldest first: the first that fits is the one that hides. `hosts` null: all of them.
_ACTIVE = """
    SELECT entry.id, entry.rule_id, entry.subject, entry.condition, CASE entry.scope
        WHEN 'hosts' THEN ARRAY(
            SELECT named.host_id FROM findings_allowlistentry_hosts AS named
            WHERE named.allowlistentry_id = entry.id AND named.host_id = ANY(%(hosts)s)
        )
        WHEN 'tags' THEN ARRAY(
            SELECT DISTINCT tagged.host_id FROM findings_allowlistentry_tags AS named
            JOIN inventory_host_tags AS tagged ON tagged.tag_id = named.tag_id
            WHERE named.allowlistentry_id = entry.id AND tagged.host_id = ANY(%(hosts)s)
        )
        END AS hosts
    FROM findings_allowlistentry AS entry
    WHERE entry.ended_at IS NULL AND entry.subject = ANY(%(subjects)s)
        AND (entry.expires_at IS NULL OR entry.expires_at > %(now)s)
    ORDER BY entry.created_at, entry.id
"""


def active_entries(
    hosts: Collection[uuid.UUID], subjects: Collection[str], now: datetime
) -> dict[uuid.UUID, list[Entry]]:
    """The entries that may hide findings of these subjects, by host; one query."""
    found: dict[uuid.UUID, list[Entry]] = {host: [] for host in hosts}
    if not (hosts and subjects):
        return found
    with connection.cursor() as cursor:
        cursor.execute(_ACTIVE, {"hosts": list(hosts), "subjects": list(subjects), "now": now})
        for pk, rule_id, subject, condition, named in cursor.fetchall():
            entry = Entry(pk, str(rule_id) if rule_id else None, subject, json.loads(condition or "null"))
            for host in hosts if named is None else named:
                found[host].append(entry)
    return found


def _checked(proposal: Proposal, now: datetime) -> Entry:
    """The entry that matching takes. Raises ValidationError with every fault, by the name of its part."""
    faults: dict[str, list[str]] = {}

    def fault(name: str, message: str) -> None:
        faults.setdefault(name, []).append(message)

    if not proposal.title.strip():
        fault("title", "give it a title that says what is allowed")
    if not proposal.reason.strip():
        fault("reason", "say why it is harmless")
    if len(proposal.reason) > MAX_REASON_CHARS:
        fault("reason", f"at most {MAX_REASON_CHARS} characters")
    subject = proposal.rule.subject if proposal.rule else proposal.subject
    if subject not in registry():
        fault("subject", "name a rule or a subject")
    if proposal.rule is None and not proposal.detection.strip():
        fault("detection", "without a rule, say what is allowed; else everything of the subject would be hidden")
    if len(proposal.detection) > MAX_DETECTION_CHARS:
        fault("detection", f"at most {MAX_DETECTION_CHARS} characters")
    _check_scope(proposal, fault)
    if proposal.expires_at is not None and proposal.expires_at <= now:
        fault("expires_at", "is over already; choose a time to come, or none")
    condition = None
    if not faults and proposal.detection.strip():
        condition = _compiled(proposal, subject, fault)
    if faults:
        raise ValidationError(faults)
    return Entry(uuid.uuid4(), str(proposal.rule.pk) if proposal.rule else None, subject, condition)


def _check_scope(proposal: Proposal, fault: Any) -> None:
    named = {Scope.HOSTS: proposal.hosts, Scope.TAGS: proposal.tags}
    if proposal.scope not in Scope.values:
        fault("scope", f"use {', '.join(Scope.values)}")
    for scope, things in named.items():
        if proposal.scope == scope and not things:
            fault(str(scope), f"name at least one, or choose scope {Scope.ALL}")
        if proposal.scope != scope and things:
            fault(str(scope), f"are for scope {scope} only")
        if len(things) > MAX_SCOPED:
            fault(str(scope), f"at most {MAX_SCOPED}; use a tag instead")


def _compiled(proposal: Proposal, subject: str, fault: Any) -> Expr | None:
    try:
        condition = parse_condition(proposal.detection, subject, "detection")
    except RuleErrors as found:
        for error in found.errors:
            fault("detection", str(error))
        return None
    if proposal.rule is not None:
        carried = carried_fields(subject, proposal.rule.plan_rule)
        for name in field_names(condition):
            if name not in carried:
                fault(
                    "detection",
                    f"findings of rule {proposal.rule.name} do not carry {name}, so nothing would be hidden; "
                    f"they carry {', '.join(sorted(carried))}",
                )
    return condition


def _of(proposal: Proposal) -> QuerySet[Finding]:
    """Unresolved findings that the proposal is about, wherever they are."""
    findings = Finding.objects.filter(status__in=HIDDEN_FROM)
    if proposal.rule is not None:
        return findings.filter(rule_name=proposal.rule.name)
    return findings.filter(subject=proposal.subject, rule__isnull=False)


def _in_scope(findings: QuerySet[Finding], proposal: Proposal) -> QuerySet[Finding]:
    if proposal.scope == Scope.HOSTS:
        return findings.filter(host__in=[host.pk for host in proposal.hosts])
    if proposal.scope == Scope.TAGS:
        from sandfly_web.inventory.models import Host  # noqa: PLC0415

        return findings.filter(host__in=Host.objects.filter(tags__in=[tag.pk for tag in proposal.tags]).values("pk"))
    return findings


def _facts(findings: QuerySet[Finding]) -> QuerySet[Finding]:
    return findings.only(
        "id", "host", "rule", "subject", "level", "identity", "evidence", "truncated", "unknown", "status"
    )


def _hidden_by(entry: Entry, findings: Iterable[Finding]) -> list[Finding]:
    """Those of the findings that the entry fits; rules are read once."""
    carried: dict[Any, frozenset[str]] = {}
    rows = list(findings)
    wanted = {row.rule_id for row in rows if row.rule_id}
    for pk, plan_rule, subject in Rule.objects.filter(pk__in=wanted).values_list("pk", "plan_rule", "subject"):
        carried[pk] = carried_fields(subject, plan_rule)
    return [row for row in rows if find_entry([entry], _seen(row), carried.get(row.rule_id, frozenset())) is not None]


def _seen(finding: Finding) -> Seen:
    return Seen(
        rule_id=str(finding.rule_id) if finding.rule_id else None,
        subject=finding.subject,
        identity=finding.identity,
        evidence=finding.evidence,
        missing=frozenset([*finding.truncated, *finding.unknown]),
    )


def _hide(entry: AllowlistEntry, draft: Entry, findings: QuerySet[Finding], actor: User | None) -> None:
    """In batches, so that a rule with a million findings needs no more memory than one with a thousand."""
    last, hosts = uuid.UUID(int=0), set[uuid.UUID]()
    while rows := list(
        _facts(findings.filter(pk__gt=last).order_by("pk").select_for_update(no_key=True, of=("self",)))[:BATCH_ROWS]
    ):
        last = rows[-1].pk
        hidden = _hidden_by(draft, rows)
        now = timezone.now()
        Finding.objects.filter(pk__in=[row.pk for row in hidden]).update(
            status=Status.ALLOWED,
            allowed_by=entry,
            close_reason="",
            closed_at=now,
            snoozed_until=None,
            woke_at=None,
        )
        FindingEvent.objects.bulk_create(
            [
                FindingEvent(finding=row, kind=FindingEvent.Kind.ALLOWED, actor=actor, comment=entry.title)
                for row in hidden
            ]
        )
        hosts |= {row.host_id for row in hidden}
    weigh(hosts)


def _release(findings: QuerySet[Finding], actor: User | None, why: str) -> int:
    count, hosts = 0, set[uuid.UUID]()
    while rows := list(
        findings.filter(status=Status.ALLOWED)
        .order_by("pk")
        .select_for_update(no_key=True)
        .values_list("pk", "host_id")[:BATCH_ROWS]
    ):
        ids = [pk for pk, _host in rows]
        hosts |= {host for _pk, host in rows}
        Finding.objects.filter(pk__in=ids).update(status=Status.OPEN, allowed_by=None, closed_at=None, close_reason="")
        FindingEvent.objects.bulk_create(
            [FindingEvent(finding_id=pk, kind=FindingEvent.Kind.REOPENED, actor=actor, comment=why) for pk in ids]
        )
        count += len(ids)
    weigh(hosts)
    return count
