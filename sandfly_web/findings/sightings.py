"""Stores what visits saw as findings: one row for each thing a rule alerts on, however often it is seen.

Called by ingest inside its transaction, with the hosts' rows locked. The number of queries depends neither on how much
was seen nor on how many visits saw it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection
from django.utils import timezone

from sandfly_web.findings.models import Finding, FindingEvent
from sandfly_web.findings.risk import weigh
from sandfly_web.rules.models import Severity


@dataclass(frozen=True)
class Visit:
    """The visit whose report is stored; `observed_at` is when it ended."""

    host_id: uuid.UUID
    scan_id: uuid.UUID
    observed_at: datetime


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a visit, cleaned. `rule_id` is None for what the visit itself found."""

    fingerprint: str
    rule_id: str | None
    rule_name: str
    subject: str
    title: str
    level: str
    tags: list[str]
    explanation: str
    identity: dict[str, Any]
    evidence: dict[str, Any]
    evidence_digest: str
    truncated: list[str] = []
    unknown: dict[str, str] = {}
    # Id of the allow-list entry that hides it, if one does.
    allowed_by: str | None = None


class Settled(NamedTuple):
    """A finding that a visit showed to be over: its host is as it should be again."""

    host_id: uuid.UUID
    finding_id: uuid.UUID
    reason: str
    at: datetime


class _Row(msgspec.Struct):
    """A sighting with the visit that saw it, and the id and status its finding gets."""

    id: str
    status: str
    level_rank: int
    host: uuid.UUID
    scan: uuid.UUID
    at: datetime
    sighting: Sighting
    # It was snoozed, and is not what it was then.
    wakes: bool = False


class _Known(NamedTuple):
    """What of a finding decides about its next sighting."""

    id: uuid.UUID
    host_id: uuid.UUID
    fingerprint: str
    status: str
    closed_at: datetime | None
    digest: str
    level_rank: int
    is_snoozed: bool
    # Asked of snoozed ones only.
    is_new_evidence: bool


_KNOWN = """
    SELECT finding.id, finding.host_id, finding.fingerprint, finding.status, finding.closed_at, finding.evidence_digest,
        finding.level_rank, finding.snoozed_until IS NOT NULL,
        CASE WHEN finding.snoozed_until IS NOT NULL THEN NOT EXISTS (
            SELECT FROM findings_findingevidence AS version
            WHERE version.finding_id = finding.id AND version.digest = seen.digest
        ) ELSE false END
    FROM unnest(%(hosts)s::uuid[], %(fingerprints)s::text[], %(digests)s::text[]) AS seen (host_id, fingerprint, digest)
    JOIN findings_finding AS finding
        ON finding.host_id = seen.host_id AND finding.fingerprint = seen.fingerprint
    ORDER BY finding.id FOR NO KEY UPDATE OF finding
"""

_ROWS = """
    jsonb_to_recordset(%(rows)s::jsonb) AS row (
        id uuid, status text, level_rank smallint, host uuid, scan uuid, at timestamptz, sighting jsonb,
        wakes boolean
    ),
    jsonb_to_record(row.sighting) AS seen (
        fingerprint text, rule_id uuid, rule_name text, subject text, title text, level text, tags jsonb,
        explanation text, identity jsonb, evidence jsonb, evidence_digest text, truncated jsonb, unknown jsonb,
        allowed_by uuid
    )
"""

_INSERT = f"""
    INSERT INTO findings_finding (
        id, host_id, rule_id, rule_name, fingerprint, subject, title, level, level_rank, tags, explanation, identity,
        evidence, evidence_digest, truncated, unknown, status, close_reason, first_seen_at, last_seen_at, count,
        first_scan_id, last_scan_id, allowed_by_id, closed_at
    )
    SELECT row.id, row.host, seen.rule_id, seen.rule_name, seen.fingerprint, seen.subject, seen.title, seen.level,
        row.level_rank, seen.tags, seen.explanation, seen.identity, seen.evidence, seen.evidence_digest,
        seen.truncated, seen.unknown, row.status, '', row.at, row.at, 1, row.scan, row.scan,
        seen.allowed_by, CASE WHEN seen.allowed_by IS NULL THEN NULL::timestamptz ELSE row.at END
    FROM {_ROWS}
"""  # noqa: S608 - no value in it

