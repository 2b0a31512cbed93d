"""How often each technique was found lately, from an index and never from a million rows."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import IntegerField, OuterRef, Q, QuerySet, Subquery

from sandfly_web.findings.models import Finding
from sandfly_web.rules.attack import techniques_of
from sandfly_web.rules.compiled import RuleType
from sandfly_web.rules.models import Rule

RECENT_DAYS = 30
# Of one rule: a heat map needs to tell some from many, not many from more.
MOST_OF_A_RULE = 50
MOST_UNRULED = 1000


class CappedCount(Subquery):
    """How many rows a sliced queryset has, at most as many as the slice; without reading further."""

    template = "(SELECT count(*) FROM (%(subquery)s) AS capped)"
    output_field = IntegerField()


class RuleRow(NamedTuple):
    """A rule of the database as `rules.coverage` reads it. `tests` is empty or not, and `found` is capped."""

    name: str
    type: str
    status: str
    techniques: tuple[str, ...]
    tests: tuple[str, ...]
    found: int


def recent(now: datetime) -> QuerySet[Finding]:
    return Finding.objects.filter(last_seen_at__gte=now - timedelta(days=RECENT_DAYS)).order_by()


def read_rules(now: datetime, *, with_findings: bool) -> list[RuleRow]:
    """The enabled rules that alert; what shipped was tested when it was made, others say so in their source."""
    rules = Rule.objects.filter(is_enabled=True, type__in=[RuleType.DETECTION, RuleType.POLICY]).order_by()
    rules = rules.annotate(
        is_tested=Q(origin=Rule.Origin.CATALOG) | Q(source__regex=r"(^|\n)\s+tests:"),
    )
    names = ["name", "type", "status", "tags", "is_tested"]
    if with_findings:
        found = recent(now).filter(rule_name=OuterRef("name")).values("rule_name")[:MOST_OF_A_RULE]
        rules = rules.annotate(found=CappedCount(found))
        names.append("found")
    return [
        RuleRow(name, kind, status, techniques_of(tags), (name,) if tested else (), found[0] if found else 0)
        for name, kind, status, tags, tested, *found in rules.values_list(*names)
    ]


def count_techniques(rules: list[RuleRow], now: datetime, *, with_findings: bool) -> Counter[str]:
    """Technique → findings; what the visit itself found, such as a changed host key, has no rule but its own tags."""
    counts: Counter[str] = Counter()
    for rule in rules:
        for technique in rule.techniques:
            counts[technique] += rule.found
    if with_findings:
        for tags in recent(now).filter(rule=None).values_list("tags", flat=True)[:MOST_UNRULED]:
            counts.update(techniques_of(tags))
    return counts
