"""Reads a host's timeline: which entries, what each says and where it is from, and how many there are over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Max, Min, Q

from sandfly_web.findings.models import Finding, FindingEvent, ForensicRecord, Record, TimelineEntry
from sandfly_web.findings.thing import MAX_VALUE_CHARS, thing
from sandfly_web.findings.timeline.kinds import GROUP_OF, GROUPS, Kind, clock, precision
from sandfly_web.scans.models import Scan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet

    from sandfly_web.inventory.models import Host

ORDERING = ("-at", "-id")
MAX_TEXT_CHARS = 200
BUCKETS = 80
READ_AT_ONCE = 500
DETAIL_CHARS = 500


@dataclass(frozen=True)
class Window:
    """What of a timeline is wanted; None and empty: all. `since` is in it, `until` is not."""

    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    text: str = ""

    def check(self) -> None:
        """Raises ValidationError."""
        if self.since and self.until and self.since >= self.until:
            raise ValidationError({"until": "must be later than since"})
        if unknown := [kind for kind in self.kinds if kind not in Kind.values]:
            raise ValidationError({"kind": f"there is no {unknown[0]!r}; there are: {', '.join(Kind.values)}"})
        if len(self.text) > MAX_TEXT_CHARS:
            raise ValidationError({"q": f"at most {MAX_TEXT_CHARS} characters"})


def entries(host: Host, window: Window) -> QuerySet[TimelineEntry]:
    """Newest first."""
    found = TimelineEntry.objects.filter(host=host)
    if window.since:
        found = found.filter(at__gte=window.since)
    if window.until:
        found = found.filter(at__lt=window.until)
    if window.kinds:
        found = found.filter(kind__in=window.kinds)
    if window.subjects:
        found = found.filter(subject__in=window.subjects)
    for word in window.text.split():
        found = found.filter(text__icontains=word)
    return found.order_by(*ORDERING)


class ByKind:
    """The first entries of some kinds, each kind from its own index: what is rare is not searched among all the rest.

    Has of a queryset what pages are cut with.
    """

    model = TimelineEntry

    def __init__(
        self, found: QuerySet[TimelineEntry], kinds: Iterable[str], ordering: tuple[str, ...] = ORDERING
    ) -> None:
        self.found = found
        self.kinds = tuple(dict.fromkeys(kinds))
        self.ordering = ordering

    def order_by(self, *ordering: str) -> ByKind:
        return ByKind(self.found, self.kinds, ordering)

    def filter(self, *conditions: Q) -> ByKind:
        return ByKind(self.found.filter(*conditions), self.kinds, self.ordering)

    def __getitem__(self, part: slice) -> QuerySet[TimelineEntry]:
        """From the beginning only."""
        first, *others = (self.found.filter(kind=kind).order_by(*self.ordering)[part] for kind in self.kinds)
        return first.union(*others, all=True).order_by(*self.ordering)[part] if others else first


def pages(host: Host, window: Window) -> Any:
    """The entries, to be cut into pages."""
    if not window.kinds:
        return entries(host, window)
    return ByKind(entries(host, replace(window, kinds=())), window.kinds)


@dataclass(frozen=True)
class Line:
    """One entry with what it is about. `source` is record, forensic, finding, event or scan, and `source_id` which."""

    at: datetime
    kind: str
    subject: str
    field: str
    what: str
    detail: str
    source: str
    source_id: str
    # Of a finding; "" of what is none.
    level: str = ""
    facts: Mapping[str, Any] | None = None

    @property
    def clock(self) -> str:
        return clock(self.kind)

    @property
    def precision(self) -> str:
        return precision(self.kind)

    @property
    def group(self) -> str:
        return GROUP_OF[Kind(self.kind)]


def lines(rows: Iterable[TimelineEntry]) -> Iterator[Line]:
    """In batches, each with one query a kind of source."""
    left = iter(rows)
    while batch := list(islice(left, READ_AT_ONCE)):
        sources = _load(batch)
        yield from (_line(row, sources.get(row.ref)) for row in batch)


def _load(rows: list[TimelineEntry]) -> dict[str, Any]:
    """What the rows are from, by their `ref`; what was deleted meanwhile is missing."""
    wanted: dict[str, set[str]] = {}
    for row in rows:
        source, _, key = row.ref.partition(":")
        wanted.setdefault(source, set()).add(key)
    found: dict[str, Any] = {}
    for source, keys in wanted.items():
        found |= {f"{source}:{thing.pk}": thing for thing in _QUERIES[source]().filter(pk__in=keys)}
    return found


_QUERIES: dict[str, Any] = {
    "record": lambda: Record.objects.only("subject", "identity", "data"),
    "forensic": lambda: ForensicRecord.objects.only("subject", "identity", "data", "rule_name"),
    "finding": lambda: Finding.objects.only("title", "level", "status", "subject", "identity", "evidence", "count"),
    "event": lambda: FindingEvent.objects.select_related("actor", "finding").only(
        "kind", "comment", "actor__username", "finding__title", "finding__level"
    ),
    "scan": lambda: Scan.objects.only("status", "error_message", "alert_count", "worker"),
}


def _line(row: TimelineEntry, source: Any) -> Line:
    what, detail, level, facts = _say(row, source)
    name, _, key = row.ref.partition(":")
    if isinstance(source, FindingEvent):
        # The page of an event is that of its finding.
        name, key = "finding", str(source.finding_id)
    return Line(row.at, row.kind, row.subject, row.field, what, detail[:DETAIL_CHARS], name, key, level, facts)


def _say(row: TimelineEntry, source: Any) -> tuple[str, str, str, Mapping[str, Any] | None]:
    """What it is about, more about it, the level of a finding, the facts of a thing."""
    match source:
        case FindingEvent():
            who = source.actor.username if source.actor else "sandfly"
            return f"{source.get_kind_display()} by {who}: {source.finding.title}", source.comment, "", None
        case Scan():
            alerts = f"{source.alert_count} rule{'s' if source.alert_count != 1 else ''} alerted"
            return f"Scan {source.status}", source.error_message or alerts, "", None
        case Finding():
            about = thing(source.subject, source.identity)
            if row.kind in {Kind.FOUND, Kind.FOUND_LAST}:
                return source.title, about, source.level, source.evidence
            return about, f"evidence of: {source.title}", "", source.evidence
        case Record() | ForensicRecord():
            about = thing(source.subject, source.identity) or row.text
            message = source.data.get("message") or source.data.get("text") or ""
            return about, str(message)[:MAX_VALUE_CHARS], "", source.data
        case _:
            return row.text, "no longer kept", "", None


@dataclass(frozen=True)
class Bucket:
    """How many entries of each group there are in a stretch of time."""

    since: datetime
    until: datetime
    counts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class Density:
    """Stretches of equal length that follow each other; none where there is nothing."""

    buckets: list[Bucket]

    @property
    def most(self) -> int:
        return max((bucket.total for bucket in self.buckets), default=0)

    @property
    def by_group(self) -> dict[str, int]:
        return {name: sum(bucket.counts.get(name, 0) for bucket in self.buckets) for name in GROUPS}


def density(host: Host, window: Window, buckets: int = BUCKETS) -> Density:
    """Two queries; the ends that the window leaves open are the first and the last entry."""
    found = entries(host, window)
    since, until = window.since, window.until
    if since is None or until is None:
        ends = found.order_by().aggregate(first=Min("at"), last=Max("at"))
        if ends["first"] is None:
            return Density([])
        since = since or ends["first"]
        until = until or ends["last"] + timedelta(seconds=1)
    low, high = since.timestamp(), until.timestamp()
    width = (high - low) / buckets
    if width <= 0:
        return Density([])
    subquery, parameters = found.order_by().values("at", "kind").query.sql_with_params()
    made = [Bucket(moment(low + n * width), moment(low + (n + 1) * width), {}) for n in range(buckets)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT greatest(1, least(%s, width_bucket(extract(epoch FROM at), %s, %s, %s))), kind, count(*)
                FROM ({subquery}) AS entry GROUP BY 1, 2""",  # noqa: S608 - no value in it
            [buckets, low, high, buckets, *parameters],
        )
        for place, kind, count in cursor.fetchall():
            counts = made[place - 1].counts
            group = GROUP_OF[Kind(kind)]
            counts[group] = counts.get(group, 0) + count
    return Density(made)


def moment(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, tz=UTC)
