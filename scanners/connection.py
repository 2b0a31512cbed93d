"""What a visit needs of a way to a host: start a command, talk to it within bounds, close. Nothing here knows SSH.

`transport.py` and `local.py` implement it; tests do with a fake.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scanners.contract import CredentialSecret, HostKeyPin
from scanners.errors import ConnectError

# Standard error is for sentences; what exceeds this is thrown away.
MAX_STDERR_BYTES = 64 << 10
# A command that goes on past this on standard error is a flood, not a complaint.
MAX_STDERR_FLOOD_BYTES = 4 << 20
# A handshake with sign-in takes under 20 KiB; what sends this much before is no SSH server. Much more would cost CPU:
# paramiko looks for the end of a greeting again from its start after every 128 bytes.
MAX_HANDSHAKE_BYTES = 256 << 10
# paramiko asks for the head of a packet and then for the rest: taken from what came already, that is one call less for
# each, and for those that came together none.
READ_AHEAD_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command left. `exit_status` is None when a signal ended it; `is_cut` says that output passed a bound."""

    exit_status: int | None
    stdout: bytes
    stderr: bytes
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """What came since the last read; `ended` when nothing more can come."""

    stdout: bytes = b""
    stderr: bytes = b""
    ended: bool = False


@dataclass(slots=True)
class Traffic:
    """Bytes on the wire, as seen from the worker."""

    sent_bytes: int = 0
    received_bytes: int = 0


def no_patience_s() -> float:
    """Somebody may wait for what comes next."""
    return 0.0


class CountedSocket:
    """A socket (or a jump host's channel) that counts, reads ahead, and bounds what may come before the sign-in.

    Only one thread may receive.
    """

    def __init__(self, sock: Any, traffic: Traffic) -> None:
        self._sock = sock
        self._traffic = traffic
        self._is_tcp = isinstance(sock, socket.socket)
        self._ahead = b""
        self._at = 0
        self.received_bytes = 0
        self.is_signed_in = False
        # How long to let come what comes, while nobody waits for it.
        self.get_patience_s: Callable[[], float] = no_patience_s

    def send(self, data: bytes | memoryview) -> int:
        sent: int = self._sock.send(data)
        self._traffic.sent_bytes += sent
        return sent

    def recv(self, size: int) -> bytes:
        if self._at == len(self._ahead):
            self._ahead, self._at = self._receive(max(size, READ_AHEAD_BYTES)), 0
        data = self._ahead[self._at : self._at + size]
        self._at += len(data)
        return data

    def _receive(self, size: int) -> bytes:
        if patience_s := self.get_patience_s():
            time.sleep(patience_s)
        data: bytes = self._sock.recv(size)
        self.received_bytes += len(data)
        self._traffic.received_bytes += len(data)
        if self._is_tcp:
            # sshd holds small packets back until the last one is acknowledged, which the kernel puts off by 40 ms: the
            # option lasts only for one acknowledgement.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not self.is_signed_in and self.received_bytes > MAX_HANDSHAKE_BYTES:
            raise EOFError("too much before the sign-in")
        return data

    def close(self) -> None:
        """Quiet: through a jump host's channel closing is a message, for which its connection may be gone already."""
        if self._is_tcp:
            with contextlib.suppress(OSError):  # it is not connected any more
                self._sock.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in `recv`
        with contextlib.suppress(OSError, EOFError):
            self._sock.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class RemoteProcess(ABC):
    """One running command. Every method raises ConnectError when the way to the host is gone."""

    @abstractmethod
    def read(self, timeout_s: float) -> Chunk:
        """Whatever is there, waiting at most `timeout_s` for the first byte; an empty chunk when nothing came."""

    @abstractmethod
    def write(self, data: bytes, timeout_s: float) -> None:
        """All of `data` to standard input. Raises BrokenPipeError when the command no longer reads, TimeoutError."""

    @abstractmethod
    def close_stdin(self) -> None:
        """End of standard input; harmless when it is closed already."""

    @abstractmethod
    def wait(self, timeout_s: float) -> int | None:
        """Exit status, None when a signal ended the command. Raises TimeoutError."""

    @abstractmethod
    def close(self) -> None:
        """Closes all streams, which is what makes a probe stop; never raises."""


class Connection(ABC):
    """A way to one host, signed in."""

    peer: str
    """The host in words for people: `root@192.0.2.1:22` or `local`."""
    username: str
    secret: CredentialSecret | None = None
    """The credential that opened the way; its passwords may be asked for again by sudo or su."""
    presented_host_keys: Sequence[HostKeyPin] = ()
    presented_jump_keys: Sequence[HostKeyPin] = ()
    """Of each jump host on the way, first hop first."""
    auth_s: float = 0.0
    """How long the sign-in took, in seconds."""
    traffic: Traffic

    @abstractmethod
    def start(self, argv: Sequence[str], timeout_s: float) -> RemoteProcess:
        """Starts a program by its arguments. Raises ConnectError, also when it has not started in time."""

    @abstractmethod
    def close(self) -> None:
        """Ends it; never raises."""

    def run(
        self, argv: Sequence[str], *, stdin: bytes | Iterable[bytes] = b"", timeout_s: float, max_bytes: int
    ) -> Completed:
        """Runs a command to its end with all of `stdin`.

        Raises ConnectError: `timeout` when it is not done in time, `connection_lost`. Output past `max_bytes` stops the
        command and is told by `is_cut`.
        """
        deadline = time.monotonic() + timeout_s
        process = self.start(argv, timeout_s)
        try:
            _feed(process, [stdin] if isinstance(stdin, bytes) else stdin, deadline)
            return _drain(process, deadline, max_bytes)
        except TimeoutError:
            message = f"a command on {self.peer} was not done within {timeout_s:.0f} s: the host hangs or is overloaded"
            raise ConnectError("timeout", message) from None
        finally:
            process.close()


def quote(argv: Sequence[str]) -> str:
    """The one place where arguments become a command line; good for sh, csh and fish as login shells."""
    return "exec " + " ".join(shlex.quote(word) for word in argv)


def remaining_s(deadline: float) -> float:
    """Seconds to a monotonic deadline. Raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _feed(process: RemoteProcess, pieces: Iterable[bytes], deadline: float) -> None:
    try:
        for piece in pieces:
            if piece:
                process.write(piece, remaining_s(deadline))
    except BrokenPipeError:
        # The command stopped reading; its output and status say why.
        return
    process.close_stdin()


@dataclass(slots=True)
class _Output:
    max_bytes: int
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    stderr_seen: int = 0

    def add(self, chunk: Chunk) -> bool:
        """Keeps a chunk; False when the command says more than it may."""
        self.stdout += chunk.stdout
        self.stderr_seen += len(chunk.stderr)
        self.stderr += chunk.stderr[: max(0, MAX_STDERR_BYTES - len(self.stderr))]
        return len(self.stdout) <= self.max_bytes and self.stderr_seen <= MAX_STDERR_FLOOD_BYTES


def _drain(process: RemoteProcess, deadline: float, max_bytes: int) -> Completed:
    output = _Output(max_bytes)
    while True:
        chunk = process.read(remaining_s(deadline))
        if not output.add(chunk):
            return Completed(None, bytes(output.stdout[:max_bytes]), bytes(output.stderr), is_cut=True)
        if chunk.ended:
            break
    status = process.wait(remaining_s(deadline))
    return Completed(status, bytes(output.stdout), bytes(output.stderr))
