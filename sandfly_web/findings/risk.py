"""How bad a host looks: its unresolved findings by severity, weighed into one number, and that number day by day.

Kept beside the findings, not counted when asked: a fleet's pages would else read a million findings each time.
Whoever changes findings says so by `weigh`; once an hour `keep_risk` counts everything anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Sum
from django.db.models.functions import TruncDate

from sandfly_web.findings.models import Finding, HostRisk, RiskDay
from sandfly_web.inventory.models import Host
from sandfly_web.inventory.scope import present_limit
from sandfly_web.rules.models import Severity

# Each step up weighs clearly more than a handful of the step below.
RISK_WEIGHTS = {"informational": 0, "low": 1, "medium": 5, "high": 20, "critical": 60}
KEPT_DAYS = 90
# Hosts that are counted, and locked, at once where all are.
PART_HOSTS = 1000

_MISSING = """
    INSERT INTO findings_hostrisk (host_id, risk, informational, low, medium, high, critical)
    SELECT id, 0, 0, 0, 0, 0, 0 FROM inventory_host WHERE id = ANY(%(hosts)s::uuid[])
    ORDER BY id ON CONFLICT (host_id) DO NOTHING
"""
# Locked before they are counted: whoever waited here then counts with what the one before has written.
_LOCK = """
    SELECT host_id FROM findings_hostrisk
    WHERE host_id = ANY(%(hosts)s::uuid[]) ORDER BY host_id FOR UPDATE
"""
_COUNTS = ", ".join(
    f"count(finding.host_id) FILTER (WHERE finding.level_rank = {rank}) AS {level}"
    for rank, level in enumerate(Severity.values)
)
_WEIGHED = " + ".join(f"{weight} * counted.{level}" for level, weight in RISK_WEIGHTS.items())
_COLUMNS = ", ".join(Severity.values)
_COUNT = f"""
    UPDATE findings_hostrisk AS kept SET
        (risk, {_COLUMNS}) = ({_WEIGHED}, {", ".join(f"counted.{level}" for level in Severity.values)})
    FROM (
        SELECT host.host_id, {_COUNTS} FROM findings_hostrisk AS host
        LEFT JOIN findings_finding AS finding
            ON finding.host_id = host.host_id AND finding.status IN ('open', 'acknowledged')
        WHERE host.host_id = ANY(%(hosts)s::uuid[])
        GROUP BY host.host_id
    ) AS counted
    WHERE kept.host_id = counted.host_id AND ({", ".join(f"kept.{level}" for level in Severity.values)})
        IS DISTINCT FROM ({", ".join(f"counted.{level}" for level in Severity.values)})
"""  # noqa: S608 - no value in it
# A host that was never visited has no risk to tell, not one of zero.
_HOST_DAYS = """
    INSERT INTO findings_riskday (host_id, day, risk)
    SELECT kept.host_id, %(day)s, kept.risk FROM findings_hostrisk AS kept
    JOIN inventory_host AS host ON host.id = kept.host_id WHERE host.last_seen_at IS NOT NULL
    ON CONFLICT (host_id, day) WHERE host_id IS NOT NULL DO UPDATE SET risk = excluded.risk
        WHERE findings_riskday.risk <> excluded.risk
"""
_FLEET_DAY = """
    INSERT INTO findings_riskday (host_id, day, risk)
    SELECT NULL, %(day)s, coalesce(sum(risk), 0) FROM findings_riskday
    WHERE day = %(day)s AND host_id IS NOT NULL
    ON CONFLICT (day) WHERE host_id IS NULL DO UPDATE SET risk = excluded.risk
