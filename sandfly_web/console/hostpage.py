"""What the page of one host shows: a fixed number of queries however much is known of it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from sandfly_web.console.evidence import as_text, label
from sandfly_web.console.scanpage import cost_facts
from sandfly_web.console.sparkline import sparkline
from sandfly_web.findings import snoozing
from sandfly_web.findings.groups import first_groups
from sandfly_web.findings.models import Finding, Record
from sandfly_web.findings.risk import RISK_WEIGHTS, host_trend, risk_of
from sandfly_web.inventory.discovery.identity import twins_of
from sandfly_web.inventory.models import Host, HostKey
from sandfly_web.rules.models import Severity
from sandfly_web.scans.models import Scan

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

LISTED_FINDINGS = 25
LISTED_SCANS = 10
LISTED_RECORDS = 25
PROFILE_FIELDS = {
    "hostname": "Host name",
    "os_name": "System",
    "kernel": "Kernel",
    "architecture": "Architecture",
    "machine_id": "Machine id",
}


LISTED_TWINS = 5


def host_context(host: Host, user: AbstractUser) -> dict[str, Any]:
    """Parts that the user may not see are empty."""
    context: dict[str, Any] = {
        "thing": host,
        "profile": [{"label": words, "value": getattr(host, name)} for name, words in PROFILE_FIELDS.items()],
        "keys": list(host.host_keys.all()),
        "tags": list(host.tags.all()),
        "twins": twins_of(host)[:LISTED_TWINS],
        "can_scan": user.has_perm("scans.add_scan"),
        "can_edit": user.has_perm("inventory.change_host"),
        "can_accept_key": user.has_perm("inventory.change_hostkey"),
    }
    context["waiting_keys"] = [key for key in context["keys"] if key.status == HostKey.Status.REJECTED]
    if user.has_perm("findings.view_finding"):
        context |= findings_of(host)
    if user.has_perm("scans.view_scan"):
        context |= scans_of(host)
    if user.has_perm("findings.view_record"):
        context["subjects"] = records_of(host)
    return context


def findings_of(host: Host) -> dict[str, Any]:
    unresolved = Finding.objects.filter(host=host, status__in=Finding.UNRESOLVED)
    now = timezone.now()
    ordered = (
        unresolved.filter(snoozing.awake(now)).select_related("host").order_by("-level_rank", "-last_seen_at", "id")
    )
    kept = risk_of(host.pk)
    counts = [(level, getattr(kept, level)) for level in reversed(Severity.values)]
    return {
        "risk": kept.risk,
        # What the number is made of, the worst first.
        "risk_parts": [(level, count, count * RISK_WEIGHTS[level]) for level, count in counts if count],
        "risk_trend": sparkline(host_trend(host.pk)),
        "finding_count": sum(count for _level, count in counts),
        "snoozed_count": unresolved.filter(snoozing.asleep(now)).count(),
        "finding_groups": first_groups(ordered, LISTED_FINDINGS),
    }


def scans_of(host: Host) -> dict[str, Any]:
    recent = list(
        Scan.objects.filter(host=host).order_by("-created_at").defer("collectors", "created_paths")[:LISTED_SCANS]
    )
    return {
        "scans": [{"scan": scan, "cost": cost_facts(scan)} for scan in recent],
        "is_scanning": any(scan.status in Scan.UNFINISHED for scan in recent),
    }


def records_of(host: Host) -> list[dict[str, Any]]:
    """Current records by subject, the first few of each."""
    current = Record.objects.filter(host=host, is_current=True).order_by()
    counts = dict(current.values_list("subject").annotate(rows=Count("*")))
    numbered = current.annotate(place=Window(RowNumber(), partition_by=F("subject"), order_by="id"))
    listed = numbered.filter(place__lte=LISTED_RECORDS).order_by("subject", "id").defer("data")
    return [
        {"name": subject, "count": counts.get(subject, 0), **record_table(list(records))}
        for subject, records in groupby(listed, key=lambda record: record.subject)
    ]


def record_table(records: list[Record]) -> dict[str, Any]:
    """Columns are the identity fields that any of the records has."""
    columns = list(dict.fromkeys(name for record in records for name in record.identity))
    lines = [
        {"record": record, "cells": [as_text(record.identity.get(name) or "") for name in columns]}
        for record in records
    ]
    return {"columns": [label(name) for name in columns], "lines": lines}
