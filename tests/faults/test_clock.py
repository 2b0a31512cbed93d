"""The clock jumps. As seen from the installation, a jump ahead moves all that was written into the past, one back into
the future; the rows are moved so, as nobody may set the clock of a machine that others use.
"""

from __future__ import annotations

import pytest

from sandfly_web.scans.heartbeats import LISTENING_KEY
from tests.faults.stack import Stack, Target, let_go

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.usefixtures("promises")]

DAY_S = 24 * 3600
TIMES = ("created_at", "dispatched_at", "heartbeat_at", "started_at", "expires_at", "not_before")


def jump(stack: Stack, scan: str, seconds: int) -> None:
    """The clock goes ahead by so many seconds, or back."""
    moved = ", ".join(f"{name} = {name} - make_interval(secs => {seconds})" for name in TIMES)
    stack.sql(f"UPDATE scans_scan SET {moved} WHERE id = %s", scan)
    redis = stack.redis
    if since := redis.get(LISTENING_KEY):
        redis.set(LISTENING_KEY, str(float(since) - seconds), keepttl=True)


def test_the_clock_is_set_back_a_day_as_a_worker_dies(stack: Stack, target: Target) -> None:
    scan = stack.accept_held(target)

    stack.kill("worker")
    jump(stack, scan, -DAY_S)

    let_go(target.host)
    assert stack.settle(scan) == ["done"]
    assert stack.scan(scan)["attempt"] == 2


def test_the_clock_is_set_ahead_by_ten_minutes_in_the_middle_of_a_visit(stack: Stack, target: Target) -> None:
    scan = stack.accept_held(target)

    jump(stack, scan, 600)

    stack.trouble(3)
    let_go(target.host)
    assert stack.settle(scan) == ["done"]
    assert stack.scan(scan)["attempt"] == 1


def test_the_clock_is_set_ahead_by_a_day_in_the_middle_of_a_visit(stack: Stack, target: Target) -> None:
    """Whatever was accepted has expired then; the visit stops and takes everything with it."""
    scan = stack.accept_held(target)

    jump(stack, scan, DAY_S)

    assert stack.settle(scan) == ["expired"]
    let_go(target.host)
    assert target.host.wait_clean(20) == []
