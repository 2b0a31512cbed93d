from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime

import pytest

from sandfly_web.scans.dispatch import dispatch_due
from sandfly_web.scans.ingest import ingest_report
from scanners.contract import ScanReport, encode
from tests.server.builders import NOW, Make


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def rng() -> random.Random:
    return random.Random(7)


@pytest.fixture
def make(db: None) -> Make:
    return Make()


@pytest.fixture
def ingest(now: datetime) -> Callable[..., bool]:
    """Ingest as the task does it: the report goes through JSON."""

    def run(report: ScanReport, at: datetime = now) -> bool:
        return ingest_report(json.loads(encode(report)), at)

    return run


@pytest.fixture
def tick(redis, rng, django_capture_on_commit_callbacks):
    """One tick; what it sends after its commit is sent."""

    def run(at=NOW):
        with django_capture_on_commit_callbacks(execute=True):
            return dispatch_due(at, rng)

    return run