"""


# What a start page shows; of a day that is over, findings no longer change when they were first seen.
APPEARED_DAYS = 14
# A visit that ended before midnight may be stored after it.
OPEN_DAYS = 2


@dataclass(frozen=True)
class Point:
    """The risk at the end of a day; of today, as it was within the last hour."""

    day: date
    risk: int


def weigh(hosts: Collection[UUID] | None) -> None:
    """Count the unresolved findings of these hosts, or with None of all; the last step of every change of findings.

    Findings are locked before the counts, everywhere: two changes would else wait for each other.
    """
    if hosts is not None and not hosts:
        return
    if hosts is None:
        _weigh_all()
        return
    wanted: dict[str, Any] = {"hosts": list(hosts)}
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        for statement in (_MISSING, _LOCK, _COUNT):
            cursor.execute(statement, wanted)


def _weigh_all() -> None:
    """In parts: ingest of a host waits for one of them, not for the whole fleet."""
    last = UUID(int=0)
    while True:
        following = Host._base_manager.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)
        part = list(following[:PART_HOSTS])
        if not part:
            return
        weigh(part)
        last = part[-1]


def keep_risk(now: datetime) -> None:
    """Count all hosts anew, note the risk of today, and forget days that are older than KEPT_DAYS."""
    weigh(None)
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (_HOST_DAYS, _FLEET_DAY):
            cursor.execute(statement, {"day": now.date()})
        keep_appeared(now)
    oldest = now.date() - timedelta(days=KEPT_DAYS)
    # Each day has a row of the fleet: without an old one of those nothing is old.
    if RiskDay.objects.filter(host=None, day__lt=oldest).exists():
        RiskDay.objects.filter(day__lt=oldest).delete()


def keep_appeared(now: datetime) -> None:
    """Count the new findings of the days that can still get some, and of those that were never counted."""
    today = now.date()
    window = [today - timedelta(days=ago) for ago in range(APPEARED_DAYS)]
    fleet = RiskDay.objects.filter(host=None, day__in=window)
    settled = set(fleet.exclude(appeared=None).values_list("day", flat=True)) - set(window[:OPEN_DAYS])
    counts = count_appeared(day for day in window if day not in settled)
    rows = list(fleet.filter(day__in=counts))
    for row in rows:
        row.appeared = counts[row.day]
    RiskDay.objects.bulk_update(rows, ["appeared"])


def count_appeared(days: Iterable[date]) -> dict[date, list[int]]:
    """Findings first seen on each of these days, by severity, the least first. One query over the span of them."""
    counts = {day: [0] * len(Severity.values) for day in days}
    if not counts:
        return counts
    first = datetime.combine(min(counts), time.min, UTC)
    found = Finding.objects.filter(first_seen_at__gte=first).order_by()
    last = max(counts)
    found = found.filter(first_seen_at__lt=datetime.combine(last + timedelta(days=1), time.min, UTC))
    for day, rank, number in (
        found.annotate(day=TruncDate("first_seen_at")).values_list("day", "level_rank").annotate(rows=Count("*"))
    ):
        if day in counts:
            counts[day][rank] = number
    return counts


def appeared(now: datetime) -> dict[date, list[int]]:
    """The last APPEARED_DAYS, the oldest first: what is kept of the days that are over, and today's as it is now."""
    today = now.date()
    window = [today - timedelta(days=ago) for ago in reversed(range(APPEARED_DAYS))]
    kept: dict[date, list[int]] = {}
    if present_limit() is None:
        over = RiskDay.objects.filter(host=None, day__in=window[:-OPEN_DAYS]).exclude(appeared=None)
        kept = {day: list(counts or ()) for day, counts in over.values_list("day", "appeared")}
    live = count_appeared(day for day in window if day not in kept)
    return {day: kept[day] if day in kept else live[day] for day in window}


def risk_of(host_id: UUID) -> HostRisk:
    """Zeros for a host of which nothing was ever found."""
    return HostRisk.objects.filter(pk=host_id).first() or HostRisk(host_id=host_id)


def host_trend(host_id: UUID, days: int = KEPT_DAYS) -> list[Point]:
    """The days that are known, the oldest first."""
    rows = RiskDay.objects.filter(host=host_id).order_by("-day").values_list("day", "risk")[:days]
    return [Point(day, risk) for day, risk in reversed(rows)]


def fleet_trend(days: int = KEPT_DAYS) -> list[Point]:
    """Of all hosts, or of those that the request may know of."""
    known = RiskDay.objects.all()
    if present_limit() is None:
        rows = list(known.filter(host=None).order_by("-day").values_list("day", "risk")[:days])
    else:
        own = known.filter(host__isnull=False).order_by("-day").values("day").annotate(total=Sum("risk"))
        rows = list(own.values_list("day", "total")[:days])
    return [Point(day, risk) for day, risk in reversed(rows)]
