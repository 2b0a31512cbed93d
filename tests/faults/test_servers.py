"""Broker and database end, lose what they had, or have no room any more."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.stack import QUEUE, Stack, Target, let_go, messages, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.usefixtures("promises")]


def test_redis_killed_with_its_data_kept(stack: Stack, target: Target) -> None:
    held = stack.accept_held(target)
    waiting = stack.accept(target)

    stack.kill("redis")

    let_go(target.host)
    assert stack.settle(held, waiting) == ["done", "done"]
    assert stack.scan(held)["attempt"] == 1


def test_redis_killed_with_its_data_lost(stack: Stack, target: Target) -> None:
    """One scan is on a host, another is a message that no worker has taken."""
    with stack.stopped("worker"):
        scan = stack.accept(target)
        wait_for(lambda: len(messages(stack, QUEUE)) == 1, 20)
        lose(stack)

    assert stack.settle(scan) == ["done"]


def test_redis_loses_its_data_in_the_middle_of_a_visit(stack: Stack, target: Target) -> None:
    scan = stack.accept_held(target)

    lose(stack)

    let_go(target.host)
    assert stack.settle(scan) == ["done"]


def lose(stack: Stack) -> None:
    """Redis dies and so does all that it wrote."""
    for entry in stack.data.redis.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    stack.kill("redis")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=["fast", "immediate", "kill"])
def test_postgresql_restarted(stack: Stack, target: Target, number: int) -> None:
    held = stack.accept_held(target)

    stack.kill("postgres", number)

    let_go(target.host)
    assert stack.settle(held) == ["done"]


def test_postgresql_restarted_while_nothing_is_scanned(stack: Stack, target: Target) -> None:
    """No report comes that would renew the connections of those who dispatch."""
    stack.kill("postgres", signal.SIGINT)
    stack.wait_serving()

    assert stack.settle(stack.accept(target)) == ["done"]


def test_the_disk_of_database_and_broker_is_full(stack: Stack, target: Target, disk: Path) -> None:
    held = stack.accept_held(target)

    with full(disk):
        let_go(target.host)
        wait_for(lambda: not target.host.processes(), 60)
        stack.trouble(6)

    assert stack.settle(held) == ["done"]


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for piece in (bytes(1 << 20), bytes(4096)):
            with pytest.raises(OSError, match="No space left"):
                while True:
                    file.write(piece)
    try:
        yield
    finally:
        filler.unlink()
