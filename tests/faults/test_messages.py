"""Messages that come twice, and far more of them than usual."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scanners.contract import UNACKNOWLEDGED_KEY
from tests.faults.stack import (
    PLANT,
    QUEUE,
    REPORTS,
    RULES,
    TIMES,
    Stack,
    Target,
    let_go,
    messages,
    visits_of,
    wait_for,
)
from tests.fleet.fleet import Fleet, make_fleet
from tests.fleet.kinds import addresses

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.usefixtures("promises")]

# Five times what may be with the workers at once: ten times would show the same and take twice as long.
BURST = 5 * int(TIMES["SANDFLY_ZONE_QUEUE_LENGTH"])


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
    # The visit is under way before ingest, which also dispatches, stands still, and cannot end before that.
    scan = stack.accept_held(target)
    with stack.stopped("ingest"):
        let_go(target.host)
        wait_for(lambda: len(reports(stack)) == 1, 45)
        stack.redis.lpush(REPORTS, reports(stack)[0])

    assert stack.settle(scan) == ["done"]

    wait_for(lambda: not reports(stack), 20)


def reports(stack: Stack) -> list[bytes]:
    return messages(stack, REPORTS)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with make_fleet() as running:
        running.host.run(PLANT)
        yield running


@pytest.fixture(scope="module")
def credential(stack: Stack, fleet: Fleet) -> int:
    return stack.product.add_credential("fleet", private_key=fleet.secret.private_key)


def enrol(stack: Stack, fleet: Fleet, credential: int, kind: str, count: int) -> list[str]:
    zone = stack.product.results("zones?name=default")[0]["id"]
    hosts = []
    for address in addresses(kind, count):
        body = {"name": f"{kind}-{address}", "address": address, "port": fleet.port, "zone": zone,
                "credential": credential, "accept_new_host_key": True}  # fmt: skip
        hosts.append(stack.product.call("POST", "hosts", body)["id"])
    return hosts


def test_a_burst_of_five_times_what_workers_hold(stack: Stack, fleet: Fleet, credential: int) -> None:
    hosts = enrol(stack, fleet, credential, "plain", BURST)

    answer = stack.product.call("POST", "scans", {"hosts": hosts, "rules": RULES})
    scans = [scan["id"] for scan in answer["scans"]]

    assert stack.settle(*scans, seconds=300) == ["done"] * BURST
    stack.check_ends(scans)
    found = stack.sql("SELECT count(*), max(count) FROM findings_finding WHERE host_id = ANY(%s::uuid[])", hosts)
    assert found == [(len(RULES) * BURST, 1)]
    assert fleet.leftovers() == []


def test_a_worker_killed_with_messages_it_had_taken_in_advance(
    stack: Stack, target: Target, fleet: Fleet, credential: int
) -> None:
    """As many hosts as the worker has threads say nothing; what is behind them has been taken and not begun."""
    silent = enrol(stack, fleet, credential, "silent", int(TIMES["SANDFLY_WORKER_CONCURRENCY"]))
    answer = stack.product.call("POST", "scans", {"hosts": silent, "rules": RULES})
    scans = [scan["id"] for scan in answer["scans"]]
    wait_for(lambda: all(stack.scan(scan)["status"] == "running" for scan in scans), 30)
    behind = stack.accept(target)
    wait_for(lambda: stack.redis.hlen(UNACKNOWLEDGED_KEY) == 1, 30)

    for scan in scans:
        stack.product.call("POST", f"scans/{scan}/cancel")
    stack.kill("worker")

    assert stack.settle(behind) == ["done"]
    assert stack.settle(*scans) == ["cancelled"] * len(scans)
    stack.check_ends(scans)
