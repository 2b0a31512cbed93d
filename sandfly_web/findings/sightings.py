"""Stores what a visit saw as findings: one row for each thing a rule alerts on, however often it is seen.

Called by ingest inside its transaction, with the host's row locked. The number of queries does not depend on how much
was seen.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection

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


class _Row(msgspec.Struct):
    """A sighting with the id and status its finding gets."""

    id: str
    status: str
    level_rank: int
    sighting: Sighting


class _Known(NamedTuple):
    """What of a finding decides about its next sighting."""

    id: uuid.UUID
    fingerprint: str
    status: str
    closed_at: datetime | None
    digest: str


_KNOWN = """
    SELECT id, fingerprint, status, closed_at, evidence_digest FROM findings_finding
    WHERE host_id = %(host)s AND fingerprint = ANY(%(fingerprints)s) ORDER BY id FOR NO KEY UPDATE
"""

_ROWS = """
    jsonb_to_recordset(%(rows)s::jsonb) AS row (id uuid, status text, level_rank smallint, sighting jsonb),
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
    SELECT row.id, %(host)s, seen.rule_id, seen.rule_name, seen.fingerprint, seen.subject, seen.title, seen.level,
        row.level_rank, seen.tags, seen.explanation, seen.identity, seen.evidence, seen.evidence_digest,
        seen.truncated, seen.unknown, row.status, '', %(at)s, %(at)s, 1, %(scan)s, %(scan)s,
        seen.allowed_by, CASE WHEN seen.allowed_by IS NULL THEN NULL::timestamptz ELSE %(at)s END
    FROM {_ROWS}
"""  # noqa: S608 - no value in it

_UPDATE = f"""
    UPDATE findings_finding AS finding SET
        rule_id = seen.rule_id, rule_name = seen.rule_name, title = seen.title, level = seen.level,
        level_rank = row.level_rank, tags = seen.tags, explanation = seen.explanation, evidence = seen.evidence,
        evidence_digest = seen.evidence_digest, truncated = seen.truncated, unknown = seen.unknown,
        last_seen_at = greatest(finding.last_seen_at, %(at)s), last_scan_id = %(scan)s, count = finding.count + 1,
        status = row.status,
        allowed_by_id = CASE WHEN row.status = 'allowed' THEN seen.allowed_by END,
        close_reason = CASE WHEN row.status IN ('open', 'allowed') THEN '' ELSE finding.close_reason END,
        closed_at = CASE row.status WHEN 'open' THEN NULL WHEN 'allowed' THEN coalesce(finding.closed_at, %(at)s)
            ELSE finding.closed_at END
    FROM {_ROWS}
    WHERE finding.host_id = %(host)s AND finding.id = row.id
"""  # noqa: S608 - no value in it

_VERSIONS = f"""
    INSERT INTO findings_findingevidence (finding_id, digest, evidence, first_seen_at, last_seen_at)
    SELECT row.id, seen.evidence_digest, seen.evidence, %(at)s, %(at)s FROM {_ROWS}
    ON CONFLICT (finding_id, digest) DO UPDATE SET
        last_seen_at = greatest(findings_findingevidence.last_seen_at, excluded.last_seen_at)
"""  # noqa: S608 - no value in it

_SAME_VERSION = """
    UPDATE findings_findingevidence AS version SET last_seen_at = greatest(version.last_seen_at, %(at)s)
    FROM unnest(%(ids)s::uuid[], %(digests)s::text[]) AS seen (id, digest)
    WHERE version.finding_id = seen.id AND version.digest = seen.digest
"""


def store_sightings(visit: Visit, sightings: Iterable[Sighting]) -> None:
    """Insert what is new; of what is known move last seen, count, evidence, and reopen what was closed before it."""
    unique = {sighting.fingerprint: sighting for sighting in sightings}
    if not unique:
        return
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, {"host": visit.host_id, "fingerprints": list(unique)})
        known = {row[1]: _Known(*row) for row in cursor.fetchall()}
        new = [_row(str(uuid.uuid4()), _first_status(unique[key]), unique[key]) for key in unique if key not in known]
        seen = [_row(str(row.id), _status(row, visit, unique[key]), unique[key]) for key, row in known.items()]
        same = [row for row in seen if known[row.sighting.fingerprint].digest == row.sighting.evidence_digest]
        other = [row for row in seen if known[row.sighting.fingerprint].digest != row.sighting.evidence_digest]
        for statement, rows in ((_INSERT, new), (_UPDATE, seen), (_VERSIONS, [*new, *other])):
            if rows:
                cursor.execute(statement, _parameters(visit, rows))
        if same:
            digests = [row.sighting.evidence_digest for row in same]
            cursor.execute(
                _SAME_VERSION, {"at": visit.observed_at, "ids": [row.id for row in same], "digests": digests}
            )
    changed = [row for row in seen if row.status != known[row.sighting.fingerprint].status]
    _write_events(visit, new, changed)
    weigh([visit.host_id])


def _row(finding_id: str, status: str, sighting: Sighting) -> _Row:
    return _Row(finding_id, status, Severity.values.index(sighting.level), sighting)


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


def _parameters(visit: Visit, rows: list[_Row]) -> dict[str, Any]:
    encoded = msgspec.json.encode(rows).decode()
    return {"rows": encoded, "host": visit.host_id, "scan": visit.scan_id, "at": visit.observed_at}


def _write_events(visit: Visit, created: list[_Row], changed: list[_Row]) -> None:
    if not (created or changed):
        return
    allowed = [row for row in [*created, *changed] if row.status == Finding.Status.ALLOWED]
    reopened = [row for row in changed if row.status == Finding.Status.OPEN]
    said = [(row.id, FindingEvent.Kind.CREATED, "") for row in created]
    said += [(row.id, FindingEvent.Kind.ALLOWED, f"by allow-list entry {row.sighting.allowed_by}") for row in allowed]
    said += [(row.id, FindingEvent.Kind.REOPENED, f"seen again by scan {visit.scan_id}") for row in reopened]
    FindingEvent.objects.bulk_create(
        [FindingEvent(finding_id=uuid.UUID(pk), kind=kind, comment=comment) for pk, kind, comment in said]
    )
