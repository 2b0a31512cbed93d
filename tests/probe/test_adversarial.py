"""Trees made to break a reader: the probe ends well, in time and memory, and every line of its report is valid."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.build import Build
from scanners import contract
from tests.probe.test_trees import SUBJECTS

pytestmark = pytest.mark.integration

CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f]")


def everything(paths: list[str]) -> contract.Plan:
    """Files and directories with all fields, below these paths; every other subject as it is."""
    scope = contract.Scope(paths=paths)
    return contract.Plan(
        limits=contract.PlanLimits(cpu_percent=100, deadline_s=60, memory_bytes=64 << 20, matches_per_rule=5000),
        rules=[
            contract.PlanRule(
                id=name, subject=name, fields=list(fields), scope=scope if name in ("file", "directory") else None
            )
            for name, fields in SUBJECTS.items()
        ],
    )


def scan(probe: Build, root: Path, paths: list[str]) -> list[dict[str, Any]]:
    """The lines of a complete report; strict: UTF-8, one JSON object a line, no raw control character, the contract."""
    done = subprocess.run(
        [probe.path, "--keep", "--root", root],
        input=contract.encode(everything(paths)),
        capture_output=True,
        timeout=90,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith(b"SANDFLY-AT ")]
    assert (done.returncode, said) == (0, [b"SANDFLY-READY"])
    assert not CONTROL.search(done.stdout)
    assert b"fault in collector" not in done.stdout
    text = done.stdout.decode("utf-8")
    assert text.endswith("\n")
    lines: list[dict[str, Any]] = []
    for line in text[:-1].split("\n"):
        contract.decode_report_line(line.encode())
        lines.append(json.loads(line))
    assert (lines[0]["type"], lines[-1]["type"], lines[-1]["complete"]) == ("header", "footer", True)
    assert lines[-1]["max_rss_bytes"] < 64 << 20
    return lines


def records(lines: list[dict[str, Any]], subject: str) -> list[dict[str, Any]]:
    return [line["record"] for line in lines if line["type"] == "match" and line["subject"] == subject]


def write_named(directory: Path, name: bytes) -> None:
    (directory / os.fsdecode(name)).write_bytes(b"#!/bin/sh\n")


def test_names_of_every_byte_are_shown_escaped_and_each_once(probe: Build, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    names = {bytes([byte]) * 3 for byte in range(1, 256) if byte not in b"/."}
    names |= {b"a\nb", b"\x1b[31mred\x1b[0m", b"\xff\xfe\xed\xa0\x80", b"x" * 255, b"-rf", b"$(id)"}
    names.add("ä\u202e\u2028".encode())
    for name in names:
        write_named(tmp_path / "tmp", name)

    found = records(scan(probe, tmp_path, ["/tmp"]), "file")

    assert len(found) == len({record["path"] for record in found}) == len(names)
    assert {r"/tmp/\xff\xff\xff", "/tmp/a\nb", "/tmp/\x1b[31mred\x1b[0m"} <= {record["path"] for record in found}


def test_a_byte_and_the_text_of_its_escape_are_two_files(probe: Build, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    for name in (b"\xff", rb"\xff"):
        write_named(tmp_path / "tmp", name)

    assert len(records(scan(probe, tmp_path, ["/tmp"]), "file")) == 2


@pytest.fixture
def deep_path(tmp_path: Path) -> Iterator[Path]:
    """A place for trees so deep that Python's own removal would give up."""
    place = tmp_path / "deep"
    place.mkdir()
    yield place
    subprocess.run(["rm", "-rf", place], check=True)


def test_paths_longer_than_the_kernel_takes_are_walked(probe: Build, deep_path: Path) -> None:
    here = os.open(deep_path, os.O_RDONLY | os.O_DIRECTORY)
    for name in ["tmp", *["d" * 250] * 20]:
        os.mkdir(name, dir_fd=here)
        here, above = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here), here
        os.close(above)
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
    os.close(here)

    lines = scan(probe, deep_path, ["/tmp"])

    found = [line for line in lines if line["type"] == "match" and line["subject"] == "file"]
    assert [(line["record"]["name"], line["record"]["size"]) for line in found] == [("end", 0)]
    assert [len(line["record"]["path"]) for line in found] == [4096]
    assert "path" in found[0]["truncated"]


def test_a_thousand_levels_are_walked_or_said_to_be_too_deep(probe: Build, deep_path: Path) -> None:
    here = os.open(deep_path, os.O_RDONLY | os.O_DIRECTORY)
    for name in ["tmp", *["d"] * 1000]:
        os.mkdir(name, dir_fd=here)
        here, above = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here), here
        os.close(above)
    os.close(here)

    lines = scan(probe, deep_path, ["/tmp"])

    depths = [record["path"].count("/") for record in records(lines, "directory")]
    status = {line["subject"]: line["state"] for line in lines if line["type"] == "collector"}
    assert max(depths) >= 1000 or status["directory"] == "partial"


