"""Keeps a set of processes running: their lines go to log files, warnings to the terminal, dead ones start again.

honcho runs each process and reads its lines; order of stopping and restarting are ours, honcho's manager ends all at
once when one ends.
"""

from __future__ import annotations

import errno
import os
import queue
import re
import shlex
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from honcho.process import Process

from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.server import LOG_BYTES, guarded, last_lines, open_log, signal_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandfly_web.embedded.paths import DataDir
    from sandfly_web.embedded.processes import Service

# Signal and seconds to wait after it. Celery finishes its tasks on TERM and gives them back to the queue on QUIT.
STOP_STEPS = ((signal.SIGTERM, 4.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 5.0))
MAX_RESTARTS = 5
# A process that ran this long before it ended is not the one that cannot start.
STABLE_S = 60.0
LONGEST_PAUSE_S = 30.0
NOTEWORTHY = re.compile(r"(?<![%\w])(WARNING|ERROR|CRITICAL|FATAL|[A-Z]\w+(?:Error|Exception):)")
SHOWN_CHARACTERS = 400


class LogFile:
    """Appends lines; past LOG_BYTES it begins anew and keeps one old file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = open_log(path)
        self._size = os.fstat(self._descriptor).st_size

    def write(self, line: bytes) -> None:
        if self._size > LOG_BYTES:
            os.close(self._descriptor)
            self._descriptor = open_log(self.path)
            self._size = 0
        try:
            self._size += os.write(self._descriptor, line)
        except OSError as error:
            # A full disk costs lines; what they are about must go on.
            if error.errno != errno.ENOSPC:
                raise

    def close(self) -> None:
        os.close(self._descriptor)


@dataclass
class Supervised:
    """State of one service; `pid` is known a moment after it `is_alive`."""

    service: Service
    log: LogFile
    is_alive: bool = False
    pid: int | None = None
    started_at: float = 0.0
    failures: int = 0
    start_again_at: float | None = None
    was_stable: bool = False
    last_shown: str = ""


class Supervisor:
    """Runs services until `stop`; `tend` must be called every now and then by the thread that made it."""

    def __init__(self, data: DataDir, show: Callable[[str, str], None]) -> None:
        self._logs = data.logs
        self._show = show
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._all: dict[str, Supervised] = {}
        self._is_stopping = False

    def start(self, service: Service) -> None:
        supervised = Supervised(service, LogFile(self._logs / f"{service.name}.log"))
        self._all[service.name] = supervised
        self._launch(supervised)

    def tend(self, seconds: float) -> None:
        """Handle what happens within the next seconds. Raises EmbeddedError when a service cannot be kept running."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._start_due()
            self._take(min(left, 0.5))

    def stop(self) -> None:
        """End all services with their sessions: group by group, those of a group together."""
        self._is_stopping = True
        for group in sorted({supervised.service.stop_group for supervised in self._all.values()}):
            self._end([each for each in self._all.values() if each.service.stop_group == group])
        for supervised in self._all.values():
            supervised.log.close()
        self._all.clear()

    def _launch(self, supervised: Supervised) -> None:
        service = supervised.service
        command = shlex.join(guarded(service.command, signal.SIGTERM))
        process = Process(f"exec {command}", name=service.name, env=service.environment)
        supervised.is_alive = True
        supervised.started_at = time.monotonic()
        supervised.start_again_at = None
        # The kernel ends a child with the thread that started it, see PR_SET_PDEATHSIG; this one reads its lines.
        threading.Thread(target=process.run, args=(self._events,), name=service.name, daemon=True).start()

    def _start_due(self) -> None:
        now = time.monotonic()
        for supervised in self._all.values():
            if supervised.start_again_at is not None and now >= supervised.start_again_at:
                self._launch(supervised)

    def _take(self, timeout_s: float) -> None:
        """Handle one event of honcho's: `start`, `line` or `stop`."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return
        supervised = self._all[event.name]
        if event.type == "start":
            supervised.pid = event.data["pid"]
        elif event.type == "line":
            self._take_line(supervised, event.data)
        else:
            self._take_end(supervised, event.data["returncode"])

    def _take_line(self, supervised: Supervised, line: bytes) -> None:
        supervised.log.write(line)
        text = printable(line.decode("utf-8", "replace").strip()[:SHOWN_CHARACTERS])
        if self._is_stopping or not NOTEWORTHY.search(text) or text == supervised.last_shown:
            return
        supervised.last_shown = text
        self._show(supervised.service.name, text)

    def _take_end(self, supervised: Supervised, code: int) -> None:
        name = supervised.service.name
        if supervised.pid is not None:
            # Children that it left behind would serve beside those of the next start.
            signal_group(supervised.pid, signal.SIGKILL)
        supervised.is_alive, supervised.pid = False, None
        if self._is_stopping:
            return
        if time.monotonic() - supervised.started_at > STABLE_S:
            supervised.failures = 0
            supervised.was_stable = True
        supervised.failures += 1
        log = supervised.log.path
        # What ran before can run: it is a full disk or a server that is away, and those pass.
        if supervised.failures > MAX_RESTARTS and not supervised.was_stable:
            said = printable(last_lines(log))
            raise EmbeddedError(f"{name} ends again and again ({describe_end(code)}): {said} (log: {log})")
        delay = min(2.0 ** (supervised.failures - 1), LONGEST_PAUSE_S)
        supervised.start_again_at = time.monotonic() + delay
        self._show(name, f"ended ({describe_end(code)}), starts again in {delay:.0f} s; log: {log}")

    def _end(self, group: list[Supervised]) -> None:
        self._wait_for(lambda: all(each.pid is not None or not each.is_alive for each in group), 1.0)
        for number, wait_s in STOP_STEPS:
            for each in group:
                if each.pid is not None and number == signal.SIGKILL:
                    signal_group(each.pid, number)
                elif each.pid is not None:
                    signal_process(each.pid, number)
            self._wait_for(lambda: not any(each.is_alive for each in group), wait_s)

    def _wait_for(self, is_so: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_so() and time.monotonic() < deadline:
            self._take(0.05)


def signal_group(leader: int, number: int) -> None:
    """Signal what is left of a session that was started for one process."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return


def describe_end(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def printable(text: str) -> str:
    """The text with everything a terminal could obey replaced: log lines may quote what a host sent."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
