"""One stage for the session: all hosts that the chosen tests need are announced at once, so that they run side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.behaviours.stage import Act, Stage


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = Stage()
    for act in _announced(request.session.items):
        made.announce(act)
    yield made
    made.close()


def _announced(items: list[pytest.Item]) -> list[Act]:
    return [act for item in items for marker in item.iter_markers("acts") for act in marker.args]