def test_links_that_loop_or_lead_out_of_the_root_end(probe: Build, tmp_path: Path) -> None:
    for name in ("tmp", "etc", "root/.ssh", "var/log", "etc/systemd/system", "var/spool/cron"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tmp/self").symlink_to("self")
    (tmp_path / "tmp/up").symlink_to("../tmp")
    (tmp_path / "tmp/a").symlink_to("b")
    (tmp_path / "tmp/b").symlink_to("/tmp/a")
    (tmp_path / "etc/passwd").symlink_to("/etc/passwd")
    (tmp_path / "etc/shadow").symlink_to("../../../../../../etc/shadow")
    (tmp_path / "etc/sudoers").symlink_to("/proc/self/mem")
    (tmp_path / "root/.ssh/authorized_keys").symlink_to("authorized_keys")
    (tmp_path / "etc/systemd/system/x.service").symlink_to("/etc/systemd/system")
    (tmp_path / "var/log/auth.log").symlink_to("/dev/zero")
    (tmp_path / "var/spool/cron/crontabs").symlink_to(".")

    lines = scan(probe, tmp_path, ["/tmp"])

    assert records(lines, "user") == []
    assert {record["path"] for record in records(lines, "file")} >= {"/tmp/self", "/tmp/up", "/tmp/a", "/tmp/b"}


def test_fifos_sockets_and_directories_in_the_place_of_files_never_block(probe: Build, tmp_path: Path) -> None:
    places = [
        *("etc/passwd", "etc/group", "etc/sudoers", "etc/crontab", "etc/ld.so.preload", "root/.bash_history"),
        *("root/.ssh/authorized_keys", "var/log/auth.log", "var/log/wtmp"),
        *("proc/1/stat", "proc/modules", "proc/net/tcp", "proc/kallsyms"),
    ]
    for place in places:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
    for place in ("etc/shadow", "etc/pam.d/sshd", "var/lib/dpkg/status", "var/log/lastlog"):
        (tmp_path / place).mkdir(parents=True)
    begun = time.monotonic()

    lines = scan(probe, tmp_path, ["/etc", "/var"])

    assert time.monotonic() - begun < 30
    assert {record["type"] for record in records(lines, "file")} >= {"fifo"}


def test_a_huge_directory_and_a_sparse_file_cost_no_memory(probe: Build, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    for number in range(20_000):
        os.close(os.open(tmp_path / "tmp" / f"f{number}", os.O_CREAT | os.O_WRONLY, 0o644))
    for name in ("tmp/sparse", "etc/passwd", "var/log/auth.log", "var/log/lastlog", "etc/crontab"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 40)

    lines = scan(probe, tmp_path, ["/tmp"])

    rules = {line["rule"]: line for line in lines if line["type"] == "rule"}
    index = list(SUBJECTS).index("file")
    assert rules[index]["matched"] == 20_001
    status = {line["subject"]: line for line in lines if line["type"] == "collector"}
    assert status["user"]["state"] != "ok"


def _churn(root: Path) -> None:
    """One round of files that grow, shrink, vanish, come again and change their kind."""
    log, passwd, moving = root / "var/log/auth.log", root / "etc/passwd", root / "tmp/moving"
    with log.open("ab") as file:
        file.write(b"Nov 24 08:00:00 h sshd[1]: Failed password for root from 203.0.113.9 port 1 ssh2\n" * 500)
    if log.stat().st_size > 4 << 20:
        log.write_bytes(b"")
    passwd.write_bytes(b"root:x:0:0::/root:/bin/sh\n" * (1 + time.monotonic_ns() % 1000))
    for kind in ("file", "link", "dir"):
        if kind == "file":
            moving.write_bytes(b"x" * 100_000)
            moving.unlink()
        elif kind == "link":
            moving.symlink_to("/etc/passwd")
            moving.unlink()
        else:
            moving.mkdir()
            (moving / "inner").write_bytes(b"y")
            (moving / "inner").unlink()
            moving.rmdir()


@pytest.fixture
def churning(tmp_path: Path) -> Iterator[Path]:
    for name in ("tmp", "etc", "var/log"):
        (tmp_path / name).mkdir(parents=True)
    _churn(tmp_path)
    end = threading.Event()

    def work() -> None:
        while not end.wait(0.0005):
            _churn(tmp_path)

    worker = threading.Thread(target=work)
    worker.start()
    yield tmp_path
    end.set()
    worker.join()


def test_files_that_grow_shrink_and_vanish_while_read_break_nothing(probe: Build, churning: Path) -> None:
    for _ in range(4):
        lines = scan(probe, churning, ["/tmp", "/etc", "/var"])

        status = {line["subject"]: line for line in lines if line["type"] == "collector"}
        assert status["file"]["state"] == "ok"


SHORT: dict[str, Callable[[Path], None]] = {
    "nothing at all": lambda root: None,
    "an empty proc": lambda root: (root / "proc").mkdir(),
    "a process that has gone": lambda root: (root / "proc/77").mkdir(parents=True),
    "a proc of files": lambda root: (root / "proc").write_text(""),
}


@pytest.mark.parametrize("shape", SHORT)
def test_a_root_without_the_usual_files_is_reported_on(probe: Build, tmp_path: Path, shape: str) -> None:
    SHORT[shape](tmp_path)

    lines = scan(probe, tmp_path, ["/"])

    assert {line["subject"] for line in lines if line["type"] == "collector"} == set(SUBJECTS)
