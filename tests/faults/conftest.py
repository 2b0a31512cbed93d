from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.product import run_product
from tests.faults.stack import TIMES, WATCH, Stack, Target, let_go
from tests.hosts.host import make_host


@pytest.fixture(scope="session")
def disk() -> Iterator[Path]:
    """A small disk of its own for everything that the installation writes."""
    place = Path(tempfile.mkdtemp(prefix="sf-disk-", dir="/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700m,mode=755", "faults", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


@pytest.fixture(scope="session")
def stack(disk: Path) -> Iterator[Stack]:
    with run_product(TIMES, parent=str(disk)) as product:
        running = Stack(product)
        running.sql(WATCH)
        # The first start gives an installation schedules; here every visit is one that a test asked for.
        running.sql("UPDATE scans_schedule SET is_enabled = false")
        yield running


@pytest.fixture(scope="session")
def target(stack: Stack) -> Iterator[Target]:
    """The host that most faults happen around; one visit has succeeded."""
    with make_host("steady", address="127.0.21.1") as host:
        steady = stack.enrol(host)
        assert stack.settle(stack.accept(steady)) == ["done"]
        yield steady


@pytest.fixture
def promises(stack: Stack, target: Target) -> Iterator[None]:
    """A fault meets a system that works, and leaves one for which everything that was ever accepted held."""
    stack.wait_serving()
    try:
        yield
    finally:
        # Whatever a test that failed left standing still.
        let_go(target.host)
    stack.wait_serving()
    stack.check(target)
