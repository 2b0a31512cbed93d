"""Keeps what incident rules brought home with the scan that did. Called by ingest inside its transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from django.db import connection

if TYPE_CHECKING:
    from sandfly_web.scans.observed import Forensic

_INSERT = """
    INSERT INTO findings_forensicrecord (scan_id, rule_id, rule_name, subject, identity, data, truncated, unknown)
    SELECT row.scan, seen.rule_id, seen.rule_name, seen.subject, seen.identity, seen.data, seen.truncated, seen.unknown
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (scan uuid, seen jsonb),
        jsonb_to_record(row.seen) AS seen (
            rule_id uuid, rule_name text, subject text, identity jsonb, data jsonb, truncated jsonb, unknown jsonb
        )
"""


def store_forensics(collected: Iterable[tuple[uuid.UUID, Iterable[Forensic]]]) -> None:
    """By scan, in the order of the report; a scan's report is stored once, so there is nothing to merge with."""
    rows = [{"scan": scan_id, "seen": seen._asdict()} for scan_id, found in collected for seen in found]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, {"rows": msgspec.json.encode(rows).decode()})
