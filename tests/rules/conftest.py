"""What the rule tests share: the shipped catalogue, compiled once, and the probe that matches."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandfly_web.rules.catalog import load_catalog
from sandfly_web.rules.compiled import CompiledRule


@pytest.fixture(scope="session")
def catalog() -> list[CompiledRule]:
    return load_catalog()


@pytest.fixture(scope="session")
def probe() -> Path:
    from probes.build import ensure, host_arch

    return ensure(host_arch())
