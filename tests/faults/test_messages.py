"""Messages that come twice, and far more of them than usual."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.stack import QUEUE, REPORTS, TIMES, Stack, Target, messages, visits_of, wait_for
from tests.fleet.fleet import Fleet, make_fleet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.usefixtures("promises")]

# Ten times what may be with the workers at once.
BURST = 10 * int(TIMES["SANDFLY_ZONE_QUEUE_LENGTH"])


def test_the_same_message_delivered_twice(stack: Stack, target: Target) -> None:
    visits = visits_of(target.host)
    with stack.stopped("worker"):
        scan = stack.accept(target)
        wait_for(lambda: len(messages(stack, QUEUE)) == 1, 20)
        stack.redis.lpush(QUEUE, messages(stack, QUEUE)[0])

    assert stack.settle(scan) == ["done"]

    wait_for(lambda: not messages(stack, QUEUE), 20)
    assert visits_of(target.host) == visits + 1


def test_the_same_report_delivered_twice(stack: Stack, target: Target) -> None:
    scan = stack.accept(target)
    # The scan is with the worker before ingest, which also dispatches, stands still.
    wait_for(lambda: stack.scan(scan)["status"] != "queued", 20)
    with stack.stopped("ingest"):
        wait_for(lambda: len(reports(stack)) == 1, 45)
        stack.redis.lpush(REPORTS, reports(stack)[0])

    assert stack.settle(scan) == ["done"]

    wait_for(lambda: not reports(stack), 20)


def reports(stack: Stack) -> list[bytes]:
    return messages(stack, REPORTS)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with make_fleet() as running:
        yield running
