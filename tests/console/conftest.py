from __future__ import annotations

import pytest

from tests.api.builders import WebMake


@pytest.fixture
def make(db: None) -> WebMake:
    return WebMake()
