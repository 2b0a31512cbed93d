"""A host that answers from a list, at our own border: nothing below `Connection` is faked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scanners.connection import Chunk, Connection, RemoteProcess, Traffic
from scanners.contract import CredentialSecret

Answer = Callable[[bytes], Chunk | None]


@dataclass
class FakeProcess(RemoteProcess):
    """Gives its chunks one by one; `on_write` may add more when something is written to it."""

    chunks: list[Chunk] = field(default_factory=list)
    status: int | None = 0
    on_write: Answer = lambda data: None
    written: bytearray = field(default_factory=bytearray)
    is_stdin_closed: bool = False
    is_closed: bool = False

    def read(self, timeout_s: float) -> Chunk:
        return self.chunks.pop(0) if self.chunks else Chunk(ended=True)

    def write(self, data: bytes, timeout_s: float) -> None:
        self.written += data
        if answer := self.on_write(data):
            self.chunks.append(answer)

    def close_stdin(self) -> None:
        self.is_stdin_closed = True

    def wait(self, timeout_s: float) -> int | None:
        return self.status

    def close(self) -> None:
        self.is_closed = True


class FakeConnection(Connection):
    """Starts one prepared process after the other and remembers what was asked for."""

    def __init__(self, *processes: FakeProcess, secret: CredentialSecret | None = None) -> None:
        self.peer = "fake"
        self.username = "root"
        self.secret = secret
        self.traffic = Traffic()
        self.commands: list[list[str]] = []
        self._processes = list(processes)

    def start(self, argv: Sequence[str], timeout_s: float) -> RemoteProcess:
        self.commands.append(list(argv))
        return self._processes.pop(0)

    def close(self) -> None:
        self._processes.clear()
