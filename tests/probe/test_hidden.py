"""What hides on a live host is found: harmless stand-ins in mount namespaces of their own. A clean host is silent."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.build import Build
from scanners import contract

pytestmark = pytest.mark.integration

FIELDS = ["kind", "name", "path", "pid", "detail", "seen_by", "missing_from", "local_port", "size_stat", "size_read"]
METHODS = {
    "process_sweep", "process_entries", "mounts_over_proc", "modules", "taint", "known_names", "link_counts",
    "directory_blocks", "file_content", "sockets",
}  # fmt: skip
Record = dict[str, Any]


def plan(subject: str, fields: list[str]) -> bytes:
    rule = contract.PlanRule(id="all", subject=subject, fields=fields)
    return contract.encode(contract.Plan(rules=[rule])) + b"\n"


def records(output: bytes) -> list[Record]:
    lines = [contract.decode_report_line(line) for line in output.splitlines()]
    assert isinstance(lines[-1], contract.ProbeFooter)
    assert lines[-1].complete
    return [line.record for line in lines if isinstance(line, contract.Match)]


def look(probe: Build, prepare: str = "true", root: Path = Path("/")) -> list[Record]:
    """Runs the probe in a mount namespace after the shell commands that prepare it; `$$` is the probe's pid."""
    script = f"{prepare} && exec {probe.path} --keep --root {root}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script],
        input=plan("hidden", FIELDS),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return records(done.stdout)


def findings(seen: list[Record]) -> list[Record]:
    return [record for record in seen if record["kind"] != "method"]


@pytest.fixture
def victim() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


def test_process_under_an_empty_directory_is_found(probe: Build, victim: int) -> None:
    found = findings(look(probe, f"mount -t tmpfs none /proc/{victim}"))

    kinds = {record["kind"] for record in found if record["pid"] == victim}
    assert kinds == {"process", "mount_over"}
    assert len(found) == 2


def test_process_that_wears_the_files_of_another_is_found(probe: Build, victim: int) -> None:
    found = findings(look(probe, f"mount --bind /proc/1 /proc/{victim}"))

    masked = next(record for record in found if record["kind"] == "process")
    assert masked["pid"] == victim
    assert masked["detail"] == f"/proc/{victim} shows process 1"


def test_file_that_reads_longer_than_it_is_is_found(probe: Build, tmp_path: Path) -> None:
    for name in ("etc/passwd", "proc/self/mountinfo"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    found = findings(look(probe, f"mount --bind /proc/version {tmp_path}/etc/passwd", tmp_path))

    assert [(record["kind"], record["path"]) for record in found] == [("file_content", "/etc/passwd")]
    assert found[0]["size_stat"] == 0
    assert found[0]["size_read"] > 0


def test_socket_that_is_taken_out_of_the_table_is_found(probe: Build, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        prepare = (
            f"cp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 {tmp_path}; "
            f"grep -v ':{port:04X} 00000000:0000' /proc/net/tcp > {tmp_path}/tcp; "
            f"mount --bind {tmp_path} /proc/$$/net"
        )

        found = findings(look(probe, prepare))

    assert (port, ["sock_diag"]) in [(r["local_port"], r["seen_by"]) for r in found if r["kind"] == "socket"]


def test_every_method_says_how_it_went_and_a_busy_host_hides_nothing(probe: Build) -> None:
    noise = subprocess.Popen(
        [sys.executable, "-c", "import subprocess\nwhile True: subprocess.run(['sleep', '0.005'], check=False)"]
    )
    try:
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            seen = look(probe)

            assert findings(seen) == []
            assert {record["name"] for record in seen} == METHODS
    finally:
        noise.kill()
        noise.wait()


def test_library_that_a_variable_forces_on_a_program_is_told_so(probe: Build, tmp_path: Path) -> None:
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").split()
    original = next(word for word in maps if word.startswith("/") and "/libc.so" in word)
    library = tmp_path / ".stage" / "hook.so"
    library.parent.mkdir()
    shutil.copy(original, library)
    program = subprocess.Popen(["sleep", "60"], env={"LD_PRELOAD": str(library), "PATH": "/usr/bin:/bin"})
    try:
        time.sleep(0.3)
        fields = ["path", "injected_by", "is_hidden", "process.names", "pids", "is_mapped"]
        done = subprocess.run(
            [probe.path, "--keep"], input=plan("library", fields), capture_output=True, timeout=60, check=True
        )
    finally:
        program.kill()
        program.wait()

    hook = next(record for record in records(done.stdout) if record["path"] == str(library))
    assert hook["injected_by"] == ["LD_PRELOAD"]
    assert hook["is_hidden"]
    assert hook["pids"] == [program.pid]
