"""One of the product's own processes dies, or there are two where one is meant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psycopg2
import pytest

from tests.e2e.product import ROOT, environment
from tests.faults.stack import TIMES, Stack, Target, is_running, let_go, visits_of, wait_for
from tests.hosts.host import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.usefixtures("promises")]


def test_a_worker_killed_in_the_middle_of_a_visit(stack: Stack, target: Target) -> None:
    scan = stack.accept_held(target)

    stack.kill("worker")

    let_go(target.host)
    assert target.host.wait_clean(10) == []
    assert stack.settle(scan) == ["done"]
    assert stack.scan(scan)["attempt"] == 2


def test_ingest_killed_in_the_middle_of_a_transaction(stack: Stack, target: Target) -> None:
    with psycopg2.connect(stack.data.database_url) as locker, locker.cursor() as cursor:
        # The last table that a report is written to: findings are there already, and not committed.
        cursor.execute("LOCK TABLE scans_ruleoutcome IN ACCESS EXCLUSIVE MODE")
        scan = stack.accept(target)
        wait_for(lambda: waits_for_lock(stack), 45)
        stack.kill("ingest")
    locker.close()

    assert stack.settle(scan) == ["done"]


def test_a_process_of_ingest_killed_in_the_middle_of_a_transaction(stack: Stack, target: Target) -> None:
    with psycopg2.connect(stack.data.database_url) as locker, locker.cursor() as cursor:
        cursor.execute("LOCK TABLE scans_ruleoutcome IN ACCESS EXCLUSIVE MODE")
        scan = stack.accept(target)
        wait_for(lambda: waits_for_lock(stack), 45)
        for child in stack.pids("ingest")[1:]:
            os.kill(child, signal.SIGKILL)
    locker.close()

    assert stack.settle(scan) == ["done"]


def waits_for_lock(stack: Stack) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%scans_ruleoutcome%'"
    return stack.sql(query)[0][0] > 0


def test_beat_killed(stack: Stack, target: Target) -> None:
    stack.kill("beat")
    scan = stack.accept(target)

    assert stack.settle(scan) == ["done"]
    wait_until(lambda: bool(stack.pids("beat")), 20)


def test_web_killed_with_a_scan_accepted(stack: Stack, target: Target) -> None:
    scan = stack.accept(target)
    first = stack.pids("web")

    stack.kill("web")

    assert stack.settle(scan) == ["done"]
    # Orphans of the killed one answer for a moment longer: only then is it seen that there is another.
    wait_until(lambda: not any(is_running(pid) for pid in first), 45)
    stack.wait_serving()


def test_two_beats(stack: Stack, target: Target) -> None:
    visits = visits_of(target.host)
    argv = [sys.executable, "-m", "celery", "-A", "sandfly_web", "beat", "--pidfile", "", "--schedule"]
    second = subprocess.Popen(
        [*argv, str(stack.product.data / "second-schedule")],
        cwd=ROOT,
        env=environment(stack.product.data, TIMES),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        scans = [stack.accept(target) for _ in range(3)]
        assert stack.settle(*scans) == ["done"] * 3
    finally:
        second.terminate()
        second.wait(10)

    assert visits_of(target.host) == visits + 3
    assert not is_running(second.pid)
