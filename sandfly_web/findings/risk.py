"""How bad a host looks: its unresolved findings by severity, weighed into one number, and that number day by day.

Kept beside the findings, not counted when asked: a fleet's pages would else read a million findings each time.
Whoever changes findings says so by `weigh`; once an hour `keep_risk` counts everything anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import Sum

from sandfly_web.findings.models import HostRisk, RiskDay
from sandfly_web.inventory.scope import present_limit
from sandfly_web.rules.models import Severity

if TYPE_CHECKING:
    from uuid import UUID

# Each step up weighs clearly more than a handful of the step below.
RISK_WEIGHTS = {"informational": 0, "low": 1, "medium": 5, "high": 20, "critical": 60}
KEPT_DAYS = 90

_MISSING = """
    INSERT INTO findings_hostrisk (host_id, risk, informational, low, medium, high, critical)
    SELECT id, 0, 0, 0, 0, 0, 0 FROM inventory_host WHERE %(hosts)s::uuid[] IS NULL OR id = ANY(%(hosts)s::uuid[])
    ORDER BY id ON CONFLICT (host_id) DO NOTHING
"""
# Locked before they are counted: whoever waited here then counts with what the one before has written.
_LOCK = """
    SELECT host_id FROM findings_hostrisk
    WHERE %(hosts)s::uuid[] IS NULL OR host_id = ANY(%(hosts)s::uuid[]) ORDER BY host_id FOR UPDATE
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
        WHERE %(hosts)s::uuid[] IS NULL OR host.host_id = ANY(%(hosts)s::uuid[])
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
    wanted: dict[str, Any] = {"hosts": None if hosts is None else list(hosts)}
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (_MISSING, _LOCK, _COUNT):
            cursor.execute(statement, wanted)


def keep_risk(now: datetime) -> None:
    """Count all hosts anew, note the risk of today, and forget days that are older than KEPT_DAYS."""
    with transaction.atomic(), connection.cursor() as cursor:
        weigh(None)
        for statement in (_HOST_DAYS, _FLEET_DAY):
            cursor.execute(statement, {"day": now.date()})
    oldest = now.date() - timedelta(days=KEPT_DAYS)
    # Each day has a row of the fleet: without an old one of those nothing is old.
    if RiskDay.objects.filter(host=None, day__lt=oldest).exists():
        RiskDay.objects.filter(day__lt=oldest).delete()


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
