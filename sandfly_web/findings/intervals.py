"""Keeps recon's records as intervals: content seen again moves `last_seen_at`, other content begins a new row.

Called by ingest inside its transaction, with the host's row locked; at most four queries, however much was seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

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
    subject: str
    identity_digest: str
    digest: str
    rule_ids: list[str]


_KEYS = """
    jsonb_to_recordset(%(keys)s::jsonb) AS seen (subject text, identity_digest text, digest text, rule_ids jsonb)
"""

_EXTEND = f"""
    UPDATE findings_record AS record SET
        last_seen_at = greatest(record.last_seen_at, %(at)s), last_scan_id = %(scan)s, rule_ids = seen.rule_ids
    FROM {_KEYS}
    WHERE record.host_id = %(host)s AND record.is_current AND record.subject = seen.subject
        AND record.identity_digest = seen.identity_digest AND record.digest = seen.digest
    RETURNING record.subject, record.identity_digest
"""  # noqa: S608 - no value in it

_SUPERSEDE = f"""
    UPDATE findings_record AS record SET is_current = false
    FROM {_KEYS}
    WHERE record.host_id = %(host)s AND record.is_current AND record.subject = seen.subject
        AND record.identity_digest = seen.identity_digest
"""  # noqa: S608 - no value in it

_INSERT = """
    INSERT INTO findings_record (
        host_id, subject, identity_digest, digest, identity, data, rule_ids, first_seen_at, last_seen_at, last_scan_id,
        is_current
    )
    SELECT %(host)s, seen.subject, seen.identity_digest, seen.digest, seen.identity, seen.data, seen.rule_ids,
        %(at)s, %(at)s, %(scan)s, true
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS seen (
        subject text, identity_digest text, digest text, identity jsonb, data jsonb, rule_ids jsonb
    )
"""

# `<@`: every rule that once saw the record ran to its end this time, and none saw it.
_RETIRE = """
    UPDATE findings_record SET is_current = false
    WHERE host_id = %(host)s AND is_current AND subject = ANY(%(subjects)s)
        AND last_scan_id IS DISTINCT FROM %(scan)s AND rule_ids <@ %(rule_ids)s::jsonb
    RETURNING subject
"""


def store_observations(visit: Visit, observations: Iterable[Observation]) -> set[str]:
    """Extend the intervals of what looks the same; end those of what changed and begin new ones.

    Returns the subjects of which something is new or changed.
    """
    unique = {(seen.subject, seen.identity_digest): seen for seen in observations}
    if not unique:
        return set()
    base: dict[str, Any] = {"host": visit.host_id, "scan": visit.scan_id, "at": visit.observed_at}
    with connection.cursor() as cursor:
        cursor.execute(_EXTEND, {**base, "keys": _keys(unique.values())})
        same = set(cursor.fetchall())
        rest = [seen for key, seen in unique.items() if key not in same]
        if rest:
            cursor.execute(_SUPERSEDE, {**base, "keys": _keys(rest)})
            cursor.execute(_INSERT, {**base, "rows": msgspec.json.encode(rest).decode()})
    return {seen.subject for seen in rest}


def _keys(observations: Iterable[Observation]) -> str:
    keys = [_Key(seen.subject, seen.identity_digest, seen.digest, seen.rule_ids) for seen in observations]
    return msgspec.json.encode(keys).decode()


def retire_missing(visit: Visit, subjects: Collection[str], rule_ids: Collection[str]) -> set[str]:
    """End what the visit did not see again, as far as it looked; returns the subjects of which something is gone.

    `subjects` are those collected without a fault, `rule_ids` the recon rules that ran to their end on them.
    """
    if not (subjects and rule_ids):
        return set()
    parameters: dict[str, Any] = {
        "host": visit.host_id,
        "scan": visit.scan_id,
        "subjects": list(subjects),
        "rule_ids": msgspec.json.encode(sorted(rule_ids)).decode(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_RETIRE, parameters)
        return {subject for (subject,) in cursor.fetchall()}
