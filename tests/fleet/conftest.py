from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.fleet import Fleet, make_fleet


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    with make_fleet() as running:
        yield running
