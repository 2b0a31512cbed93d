"""Keeps the timeline of a host that somebody looks at: rows in order of time, made from what is stored of it.

Nothing is written for hosts that nobody looks at, and nothing by ingest. What was read once is not read again: rows of
records, evidence and forensics never change, and those of one host get their ids in the order in which they are stored.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from sandfly_web.findings.models import TimelineEntry, TimelineState
from sandfly_web.findings.timeline.kinds import Kind, dated_fields
from sandfly_web.rules.moments import MAX_EPOCH_S

if TYPE_CHECKING:
    from uuid import UUID

    from sandfly_web.inventory.models import Host

# Of records, of evidence or of forensics at once.
MAX_ROWS = 10_000
# Whoever looks waits no longer than about this; the rest follows the next time.
BUDGET_S = 6.0
# A timeline is forgotten this long after it was made, so that what retention deletes is gone from it too.
KEPT_FOR = timedelta(days=7)
# Counts up when kinds or fields mean something else, so that all are made anew.
VERSION = 1
MAX_TEXT_CHARS = 255

_MARKER = """
    SELECT concat_ws(' ',
        (SELECT concat_ws(',', count(*), max(observed_at), max(finished_at)) FROM scans_scan WHERE host_id = %(host)s),
        (SELECT concat_ws(',', count(*), max(last_seen_at)) FROM findings_finding WHERE host_id = %(host)s),
        (SELECT concat_ws(',', count(*), max(event.id)) FROM findings_findingevent AS event
            JOIN findings_finding AS finding ON finding.id = event.finding_id WHERE finding.host_id = %(host)s))
"""

# Each source: which rows of the host were not read yet, by the index of the host, and what some of them say.
_SOURCES = {
    "evidence_id": (
        """SELECT version.id FROM findings_finding AS finding
            JOIN findings_findingevidence AS version ON version.finding_id = finding.id
            WHERE finding.host_id = %(host)s AND version.id > %(after)s""",
        """SELECT 'finding:' || finding.id AS ref, finding.subject, finding.identity, version.evidence AS data
            FROM findings_findingevidence AS version JOIN findings_finding AS finding
            ON finding.id = version.finding_id WHERE version.id = ANY(%(ids)s)""",
    ),
    "record_id": (
        "SELECT id FROM findings_record WHERE host_id = %(host)s AND id > %(after)s",
        "SELECT 'record:' || id AS ref, subject, identity, data FROM findings_record WHERE id = ANY(%(ids)s)",
    ),
    "forensic_id": (
        """SELECT record.id FROM scans_scan AS scan JOIN findings_forensicrecord AS record ON record.scan_id = scan.id
            WHERE scan.host_id = %(host)s AND record.id > %(after)s""",
        "SELECT 'forensic:' || id AS ref, subject, identity, data FROM findings_forensicrecord WHERE id = ANY(%(ids)s)",
    ),
}

# The same moment of the same thing is one row, whichever source says it first.
_FACTS = """
    WITH source AS ({source}), described AS MATERIALIZED (
        SELECT ref, subject, data, identity::text AS identity,
            left(concat_ws(' ', (SELECT string_agg(value, ' ') FROM jsonb_each_text(source.identity)),
                data ->> 'message'), %(chars)s) AS text
        FROM source
    ), dated AS (
        SELECT ref, described.subject, identity, text, field, kind, CASE
            WHEN jsonb_typeof(data -> field) = 'number' THEN (data ->> field)::numeric END AS epoch
        FROM described JOIN unnest(%(subjects)s::text[], %(fields)s::text[], %(kinds)s::text[])
            AS known (subject, field, kind) ON known.subject = described.subject AND data ? field
    )
    INSERT INTO findings_timelineentry (id, host_id, at, kind, subject, field, text, ref)
    SELECT md5(concat_ws(chr(31), %(host)s, subject, identity, field, epoch))::uuid, %(host)s,
        to_timestamp(epoch::float8), kind, subject, field, text, ref
    FROM dated WHERE epoch > 0 AND epoch <= %(max_epoch)s
    ON CONFLICT (id) DO NOTHING
