"""Runs hunts and keeps those that people save."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError

from sandfly_web.findings.hunting.prefilter import necessary
from sandfly_web.findings.models import Record, SavedHunt
from sandfly_web.rules.compiled import RuleErrors
from sandfly_web.rules.condition import parse_condition
from sandfly_web.rules.evaluate import evaluate
from sandfly_web.rules.fields import registry
from sandfly_web.rules.models import Rule
from sandfly_web.rules.simplify import field_names

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet

    from sandfly_web.inventory.models import Host, Tag
    from scanners.contract import Expr

MAX_DETECTION_CHARS = 16_384
MAX_RESULTS = 1000
# A hunt that takes longer stops and says so; an analyst waits for the page.
BUDGET_S = 20.0
BATCH_ROWS = 2000


@dataclass(frozen=True, kw_only=True)
class Hunt:
    """What is looked for. `detection` is YAML with Sigma's `detection`, or `rule` gives the condition.

    `at` None: what is there now (as of each host's last visit); else what was there at that moment.
    """

    subject: str = ""
    detection: str = ""
    rule: Rule | None = None
    hosts: Sequence[Host] = ()
    tags: Sequence[Tag] = ()
    at: datetime | None = None


@dataclass
class Found:
    """What a hunt found. `records` are the first MAX_RESULTS; the counts are of everything that was looked at.

    `undecided` counts records that lack a field the condition needs, by the names of these fields.
    """

    records: list[Record] = field(default_factory=list)
    matched: int = 0
    looked_at: int = 0
    hosts: Counter[uuid.UUID] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)
    is_complete: bool = True

    @property
    def host_count(self) -> int:
        return len(self.hosts)


def condition_of(hunt: Hunt) -> tuple[str, Expr | None]:
    """Subject and condition. Raises ValidationError with every fault, by the name of its part."""
    if hunt.rule is not None:
        return _condition_of_rule(hunt.rule)
    if hunt.subject not in registry():
        raise ValidationError({"subject": "choose what to look among"})
    if len(hunt.detection) > MAX_DETECTION_CHARS:
        raise ValidationError({"detection": f"at most {MAX_DETECTION_CHARS} characters"})
    if not hunt.detection.strip():
        raise ValidationError({"detection": "say what to look for, as in a rule"})
    try:
        return hunt.subject, parse_condition(hunt.detection, hunt.subject, "detection")
    except RuleErrors as found:
        raise ValidationError({"detection": [str(error) for error in found.errors]}) from None


def _condition_of_rule(rule: Rule) -> tuple[str, Expr | None]:
    """Raises ValidationError for a rule that is about more than one record at a time."""
    if rule.plan_rule.get("correlation") or rule.plan_rule.get("absent"):
        raise ValidationError({"rule": "it looks at several records at once; run it in a scan"})
    return rule.subject, rule.plan_rule.get("when")


def run_hunt(hunt: Hunt, *, budget_s: float = BUDGET_S, limit: int = MAX_RESULTS) -> Found:
    """Decide the condition on every stored record of the subject, newest first. Raises ValidationError."""
    subject, condition = condition_of(hunt)
    ends_at = time.monotonic() + budget_s
    found = Found()
    needed = field_names(condition)
    carried: dict[tuple[str, ...], frozenset[str]] = {}
    for record in _candidates(hunt, subject, condition).iterator(chunk_size=BATCH_ROWS):
        if found.looked_at % 256 == 0 and time.monotonic() > ends_at:
            found.is_complete = False
            break
        found.looked_at += 1
        key = tuple(record.rule_ids)
        if key not in carried:
            carried[key] = _carried(subject, key)
        facts = {**record.identity, **record.data}
        missing = [name for name in needed if name not in carried[key] and name not in facts]
        truth = evaluate(condition, facts, missing)
        if truth:
            found.matched += 1
            found.hosts[record.host_id] += 1
            if len(found.records) < limit:
                found.records.append(record)
        elif truth is None:
            found.undecided.update(missing)
    return found


def _candidates(hunt: Hunt, subject: str, condition: Expr | None) -> QuerySet[Record]:
    records = Record.objects.filter(subject=subject).select_related("host").order_by("-id")
    if hunt.at is None:
        records = records.filter(is_current=True)
    else:
        records = records.filter(first_seen_at__lte=hunt.at, last_seen_at__gte=hunt.at)
    if hunt.hosts:
        records = records.filter(host__in=[host.pk for host in hunt.hosts])
    if hunt.tags:
        from sandfly_web.inventory.models import Host  # noqa: PLC0415 - models are loaded only now

        records = records.filter(host__in=Host.objects.filter(tags__in=[tag.pk for tag in hunt.tags]).values("pk"))
    return records.filter(_possible(condition))


def _possible(condition: Expr | None) -> Any:
    """Records that cannot fit are left out, but not those that lack a field: they are counted as undecided."""
    wanted = necessary(condition)
    if not wanted:
        return wanted
    for name in field_names(condition):
        wanted |= ~_has(name)
    return wanted


def _has(name: str) -> Any:
    from django.db.models import Q  # noqa: PLC0415 - beside its only use

    return Q(data__has_key=name) | Q(identity__has_key=name)


def _carried(subject: str, rule_ids: tuple[str, ...]) -> frozenset[str]:
    """The fields that the recon rules of a record bring when they have a value."""
    ids = [uuid.UUID(text) for text in rule_ids]
    plans = Rule.objects.filter(pk__in=ids).values_list("plan_rule", flat=True)
    return frozenset([*registry()[subject].identity, *(name for plan in plans for name in plan.get("fields", ()))])


def save_hunt(name: str, hunt: Hunt, owner: User | None) -> SavedHunt:
    """Keep it under a name; the same name again replaces it. Raises ValidationError."""
    if not name.strip():
        raise ValidationError({"name": "give it a name"})
    subject, _ = condition_of(hunt)
    saved, _ = SavedHunt.objects.update_or_create(
        name=name.strip()[:127], defaults={"subject": subject, "detection": hunt.detection, "owner": owner}
    )
    return saved


def saved_hunts() -> Iterator[SavedHunt]:
    yield from SavedHunt.objects.select_related("owner")
