"""The page of what changed on a host between two of its visits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandfly_web.console.evidence import Kind, as_text, label, rows
from sandfly_web.console.templatetags.sandfly import utc_text
from sandfly_web.findings.changes import Change, changes_between
from sandfly_web.scans.models import Scan

if TYPE_CHECKING:
    from sandfly_web.inventory.models import Host

LISTED_VISITS = 60
SHOWN_PER_SUBJECT = 100
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def changes_context(host: Host, since: str, until: str) -> dict[str, Any]:
    """`since` and `until` are ids of visits; without them the last visit is compared with the one before."""
    visits = list(
        Scan.objects.filter(host=host, status=Scan.Status.DONE, observed_at__isnull=False)
        .only("id", "observed_at")
        .order_by("-observed_at")[:LISTED_VISITS]
    )
    times = {str(visit.pk): visit.observed_at for visit in visits if visit.observed_at}
    newest = until if until in times else next(iter(times), "")
    older = [pk for pk in times if newest and times[pk] < times[newest]]
    oldest = since if since in times else next(iter(older), "")
    context: dict[str, Any] = {"thing": host, "visits": visits, "since": oldest, "until": newest}
    if newest and oldest and times[oldest] < times[newest]:
        found = changes_between(host, times[oldest], times[newest])
        context |= {"found": found, "subjects": [subject_context(name, group) for name, group in found.subjects]}
        context |= {"from_time": times[oldest], "to_time": times[newest]}
    return context


def shown(name: str, value: Any) -> str:
    """The value as an evidence page has it, in one line; "(none)" for none."""
    if value is None:
        return "(none)"
    row = rows({name: value})[0]
    return utc_text(row.value) if row.kind == Kind.TIME else as_text(value)


def subject_context(name: str, changes: list[Change]) -> dict[str, Any]:
    counts = {kind: sum(change.kind == kind for change in changes) for kind in ("appeared", "gone", "changed")}
    lines = [
        {
            "kind": str(change.kind),
            "record": change.record,
            "fields": [
                {
                    "label": label(field.name),
                    "before": shown(field.name, field.before),
                    "after": shown(field.name, field.after),
                }
                for field in change.fields
            ],
        }
        for change in changes[:SHOWN_PER_SUBJECT]
    ]
    return {"name": name, "counts": counts, "lines": lines, "more": max(0, len(changes) - SHOWN_PER_SUBJECT)}
