"""One REDIS_URL for redis-py and for Celery's transport."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from redis import Redis

# A broker that does not answer in this time counts as away; the caller tries again later.
ANSWER_TIMEOUT_S = 5


def redis_client() -> Redis:
    """A client for what is no queue: plans, heartbeats, cancel marks. Connects on first use."""
    return Redis.from_url(settings.REDIS_URL, socket_timeout=ANSWER_TIMEOUT_S, socket_connect_timeout=ANSWER_TIMEOUT_S)


def broker_url(redis_url: str) -> str:
    """Kombu's spelling of a redis-py URL: `unix:///path?db=N` becomes `redis+socket:///path?virtual_host=N`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"
