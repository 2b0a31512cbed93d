"""Deletes what is older than it is kept: final scans, records gone from their host, plans nobody uses, old answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, Model, OuterRef, QuerySet

from sandfly_web.accounts.idempotency import KEPT_FOR
from sandfly_web.accounts.models import IdempotentAnswer
from sandfly_web.findings.models import Record
from sandfly_web.findings.timeline.services import forget_old
from sandfly_web.rules.indicators.services import delete_unused_sets
from sandfly_web.scans.models import Plan, Scan, ScanBatch

# Small transactions: dispatch and ingest work on the same tables meanwhile.
CHUNK_ROWS = 500
# Of each kind in one run, so that the task that runs it ends; beat starts it again.
MAX_CHUNKS = 100
# A plan is made before the scans that name it.
PLAN_GRACE = timedelta(days=1)
# Each is one statement, of up to hundreds of thousands of rows.
MAX_TIMELINES = 1000


@dataclass(frozen=True)
class Deleted:
    """How many rows went."""

    scans: int
    records: int
    plans: int
    sets: int = 0
    batches: int = 0
    answers: int = 0
    timelines: int = 0


def delete_old(now: datetime, scan_days: int, record_days: int) -> Deleted:
    """Findings stay, and the scans that brought their forensics; they lose the link to those that saw them.

    Bounded; safe to break off and run again.
    """
    scans = Scan.objects.filter(
        status__in=Scan.FINAL, created_at__lt=now - timedelta(days=scan_days), finding__isnull=True
    )
    records = Record.objects.filter(is_current=False, last_seen_at__lt=now - timedelta(days=record_days))
    in_use = Scan.objects.filter(plan=OuterRef("pk"))
    plans = Plan.objects.filter(~Exists(in_use), created_at__lt=now - PLAN_GRACE)
    batches = ScanBatch.objects.filter(
        ~Exists(Scan.objects.filter(batch=OuterRef("pk"))), created_at__lt=now - PLAN_GRACE
    )
    answers = IdempotentAnswer.objects.filter(created_at__lte=now - KEPT_FOR)
    gone = Deleted(
        _delete(scans),
        _delete(records),
        _delete(plans),
        batches=_delete(batches),
        answers=_delete(answers),
        timelines=forget_old(now, MAX_TIMELINES),
    )
    used = {digest for one in Plan.objects.values_list("set_digests", flat=True) for digest in one}
    return replace(gone, sets=delete_unused_sets(now - PLAN_GRACE, used))


def _delete(rows: QuerySet[Any]) -> int:
    model: type[Model] = rows.model
    total = 0
    for _ in range(MAX_CHUNKS):
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK_ROWS])
        if not keys:
            break
        model._default_manager.filter(pk__in=keys).delete()
        total += len(keys)
    return total
