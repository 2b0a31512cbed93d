"""Celery application of a worker: no Django, no database, JSON only.

    REDIS_URL=unix:///run/sandfly/redis.sock SANDFLY_ZONE_KEY_FILE=zone.key \\
        celery -A scanners.app worker -Q zone.default --pool threads -c 64
"""

from __future__ import annotations

import logging
import os
import resource
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from celery import Celery
from celery.signals import worker_init

from scanners.contract import HEARTBEAT_TTL_DEFAULT_S, UNACKNOWLEDGED_KEY

TTL_VARIABLE = "SANDFLY_HEARTBEAT_TTL"
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
LOG_FORMAT = "%(asctime)s %(levelname)s scan=%(scan_id)s %(name)s: %(message)s"

current_scan: ContextVar[str] = ContextVar("current_scan", default="-")


def redis_url() -> str:
    """REDIS_URL, or what is in the file REDIS_URL_FILE, as redis-py takes it: `redis…://…` or `unix:///path?db=N`."""
    if url := os.environ.get("REDIS_URL"):
        return url
    if path := os.environ.get("REDIS_URL_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return DEFAULT_REDIS_URL


def heartbeat_ttl_s() -> int:
    """How long a heartbeat counts; the web side is told the same by the same variable."""
    return int(os.environ.get(TTL_VARIABLE) or HEARTBEAT_TTL_DEFAULT_S)


def broker_url(url: str) -> str:
    """Kombu's spelling of a redis-py URL: `unix:///path?db=N` is `redis+socket:///path?virtual_host=N` there."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    query = parse_qs(parts.query)
    database = query.get("db", ["0"])[0]
    account = f"{parts.username or ''}:{parts.password}@" if parts.password else ""
    return f"redis+socket://{account}{parts.path}?virtual_host={database}"


# A visit takes three or four: the usual limit of 1024 would end some hundreds of them with "too many open files".
OPEN_FILES = 65_536


@worker_init.connect
def allow_many_open_files(**_: Any) -> None:
    """As many as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _put_scan_into_log_lines() -> None:
    """Gives every log record the scan it belongs to, so that one scan's lines can be found among many threads'."""
    build = logging.getLogRecordFactory()

    def build_with_scan(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = build(*args, **kwargs)
        record.scan_id = current_scan.get()
        return record

    logging.setLogRecordFactory(build_with_scan)


# No fixups: Celery's would load Django wherever DJANGO_SETTINGS_MODULE is set.
app = Celery("scanners", include=["scanners.tasks"], fixups=[])
app.conf.update(
    broker_url=broker_url(redis_url()),
    broker_connection_retry_on_startup=True,
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    # A visit waits for the network nearly all the time.
    worker_pool="threads",
    # Early: a worker that dies leaves a silent heartbeat, and the dispatcher queues the scan again as a new attempt.
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    # Messages that a worker took in advance come back this long after, so that they do not die with it. Kept apart
    # from the web side's, which the dispatcher need not look at. A message that comes twice is dropped by its claim.
    broker_transport_options={
        "visibility_timeout": 4 * heartbeat_ttl_s(),
        "unacked_key": UNACKNOWLEDGED_KEY,
        "unacked_index_key": f"{UNACKNOWLEDGED_KEY}:index",
        "unacked_mutex_key": f"{UNACKNOWLEDGED_KEY}:mutex",
        "unacked_mutex_expire": heartbeat_ttl_s(),
        "unacked_restore_interval": max(1, heartbeat_ttl_s() // 3),
        "unacked_restore_throttle": 1,
    },
    # One worker serves one queue; what is there beside it belongs to others.
    task_create_missing_queues=True,
    worker_hijack_root_logger=True,
    worker_log_format=LOG_FORMAT,
    worker_task_log_format=LOG_FORMAT,
    # Arguments hold sealed credentials only, but nobody needs them in a log line or an event.
    worker_send_task_events=False,
    task_send_sent_event=False,
    timezone="UTC",
)
_put_scan_into_log_lines()
