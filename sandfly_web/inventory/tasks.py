"""Celery's way into discovery: decode, call one function, log what it did."""

from __future__ import annotations

import logging
import time

from celery import shared_task
from celery.exceptions import Reject
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from sandfly_web.inventory.discovery.ingest import store_report
from sandfly_web.inventory.discovery.services import advance
from sandfly_web.inventory.rotation import store_rekeyed
from scanners.contract import DISCOVERED_TASK, REKEYED_TASK

log = logging.getLogger(__name__)

DATABASE_PAUSE_S = 5


@shared_task(name="sandfly_web.inventory.discover", ignore_result=True, time_limit=150)
def discover() -> None:
    if sent := advance(timezone.now()):
        log.info("discovery: %d parts sent", sent)


@shared_task(name=DISCOVERED_TASK, ignore_result=True, acks_late=True, reject_on_worker_lost=True, time_limit=600)
def discovered(report: str) -> None:
    """One `DiscoverReport` as JSON text. While the database is away it goes back to the queue."""
    close_old_connections()
    try:
        store_report(report, timezone.now())
    except (OperationalError, InterfaceError) as error:
        log.warning("the database does not take a report, it is kept in the queue: %s", type(error).__name__)
        time.sleep(DATABASE_PAUSE_S)
        raise Reject(str(type(error).__name__), requeue=True) from error


@shared_task(name=REKEYED_TASK, ignore_result=True, acks_late=True, reject_on_worker_lost=True, time_limit=600)
def rekeyed(answer: str) -> None:
    """One `Rekeyed` as JSON text. A database that is away makes the request fail; it is repeated by hand."""
    close_old_connections()
    store_rekeyed(answer)