"""

# Records of the same thing, one after the other. The first look at a subject says nothing of when its things came; a
# record that the same content follows was gone in between.
_INTERVALS = """
    WITH record AS (
        SELECT id, subject, first_seen_at, last_seen_at, is_current, digest,
            lag(id) OVER thing AS before,
            lead(digest) OVER thing AS next_digest,
            min(first_seen_at) OVER (PARTITION BY subject) AS first_look
        FROM findings_record WHERE host_id = %(host)s
        WINDOW thing AS (PARTITION BY subject, identity_digest ORDER BY id)
    ), interval AS (
        SELECT id, first_seen_at AS at, CASE WHEN before IS NULL THEN %(appeared)s ELSE %(altered)s
            END AS kind
        FROM record WHERE id > %(after)s AND id <= %(until)s AND first_seen_at > first_look
        UNION ALL
        SELECT id, last_seen_at, %(gone)s FROM record
        WHERE NOT is_current AND id <= %(until)s AND (next_digest IS NULL OR next_digest = digest)
    )
    INSERT INTO findings_timelineentry (id, host_id, at, kind, subject, field, text, ref)
    SELECT md5(concat_ws(chr(31), %(host)s, kind, id))::uuid, %(host)s, at, kind, seen.subject, '',
        left((SELECT string_agg(value, ' ') FROM jsonb_each_text(seen.identity)), %(chars)s), 'record:' || id
    FROM interval JOIN findings_record AS seen USING (id)
    ON CONFLICT (id) DO NOTHING
"""

# What moves: made anew each time that something of it did.
_MOVING = """
    DELETE FROM findings_timelineentry WHERE host_id = %(host)s AND kind = ANY(%(moving)s);
    INSERT INTO findings_timelineentry (id, host_id, at, kind, subject, field, text, ref)
    SELECT md5(concat_ws(chr(31), 'found', id))::uuid, host_id, first_seen_at, %(found)s, subject, 'first_seen_at',
        left(concat_ws(' ', title, level, (SELECT string_agg(value, ' ') FROM jsonb_each_text(identity))), %(chars)s),
        'finding:' || id
    FROM findings_finding WHERE host_id = %(host)s
    UNION ALL
    SELECT md5(concat_ws(chr(31), 'last', id))::uuid, host_id, last_seen_at, %(found_last)s, subject, 'last_seen_at',
        left(concat_ws(' ', title, level, (SELECT string_agg(value, ' ') FROM jsonb_each_text(identity))), %(chars)s),
        'finding:' || id
    FROM findings_finding WHERE host_id = %(host)s AND last_seen_at > first_seen_at
    UNION ALL
    SELECT md5(concat_ws(chr(31), 'event', event.id))::uuid, finding.host_id, event.created_at, %(triage)s,
        finding.subject, event.kind, left(concat_ws(' ', event.kind, person.username, event.comment, finding.title),
        %(chars)s), 'event:' || event.id
    FROM findings_finding AS finding JOIN findings_findingevent AS event ON event.finding_id = finding.id
    LEFT JOIN auth_user AS person ON person.id = event.actor_id
    WHERE finding.host_id = %(host)s AND event.kind <> 'created'
    UNION ALL
    SELECT md5(concat_ws(chr(31), 'scan', id))::uuid, host_id, coalesce(observed_at, finished_at), %(visit)s, 'host',
        status, left(concat_ws(' ', status, error_code), %(chars)s), 'scan:' || id
    FROM scans_scan WHERE host_id = %(host)s AND coalesce(observed_at, finished_at) IS NOT NULL;
