"""PostgreSQL and Redis for the tests that ask for them: those of DATABASE_URL and REDIS_URL, else embedded ones.

The embedded servers start with the first test that needs them, in a directory of their own, and end with the session.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from redis import Redis

# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Any]:
    """A short path: the name of a Unix socket holds 107 bytes, which pytest's own directories use up."""
    from sandfly_web.embedded.paths import DataDir

    root = Path(tempfile.mkdtemp(prefix="sandfly-tests-", dir="/tmp"))
    yield DataDir(root / "data")
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    from sandfly_web.embedded import postgres

    data = request.getfixturevalue("data_dir")
    data.root.parent.chmod(0o711)
    with postgres.start(data) as running:
        forget_crashes(running.url)
        yield running.url


def forget_crashes(url: str) -> None:
    """What tests write need not outlive the machine, and waits for no disk."""
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            cursor.execute(f"ALTER SYSTEM SET {setting} = off")
        cursor.execute("SELECT pg_reload_conf()")
    connection.close()


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    from sandfly_web.embedded import redis

    data = request.getfixturevalue("data_dir")
    data.root.parent.chmod(0o711)
    with redis.start(data) as running:
        yield running.url


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_url: str) -> None:
    """pytest-django asks this before it creates the test database."""
    from django.db import connections

    from sandfly_web import env

    options = env.database(database_url)
    # Tests commit often and outlive no crash.
    options["OPTIONS"] = {**options["OPTIONS"], "options": "-c synchronous_commit=off"}
    connections.settings["default"].update(options)
    connections["default"].settings_dict.update(options)


@pytest.fixture(scope="session")
def broker(redis_url: str) -> str:
    """The Celery application of the web side, pointed at the tests' Redis."""
    from sandfly_web.broker import broker_url
    from sandfly_web.celery import app

    app.conf.broker_url = broker_url(redis_url)
    # A test without a broker of its own may have connected already: those pools keep the address they were made with.
    app._pool = app.amqp._producer_pool = None
    return redis_url


@pytest.fixture
def redis(broker: str, settings: Any) -> Iterator[Redis]:
    """An empty Redis that the web side uses too."""
    from redis import Redis

    settings.REDIS_URL = broker
    with Redis.from_url(broker) as client:
        client.flushdb()
        yield client
        client.flushdb()
