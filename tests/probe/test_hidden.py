"""What hides on a live host is found: harmless stand-ins in mount namespaces of their own. A clean host is silent."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.build import Build
from scanners import contract
from tests.behaviours.enact import standin
from tests.bench.silence import METHODS
from tests.hosts import bending, deaf
from tests.hosts.hanging import Server, hanging_mount
from tests.hosts.hook import write_hook
from tests.hosts.host import wait_until

pytestmark = pytest.mark.integration

FIELDS = [
    "kind",
    "name",
    "path",
    "pid",
    "detail",
    "seen_by",
    "missing_from",
    "local_port",
    "size_stat",
    "size_read",
    "is_done",
]
Record = dict[str, Any]


def plan(subject: str, fields: list[str]) -> bytes:
    rule = contract.PlanRule(id="all", subject=subject, fields=fields)
    return encoded(rule)


def encoded(rule: contract.PlanRule) -> bytes:
    """A plan for a probe that does not wait for a quieter moment."""
    return contract.encode(contract.Plan(rules=[rule], limits=contract.PlanLimits(cpu_percent=100))) + b"\n"


def records(output: bytes) -> list[Record]:
    lines = [contract.decode_report_line(line) for line in output.splitlines()]
    assert isinstance(lines[-1], contract.ProbeFooter)
    assert lines[-1].complete
    return [line.record for line in lines if isinstance(line, contract.Match)]


def run(script: str, *namespaces: str) -> list[Record]:
    """What a shell script that ends as the probe gives, in a mount namespace of its own."""
    argv = ["unshare", "--mount", *namespaces, "sh", "-ec", script]
    done = subprocess.run(argv, input=plan("hidden", FIELDS), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return records(done.stdout)


def look(probe: Build, prepare: str = "true", root: Path = Path("/")) -> list[Record]:
    """Runs the probe after the shell commands that prepare it; `$$` is the probe's pid."""
    return run(f"{prepare} && exec {probe.path} --keep --root {root}")


def records_of(probe: Build, subject: str, fields: list[str]) -> list[Record]:
    """All records of a subject of this machine."""
    argv: list[str | Path] = [probe.path, "--keep"]
    return records(
        subprocess.run(argv, input=plan(subject, fields), capture_output=True, timeout=60, check=True).stdout
    )


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


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_socket_that_is_taken_out_of_the_table_is_found(probe: Build, tmp_path: Path, protocol: str) -> None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            server.listen()
        port = server.getsockname()[1]
        prepare = (
            f"cp /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 {tmp_path}; "
            f"grep -v ':{port:04X} 00000000:0000' /proc/net/{protocol} > {tmp_path}/{protocol}; "
            f"mount --bind {tmp_path} /proc/$$/net"
        )

        found = findings(look(probe, prepare))

    sockets = [(r["name"], r["local_port"], r["seen_by"]) for r in found if r["kind"] == "socket"]
    assert (protocol, port, ["sock_diag"]) in sockets


@pytest.mark.parametrize("interface", deaf.CALLS)
def test_process_is_found_when_all_interfaces_but_one_keep_it_back(probe: Build, interface: str) -> None:
    hide = f"{standin()} veil /proc/$! -- {sys.executable} {deaf.__file__} $! {interface}"
    script = f"sleep 60 & exec {hide} {probe.path} --keep"
    found = findings(run(script, "--pid", "--fork", "--kill-child=KILL", "--mount-proc"))

    assert [(record["kind"], record["name"]) for record in found] == [("process", "sleep")]
    assert found[0]["seen_by"] == [interface]
    assert found[0]["missing_from"] == ["proc_listing"]


@pytest.mark.parametrize(("kind", "size"), [("ext4", "8M"), ("xfs", "320M")])
def test_name_that_only_the_blocks_of_a_disk_have_is_found(probe: Build, tmp_path: Path, kind: str, size: str) -> None:
    disk = f"truncate -s {size} {tmp_path}/disk && mkfs.{kind} -q {tmp_path}/disk && mount -o loop {tmp_path}/disk /srv"
    veil = f"{standin()} veil /srv/dark /srv/darker -- {probe.path} --keep"
    # XFS writes directories to their places in its own time, but when it is unmounted.
    again = f"umount /srv && mount -o loop {tmp_path}/disk /srv"
    found = findings(run(f"{disk} && echo x > /srv/dark && mkdir /srv/darker && {again} && exec {veil}"))

    seen = {(record["kind"], record["path"], *record["seen_by"]) for record in found}
    assert seen == {
        ("directory_entry", "/srv", "link_count"),
        ("directory_entry", "/srv/dark", "device", "stat"),
        ("directory_entry", "/srv/darker", "device", "stat"),
    }


MODULE_TREE = {
    "proc/modules": "ext4 983040 1 - Live 0x0\n",
    "proc/self/mountinfo": "20 1 0:20 / /sys/kernel/tracing rw - tracefs tracefs rw\n",
    "proc/kallsyms": "ffffffffc0 t ext4_init\t[ext4]\n",
    "proc/sys/kernel/tainted": "0\n",
    "sys/module/ext4/initstate": "live\n",
}
CONCEALED = {
    "sys_module": {"sys/module/dark/initstate": "live\n"},
    "kallsyms": {"proc/kallsyms": "ffffffffc0 t hook\t[dark]\n"},
    "vmallocinfo": {"proc/vmallocinfo": "0x0-0x1 8192 dark_init+0x10/0x20 [dark] pages=1 vmalloc\n"},
    "traceable_functions": {"sys/kernel/tracing/available_filter_functions": "vfs_read\nhook [dark]\n"},
    "used_by": {"proc/modules": "ext4 983040 1 dark, Live 0x0\n"},
    "proc_modules": {"proc/modules": "ext4 983040 1 - Live 0x0\ndark 8192 0 - Live 0x0\n"},
}


