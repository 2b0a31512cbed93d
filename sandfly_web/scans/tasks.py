"""Celery's way in: decode, call one function, log what it did."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task
from celery.exceptions import Reject
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from sandfly_web.findings.allowlist.services import end_expired
from sandfly_web.findings.floods import count_widespread
from sandfly_web.findings.risk import keep_risk
from sandfly_web.findings.snoozing import tell_woken
from sandfly_web.scans.adhoc import forget_credentials
from sandfly_web.scans.breakers import watch
from sandfly_web.scans.callbacks.services import deliver_due
from sandfly_web.scans.dispatch import dispatch_due
from sandfly_web.scans.ingest import ingest_report, ingest_reports, is_away
from sandfly_web.scans.retention import delete_old
from sandfly_web.scans.schedules import sync_schedules
from sandfly_web.scans.waiting import taken_along
from scanners.contract import INGEST_TASK

log = logging.getLogger(__name__)

# Jitter must not be predictable: whoever knows when a host is visited can hide in between.
_rng = random.SystemRandom()
# How long ingest waits before it takes a report again that the database did not take.
DATABASE_PAUSE_S = 5


@contextmanager
def _database_may_be_away() -> Iterator[None]:
    """What beat asks for is asked for again soon: one line says why nothing was done now."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        if not is_away(error):
            raise
        log.warning("the database is away, this waits for the next turn: %s", type(error).__name__)


@shared_task(name="sandfly_web.scans.dispatch", ignore_result=True, soft_time_limit=120, time_limit=150)
def dispatch() -> None:
    with _database_may_be_away():
        tick = dispatch_due(timezone.now(), _rng)
        log.info("dispatched: %s", tick)


@shared_task(name=INGEST_TASK, ignore_result=True, acks_late=True, reject_on_worker_lost=True, time_limit=600)
def ingest(report: dict[str, Any] | str) -> None:
    """One `ScanReport` as JSON text (or object), and those that wait behind it.

    While the database is away they go back to the queue.
    """
    try:
        with taken_along(len(report)) as others:
            if others:
                ingest_reports([report, *others])
            else:
                ingest_report(report)
    except (DatabaseError, InterfaceError) as error:
        if not is_away(error):
            raise
        log.warning("the database does not take a report, it is kept in the queue: %s", type(error).__name__)
        # Nothing else could be stored meanwhile either; without the pause the message would go round and round.
        time.sleep(DATABASE_PAUSE_S)
        raise Reject(str(type(error).__name__), requeue=True) from error


@shared_task(name="sandfly_web.scans.sync_schedules", ignore_result=True, time_limit=600)
def sync() -> None:
    with _database_may_be_away():
        sync_schedules(timezone.now(), _rng)


@shared_task(name="sandfly_web.scans.watch", ignore_result=True, time_limit=120)
def watch_limits() -> None:
    with _database_may_be_away():
        watch(timezone.now())
        forget_credentials()


@shared_task(name="sandfly_web.scans.call_back", ignore_result=True, time_limit=120)
def call_back() -> None:
    with _database_may_be_away():
        deliver_due(timezone.now())


@shared_task(name="sandfly_web.findings.end_expired", ignore_result=True, time_limit=600)
def end_allowlist() -> None:
    with _database_may_be_away():
        if opened := end_expired(timezone.now()):
            log.info("allow-list: entries expired, %d findings are open again", opened)


@shared_task(name="sandfly_web.findings.tell_woken", ignore_result=True, time_limit=600)
def woken() -> None:
    with _database_may_be_away():
        if count := tell_woken(timezone.now()):
            log.info("%d snoozed findings woke", count)


@shared_task(name="sandfly_web.findings.count_widespread", ignore_result=True, time_limit=600)
def widespread() -> None:
    count_widespread(timezone.now())


@shared_task(name="sandfly_web.findings.keep_risk", ignore_result=True, time_limit=600)
def risk() -> None:
    with _database_may_be_away():
        keep_risk(timezone.now())


@shared_task(name="sandfly_web.scans.retain", ignore_result=True, time_limit=3600)
def retain() -> None:
    deleted = delete_old(timezone.now(), settings.SCAN_RETENTION_DAYS, settings.RECORD_RETENTION_DAYS)
    log.info("retention: %s", deleted)
