"""The whole product as `manage.py up` starts it, driven through the API alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.hosts.host import Host

ROOT = Path(__file__).resolve().parents[2]
START_S = 300.0
UNFINISHED = {"queued", "running"}


@dataclass
class Product:
    """A running installation; `token` has the rights of its admin."""

    data: Path
    port: int
    process: subprocess.Popen[bytes]
    token: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.data)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer; raises AssertionError with the body for an error status."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = Request(f"http://127.0.0.1:{self.port}/api/v1/{path}", data, headers, method=method)
        try:
            with urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def results(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.call("GET", path)["results"]
        return rows

    def add_credential(self, name: str, **fields: str) -> int:
        """A credential of root, unless `fields` name another user."""
        zone = self.results("zones?name=default")[0]["id"]
        return int(self.call("POST", "credentials", {"name": name, "zone": zone, "username": "root", **fields})["id"])

    def add_host(self, host: Host, credential: int) -> str:
        zone = self.results("zones?name=default")[0]["id"]
        body = {"name": host.name, "address": host.address, "port": host.port, "zone": zone, "credential": credential,
                "accept_new_host_key": True}  # fmt: skip
        return str(self.call("POST", "hosts", body)["id"])

    def start_scan(self, host_id: str) -> str:
        answer = self.call("POST", "scans", {"hosts": [host_id], "types": ["detection"], "priority": "high"})
        return str(answer["scans"][0]["id"])

    def wait_for_scan(self, scan_id: str, seconds: float = 300) -> dict[str, Any]:
        """The scan once it is final."""
        deadline = time.monotonic() + seconds
        while (scan := self.call("GET", f"scans/{scan_id}"))["status"] in UNFINISHED:
            assert time.monotonic() < deadline, scan
            time.sleep(0.2)
        return dict(scan)

    def scan(self, host_id: str) -> dict[str, Any]:
        return self.wait_for_scan(self.start_scan(host_id))

    def findings(self, host_id: str) -> list[dict[str, Any]]:
        return self.results(f"findings?host={host_id}&page_size=500")

    def processes(self, word: str) -> list[int]:
        """Processes of this installation whose command line has the word."""
        found = []
        for pid in descendants(self.process.pid):
            with suppress(OSError):
                found += [pid] * (word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes())
        return found

    def kill_workers(self) -> None:
        for pid in self.processes("scanners.app"):
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> Iterator[int]:
    """Processes below one, parents first."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                yield int(child)
                yield from descendants(int(child))


def environment(data: Path, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    # The shortest silence that the settings allow, so that a lost scan is seen soon.
    own = {"SANDFLY_DATA_DIR": str(data), "SANDFLY_SCAN_SILENCE": "30", "SANDFLY_DISPATCH_INTERVAL": "1"}
    return {**kept, **own, **(changes or {})}


def manage(data: Path, *arguments: str) -> str:
    argv = [sys.executable, "manage.py", *arguments]
    return subprocess.run(argv, cwd=ROOT, env=environment(data), check=True, capture_output=True, text=True).stdout


@contextmanager
def run_product(changes: Mapping[str, str] | None = None, parent: str = "/tmp") -> Iterator[Product]:
    """Starts an empty installation without a first scan, and stops it. `changes` go into its environment."""
    root = Path(tempfile.mkdtemp(prefix="sf-e2e-", dir=parent))
    root.chmod(0o711)
    data, log = root / "d", root / "up.log"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    argv = [sys.executable, "manage.py", "up", "--no-scan", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=ROOT, env=environment(data, changes), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        wait_for_console(process, log)
        token = manage(data, "create_token", "admin", "tests").strip().splitlines()[-1]
        yield Product(data, port, process, token)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(root)


def wait_for_console(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not re.search(r"Ctrl-C stops", log.read_text()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
