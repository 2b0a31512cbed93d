"""Processes under `manage.py up`: restarted when they end, stopped in order, never left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sandfly_web.embedded import supervisor as module
from sandfly_web.embedded.datadir import prepare
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.processes import Service
from sandfly_web.embedded.supervisor import LogFile, Supervisor, printable


@dataclass
class Shown:
    """What would be on the screen."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, name: str, text: str) -> None:
        self.lines.append((name, text))


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def supervisor(fresh, shown) -> Iterator[Supervisor]:
    prepare(fresh)
    supervised = Supervisor(fresh, shown)
    yield supervised
    supervised.stop()


def script(name: str, text: str, **environment: str) -> Service:
    return Service(name, [sys.executable, "-u", "-c", text], {"PATH": "/usr/bin:/bin", **environment})


def tend_until(supervisor: Supervisor, is_so: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        supervisor.tend(0.05)


def log_text(data, name: str) -> str:
    return (data.logs / f"{name}.log").read_text()


APPEND_PID = (
    "import os, sys, time; open(sys.argv[1] if len(sys.argv) > 1 else os.environ['F'], 'a').write(f'{os.getpid()}\\n')"
)


def test_a_process_that_ends_is_started_again(supervisor, shown, scratch):
    pids = scratch / "pids"
    supervisor.start(script("worker", APPEND_PID + "; time.sleep(60)", F=str(pids)))
    tend_until(supervisor, lambda: pids.exists() and pids.read_text().endswith("\n"))

    os.kill(int(pids.read_text()), signal.SIGKILL)
    tend_until(supervisor, lambda: pids.read_text().count("\n") == 2)

    assert shown.lines[0][0] == "worker"
    assert shown.lines[0][1].startswith("ended (signal SIGKILL), starts again in 1 s")


def test_one_that_cannot_start_ends_it_all_with_its_last_words(supervisor, monkeypatch):
    monkeypatch.setattr(module, "MAX_RESTARTS", 1)
    supervisor.start(script("web", "import sys; sys.exit('the port is gone')"))

    with pytest.raises(EmbeddedError, match=r"web ends again and again \(exit code 1\): .*the port is gone"):
        tend_until(supervisor, lambda: False)


def test_a_process_that_ran_for_long_is_started_again_for_as_long_as_it_takes(supervisor, monkeypatch, shown):
    monkeypatch.setattr(module, "MAX_RESTARTS", 1)
    monkeypatch.setattr(module, "STABLE_S", 0.0)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.1)
    supervisor.start(script("web", "import sys; sys.exit('the disk is full')"))
    tend_until(supervisor, lambda: bool(shown.lines))
    monkeypatch.setattr(module, "STABLE_S", 60.0)

    tend_until(supervisor, lambda: sum("starts again" in text for _, text in shown.lines) >= 4)


def test_lines_go_to_the_log_and_only_warnings_to_the_screen(supervisor, shown, fresh):
    supervisor.start(
        script("web", "print('GET /'); print('ERROR it broke'); print('end'); import time; time.sleep(60)")
    )
    tend_until(supervisor, lambda: fresh.logs.joinpath("web.log").exists() and "end" in log_text(fresh, "web"))

    assert log_text(fresh, "web") == "GET /\nERROR it broke\nend\n"
    assert shown.lines == [("web", "ERROR it broke")]


def test_what_a_terminal_would_obey_is_not_shown():
    assert printable("a\x1b[2Jb\r\u202ec") == "a\ufffd[2Jb\ufffd\ufffdc"


def test_a_line_that_repeats_is_shown_once(supervisor, shown, fresh):
    supervisor.start(
        script("beat", "[print('ERROR no broker') for _ in range(50)]; print('end'); import time; time.sleep(60)")
    )
    tend_until(supervisor, lambda: fresh.logs.joinpath("beat.log").exists() and "end" in log_text(fresh, "beat"))

    assert shown.lines == [("beat", "ERROR no broker")]


def test_a_group_has_ended_before_the_next_is_asked_to(supervisor, scratch):
    stopped = scratch / "stopped"
    text = (
        "import os, signal, sys, time\n"
        "def stop(*_):\n"
        "    time.sleep(float(os.environ['S'])); open(os.environ['F'], 'a').write(os.environ['N'] + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "open(os.environ['F'] + os.environ['N'], 'w')\n"
        "time.sleep(60)"
    )
    for name, group, seconds in (("web", 1, "0"), ("worker", 1, "0.4"), ("beat", 0, "0.4")):
        service = script(name, text, F=str(stopped), N=name, S=seconds)
        supervisor.start(replace(service, stop_group=group))
    tend_until(supervisor, lambda: all(Path(f"{stopped}{name}").exists() for name in ("beat", "worker", "web")))

    supervisor.stop()

    assert stopped.read_text() == "beat web worker "


def test_one_that_ignores_every_request_is_killed_with_its_children(supervisor, fresh, processes_of, monkeypatch):
    monkeypatch.setattr(module, "STOP_STEPS", ((signal.SIGTERM, 0.3), (signal.SIGQUIT, 0.3), (signal.SIGKILL, 5.0)))
    text = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGQUIT, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('ready'); time.sleep(60)"
    )
    supervisor.start(script("worker", text, MARK=str(fresh.root)))
    tend_until(supervisor, lambda: fresh.logs.joinpath("worker.log").exists() and "ready" in log_text(fresh, "worker"))
    assert len(processes_of(fresh.root)) == 2

    supervisor.stop()

    assert processes_of(fresh.root) == []


def test_stop_right_after_start_leaves_nothing(supervisor, fresh, processes_of):
    supervisor.start(script("worker", "import time; time.sleep(60)", MARK=str(fresh.root)))

    supervisor.stop()

    assert processes_of(fresh.root) == []


def test_a_full_log_begins_anew_and_keeps_the_old_one(scratch, monkeypatch):
    monkeypatch.setattr(module, "LOG_BYTES", 10)
    monkeypatch.setattr("sandfly_web.embedded.server.LOG_BYTES", 10)
    log = LogFile(scratch / "web.log")

    for line in (b"first line\n", b"second line\n", b"third line\n"):
        log.write(line)
    log.close()

    assert (scratch / "web.log").read_bytes() == b"third line\n"
    assert (scratch / "web.log.1").read_bytes() == b"second line\n"
