"""What the tests of the built probe share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.build import Build, ensure, host_arch


@pytest.fixture(scope="session")
def probe() -> Build:
    return ensure(host_arch())


@pytest.fixture
def staged(probe: Build) -> Iterator[Path]:
    """The program in a staging directory, as a visit puts it on a host."""
    directory = Path(tempfile.mkdtemp(prefix=".sf-"))
    yield Path(shutil.copy(probe.path, directory / "p"))
    shutil.rmtree(directory, ignore_errors=True)
