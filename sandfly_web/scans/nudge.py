"""Asks the dispatcher for a tick now, so that nobody who clicks waits for the next one of beat."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import transaction
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from sandfly_web.celery import app

log = logging.getLogger(__name__)

DISPATCH_TASK = "sandfly_web.scans.dispatch"


def nudge_dispatch() -> None:
    """Once the transaction is committed; the next tick of beat makes up for a broker that is away."""
    transaction.on_commit(_send)


def _send() -> None:
    try:
        app.send_task(DISPATCH_TASK, queue="web", expires=settings.DISPATCH_INTERVAL_S, ignore_result=True, retry=False)
    except (RedisError, KombuError, OSError) as error:
        log.info("no extra tick, the broker is away: %s", type(error).__name__)
