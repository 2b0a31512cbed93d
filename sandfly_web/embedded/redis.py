"""The embedded Redis: the broker, on a Unix socket only; queues survive a restart."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import redis

from sandfly_web.embedded.datadir import check_space, prepare, take_lock, write_private
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.programs import Program, find_redis, reachable_redis
from sandfly_web.embedded.server import Launch, Running, end_leftovers

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from sandfly_web.embedded.account import Account
    from sandfly_web.embedded.paths import DataDir

NAME = "Redis"
PROGRAMS = frozenset({"redis-server", "valkey-server", "redis-check-rdb", "valkey-check-rdb"})


def start(data: DataDir) -> Running:
    """Start Redis or Valkey on the data directory and return once it answers.

    Raises EmbeddedError with a sentence when it cannot.
    """
    account = prepare(data)
    lock = take_lock(data, "redis")
    try:
        process = _start_locked(data, account)
    except BaseException:
        os.close(lock)
        raise
    return Running(NAME, data.redis_url, process, signal.SIGTERM, lock)


def _start_locked(data: DataDir, account: Account) -> subprocess.Popen[bytes]:
    check_space(data)
    program = reachable_redis(find_redis(), data, account)
    check_version(data, program)
    end_leftovers(data.redis, PROGRAMS, signal.SIGTERM)
    data.redis_socket.unlink(missing_ok=True)
    launch = Launch(
        name=NAME,
        command=[str(program.path), "-"],
        account=account,
        log=data.logs / "redis.log",
        stop_signal=signal.SIGTERM,
        is_ready=lambda _: answers(data.redis_socket),
        stdin=settings(data).encode(),
    )
    process = launch.start()
    write_private(data.redis_version, program.version_text + "\n")
    return process


def check_version(data: DataDir, program: Program) -> None:
    """Refuse an older major version than the one that wrote the data: Redis 6 overlooks the files of 7 in silence."""
    if not data.redis_version.exists():
        return
    written = data.redis_version.read_text(encoding="ascii").strip()
    if int(written.split(".")[0]) > program.version[0]:
        raise EmbeddedError(
            f"{data.redis} was written by version {written} and the newest here is {program.version_text}: install "
            f"redis-server or valkey-server {written} or newer, or remove {data.redis} and {data.redis_version.name} "
            "(waiting scans are queued again)"
        )


def settings(data: DataDir) -> str:
    """redis.conf; given on standard input, so no file can be edited behind our back."""
    options = [
        "port 0",
        f'unixsocket "{data.redis_socket}"',
        "unixsocketperm 700",
        f'dir "{data.redis}"',
        "daemonize no",
        'logfile ""',
        "loglevel notice",
        # The append-only file alone: at most a second of queue is lost when the machine dies.
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        # A queue that silently forgets is worse than one that refuses.
        "maxmemory-policy noeviction",
        "timeout 0",
    ]
    return "\n".join(options) + "\n"


def answers(socket: Path) -> bool:
    """Whether a server on the socket says PONG; one that still loads its file does not."""
    with closing(redis.Redis(unix_socket_path=str(socket), socket_timeout=1)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
