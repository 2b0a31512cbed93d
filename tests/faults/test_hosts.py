"""The way to a host is cut in the middle of a visit, or the host has no room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.stack import Stack, Target, let_go, run_ip, wait_for
from tests.hosts.host import make_host

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def far(stack: Stack) -> Iterator[Target]:
    """A host at the end of a line of its own."""
    with make_host("far", address="10.99.21.2", own_network=True) as host:
        yield stack.enrol(host)


def test_the_network_is_cut_and_comes_back_in_the_middle_of_a_visit(stack: Stack, far: Target) -> None:
    scan = stack.accept_held(far)

    run_ip("link", "set", f"sf{far.host.pid}", "down")
    let_go(far.host)
    wait_for(lambda: heard_again(stack, scan), 20)
    run_ip("link", "set", f"sf{far.host.pid}", "up")

    assert stack.settle(scan) == ["done"]
    stack.check(far)


def heard_again(stack: Stack, scan: str) -> bool:
    return stack.scan(scan)["heartbeat_at"] is not None


def test_the_network_stays_away_in_the_middle_of_a_visit(stack: Stack, far: Target) -> None:
    scan = stack.accept_held(far)
    run_ip("link", "set", f"sf{far.host.pid}", "down")
    let_go(far.host)

    # The worker notices by itself, long before the visit's deadline, and the next attempt waits for the line.
    wait_for(lambda: stack.scan(scan)["attempt"] == 2, 60)
    assert stack.scan(scan)["error_code"] == "connection_lost"
    run_ip("link", "set", f"sf{far.host.pid}", "up")

    assert stack.settle(scan) == ["done"]
    stack.check(far)


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[Target]:
    """A host whose places for programs are small disks."""
    with make_host("small", address="127.0.21.2") as host:
        for place in ("/dev/shm", "/tmp", "/var/tmp"):
            host.run(f"mount -t tmpfs -o size=1m,mode=1777 small {place}")
        yield stack.enrol(host)


def test_a_place_for_the_probe_is_full_and_another_is_not(stack: Stack, small: Target) -> None:
    scan = stack.accept(small)

    assert stack.settle(scan) == ["done"]
    assert stack.scan(scan)["attempt"] == 1
    stack.check(small)


def test_every_place_for_the_probe_is_full(stack: Stack, small: Target) -> None:
    keys = small.host.run("cat /root/.ssh/authorized_keys").stdout
    small.host.run("mount -t tmpfs -o size=1m,mode=700 small /root")
    small.host.write("/root/.ssh/authorized_keys", keys, 0o600)

    scan = stack.accept(small)

    assert stack.settle(scan) == ["failed"]
    assert stack.scan(scan)["error_code"] == "upload_failed"
    small.host.run("umount /root")
    assert stack.settle(stack.accept(small)) == ["done"]
    stack.check(small)
