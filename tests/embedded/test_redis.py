"""The embedded Redis: queues survive, only the socket is open, the newest program is used."""

from __future__ import annotations

import os
import signal
import socket
import stat
from pathlib import Path

import pytest
import redis as redis_py

from sandfly_web.embedded import programs, redis
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.programs import Program


def client(fresh):
    return redis_py.Redis.from_url(fresh.redis_url)


def test_a_queue_is_kept_over_a_restart(fresh):
    with redis.start(fresh), client(fresh) as before:
        before.lpush("zone.default", "job")

    with redis.start(fresh), client(fresh) as after:
        assert after.lrange("zone.default", 0, -1) == [b"job"]


def test_only_the_socket_is_open_and_only_for_its_user(fresh):
    with redis.start(fresh), client(fresh) as connection:
        assert connection.config_get("port") == {"port": "0"}
        assert stat.S_IMODE(fresh.redis_socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(fresh.run.stat().st_mode) == 0o700


def test_starts_after_it_was_killed_and_left_its_socket(fresh):
    running = redis.start(fresh)
    os.kill(running.process.pid, signal.SIGKILL)
    running.stop()
    assert fresh.redis_socket.exists()

    with redis.start(fresh), client(fresh) as connection:
        assert connection.ping()


def test_a_socket_that_belongs_to_nobody_is_replaced(fresh):
    redis.start(fresh).stop()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(fresh.redis_socket))

    with redis.start(fresh), client(fresh) as connection:
        assert connection.ping()


def test_a_second_start_is_refused(fresh):
    with redis.start(fresh), pytest.raises(EmbeddedError, match="redis already runs"):
        redis.start(fresh)


def test_stop_leaves_no_process(fresh, processes_of):
    redis.start(fresh).stop()

    assert processes_of(fresh.root) == []


def test_a_damaged_file_is_reported_in_redis_s_own_words(fresh):
    with redis.start(fresh), client(fresh) as connection:
        connection.set("a", "b")
    for file in fresh.redis.rglob("*.aof"):
        file.write_bytes(b"*nonsense\r\n" * 10)

    with pytest.raises(EmbeddedError, match=r"Redis cannot start: .*AOF"):
        redis.start(fresh)


def test_an_older_program_than_the_one_that_wrote_the_queue_is_refused(fresh, monkeypatch):
    redis.start(fresh).stop()
    fresh.redis_version.write_text("99.1.0\n")

    with pytest.raises(EmbeddedError, match=r"was written by version 99\.1\.0"):
        redis.start(fresh)


def test_the_packaged_program_serves_where_the_system_has_none(fresh, monkeypatch):
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)

    with redis.start(fresh) as running, client(fresh) as connection:
        assert connection.ping()
        # A copy of it, when the checkout lies where the servers' user may not go.
        packaged = programs.package_directory(programs.REDIS_PACKAGE) / "bin" / "redis-server"
        assert Path(f"/proc/{running.process.pid}/exe").read_bytes() == packaged.read_bytes()


@pytest.mark.parametrize(("system", "expected"), [((7, 0, 15), "system"), ((5, 0, 1), "packaged")])
def test_the_newer_of_system_and_package_is_used(monkeypatch, scratch, system, expected):
    package, other = scratch / "bin" / "redis-server", scratch / "redis-server"
    package.parent.mkdir()
    package.touch()
    other.touch()
    versions = {package: (6, 2, 14), other: system}
    monkeypatch.setattr(programs, "package_directory", lambda name: scratch)
    monkeypatch.setattr(programs.shutil, "which", lambda name: str(other) if name == "redis-server" else None)
    monkeypatch.setattr(programs, "run_version", lambda path, pattern: versions[path])

    found = programs.find_redis()

    assert found == Program(other if expected == "system" else package, max(system, (6, 2, 14)))
