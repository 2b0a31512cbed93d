"""The page of a host's timeline: how dense it is, what every scan said, and what happened when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from sandfly_web.api.pagination import after
from sandfly_web.console.templatetags.sandfly import utc_text
from sandfly_web.console.visible import visible
from sandfly_web.findings.timeline.kinds import BETWEEN_SCANS, GROUPS, Kind
from sandfly_web.findings.timeline.reading import (
    MAX_TEXT_CHARS,
    ORDERING,
    Bucket,
    Density,
    Line,
    Window,
    density,
    lines,
    pages,
)
from sandfly_web.findings.timeline.services import bring_up_to_date
from sandfly_web.scans.models import Scan

if TYPE_CHECKING:
    from sandfly_web.findings.models import TimelineEntry
    from sandfly_web.inventory.models import Host

PAGE_ROWS = 100
LISTED_SCANS = 200
SPANS = {"1": "24 hours", "7": "7 days", "30": "30 days", "365": "1 year", "all": "All"}
DEFAULT_SPAN = "30"
# Of the drawing; 100 high.
WIDTH, HEIGHT, LANE = 800.0, 100.0, 10
PAGES = {
    "record": "findings_record_change",
    "forensic": "findings_forensicrecord_change",
    "finding": "findings_finding_change",
    "scan": "scans_scan_change",
}
EXPORTS = [("csv", "CSV"), ("ndjson", "JSON lines"), ("bodyfile", "Body file")]
# Lane of the drawing → what of a scan is in it.
LANES = {"alert": "sf-critical", "error": "sf-medium", "pass": "sf-good"}


def timeline_context(host: Host, query: QueryDict) -> dict[str, Any]:
    """What the address asks for; a part of it that is no moment is told and left out."""
    now = timezone.now()
    fresh = bring_up_to_date(host, now)
    asked = Asked.read(query, now)
    window = asked.window()
    found = density(host, window)
    rows = list(older(pages(host, window), query.get("cursor", ""))[: PAGE_ROWS + 1])
    shown = list(lines(rows[:PAGE_ROWS]))
    return {
        "thing": host,
        "is_whole": fresh.is_whole,
        "asked": asked,
        "spans": SPANS,
        "groups": [
            {"name": name, "title": group.title, "tone": group.tone, "count": found.by_group[name]}
            for name, group in GROUPS.items()
        ],
        "total": sum(bucket.total for bucket in found.buckets),
        "bars": bars(found, query),
        "bands": bands(host, found),
        "ends": (found.buckets[0].since, found.buckets[-1].until) if found.buckets else None,
        "days": [{"day": day, "lines": list(group)} for day, group in groupby(map(line_context, shown), day_of)],
        "older": address(query, cursor=cursor_of(rows[PAGE_ROWS - 1])) if len(rows) > PAGE_ROWS else "",
        "newest": address(query, cursor=None) if "cursor" in query else "",
        "exports": asked.api_query(),
        "export_kinds": EXPORTS,
    }


@dataclass(frozen=True)
class Asked:
    """The fields of the form as they are shown again."""

    since: datetime | None
    until: datetime | None
    span: str
    groups: tuple[str, ...]
    text: str
    fault: str

    @classmethod
    def read(cls, query: QueryDict, now: datetime) -> Asked:
        since, first = read_moment(query.get("since", ""))
        until, second = read_moment(query.get("until", ""))
        fault = first or second
        if since and until and since >= until:
            since, until, fault = None, None, "The end must be later than the beginning."
        span = query.get("span", "")
        if since or until:
            span = ""
        elif span not in SPANS:
            span = DEFAULT_SPAN
        if span and span != "all":
            since = now - timedelta(days=int(span))
        groups = tuple(name for name in GROUPS if name in query.getlist("group"))
        return cls(since, until, span, groups, query.get("q", "")[:MAX_TEXT_CHARS].replace("\x00", ""), fault)

    def window(self) -> Window:
        kinds = [kind.value for name in self.groups for kind in GROUPS[name].kinds]
        return Window(self.since, self.until, tuple(kinds), (), self.text)

    def api_query(self) -> str:
        """The same for the API, which knows kinds and no groups."""
        window, asked = self.window(), QueryDict(mutable=True)
        for name, moment in (("since", window.since), ("until", window.until)):
            if moment:
                asked[name] = moment.isoformat()
        if window.kinds:
            asked.setlist("kind", list(window.kinds))
        if window.text:
            asked["q"] = window.text
        return asked.urlencode()


def read_moment(text: str) -> tuple[datetime | None, str]:
    """A moment in UTC as the field of a form or an address has it, and what is wrong with it."""
    if not text:
        return None, ""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC), ""
    except (ValueError, OverflowError):
        return None, f"{visible(text[:40])} is no moment: write it as 2026-03-01T12:00."


def older(found: Any, cursor: str) -> Any:
    """What follows the entry that the cursor names; one that names none begins at the top."""
    at, _, key = cursor.partition("~")
    moment, _fault = read_moment(at)
    try:
        return found.filter(after(ORDERING, (moment, UUID(key)))) if moment else found
    except (ValueError, ValidationError):
        return found


def cursor_of(row: TimelineEntry) -> str:
    return f"{row.at.isoformat()}~{row.pk}"


def address(query: QueryDict, **changes: str | None) -> str:
    """The address of this page with other values; None takes one out."""
    made = query.copy()
    for name, value in changes.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = value
    return f"?{made.urlencode()}"


@dataclass(frozen=True)
class Bar:
    """A stretch of the drawing: `segments` are tone, y and height; `url` shows it alone."""

    x: float
    width: float
    segments: list[tuple[str, float, float]]
    url: str
    since: datetime
    words: str


def bars(found: Density, query: QueryDict) -> list[Bar]:
    """Heights are square roots, so that a busy hour leaves the others to be seen."""
    width = WIDTH / max(len(found.buckets), 1)
    return [bar(bucket, place * width, width, found.most, query) for place, bucket in enumerate(found.buckets)]


def bar(bucket: Bucket, x: float, width: float, most: int, query: QueryDict) -> Bar:
    height = HEIGHT * math.sqrt(bucket.total / most) if bucket.total else 0.0
    y, segments = HEIGHT, []
    for name, group in GROUPS.items():
        if count := bucket.counts.get(name, 0):
            part = height * count / bucket.total
            y -= part
            segments.append((group.tone, round(y, 2), round(part, 2)))
    since, until = bucket.since.isoformat(), bucket.until.isoformat()
    words = ", ".join(f"{bucket.counts[name]} {GROUPS[name].title.lower()}" for name in GROUPS if name in bucket.counts)
    return Bar(
        round(x, 2),
        round(width - 1, 2),
        segments,
        address(query, since=since, until=until, span=None, cursor=None),
        bucket.since,
        f"{utc_text(bucket.since, 'minute')}: {words}",
    )


@dataclass(frozen=True)
class Mark:
    """A scan in one lane of the drawing."""

    x: float
    at: datetime
    words: str
    url: str


def bands(host: Host, found: Density) -> list[dict[str, Any]]:
    """Every scan of the window by what its rules said: alert, error, pass. The last of them where there are many."""
    if not found.buckets:
        return []
    since, until = found.buckets[0].since, found.buckets[-1].until
    scans = Scan.objects.filter(host=host, observed_at__gte=since, observed_at__lt=until).order_by("-observed_at")
    read = scans.only("observed_at", "status", "alert_count", "error_count", "pass_count")[:LISTED_SCANS]
    lanes: dict[str, list[Mark]] = {name: [] for name in LANES}
    total = (until - since).total_seconds()
    for scan in read:
        if scan.observed_at is None:
            continue
        x = round(WIDTH * (scan.observed_at - since).total_seconds() / total, 1)
        url = reverse("admin:scans_scan_change", args=[scan.pk])
        errors = scan.error_count + (scan.status == Scan.Status.FAILED)
        for name, count in (("alert", scan.alert_count), ("error", errors), ("pass", scan.pass_count)):
            if count:
                words = f"{utc_text(scan.observed_at, 'minute')}: {count} {name}"
                lanes[name].append(Mark(x, scan.observed_at, words, url))
    made = [
        {"name": name, "tone": tone, "y": place * LANE, "marks": lanes[name]}
        for place, (name, tone) in enumerate(LANES.items())
    ]
    return made if any(lane["marks"] for lane in made) else []


def line_context(line: Line) -> dict[str, Any]:
    kind = Kind(line.kind)
    return {
        "line": line,
        "kind": kind.label,
        "tone": GROUPS[line.group].tone,
        "url": reverse(f"admin:{PAGES[line.source]}", args=[line.source_id]) if line.detail != "no longer kept" else "",
        "note": note(line),
        "is_future": line.at > timezone.now(),
    }


def note(line: Line) -> str:
    """Where the moment is from and how far it can be trusted."""
    if line.kind == Kind.GONE:
        return "last seen by a scan at this time"
    if line.kind in BETWEEN_SCANS:
        return "between this scan and the one before"
    if line.clock == "host":
        return f"{line.field.replace('_', ' ')}, by the host's clock"
    return ""


def day_of(context: dict[str, Any]) -> str:
    return f"{context['line'].at:%Y-%m-%d}"
