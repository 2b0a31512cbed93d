"""What scans cost their hosts: as a whole, by architecture, by schedule, and where they cost most."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Aggregate, Avg, Count, F, FloatField, Max, Q
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from sandfly_web.console.reports.report import Report, Table
from sandfly_web.scans.models import Scan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from django.db.models import QuerySet

    from sandfly_web.console.reports.report import Value

SPANS = {"1": "24 hours", "7": "7 days", "30": "30 days"}
DEFAULT_SPAN = "7"
# The newest of a span: of very many the page would be slow, and the sum of a few thousand says the same.
MAX_SCANS = 50_000
LISTED = 25
MIB = 1 << 20


class Percentile(Aggregate):
    """PostgreSQL's percentile_cont; rows without a value do not count."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(fraction)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def __init__(self, expression: Any, fraction: float) -> None:
        super().__init__(expression, fraction=fraction)


def measured(name: str) -> Cast:
    return Cast(KT(f"cost__{name}"), FloatField())


MEASURES = {
    "visits": Count("id"),
    "failed": Count("id", filter=Q(status__in=[Scan.Status.FAILED, Scan.Status.EXPIRED])),
    "cpu_50": Percentile(measured("probe_cpu_s"), 0.5),
    "cpu_95": Percentile(measured("probe_cpu_s"), 0.95),
    "wall_50": Percentile(measured("probe_wall_s"), 0.5),
    "wall_95": Percentile(measured("probe_wall_s"), 0.95),
    "memory": Max(measured("probe_max_rss_bytes")),
    "up": Avg(measured("uploaded_bytes")),
    "down": Avg(measured("downloaded_bytes")),
}
COLUMNS = ("Visits", "Failed", "CPU s, median", "CPU s, 95 %", "Wall s, median", "Wall s, 95 %", "Memory MiB, most",
           "Sent MiB, mean", "Received MiB, mean")  # fmt: skip
IN_MIB = frozenset({"memory", "up", "down"})


def performance_report(span: str, now: datetime) -> Report:
    since = now - timedelta(days=int(span))
    ended = Scan.objects.filter(created_at__gte=since, status__in=Scan.FINAL)
    newest = ended.order_by("-created_at").values("pk")[:MAX_SCANS]
    scans = Scan.objects.filter(pk__in=newest).order_by()
    total, values = ended.order_by().count(), scans.aggregate(**MEASURES)
    facts: list[tuple[str, Value]] = [
        ("From", since),
        ("Scans that ended", total),
        *zip(COLUMNS[1:], numbers(values)[1:], strict=True),
    ]
    if total > MAX_SCANS:
        facts.append(("Measured", f"the newest {MAX_SCANS}"))
    return Report(
        f"Scan performance of {SPANS[span]}",
        now,
        facts,
        [
            grouped(scans.exclude(architecture=""), "architecture", "architectures", "By build of the probe"),
            grouped(scans.filter(schedule__isnull=False), "schedule__name", "schedules", "By schedule"),
            costly(scans),
            failures(scans),
        ],
    )


def numbers(values: Mapping[str, Any]) -> list[float | int | None]:
    """In the order of COLUMNS; bytes as MiB."""
    return [values[name] / MIB if name in IN_MIB and values[name] is not None else values[name] for name in MEASURES]


def grouped(scans: QuerySet[Scan], field: str, name: str, title: str) -> Table:
    rows = scans.values(field).annotate(**MEASURES).order_by("-visits", field)[:LISTED]
    first = "Build" if field == "architecture" else "Schedule"
    return Table(name, title, (first, *COLUMNS), [(row[field], *numbers(row)) for row in rows])


def costly(scans: QuerySet[Scan]) -> Table:
    """Hosts by the CPU of their median visit: one odd visit is not a costly host."""
    rows: Any = scans.values("host__name").annotate(**MEASURES)
    ordered = rows.filter(cpu_50__isnull=False).order_by(F("cpu_50").desc(), "host__name")[:LISTED]
    return Table(
        "hosts", "Hosts that cost most CPU", ("Host", *COLUMNS), [(row["host__name"], *numbers(row)) for row in ordered]
    )


def failures(scans: QuerySet[Scan]) -> Table:
    failed = scans.filter(status__in=[Scan.Status.FAILED, Scan.Status.EXPIRED])
    rows = failed.values_list("error_code").annotate(visits=Count("id"), hosts=Count("host", distinct=True))
    listed = [(code or "unknown", visits, hosts) for code, visits, hosts in rows.order_by("-visits", "error_code")]
    return Table("failures", "Why scans failed", ("Reason", "Scans", "Hosts"), listed)