def look_at_tree(probe: Build, root: Path, files: dict[str, str]) -> list[Record]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return findings(look(probe, root=root))


@pytest.mark.parametrize("source", CONCEALED)
def test_module_in_one_list_and_not_in_another_is_found(probe: Build, tmp_path: Path, source: str) -> None:
    found = look_at_tree(probe, tmp_path, MODULE_TREE | CONCEALED[source])

    assert [(record["kind"], record["name"], record["seen_by"]) for record in found] == [("module", "dark", [source])]
    assert found[0]["missing_from"] == ["sys_module" if source == "proc_modules" else "proc_modules"]


def test_taint_that_no_listed_module_has_is_found(probe: Build, tmp_path: Path) -> None:
    tainted = {"proc/sys/kernel/tainted": "12288\n", "proc/modules": "ext4 983040 1 - Live 0x0 (O)\n"}

    assert look_at_tree(probe, tmp_path / "clean", MODULE_TREE) == []
    assert [(r["kind"], r["name"]) for r in look_at_tree(probe, tmp_path / "bad", MODULE_TREE | tainted)] == [
        ("taint", "E")
    ]


PEOPLE = b"".join(b"user%d:x:%d:%d::/nonexistent:/bin/false\n" % (n, n, n) for n in range(1000, 1150))


@pytest.mark.parametrize(
    ("server", "detail"),
    [(bending.Shortening, "reading gives"), (bending.Replacing, "mapped content differs")],
)
def test_file_whose_reading_fuse_bends_is_found(
    probe: Build, tmp_path: Path, server: type[Server], detail: str
) -> None:
    (tmp_path / "etc").mkdir()
    content = PEOPLE[:3000] + bending.SECRET + PEOPLE[3000:]
    with hanging_mount(tmp_path / "etc", {"passwd": content, "group": b"root:x:0:\n"}, server):
        found = look_at_tree(probe, tmp_path, MODULE_TREE)

    assert [(record["kind"], record["path"]) for record in found] == [("file_content", "/etc/passwd")]
    assert detail in found[0]["detail"]
    assert found[0]["size_stat"] == len(content)


def test_file_on_a_server_that_may_not_answer_is_no_silence(probe: Build, tmp_path: Path) -> None:
    with hanging_mount(tmp_path, {"hosts": b"127.0.0.1 localhost\n"}):
        seen = look(probe, f"mount --bind {tmp_path}/hosts /etc/hosts")

    method = next(record for record in seen if record["name"] == "file_content")
    assert method["is_done"] is False
    assert "/etc/hosts" in method["detail"]


def test_every_method_says_how_it_went_and_a_busy_host_hides_nothing() -> None:
    argv = [sys.executable, "-m", "tests.bench.silence", "--json", "--runs", "2"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)

    assert done.stdout, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["alarms"], outcome["errors"]) == ([], [])
    assert done.returncode == 0
    assert {name for name in outcome["methods"] if not name.startswith("tree: ")} == METHODS


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    (tmp_path / ".stage").mkdir()
    return write_hook(tmp_path / ".stage" / "hook.so")


def test_library_that_hides_files_from_programs_hides_them_from_no_probe(probe: Build, hook: Path) -> None:
    environment = {"LD_PRELOAD": str(hook), "PATH": "/usr/bin:/bin"}
    listing = subprocess.run(
        ["ls", "-A", str(hook.parent)], env=environment, capture_output=True, text=True, check=True
    )
    scope = contract.Scope(paths=[str(hook.parent)])
    rule = contract.PlanRule(id="all", subject="file", fields=["path"], scope=scope)
    argv = [str(probe.path), "--keep"]
    done = subprocess.run(argv, input=encoded(rule), env=environment, capture_output=True, check=True)

    assert listing.stdout == ""
    assert [record["path"] for record in records(done.stdout)] == [str(hook)]


def test_library_that_a_variable_forces_on_a_program_is_told_so(probe: Build, hook: Path) -> None:
    program = subprocess.Popen(["sleep", "60"], env={"LD_PRELOAD": str(hook), "PATH": "/usr/bin:/bin"})
    try:
        wait_until(lambda: str(hook) in Path(f"/proc/{program.pid}/maps").read_text())
        found = records_of(probe, "library", ["path", "injected_by", "is_hidden", "process.names", "pids", "is_mapped"])
    finally:
        program.kill()
        program.wait()

    told = next(record for record in found if record["path"] == str(hook))
    assert told["injected_by"] == ["LD_PRELOAD"]
    assert told["is_hidden"]
    assert told["pids"] == [program.pid]


def test_file_that_a_process_holds_after_it_was_deleted_is_told(probe: Build, tmp_path: Path) -> None:
    dropped = tmp_path / "dropped"
    with dropped.open("w") as held:
        holder = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=held, stderr=subprocess.DEVNULL)
    dropped.unlink()
    try:
        found = records_of(probe, "process", ["pid", "open_deleted"])
    finally:
        holder.kill()
        holder.wait()

    assert [record["open_deleted"] for record in found if record["pid"] == holder.pid] == [[str(dropped)]]
