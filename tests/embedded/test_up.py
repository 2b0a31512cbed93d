"""`manage.py up` as people run it: from an empty directory to findings, and away again without a trace."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from probes.build import build_directory
from sandfly_web.embedded import postgres, redis
from sandfly_web.embedded.datadir import write_private
from sandfly_web.embedded.paths import DataDir

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
READY = "Ctrl-C stops everything"
START_S = 180.0
STOP_S = 30.0


class Up:
    """A running `manage.py up` and what it has printed so far."""

    def __init__(
        self, data: Path, port: int, *arguments: str, prefix: tuple[str, ...] = (), **environment: str
    ) -> None:
        self.data, self.port = data, port
        self._output = data.with_name(f"output-{time.monotonic_ns()}")
        inherited = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "manage.py", "up", "--port", str(port), *arguments],
                cwd=ROOT,
                env={**inherited, "SANDFLY_DATA_DIR": str(data), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + START_S
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)

    def word_after(self, label: str) -> str:
        found = re.search(rf"^{label}:\s+(\S+)$", self.output, re.MULTILINE)
        return found.group(1) if found else ""

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def data_directory() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="sf-up-", dir="/tmp"))
    root.chmod(0o711)
    try:
        yield root / "d"
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """One first start, shared by the tests that only look."""
    with data_directory() as data:
        running = Up(data, free_port())
        try:
            running.wait_for(READY)
            yield running
        finally:
            running.stop()


def sign_in(port: int, username: str, password: str) -> tuple[OpenerDirector, str]:
    """Submit the login form as a browser would; returns the session and the path it ends at."""
    opener = build_opener(HTTPCookieProcessor(CookieJar()))
    with opener.open(f"http://127.0.0.1:{port}/login/?next=/", timeout=20) as page:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    assert token is not None
    form = {"csrfmiddlewaretoken": token.group(1), "username": username, "password": password, "next": "/"}
    with opener.open(f"http://127.0.0.1:{port}/login/", urlencode(form).encode(), timeout=20) as page:
        return opener, page.geturl().partition(str(port))[2]


def wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_the_console_answers_and_the_shown_password_opens_it(up):
    _, path = sign_in(up.port, up.word_after("User"), up.word_after("Password"))

    assert path == "/"


def test_a_wrong_password_does_not(up):
    _, path = sign_in(up.port, "admin", "wrong")

    assert path.startswith("/login/")


def test_this_machine_is_scanned_and_the_result_is_shown(up):
    assert re.search(r"^Scanned .* in \d+\.\d s\. Rules: \d+ alert, \d+ pass", up.output, re.MULTILINE), up.output
    assert re.search(r"^(No findings|\d+ findings?:)", up.output, re.MULTILINE)


def test_no_line_is_wider_than_eighty_columns_but_those_with_a_path(up):
    wide = [line for line in up.output.splitlines() if len(line) > 80 and "/" not in line]

    assert wide == []


def test_the_worker_s_process_holds_no_database_and_no_secret_key(up):
    workers = [
        entry
        for entry in Path("/proc").iterdir()
        if str(up.data).encode() in read(entry / "environ") and b"scanners.app" in read(entry / "cmdline")
    ]

    assert workers
    for worker in workers:
        names = {pair.partition(b"=")[0] for pair in read(worker / "environ").split(b"\0")}
        assert not names & {b"DATABASE_URL", b"SANDFLY_SECRET_KEY", b"SANDFLY_SECRET_KEY_FILE", b"SANDFLY_DATA_DIR"}


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_second_up_on_the_same_directory_is_refused(up):
    second = Up(up.data, free_port())

    assert second.process.wait(60) == 1
    assert f"up already runs on {up.data} (process {up.process.pid})" in second.output


def test_a_taken_port_is_refused_before_anything_is_started(up):
    with data_directory() as other:
        second = Up(other, up.port)

        assert second.process.wait(60) == 1
        assert f"port {up.port} on 127.0.0.1 is taken" in second.output
        assert "--port" in second.output
        assert not other.exists()


def test_stop_leaves_no_process_and_a_second_start_keeps_everything(processes_of):
    with data_directory() as data:
        port = free_port()
        first = Up(data, port, "--no-scan")
        first.wait_for(READY)
        password = first.word_after("Password")
        assert first.stop() == 0
        assert processes_of(data) == []

        second = Up(data, port)
        second.wait_for(READY)
        _, path = sign_in(port, "admin", password)
        shown = second.output
        assert second.stop() == 0

    assert path == "/"
    assert password not in shown
    assert "Password:" not in shown
    assert "migrations applied" not in shown


def test_a_killed_up_takes_its_processes_along_and_the_next_one_starts(processes_of):
    with data_directory() as data:
        port = free_port()
        first = Up(data, port, "--no-scan")
        first.wait_for(READY)
        first.process.kill()
        first.process.wait()
        second = Up(data, port, "--no-scan", "--reset-password")
        second.wait_for(READY)
        new = second.word_after("Password")
        _, path = sign_in(port, "admin", new)
        assert second.stop() == 0

        assert wait_until(lambda: processes_of(data) == [], STOP_S)

        first_password = first.word_after("Password")

    assert new not in {"", first_password}
    assert path == "/"


def test_ctrl_c_during_the_start_stops_what_was_started(processes_of):
    with data_directory() as data:
        running = Up(data, free_port())
        running.wait_for("PostgreSQL:")
        running.process.send_signal(signal.SIGINT)

        assert running.process.wait(STOP_S) == 0
        assert processes_of(data) == []


def test_a_normal_user_gets_the_same_and_owns_all_of_it(processes_of, as_nobody):
    with data_directory() as data:
        data.mkdir()
        os.chown(data, 65534, 65534)
        port = free_port()
        running = Up(
            data, port, prefix=as_nobody, HOME=str(data), SANDFLY_PROBES_DIR=str(build_directory()),
            PYTHONDONTWRITEBYTECODE="1",
        )  # fmt: skip
        running.wait_for(READY)
        _, path = sign_in(port, "admin", running.word_after("Password"))
        owners = {entry.lstat().st_uid for entry in data.rglob("*")}
        shown = running.output
        assert running.stop() == 0
        assert processes_of(data) == []

    assert path == "/"
    assert owners == {65534}
    assert "Not as root: rules that need root were skipped." in shown


def test_servers_that_the_environment_names_are_used_and_none_is_started(data, processes_of):
    with postgres.start(data) as database, redis.start(data) as broker, data_directory() as own:
        running = Up(own, free_port(), "--no-scan", DATABASE_URL=database.url, REDIS_URL=broker.url)
        running.wait_for(READY)
        started = [line for line in processes_of(own) if "postgres" in line or "redis-server" in line]
        assert running.stop() == 0

        assert started == []
        assert not DataDir(own).cluster.exists()
        assert database.is_running()
        assert broker.is_running()


def test_a_database_that_is_not_there_is_said_in_a_sentence(data):
    with redis.start(data) as broker, data_directory() as own:
        running = Up(own, free_port(), DATABASE_URL="postgresql://u@127.0.0.1:1/x", REDIS_URL=broker.url)

        assert running.process.wait(60) == 1
        assert "the database cannot be used: " in running.output
        assert "Traceback" not in running.output


def test_a_worker_by_itself_serves_its_zone_and_holds_no_secret_of_the_console(data):
    zone_key = data.zone_key("dmz")
    with redis.start(data) as broker:
        write_private(zone_key, base64.b64encode(bytes(32)).decode())
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "worker", "--zone", "dmz", "--concurrency", "1"],
            cwd=ROOT,
            env={
                **os.environ,
                "SANDFLY_DATA_DIR": str(data.root),
                "REDIS_URL": broker.url,
                "DATABASE_URL": "postgresql://u:canary-77@127.0.0.1:1/x",
                "SANDFLY_SECRET_KEY": "canary-77",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with worker:
            lines = iter(worker.stdout.readline, b"")
            ready = next(line for line in lines if b"ready" in line)
            environment = Path(f"/proc/{worker.pid}/environ").read_bytes()
            worker.terminate()

    assert b"dmz@" in ready
    assert b"canary-77" not in environment
    assert f"SANDFLY_ZONE_KEY_FILE={zone_key}".encode() in environment
