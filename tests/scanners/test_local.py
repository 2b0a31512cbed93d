"""Commands on this machine: bounds on time and size, streams, and no leak of the worker's environment."""

from __future__ import annotations

import time

import pytest

from scanners.connection import Connection
from scanners.errors import ConnectError, PlatformError
from scanners.local import open_local


@pytest.fixture
def local() -> Connection:
    return open_local()


def test_input_output_and_status(local: Connection) -> None:
    done = local.run(["/bin/sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"hello", timeout_s=5, max_bytes=100)

    assert (done.exit_status, done.stdout, done.stderr, done.is_cut) == (3, b"hello", b"err\n", False)


def test_large_input_and_output_do_not_block_each_other(local: Connection) -> None:
    data = b"x" * 3_000_000

    done = local.run(
        ["/bin/sh", "-c", "cat >/dev/null; head -c 500000 /dev/zero"], stdin=data, timeout_s=20, max_bytes=1 << 20
    )

    assert len(done.stdout) == 500_000
    assert local.traffic.sent_bytes == len(data)


def test_flood_is_cut(local: Connection) -> None:
    done = local.run(["cat", "/dev/zero"], timeout_s=10, max_bytes=1000)

    assert (done.is_cut, len(done.stdout)) == (True, 1000)


def test_flood_on_standard_error_is_cut(local: Connection) -> None:
    done = local.run(["/bin/sh", "-c", "cat /dev/zero >&2"], timeout_s=20, max_bytes=1000)

    assert done.is_cut
    assert len(done.stderr) <= 64 << 10


def test_hanging_command_ends_in_time(local: Connection) -> None:
    begun = time.monotonic()

    with pytest.raises(ConnectError, match="not done within"):
        local.run(["sleep", "60"], timeout_s=0.5, max_bytes=10)

    assert time.monotonic() - begun < 45


def test_command_that_does_not_read_its_input(local: Connection) -> None:
    done = local.run(["true"], stdin=b"x" * 1_000_000, timeout_s=5, max_bytes=10)

    assert done.exit_status == 0


def test_signal_is_no_status(local: Connection) -> None:
    done = local.run(["/bin/sh", "-c", "kill -9 $$"], timeout_s=5, max_bytes=10)

    assert done.exit_status is None


def test_missing_shell_is_told(local: Connection) -> None:
    with pytest.raises(PlatformError, match="does not exist"):
        local.run(["/nonexistent/sh"], timeout_s=5, max_bytes=10)


def test_environment_of_the_worker_stays_with_it(local: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:canary@localhost")

    done = local.run(["/usr/bin/env"], timeout_s=5, max_bytes=10_000)

    assert b"PATH=" in done.stdout
    assert b"canary" not in done.stdout
