"""Keeps recon's records as intervals: content seen again moves `last_seen_at`, other content begins a new row.

Called by ingest inside its transaction, with the hosts' rows locked; the number of queries does not depend on how much
was seen.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from sandfly_web.findings.sightings import Visit


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a visit, cleaned, with the recon rules that asked for it."""

    subject: str
    identity_digest: str
    digest: str
    identity: dict[str, Any]
    data: dict[str, Any]
    rule_ids: list[str]


class _Key(msgspec.Struct, frozen=True):
    host: uuid.UUID
    scan: uuid.UUID
    at: datetime
    subject: str
    identity_digest: str
    digest: str
    rule_ids: list[str]


class _New(_Key, frozen=True):
    identity: dict[str, Any]
    data: dict[str, Any]


class Look(NamedTuple):
    """Where a visit looked: subjects collected without a fault, and recon rules that ran to their end on them."""

    visit: Visit
    subjects: Sequence[str]
    rule_ids: Sequence[str]


_KEYS = """
    jsonb_to_recordset(%(keys)s::jsonb) AS seen (
        host uuid, scan uuid, at timestamptz, subject text, identity_digest text, digest text, rule_ids jsonb
    )
"""

_EXTEND = f"""
    UPDATE findings_record AS record SET
        last_seen_at = greatest(record.last_seen_at, seen.at), last_scan_id = seen.scan, rule_ids = seen.rule_ids
    FROM {_KEYS}
    WHERE record.host_id = seen.host AND record.is_current AND record.subject = seen.subject
        AND record.identity_digest = seen.identity_digest AND record.digest = seen.digest
    RETURNING record.host_id, record.subject, record.identity_digest
"""  # noqa: S608 - no value in it

_SUPERSEDE = f"""
    UPDATE findings_record AS record SET is_current = false
    FROM {_KEYS}
    WHERE record.host_id = seen.host AND record.is_current AND record.subject = seen.subject
        AND record.identity_digest = seen.identity_digest
"""  # noqa: S608 - no value in it

_INSERT = """
    INSERT INTO findings_record (
        host_id, subject, identity_digest, digest, identity, data, rule_ids, first_seen_at, last_seen_at, last_scan_id,
        is_current
    )
    SELECT seen.host, seen.subject, seen.identity_digest, seen.digest, seen.identity, seen.data, seen.rule_ids,
        seen.at, seen.at, seen.scan, true
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS seen (
        host uuid, scan uuid, at timestamptz, subject text, identity_digest text, digest text, rule_ids jsonb,
        identity jsonb, data jsonb
    )
"""

# `<@`: every rule that once saw the record ran to its end this time, and none saw it.
_RETIRE = """
    UPDATE findings_record AS record SET is_current = false
    FROM unnest(%(hosts)s::uuid[], %(scans)s::uuid[]) AS visit (host, scan)
    WHERE record.host_id = visit.host AND record.is_current AND record.subject = ANY(%(subjects)s)
        AND record.last_scan_id IS DISTINCT FROM visit.scan AND record.rule_ids <@ %(rule_ids)s::jsonb
    RETURNING record.host_id, record.subject
"""


HostSubjects = set[tuple[uuid.UUID, str]]


def store_observations(seen_by: Iterable[tuple[Visit, Iterable[Observation]]]) -> HostSubjects:
    """Extend the intervals of what looks the same; end those of what changed and begin new ones.

    The visits are of different hosts. Returns hosts with the subjects of which something is new or changed.
    """
    unique = {
        (visit.host_id, seen.subject, seen.identity_digest): (visit, seen) for visit, found in seen_by for seen in found
    }
    if not unique:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_EXTEND, {"keys": _encoded(_key(*one) for one in unique.values())})
        same = set(cursor.fetchall())
        rest = [one for key, one in unique.items() if key not in same]
        if rest:
            cursor.execute(_SUPERSEDE, {"keys": _encoded(_key(*one) for one in rest)})
            cursor.execute(_INSERT, {"rows": _encoded(_new(*one) for one in rest)})
    return {(visit.host_id, seen.subject) for visit, seen in rest}


def _key(visit: Visit, seen: Observation) -> _Key:
    return _Key(
        visit.host_id, visit.scan_id, visit.observed_at, seen.subject, seen.identity_digest, seen.digest, seen.rule_ids
    )


def _new(visit: Visit, seen: Observation) -> _New:
    return _New(
        visit.host_id, visit.scan_id, visit.observed_at, seen.subject, seen.identity_digest, seen.digest, seen.rule_ids,
        seen.identity, seen.data,
    )  # fmt: skip


def _encoded(rows: Iterable[_Key]) -> str:
    return msgspec.json.encode(list(rows)).decode()


def retire_missing(looks: Iterable[Look]) -> HostSubjects:
    """End what visits did not see again, as far as they looked. One query for those that looked alike.

    Returns hosts with the subjects of which something is gone.
    """
    gone: HostSubjects = set()
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Visit]] = {}
    for visit, subjects, rule_ids in looks:
        if subjects and rule_ids:
            alike.setdefault((tuple(subjects), tuple(sorted(rule_ids))), []).append(visit)
    with connection.cursor() as cursor:
        for (subjects, rule_ids), visits in alike.items():
            parameters: dict[str, Any] = {
                "hosts": [visit.host_id for visit in visits],
                "scans": [visit.scan_id for visit in visits],
                "subjects": list(subjects),
                "rule_ids": msgspec.json.encode(rule_ids).decode(),
            }
            cursor.execute(_RETIRE, parameters)
            gone.update(cursor.fetchall())
    return gone
