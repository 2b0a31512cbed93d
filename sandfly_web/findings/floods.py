"""Rules that alert on everything: on one host they are cut and told as one finding, over the fleet they are flagged.

A list of a thousand findings of one rule is read by nobody, and hides what else is on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from sandfly_web.findings.fingerprint import content_digest, fingerprint
from sandfly_web.findings.models import Finding, WidespreadFinding
from sandfly_web.findings.sightings import Sighting
from sandfly_web.findings.thing import thing
from sandfly_web.inventory.models import Host
from sandfly_web.rules.models import Severity

RULE_FLOOD = "rule_flood"
# Of one rule on one host in one visit.
MAX_FINDINGS = 200
# The same finding on so many hosts, and on this share of those that are watched, is how the fleet is.
MIN_HOSTS = 10
SHARE = 0.5
MAX_WIDESPREAD = 200
MAX_TITLE_CHARS = 255


def cap_floods(host: str, sightings: Iterable[Sighting]) -> list[Sighting]:
    """At most MAX_FINDINGS of each rule, the same ones visit after visit, and one finding for each rule that has more.

    What an allow-list entry hides counts for nothing and stays. Pure.
    """
    kept: list[Sighting] = []
    shown: dict[str, list[Sighting]] = {}
    for sighting in sightings:
        if sighting.allowed_by is not None or sighting.rule_id is None:
            kept.append(sighting)
        else:
            shown.setdefault(sighting.rule_id, []).append(sighting)
    for found in shown.values():
        if len(found) > MAX_FINDINGS:
            found.sort(key=lambda sighting: sighting.fingerprint)
            kept.append(_flood(host, found))
        kept += found[:MAX_FINDINGS]
    return kept


def _flood(host: str, found: list[Sighting]) -> Sighting:
    rule = found[0]
    identity = {"rule": rule.rule_name}
    evidence = {"rule": rule.rule_name, "title": rule.title, "matched": len(found), "kept": MAX_FINDINGS}
    return Sighting(
        fingerprint=fingerprint(RULE_FLOOD, host, RULE_FLOOD, identity),
        rule_id=None,
        rule_name=RULE_FLOOD,
        subject=RULE_FLOOD,
        title=f"A rule floods this host: {rule.title}"[:MAX_TITLE_CHARS],
        level=Severity.LOW,
        tags=[],
        explanation=(
            f"Rule {rule.rule_name} matched {len(found)} things on this host in one visit; {MAX_FINDINGS} of them are "
            "kept as findings. Either the host is full of what it looks for, or the rule does not fit this host: look "
            "at a few, then allow-list what they share, or change the rule."
        ),
        identity=identity,
        evidence=evidence,
        # The number differs from visit to visit and is no news.
        evidence_digest=content_digest(RULE_FLOOD, identity),
    )


_WIDESPREAD = """
    SELECT rule_id, subject, identity, hosts FROM (
        SELECT rule_id, subject, identity, count(DISTINCT host_id) AS hosts FROM findings_finding
        WHERE rule_id IS NOT NULL AND status = ANY(%(unresolved)s) GROUP BY rule_id, subject, identity
    ) AS same
    WHERE hosts >= %(least)s ORDER BY hosts DESC, rule_id LIMIT %(most)s
"""


def count_widespread(now: datetime) -> int:
    """Note anew which finding most hosts have; returns how many there are. One pass over the unresolved findings."""
    watched = Host.objects.filter(is_active=True, retired_at__isnull=True).count()
    least = max(MIN_HOSTS, int(watched * SHARE) + 1)
    parameters: dict[str, Any] = {"unresolved": list(Finding.UNRESOLVED), "least": least, "most": MAX_WIDESPREAD}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WIDESPREAD, parameters)
        rows = [
            WidespreadFinding(
                rule_id=rule_id,
                subject=subject,
                thing=thing(subject, json.loads(identity)),
                host_count=hosts,
                watched_count=watched,
                counted_at=now,
            )
            for rule_id, subject, identity, hosts in cursor.fetchall()
        ]
        WidespreadFinding.objects.all().delete()
        WidespreadFinding.objects.bulk_create(rows)
    return len(rows)
