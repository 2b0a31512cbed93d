"""What incident rules brought home, for the page of their scan and for the forms that ask for it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
from django.db.models import Count, F, Window
from django.db.models.functions import RowNumber

from sandfly_web.console.evidence import as_text, label
from sandfly_web.findings.models import ForensicRecord
from sandfly_web.rules.models import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandfly_web.findings.models import Finding
    from sandfly_web.scans.models import Scan

LISTED_RECORDS = 15
MAX_COLUMNS = 7
EXPORTED_AT_ONCE = 1000


def collected_of(scan: Scan) -> list[dict[str, Any]]:
    """By rule, the first few records of each as a table; three queries, however much was collected."""
    records = ForensicRecord.objects.filter(scan=scan)
    counts = dict(records.order_by().values_list("rule_name").annotate(rows=Count("*")))
    numbered = records.annotate(place=Window(RowNumber(), partition_by=F("rule_name"), order_by="id"))
    listed = numbered.filter(place__lte=LISTED_RECORDS).order_by("rule_name", "id")
    titles = dict(Rule.objects.filter(name__in=counts).values_list("name", "title"))
    return [
        {"name": name, "title": titles.get(name, name), "count": counts[name], **table(list(rows))}
        for name, rows in groupby(listed, key=lambda record: record.rule_name)
    ]


def table(records: list[ForensicRecord]) -> dict[str, Any]:
    """Identity first, then whatever else the records say, as far as a screen is wide."""
    names = dict.fromkeys(name for record in records for name, value in record.identity.items() if value is not None)
    names |= dict.fromkeys(name for record in records for name in record.data)
    columns = list(names)[:MAX_COLUMNS]
    lines = [
        {"record": record, "cells": [as_text(({**record.identity, **record.data}).get(name) or "") for name in columns]}
        for record in records
    ]
    return {"columns": [label(name) for name in columns], "lines": lines}


def choices() -> list[dict[str, Any]]:
    """Enabled incident rules by subject, to choose from: `{"subject", "rules": [Rule]}`."""
    rules = Rule.objects.filter(type=Rule.Type.INCIDENT, is_enabled=True).only("name", "title", "subject")
    ordered = sorted(rules, key=lambda rule: (rule.subject, rule.title))
    return [{"subject": subject, "rules": list(group)} for subject, group in groupby(ordered, key=lambda r: r.subject)]


def json_lines(scan: Scan) -> Iterator[bytes]:
    """Everything that the scan collected, a JSON object a line; read in batches."""
    for record in scan.forensic_records.order_by("id").iterator(chunk_size=EXPORTED_AT_ONCE):
        line = {
            "host": scan.host.name,
            "scan": str(scan.pk),
            "collected_at": scan.finished_at.isoformat() if scan.finished_at else None,
            "rule": record.rule_name,
            "subject": record.subject,
            "identity": record.identity,
            "record": record.data,
            "truncated": record.truncated,
            "unknown": record.unknown,
        }
        yield msgspec.json.encode(line) + b"\n"


def scans_for(finding: Finding) -> list[Scan]:
    """The scans that collected forensics for the finding, newest first, with `collected_count`."""
    scans = finding.scans.select_related("requested_by").annotate(collected_count=Count("forensic_records"))
    return list(scans.order_by("-created_at")[:LISTED_RECORDS])
