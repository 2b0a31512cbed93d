"""Findings of one rule on one host as one row: ten children of one server are one thing to look at, not ten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from sandfly_web.findings import snoozing
from sandfly_web.findings.models import Finding

if TYPE_CHECKING:
    from django.db.models import QuerySet

# Read to fill a table; a rule that alerts more often than this on one host takes the table for itself.
READ_ROWS = 300
# What a row of a table does not show.
UNSHOWN = ("evidence", "explanation", "tags", "truncated", "unknown", "close_reason")


@dataclass
class Group:
    """The first finding stands for `count` of the same rule on the same host; `url` lists them all."""

    finding: Finding
    count: int = 1

    @property
    def more(self) -> int:
        return self.count - 1

    @property
    def url(self) -> str:
        """The triage list of these findings; what the visit itself found has no rule and goes by its name."""
        rule = {"rule__id__exact": self.finding.rule_id} if self.finding.rule_id else {"q": self.finding.rule_name}
        query = urlencode({"host__id__exact": self.finding.host_id} | rule)
        return f"{reverse('admin:findings_finding_changelist')}?{query}"


def first_groups(ordered: QuerySet[Finding], rows: int) -> list[Group]:
    """The first `rows` groups of unresolved findings that are awake, in the order given: two queries, each bounded."""
    groups = grouped(ordered.defer(*UNSHOWN)[:READ_ROWS])[:rows]
    counts = count_all(groups)
    for group in groups:
        group.count = counts.get((group.finding.host_id, group.finding.rule_name), group.count)
    return groups


def grouped(findings: Iterable[Finding]) -> list[Group]:
    """In the order of each group's first finding."""
    groups: dict[tuple[object, str], Group] = {}
    for finding in findings:
        key = (finding.host_id, finding.rule_name)
        if key in groups:
            groups[key].count += 1
        else:
            groups[key] = Group(finding)
    return list(groups.values())


def count_all(groups: Iterable[Group]) -> dict[tuple[object, str], int]:
    """How many unresolved findings each group has that is awake, also those that were not read."""
    wanted = Q()
    for group in groups:
        wanted |= Q(host_id=group.finding.host_id, rule_name=group.finding.rule_name)
    if not wanted:
        return {}
    counted = Finding.objects.filter(wanted, snoozing.awake(timezone.now()), status__in=Finding.UNRESOLVED)
    rows = counted.order_by().values_list("host_id", "rule_name").annotate(rows=Count("*"))
    return {(host_id, rule_name): count for host_id, rule_name, count in rows}