_UPDATE = f"""
    UPDATE findings_finding AS finding SET
        rule_id = seen.rule_id, rule_name = seen.rule_name, title = seen.title, level = seen.level,
        level_rank = row.level_rank, tags = seen.tags, explanation = seen.explanation, evidence = seen.evidence,
        evidence_digest = seen.evidence_digest, truncated = seen.truncated, unknown = seen.unknown,
        last_seen_at = greatest(finding.last_seen_at, row.at), last_scan_id = row.scan, count = finding.count + 1,
        status = row.status,
        snoozed_until = CASE WHEN row.wakes OR row.status = 'allowed' THEN NULL ELSE finding.snoozed_until END,
        woke_at = CASE WHEN row.wakes THEN row.at WHEN row.status = 'allowed' THEN NULL ELSE finding.woke_at END,
        allowed_by_id = CASE WHEN row.status = 'allowed' THEN seen.allowed_by END,
        close_reason = CASE WHEN row.status IN ('open', 'allowed') THEN '' ELSE finding.close_reason END,
        closed_at = CASE row.status WHEN 'open' THEN NULL WHEN 'allowed' THEN coalesce(finding.closed_at, row.at)
            ELSE finding.closed_at END
    FROM {_ROWS}
    WHERE finding.host_id = row.host AND finding.id = row.id
"""  # noqa: S608 - no value in it

_VERSIONS = f"""
    INSERT INTO findings_findingevidence (finding_id, digest, evidence, first_seen_at, last_seen_at)
    SELECT row.id, seen.evidence_digest, seen.evidence, row.at, row.at FROM {_ROWS}
    ON CONFLICT (finding_id, digest) DO UPDATE SET
        last_seen_at = greatest(findings_findingevidence.last_seen_at, excluded.last_seen_at)
"""  # noqa: S608 - no value in it

_SAME_VERSION = """
    UPDATE findings_findingevidence AS version SET last_seen_at = greatest(version.last_seen_at, seen.at)
    FROM unnest(%(ids)s::uuid[], %(digests)s::text[], %(times)s::timestamptz[]) AS seen (id, digest, at)
    WHERE version.finding_id = seen.id AND version.digest = seen.digest
"""

_EVENTS = """
    INSERT INTO findings_findingevent (finding_id, kind, comment, created_at)
    SELECT said.id, said.kind, said.comment, %(now)s
    FROM unnest(%(ids)s::uuid[], %(kinds)s::text[], %(comments)s::text[]) AS said (id, kind, comment)
"""


# What somebody is changing now is left alone: to wait for it while other findings are locked could be for ever.
_SETTLE = """
    WITH settled AS (
        SELECT finding.id, said.reason, said.at
        FROM unnest(%(ids)s::uuid[], %(reasons)s::text[], %(times)s::timestamptz[]) AS said (id, reason, at)
        JOIN findings_finding AS finding ON finding.id = said.id
        WHERE finding.status IN ('open', 'acknowledged') AND finding.last_seen_at < said.at
        ORDER BY finding.id FOR NO KEY UPDATE OF finding SKIP LOCKED
    ), closed AS (
        UPDATE findings_finding AS finding
        SET status = 'closed', close_reason = settled.reason, closed_at = settled.at,
            snoozed_until = NULL, woke_at = NULL
        FROM settled WHERE finding.id = settled.id
    )
    INSERT INTO findings_findingevent (finding_id, kind, comment, created_at)
    SELECT id, 'closed', reason, %(now)s FROM settled
"""


def store_sightings(seen_by: Iterable[tuple[Visit, Iterable[Sighting]]], settled: Collection[Settled] = ()) -> None:
    """Insert what is new; of what is known move last seen, count, evidence, and reopen what was closed before it.

    The visits are of different hosts. What they showed to be settled, and did not see, is closed.
    """
    hosts = _store(seen_by) | _settle(settled)
    weigh(hosts)


def _settle(settled: Collection[Settled]) -> set[uuid.UUID]:
    """Returns the hosts of them."""
    if not settled:
        return set()
    hosts, ids, reasons, times = zip(*settled, strict=True)
    with connection.cursor() as cursor:
        said: dict[str, Any] = {"ids": list(ids), "reasons": list(reasons), "times": list(times), "now": timezone.now()}
        cursor.execute(_SETTLE, said)
    return set(hosts)


