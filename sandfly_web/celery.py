"""Celery application of the web side: beat's dispatch and the ingest queue; JSON only."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import task_prerun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sandfly_web.settings")
# Celery would have Django check itself, drop what that says, and hold all pages of the console in memory for it.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

# Opening a connection costs more than storing a report.
TASKS_PER_CONNECTION = 10_000

app = Celery("sandfly_web")


def configure(application: Celery) -> None:
    from django.conf import settings  # noqa: PLC0415 - settings are not read at import time

    from sandfly_web.broker import broker_url  # noqa: PLC0415

    interval = settings.DISPATCH_INTERVAL_S
    application.conf.update(
        broker_url=broker_url(settings.REDIS_URL),
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_default_queue="web",
        task_routes={
            "sandfly_web.scans.ingest": {"queue": "ingest"},
            "sandfly_web.inventory.discovered": {"queue": "ingest"},
        },
        # A report is acknowledged only once it is in the database; ingest is safe to run twice.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 600},
        # Celery's Django support closes the database connection before and after every task unless told to wait.
        CELERY_DB_REUSE_MAX=TASKS_PER_CONNECTION,
        timezone="UTC",
        beat_scheduler="sandfly_web.beat:SteadyScheduler",
        beat_schedule={
            "dispatch": {
                "task": "sandfly_web.scans.dispatch",
                "schedule": interval,
                # A tick that nobody took before the next one is stale.
                "options": {"expires": interval},
            },
            "sync-schedules": {
                "task": "sandfly_web.scans.sync_schedules",
                "schedule": 60,
                "options": {"expires": 60},
            },
            "discover": {
                "task": "sandfly_web.inventory.discover",
                "schedule": 10,
                "options": {"expires": 10},
            },
            "watch-limits": {
                "task": "sandfly_web.scans.watch",
                "schedule": 10,
                "options": {"expires": 10},
            },
            "call-back": {
                "task": "sandfly_web.scans.call_back",
                "schedule": 5,
                "options": {"expires": 5},
            },
            "end-expired": {
                "task": "sandfly_web.findings.end_expired",
                "schedule": 60,
                "options": {"expires": 60},
            },
            "tell-woken": {
                "task": "sandfly_web.findings.tell_woken",
                "schedule": 60,
                "options": {"expires": 60},
            },
            "count-widespread": {
                "task": "sandfly_web.findings.count_widespread",
                "schedule": 3600,
                "options": {"expires": 3000},
            },
            "keep-risk": {
                "task": "sandfly_web.findings.keep_risk",
                "schedule": 3600,
                "options": {"expires": 3000},
            },
            "retain": {
                "task": "sandfly_web.scans.retain",
                "schedule": 3600,
                "options": {"expires": 3000},
            },
        },
    )


@task_prerun.connect
def renew_connections(**_details: object) -> None:
    """A connection that the database ended is used by no further task; Celery keeps them as they are."""
    from django.db import close_old_connections  # noqa: PLC0415 - settings are not read at import time

    close_old_connections()


configure(app)
app.autodiscover_tasks(["sandfly_web.scans", "sandfly_web.inventory"])
