"""The machine itself as a host: the same commands through a local shell, without SSH."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import subprocess
import time
from collections.abc import Sequence
from typing import IO

from scanners.connection import Chunk, Connection, RemoteProcess, Traffic, remaining_s
from scanners.contract import CredentialSecret
from scanners.errors import ConnectError, PlatformError

READ_BYTES = 64 << 10
# How long a command may take to notice that its pipes are closed before it is killed.
GRACE_S = 2.0
# What a login would set; the worker's own environment stays its own.
ENVIRONMENT = ("HOME", "LOGNAME", "PATH", "SHELL", "USER", "XDG_RUNTIME_DIR")


class LocalProcess(RemoteProcess):
    """A child in its own session, with non-blocking pipes."""

    def __init__(self, argv: Sequence[str], traffic: Traffic) -> None:
        self._child = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            start_new_session=True, cwd="/", env=_environment(),
        )  # fmt: skip
        self._stdin, self._stdout, self._stderr = _pipes(self._child)
        self._traffic = traffic
        self._open = {self._stdout.fileno(), self._stderr.fileno()}
        for stream in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(stream.fileno(), False)

    def read(self, timeout_s: float) -> Chunk:
        ready = _wait_readable(self._open, timeout_s)
        out = self._take(self._stdout.fileno(), ready)
        err = self._take(self._stderr.fileno(), ready)
        self._traffic.received_bytes += len(out) + len(err)
        return Chunk(out, err, not self._open)

    def _take(self, descriptor: int, ready: set[int]) -> bytes:
        if descriptor not in ready:
            return b""
        data = os.read(descriptor, READ_BYTES)
        if not data:
            self._open.discard(descriptor)
        return data

    def write(self, data: bytes, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        view = memoryview(data)
        while view:
            poll = select.poll()
            poll.register(self._stdin, select.POLLOUT)
            poll.poll(remaining_s(deadline) * 1000)
            with contextlib.suppress(BlockingIOError):
                sent = os.write(self._stdin.fileno(), view[:READ_BYTES])
                self._traffic.sent_bytes += sent
                view = view[sent:]

    def close_stdin(self) -> None:
        self._stdin.close()

    def wait(self, timeout_s: float) -> int | None:
        try:
            status = self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        return status if status >= 0 else None

    def close(self) -> None:
        for stream in (self._stdin, self._stdout, self._stderr):
            stream.close()
        self._open.clear()
        try:
            self._child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            # A child under sudo belongs to root and cannot be killed from here; a probe stops by its closed pipes.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, 9)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(GRACE_S)


class LocalConnection(Connection):
    """Commands on this machine as the user who runs the program."""

    def __init__(self, secret: CredentialSecret | None = None) -> None:
        self.peer = "local"
        self.username = _own_name()
        self.secret = secret
        self.traffic = Traffic()

    def start(self, argv: Sequence[str], timeout_s: float) -> RemoteProcess:
        del timeout_s  # a local program starts at once or not at all
        try:
            return LocalProcess(argv, self.traffic)
        except FileNotFoundError:
            raise PlatformError("no_shell", f"{argv[0]} does not exist on this machine") from None
        except OSError as error:
            raise ConnectError("connection_lost", f"no program can be started: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is held open."""


def open_local(secret: CredentialSecret | None = None) -> Connection:
    """This machine; `secret` only says how to become root."""
    return LocalConnection(secret)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        # A container may run under an id that no passwd line names.
        return str(os.geteuid())


def _pipes(child: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    if child.stdin is None or child.stdout is None or child.stderr is None:
        raise ConnectError("connection_lost", "the child has no pipes")
    return child.stdin, child.stdout, child.stderr


def _wait_readable(descriptors: set[int], timeout_s: float) -> set[int]:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(timeout_s * 1000)} if descriptors else set()
