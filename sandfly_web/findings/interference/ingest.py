"""The finding that a visit makes itself: somebody on the host killed, stopped or changed the probe."""

from __future__ import annotations

import uuid

from sandfly_web.findings.fingerprint import content_digest, fingerprint
from sandfly_web.findings.interference.words import RULE_NAME, SUBJECT, TAGS, TITLE, tell
from sandfly_web.findings.sightings import Sighting
from scanners.contract import ScanReport

# Ours, from the visit itself; the bound is on what a worker's report may hold.
MAX_PLACES = 16


def interference_sightings(host_id: uuid.UUID, report: ScanReport) -> list[Sighting]:
    """One finding a host for each way, however often it happens; none where nobody interfered."""
    if report.interference is None:
        return []
    told = tell(report.interference)
    identity = {"what": str(report.interference.what)}
    evidence = {
        **identity,
        "out_of_memory": report.interference.out_of_memory,
        "created": report.created[:MAX_PLACES],
        "probe_sha256": report.probe_digest,
    }
    return [
        Sighting(
            fingerprint=fingerprint(RULE_NAME, str(host_id), SUBJECT, identity),
            rule_id=None,
            rule_name=RULE_NAME,
            subject=SUBJECT,
            title=TITLE,
            level=told.level,
            tags=TAGS,
            explanation=told.explanation,
            identity=identity,
            evidence=evidence,
            evidence_digest=content_digest(SUBJECT, evidence, ["what", "out_of_memory"]),
        )
    ]