"""


@dataclass(frozen=True)
class Freshness:
    """`is_whole` is False while there is more to read than is read at once: look again for the rest."""

    is_whole: bool


def bring_up_to_date(host: Host, now: datetime | None = None) -> Freshness:
    """Make the rows of what is new of the host since somebody last looked; one query when nothing is."""
    now = now or timezone.now()
    with transaction.atomic(), connection.cursor() as cursor:
        # Two who look at once do not do the same work.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"timeline {host.pk}"])
        cursor.execute(_MARKER, {"host": host.pk})
        marker = str(cursor.fetchone()[0])[:MAX_TEXT_CHARS]
        state = _state(host.pk, now)
        if state.marker == marker and state.is_whole:
            return Freshness(is_whole=True)
        before = state.record_id
        until = time.monotonic() + BUDGET_S
        were_whole = [_read_all(cursor, state, source, until) for source in _SOURCES]
        is_whole = all(were_whole)
        cursor.execute(_INTERVALS, _interval_values(state, before))
        cursor.execute(_MOVING, _moving_values(host.pk))
        state.marker, state.is_whole = marker, is_whole
        state.save()
        return Freshness(is_whole)


def _state(host_id: UUID, now: datetime) -> TimelineState:
    """How far the timeline is; one of other rules or too old begins anew."""
    state = TimelineState.objects.filter(pk=host_id).first()
    if state is not None and state.version == VERSION and state.made_at > now - KEPT_FOR:
        return state
    forget([host_id])
    return TimelineState(host_id=host_id, version=VERSION, made_at=now)


def _read_all(cursor: Any, state: TimelineState, source: str, until: float) -> bool:
    """Some of it at least, however late it is; whether that was all."""
    cursor.execute(_SOURCES[source][0], {"host": state.host_id, "after": getattr(state, source)})
    ids = sorted(pk for (pk,) in cursor.fetchall())
    for begin in range(0, len(ids), MAX_ROWS):
        if begin and time.monotonic() >= until:
            return False
        _read(cursor, state, source, ids[begin : begin + MAX_ROWS])
    return True


def _read(cursor: Any, state: TimelineState, source: str, ids: list[int]) -> None:
    """Make the rows of what these rows of a source say."""
    known = dated_fields()
    values = {
        "host": state.host_id,
        "ids": ids,
        "subjects": [subject for subject, _, _ in known],
        "fields": [field for _, field, _ in known],
        "kinds": [kind for _, _, kind in known],
        "chars": MAX_TEXT_CHARS,
        "max_epoch": MAX_EPOCH_S,
    }
    cursor.execute(_FACTS.format(source=_SOURCES[source][1]), values)
    setattr(state, source, ids[-1])


def _interval_values(state: TimelineState, before: int) -> dict[str, Any]:
    kinds = {kind.value: kind.value for kind in (Kind.APPEARED, Kind.ALTERED, Kind.GONE)}
    return {"host": state.host_id, "after": before, "until": state.record_id, "chars": MAX_TEXT_CHARS, **kinds}


def _moving_values(host_id: UUID) -> dict[str, Any]:
    kinds = {kind.value: kind.value for kind in (Kind.FOUND, Kind.FOUND_LAST, Kind.TRIAGE, Kind.VISIT)}
    return {"host": host_id, "moving": list(kinds), "chars": MAX_TEXT_CHARS, **kinds}


def forget(host_ids: list[UUID]) -> None:
    """The rows of these hosts; they are made again for whoever looks."""
    TimelineState.objects.filter(pk__in=host_ids).delete()
    TimelineEntry.objects.filter(host__in=host_ids).delete()


def forget_old(now: datetime, most: int) -> int:
    """Those that were made long ago, at most so many; returns how many."""
    old = TimelineState.objects.filter(made_at__lte=now - KEPT_FOR).order_by("made_at")
    ids = list(old.values_list("pk", flat=True)[:most])
    for host_id in ids:
        forget([host_id])
    return len(ids)
