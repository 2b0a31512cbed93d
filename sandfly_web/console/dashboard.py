"""What the start page shows: a fixed number of queries however large the fleet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q, Sum
from django.urls import reverse
from django.utils import timezone

from sandfly_web.console.attack.counting import RECENT_DAYS
from sandfly_web.console.attack.page import matrix_of
from sandfly_web.console.sparkline import sparkline
from sandfly_web.findings import snoozing
from sandfly_web.findings.groups import first_groups
from sandfly_web.findings.models import Finding, HostRisk, WidespreadFinding
from sandfly_web.findings.risk import APPEARED_DAYS, RISK_WEIGHTS, appeared, fleet_trend
from sandfly_web.inventory.models import Host
from sandfly_web.rules.models import Severity
from sandfly_web.scans.models import Scan, ScanBatch, Schedule
from sandfly_web.scans.queue.overview import known_batches

if TYPE_CHECKING:
    from datetime import date

    from django.http import HttpRequest

SUMS = {level: Sum(level) for level in Severity.values}
RISK_COLUMNS = ("risk", *Severity.values, "host__name")
TABLE_ROWS = 8
HOST_ROWS = 6
UNHEALTHY = ("offline", "auth_failed", "key_changed", "unsupported")


@dataclass(frozen=True)
class Tile:
    """A number that leads somewhere."""

    name: str
    label: str
    count: int
    url: str


@dataclass(frozen=True)
class Bar:
    """One day of the chart; `segments` are (severity, y, height) in the chart's own units."""

    day: date
    x: float
    count: int
    segments: list[tuple[str, float, float]]


CHART_HEIGHT = 100.0
BAR_STEP = 20.0


def add_overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK; parts that the user may not see are left out."""
    can = request.user.has_perm
    context["now"] = timezone.now()
    if can("inventory.view_host"):
        context |= host_part()
    if can("findings.view_finding"):
        context |= finding_part(context["now"])
    if can("findings.view_finding") and can("rules.view_rule"):
        context |= {"attack_matrix": matrix_of(context["now"], with_findings=True), "attack_days": RECENT_DAYS}
    if can("scans.view_scan"):
        context |= scan_part(context["now"])
    return context


def finding_part(now: datetime) -> dict[str, Any]:
    unresolved = Finding.objects.filter(status__in=Finding.UNRESOLVED)
    asleep = dict(unresolved.filter(snoozing.asleep(now)).order_by().values_list("level").annotate(rows=Count("*")))
    # A row a host, not a row a finding.
    counts = {level: count or 0 for level, count in HostRisk.objects.aggregate(**SUMS).items()}
    awake = {level: max(0, count - asleep.get(level, 0)) for level, count in counts.items()}
    listing = reverse("admin:findings_finding_changelist")
    bars = chart(now)
    recent = unresolved.filter(snoozing.awake(now)).select_related("host")
    return {
        "severities": [
            Tile(level.value, str(level.label), awake[level.value], f"{listing}?level={level.value}")
            for level in reversed(Severity)
        ],
        "unresolved_count": sum(awake.values()),
        "snoozed_count": sum(asleep.values()),
        "worst": first_groups(recent.order_by("-level_rank", "-last_seen_at", "id"), TABLE_ROWS),
        "newest": first_groups(recent.order_by("-first_seen_at", "id"), TABLE_ROWS),
        "risky_hosts": risky_hosts(),
        "risk_weights": ", ".join(f"{level} {weight}" for level, weight in reversed(RISK_WEIGHTS.items()) if weight),
        "fleet_risk": sparkline(fleet_trend()),
        "widespread": WidespreadFinding.objects.select_related("rule")[:HOST_ROWS],
        "chart": bars,
        "chart_most": max(bar.count for bar in bars),
        "chart_width": APPEARED_DAYS * BAR_STEP,
        "chart_height": CHART_HEIGHT,
    }


def risky_hosts() -> list[dict[str, Any]]:
    """Those whose unresolved findings weigh most; `share` is of the first one, in percent."""
    weighed = HostRisk.objects.filter(risk__gt=0).select_related("host").only(*RISK_COLUMNS)
    # By id where they weigh the same: by name, all would be joined for the first few.
    hosts = list(weighed.order_by("-risk", "host_id")[:HOST_ROWS])
    most = hosts[0].risk if hosts else 1
    return [
        {
            "host_id": row.host_id,
            "name": row.host.name,
            "risk": row.risk,
            "critical": row.critical,
            "high": row.high,
            "total": sum(getattr(row, level) for level in Severity.values),
            "share": round(100 * row.risk / most),
        }
        for row in hosts
    ]


def chart(now: datetime) -> list[Bar]:
    """New findings a day, stacked by severity, the oldest day first."""
    per_day = {day: Counter(dict(zip(Severity.values, counts, strict=True))) for day, counts in appeared(now).items()}
    highest = max(1, *(found.total() for found in per_day.values()))
    return [bar(place, day, found, highest) for place, (day, found) in enumerate(per_day.items())]


def bar(place: int, day: date, levels: Counter[str], highest: int) -> Bar:
    segments, y = [], CHART_HEIGHT
    for level in reversed(Severity):
        height = CHART_HEIGHT * levels[level.value] / highest
        if height:
            y -= height
            segments.append((level.value, round(y, 2), round(height, 2)))
    return Bar(day, place * BAR_STEP, levels.total(), segments)


def host_part() -> dict[str, Any]:
    counts = dict(Host.objects.order_by().values_list("state").annotate(rows=Count("*")))
    listing = reverse("admin:inventory_host_changelist")
    troubled = Host.objects.filter(Q(state__in=UNHEALTHY) | Q(state=Host.State.NEW)).order_by("state", "name")
    return {
        "host_count": sum(counts.values()),
        "host_states": [
            Tile(state.value, str(state.label), counts[state.value], f"{listing}?state={state.value}")
            for state in Host.State
            if counts.get(state.value)
        ],
        "troubled_hosts": troubled.only("name", "state", "state_reason", "last_seen_at", "created_at")[:HOST_ROWS],
        "troubled_count": sum(count for state, count in counts.items() if state in {*UNHEALTHY, Host.State.NEW}),
    }


def scan_part(now: datetime) -> dict[str, Any]:
    recent = Scan.objects.filter(created_at__gte=now - timedelta(days=1)).order_by()
    counts = dict(recent.values_list("status").annotate(rows=Count("*")))
    failures = recent.filter(status__in=[Scan.Status.FAILED, Scan.Status.EXPIRED]).values_list("error_code")
    active = Scan.objects.filter(Scan.UNDER_WAY).select_related("host").order_by("-status", "created_at")
    listing = reverse("admin:scans_scan_changelist")
    tripped = known_batches(ScanBatch.objects.filter(is_tripped=True))
    return {
        "scan_states": [
            Tile(status.value, str(status.label), counts[status.value], f"{listing}?status={status.value}")
            for status in Scan.Status
            if counts.get(status.value)
        ],
        "scan_failures": [
            {"code": code or "unknown", "count": count, "url": f"{listing}?error_code={code}"}
            for code, count in failures.annotate(total=Count("*")).order_by("-total")[:HOST_ROWS]
        ],
        "active_scans": active[:HOST_ROWS],
        "tripped_schedules": Schedule.objects.filter(is_tripped=True).only("name", "pause_reason")[:HOST_ROWS],
        "tripped_batches": tripped.only("created_at", "pause_reason")[:HOST_ROWS],
    }