def _store(seen_by: Iterable[tuple[Visit, Iterable[Sighting]]]) -> set[uuid.UUID]:
    """Returns the hosts of which something was seen."""
    unique = {
        (visit.host_id, sighting.fingerprint): (visit, sighting) for visit, found in seen_by for sighting in found
    }
    if not unique:
        return set()
    with connection.cursor() as cursor:
        hosts, fingerprints = [host for host, _ in unique], [fingerprint for _, fingerprint in unique]
        digests = [sighting.evidence_digest for _, sighting in unique.values()]
        cursor.execute(_KNOWN, {"hosts": hosts, "fingerprints": fingerprints, "digests": digests})
        known = {(row[1], row[2]): _Known(*row) for row in cursor.fetchall()}
        new = [
            _row(str(uuid.uuid4()), _first_status(sighting), visit, sighting)
            for key, (visit, sighting) in unique.items()
            if key not in known
        ]
        seen = [_seen_again(row, *unique[key]) for key, row in known.items()]
        same: list[_Row] = []
        other: list[_Row] = []
        for row, was in zip(seen, known.values(), strict=True):
            (same if row.sighting.evidence_digest == was.digest else other).append(row)
        for statement, rows in ((_INSERT, new), (_UPDATE, seen), (_VERSIONS, [*new, *other])):
            if rows:
                cursor.execute(statement, {"rows": msgspec.json.encode(rows).decode()})
        if same:
            digests, times = [row.sighting.evidence_digest for row in same], [row.at for row in same]
            cursor.execute(_SAME_VERSION, {"ids": [row.id for row in same], "digests": digests, "times": times})
        changed = [row for row, was in zip(seen, known.values(), strict=True) if row.wakes or row.status != was.status]
        if new or changed:
            cursor.execute(_EVENTS, _events(new, changed))
    return set(hosts)


def _seen_again(known: _Known, visit: Visit, sighting: Sighting) -> _Row:
    row = _row(str(known.id), _status(known, visit, sighting), visit, sighting)
    is_other = known.is_new_evidence or row.level_rank > known.level_rank
    row.wakes = known.is_snoozed and is_other and row.status in Finding.UNRESOLVED
    return row


def _row(finding_id: str, status: str, visit: Visit, sighting: Sighting) -> _Row:
    rank = _RANKS[sighting.level]
    return _Row(finding_id, status, rank, visit.host_id, visit.scan_id, visit.observed_at, sighting)


_RANKS = {level: rank for rank, level in enumerate(Severity.values)}


def _first_status(sighting: Sighting) -> str:
    return Finding.Status.OPEN if sighting.allowed_by is None else Finding.Status.ALLOWED


def _status(known: _Known, visit: Visit, sighting: Sighting) -> str:
    """What a known finding becomes.

    A false positive stays one; a close after the visit is not undone by it. What an allow-list entry hid is open again
    when it is no longer what the entry allows.
    """
    is_later = known.closed_at is None or known.closed_at < visit.observed_at
    if known.status == Finding.Status.FALSE_POSITIVE or (known.status == Finding.Status.CLOSED and not is_later):
        return known.status
    if sighting.allowed_by is not None:
        return Finding.Status.ALLOWED
    return known.status if known.status == Finding.Status.ACKNOWLEDGED else Finding.Status.OPEN


def _events(created: list[_Row], changed: list[_Row]) -> dict[str, Any]:
    """Parameters of the events that tell of it, those of one kind together."""
    allowed = [row for row in [*created, *changed] if row.status == Finding.Status.ALLOWED]
    woken = [row for row in changed if row.wakes]
    reopened = [row for row in changed if row.status == Finding.Status.OPEN and not row.wakes]
    kinds = FindingEvent.Kind
    said = [(row.id, kinds.CREATED.value, "") for row in created]
    said += [(row.id, kinds.ALLOWED.value, f"by allow-list entry {row.sighting.allowed_by}") for row in allowed]
    said += [(row.id, kinds.REOPENED.value, f"seen again by scan {row.scan}") for row in reopened]
    said += [(row.id, kinds.WOKE.value, f"scan {row.scan} saw it otherwise") for row in woken]
    ids, kind, comments = zip(*said, strict=True) if said else ((), (), ())
    return {"ids": list(ids), "kinds": list(kind), "comments": list(comments), "now": timezone.now()}
