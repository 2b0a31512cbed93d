"""What a busy host does all the time, run inside a host: `noise.py COUNTS [MODULES]`. Needs nothing but Python.

Every thread repeats one kind of work, some hundred times a second. COUNTS is a JSON file of how often each was done,
renewed twice a second; MODULES is a tree in which a kernel loads and unloads modules. Ends with whoever started it.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

REST_S = 0.003
HELD_SOCKETS = 100
DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm", "/srv", "/usr/src", "/opt", "/etc/cron.d", "/home", "/usr/local/bin")
PEOPLE = "/etc/passwd"
JOBS = "/etc/crontab"
KEYS = "/root/.ssh/authorized_keys"
LOG = "/var/log/syslog"
MODULES = ("ext4", "nf_tables", "overlay", "br_netfilter", "veth", "usb_storage")

counts: Counter[str] = Counter()
numbers = itertools.count()


def processes() -> None:
    """A shell with children: one that outlives it and is taken over, one that it waits for."""
    subprocess.run(["/bin/sh", "-c", "sleep 0.05 & sleep 0.01"], check=False)
    counts["processes"] += 3


def forks() -> None:
    """Processes that end at once and stay as zombies for a moment."""
    children = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(4)]
    time.sleep(REST_S)
    for child in children:
        os.waitpid(child, 0)
    counts["processes"] += len(children)


def threads() -> None:
    """Threads that live for some milliseconds."""
    some = [threading.Thread(target=time.sleep, args=(0.004,)) for _ in range(8)]
    for thread in some:
        thread.start()
    for thread in some:
        thread.join()
    counts["threads"] += len(some)


def files() -> None:
    """Files made, renamed and removed."""
    for directory in DIRECTORIES:
        path = Path(directory) / f".new{next(numbers)}"
        path.write_text("x\n")
        path.rename(path.with_name("app.tmp")).unlink()
        counts["files"] += 1


def directories() -> None:
    """Directories made and removed, of which the link count of their parent tells."""
    for directory in DIRECTORIES:
        path = Path(directory) / f"build{next(numbers)}" / "deep"
        path.mkdir(parents=True)
        shutil.rmtree(path.parent)
        counts["directories"] += 2


def accounts() -> None:
    """Files that are replaced as useradd(8) does it, and others that are written over in place as editors do."""
    person = f"app{next(numbers)}:x:5000:5000::/nonexistent:/usr/sbin/nologin\n"
    original = "".join(
        line for line in Path(PEOPLE).read_text().splitlines(keepends=True) if not line.startswith("app")
    )
    new = Path(f"{PEOPLE}+")
    new.write_text(original + person * (next(numbers) % 3))
    new.rename(PEOPLE)
    for path in (JOBS, KEYS):
        Path(path).write_text(f"# {'x' * (next(numbers) % 5000)}\n")
    counts["rewritten"] += 3
    time.sleep(0.02)


def streams() -> None:
    """Connections over both families, some left half closed for a moment."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.create_server((address, 0), family=family) as server, socket.socket(family) as client:
            client.connect(server.getsockname())
            peer, _ = server.accept()
            peer.close()
            time.sleep(REST_S)
        counts["sockets"] += 3


def datagrams() -> None:
    """UDP sockets, bound and connected."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as other:
            one.bind((address, 0))
            other.connect(one.getsockname())
            other.send(b"x")
            time.sleep(REST_S)
        counts["sockets"] += 2


def pools() -> None:
    """Many sockets that all stay for a while and are given up together."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(HELD_SOCKETS)]
    time.sleep(0.3)
    for server in held:
        server.close()
    counts["sockets"] += len(held)


def logs() -> None:
    """A log that grows, is packed and begins again."""
    with Path(LOG).open("a") as log:
        for _ in range(200):
            log.write(f"{time.strftime('%b %e %H:%M:%S')} host app[1]: {next(numbers)}\n")
    rotated = Path(f"{LOG}.1")
    Path(LOG).rename(rotated)
    Path(LOG).touch()
    Path(f"{LOG}.2.gz").write_bytes(gzip.compress(rotated.read_bytes(), 1))
    counts["rotations"] += 1
    time.sleep(0.05)


def modules(tree: Path) -> Callable[[], None]:
    """The order of kernel/module/main.c: into the list before /sys, and out of /sys before out of the list."""
    loaded: list[str] = []

    def show() -> None:
        new = tree / "proc/modules.new"
        new.write_text("".join(f"{name} 983040 0 - Live 0x0000000000000000\n" for name in loaded))
        new.rename(tree / "proc/modules")

    def load(name: str) -> None:
        loaded.append(name)
        show()
        place = tree / "sys/module" / name
        place.mkdir(parents=True)
        (place / "initstate").write_text("live\n")

    def unload(name: str) -> None:
        shutil.rmtree(tree / "sys/module" / name)
        loaded.remove(name)
        show()

    def turn() -> None:
        name = MODULES[next(numbers) % len(MODULES)]
        (unload if name in loaded else load)(name)
        counts["modules"] += 1

    return turn


def forever(work: Callable[[], None]) -> None:
    while True:
        try:
            work()
        except OSError as error:  # two of them met at one name; the count of these is shown
            counts[f"failed: {error.strerror}"] += 1
        time.sleep(REST_S)


def main() -> None:
    Path(KEYS).parent.mkdir(parents=True, exist_ok=True)
    works = [processes, forks, threads, files, directories, accounts, streams, datagrams, pools, logs]
    works += [modules(Path(argument)) for argument in sys.argv[2:]]
    for work in works:
        threading.Thread(target=forever, args=(work,), daemon=True).start()
    told = Path(sys.argv[1])
    while True:
        new = told.with_suffix(".new")
        new.write_text(json.dumps(counts))
        new.rename(told)
        time.sleep(0.5)


if __name__ == "__main__":
    main()
