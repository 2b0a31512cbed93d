"""One embedded server process: starting it, waiting for it, ending it and whatever an earlier one left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sandfly_web.embedded.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandfly_web.embedded.account import Account

CHILD = Path(__file__).with_name("child.py")
START_TIMEOUT_S = 60
# A shutdown writes a checkpoint, which a slow disk may take a while for.
STOP_TIMEOUT_S = 30
KILL_TIMEOUT_S = 5
POLL_S = 0.02
LOG_BYTES = 10 << 20
SHOWN_LOG_LINES = 3


def guarded(command: Sequence[str], death_signal: int, account: Account | None = None) -> list[str]:
    """The command line that runs `command` through `child.py`, as the account if that is another user."""
    other = account if account and account.is_other else None
    settings = {
        "parent": os.getpid(),
        "signal": death_signal,
        "uid": other.uid if other else None,
        "gid": other.gid if other else None,
    }
    return [sys.executable, "-I", "-S", str(CHILD), json.dumps(settings), *command]


@dataclass
class Running:
    """A server that answers at `url`; `stop` (or leaving the `with` block) ends it and waits for that."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    stop_signal: int
    lock: int

    def is_running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """End the server in good order, by force after STOP_TIMEOUT_S; a second call does nothing."""
        end_process(self.process, self.stop_signal)
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def end_process(process: subprocess.Popen[bytes], stop_signal: int) -> None:
    """Signal, wait, and at last kill the whole session of a process."""
    if process.poll() is not None:
        return
    process.send_signal(stop_signal)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(KILL_TIMEOUT_S)


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End a process that has nothing to save together with its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(KILL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(KILL_TIMEOUT_S)


def open_log(path: Path) -> int:
    """A 0600 log file to append to; past LOG_BYTES the old one is kept as `<name>.1`."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)


def last_lines(path: Path, start: int = 0) -> str:
    """What a log says after byte `start`, its last lines on one line; "" when that is nothing."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - 4096))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return " / ".join(line.strip() for line in lines[-SHOWN_LOG_LINES:] if line.strip())


@dataclass(frozen=True)
class Launch:
    """How a server is started: `is_ready` is asked until it says yes."""

    name: str
    command: list[str]
    account: Account
    log: Path
    stop_signal: int
    is_ready: Callable[[subprocess.Popen[bytes]], bool]
    stdin: bytes = b""

    def start(self) -> subprocess.Popen[bytes]:
        """Raises EmbeddedError, with the end of the log, when the server ends or does not answer in time."""
        log = open_log(self.log)
        begin = os.fstat(log).st_size
        try:
            process = subprocess.Popen(
                guarded(self.command, self.stop_signal, self.account),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env=server_environment(),
                start_new_session=True,
            )
        finally:
            os.close(log)
        try:
            self._feed(process)
            self._wait(process, begin)
        except BaseException:
            end_process(process, self.stop_signal)
            raise
        return process

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None:
            return
        try:
            process.stdin.write(self.stdin)
            process.stdin.close()
        except BrokenPipeError:
            # It ended already; `_wait` says why.
            return

    def _wait(self, process: subprocess.Popen[bytes], log_begin: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready(process):
            if process.poll() is not None:
                raise EmbeddedError(start_failure(self.name, last_lines(self.log, log_begin), self.log))
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} did not answer within {START_TIMEOUT_S} s: see {self.log}")
            time.sleep(POLL_S)


def start_failure(name: str, said: str, log: Path) -> str:
    """A sentence for a server that ended while starting."""
    if "No space left on device" in said:
        return f"{name} cannot start, the disk under {log.parent.parent} is full: free some space. It said: {said}"
    return f"{name} cannot start: {said or 'it said nothing'} (log: {log})"


def server_environment() -> dict[str, str]:
    """What a server may know of ours: no secret, no URL, and no library search path."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def leftovers(directory: Path, programs: frozenset[str]) -> list[int]:
    """Processes that run one of the programs (by file name) in the directory: what a killed parent left behind."""
    found = []
    wanted = str(directory.resolve())
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if str((entry / "cwd").readlink()) != wanted:
                continue
            program = (entry / "exe").readlink().name.removesuffix(" (deleted)")
        except OSError:
            # Ended meanwhile, or another user's.
            continue
        if program in programs:
            found.append(int(entry.name))
    return found


def end_leftovers(directory: Path, programs: frozenset[str], stop_signal: int) -> None:
    """End such processes; call it only with the directory's lock held, which proves that they have no owner.

    Raises EmbeddedError when they do not end.
    """
    deadline = time.monotonic() + STOP_TIMEOUT_S
    signalled: set[int] = set()
    while pids := leftovers(directory, programs):
        for pid in set(pids) - signalled:
            signalled.add(pid)
            signal_process(pid, stop_signal)
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"processes {', '.join(map(str, sorted(pids)))} of an earlier start still use {directory} and do not "
                "end: kill them"
            )
        time.sleep(POLL_S)


def signal_process(pid: int, number: int) -> None:
    """Signal a process that may have ended already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
