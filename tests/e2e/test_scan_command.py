"""`manage.py scan` as people and scripts run it, against real SSH hosts."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scanners.contract import Phase
from tests.e2e.planted import EXPECTED, plant
from tests.hosts.host import Host, free_port, make_host, wait_until
from tests.hosts.seed import User

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with make_host("clean", address="127.0.8.1", users=[User("scan", password="secret-one", sudo="password")]) as made:
        yield made


def command(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", "scan", *arguments]


def scan(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    argv = command(*arguments)
    return subprocess.run(argv, cwd=ROOT, input=typed, capture_output=True, text=True, timeout=120, check=False)


def arguments_for(host: Host, tmp_path: Path, *more: str) -> list[str]:
    known = str(tmp_path / "known_hosts")
    key = str(host.key_path("root"))
    return [f"root@{host.address}:{host.port}", "--identity", key, "--accept-new-host-keys", "--known-hosts", known,
            "--format", "jsonl", *more]  # fmt: skip


def objects(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def only(output: str, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in objects(output) if entry["type"] == kind]


def serious(output: str) -> list[str]:
    worst = {"medium", "high", "critical"}
    return [f["rule"]["name"] + ": " + f["explanation"] for f in only(output, "finding") if f["rule"]["level"] in worst]


@pytest.fixture(scope="module")
def done(host: Host, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A whole scan of the clean host."""
    return scan(*arguments_for(host, tmp_path_factory.mktemp("scan")))


def test_a_clean_host_is_silent_from_medium_level_on_and_exits_0(host: Host, done: Any) -> None:
    assert serious(done.stdout) == []
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert {status["status"] for status in only(done.stdout, "rule")} <= {"alert"}, only(done.stdout, "rule")
    assert host.leftovers() == []


def test_the_report_tells_what_the_probe_cost(done: Any) -> None:
    (entry,) = only(done.stdout, "host")
    assert 0 < entry["cost"]["probe_cpu_s"] < 10
    assert 0 < entry["cost"]["probe_max_rss_bytes"] < 64 << 20


def test_planted_behaviours_are_found_and_exit_1(tmp_path: Path) -> None:
    with make_host("planted", address="127.0.8.2") as planted, plant(planted):
        done = scan(*arguments_for(planted, tmp_path))

        assert {finding["rule"]["name"] for finding in only(done.stdout, "finding")} >= EXPECTED
        assert done.returncode == 1
        assert planted.leftovers() == []


def test_nothing_listening_is_exit_2_with_a_sentence_that_helps(tmp_path: Path, host: Host) -> None:
    port = free_port("127.0.8.9")

    done = scan(f"root@127.0.8.9:{port}", "--identity", str(host.key_path("root")), "--format", "jsonl")

    (error,) = only(done.stdout, "error")
    assert done.returncode == 2
    assert error["code"] == "refused"
    assert str(port) in error["message"]


def test_an_unknown_host_key_is_not_accepted_without_being_told(host: Host, tmp_path: Path) -> None:
    arguments = [word for word in arguments_for(host, tmp_path) if word != "--accept-new-host-keys"]

    done = scan(*arguments)

    assert done.returncode == 2
    assert [error["code"] for error in only(done.stdout, "error")] == ["host_key_unknown"]
    assert host.leftovers() == []


def test_a_changed_host_key_is_a_critical_finding_and_nothing_is_scanned(tmp_path: Path) -> None:
    with make_host("rekeyed", address="127.0.8.3") as host:
        assert scan(*arguments_for(host, tmp_path)).returncode == 0
        host.rekey()
        before = len(host.authentications())

        done = scan(*arguments_for(host, tmp_path))

        assert done.returncode == 2
        assert [finding["rule"]["name"] for finding in only(done.stdout, "finding")] == ["host_key_changed"]
        assert len(host.authentications()) == before


def test_a_password_is_asked_for_and_serves_sudo_too(host: Host, tmp_path: Path) -> None:
    known = str(tmp_path / "known_hosts")

    done = scan(
        f"scan@{host.address}:{host.port}", "--ask-password", "--accept-new-host-keys", "--known-hosts", known,
        "--format", "jsonl", typed="secret-one\n",
    )  # fmt: skip

    (entry,) = only(done.stdout, "host")
    assert entry["profile"]["is_root"] is True, done.stdout
    assert "secret-one" not in done.stdout + done.stderr


def test_a_wrong_password_is_tried_once(host: Host, tmp_path: Path) -> None:
    before = len(host.authentications())

    done = scan(
        f"scan@{host.address}:{host.port}", "--ask-password", "--accept-new-host-keys", "--format", "jsonl",
        "--known-hosts", str(tmp_path / "known_hosts"), typed="wrong\n",
    )  # fmt: skip

    assert done.returncode == 2
    assert [error["code"] for error in only(done.stdout, "error")] == ["auth_rejected"]
    assert len([line for line in host.authentications()[before:] if "Failed password" in line]) == 1


def test_bars_grow_on_a_terminal_and_standard_output_stays_clean(host: Host, tmp_path: Path) -> None:
    known = ("--known-hosts", str(tmp_path / "known_hosts"), "--identity", str(host.key_path("root")))
    name = f"root@{host.address}:{host.port}"
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    argv = command(name, *known, "--accept-new-host-keys", "--format", "jsonl")
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
    ) as running:
        os.close(theirs)
        with ThreadPoolExecutor(1) as pool:
            screen = pool.submit(read_screen, ours)
            stdout, _ = running.communicate(timeout=120)
            shown = screen.result()

    percents = [int(number) for number in re.findall(rf"{host.address}:{host.port} .{{30}} +(\d+) %", shown)]
    assert percents == sorted(percents)
    # The run's own share, of which only the probe can tell.
    assert any(25 < percent < 98 for percent in percents), shown[-2000:]
    # Eight pictures a second: a phase that is over sooner may stand in none.
    phases = [Phase(word) for word in re.findall(r"% (\w+)", shown)]
    assert phases == sorted(phases, key=list(Phase).index)
    assert Phase.RUNNING in phases
    assert [entry["type"] for entry in objects(stdout)][-1] == "summary"
    assert running.returncode == 0


def read_screen(terminal: int) -> str:
    """Everything that was written to it, without its control sequences."""
    said = b""
    # The kernel's word for the other side having closed.
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65536):
            said += piece
    os.close(terminal)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())


def test_a_scan_killed_in_the_middle_leaves_neither_file_nor_process(host: Host, tmp_path: Path) -> None:
    running = subprocess.Popen(command(*arguments_for(host, tmp_path)), cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_until(lambda: any("/sf" in line for line in host.processes().values()), 120)

    running.send_signal(signal.SIGKILL)
    running.wait()

    assert host.wait_clean(10) == []
