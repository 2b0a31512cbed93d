"""Keeps what incident rules brought home with the scan that did. Called by ingest inside its transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sandfly_web.findings.models import ForensicRecord

if TYPE_CHECKING:
    from sandfly_web.scans.observed import Forensic

BATCH_ROWS = 1000


def store_forensics(scan_id: uuid.UUID, forensics: Iterable[Forensic]) -> None:
    """In the order of the report; a scan's report is stored once, so there is nothing to merge with."""
    ForensicRecord.objects.bulk_create(
        [
            ForensicRecord(
                scan_id=scan_id,
                rule_id=uuid.UUID(seen.rule_id),
                rule_name=seen.rule_name,
                subject=seen.subject,
                identity=seen.identity,
                data=seen.data,
                truncated=seen.truncated,
                unknown=seen.unknown,
            )
            for seen in forensics
        ],
        batch_size=BATCH_ROWS,
    )
