"""Data directories directly under /tmp: pytest's own are too deep for Unix sockets and closed to the servers' user."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandfly_web.embedded import postgres
from sandfly_web.embedded.paths import DataDir

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory that other users may pass through."""
    root = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def fresh(scratch: Path) -> DataDir:
    """A data directory that does not exist yet."""
    return DataDir(scratch / "d")


@pytest.fixture(scope="session")
def initialised() -> Iterator[Path]:
    """A data directory whose servers were started and stopped once; tests copy it, initdb takes a second."""
    root = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    root.chmod(0o711)
    postgres.start(DataDir(root / "d")).stop()
    yield root / "d"
    shutil.rmtree(root)


@pytest.fixture
def data(scratch: Path, initialised: Path) -> DataDir:
    """A data directory with a database."""
    subprocess.run(["cp", "-a", str(initialised), str(scratch / "d")], check=True)
    return DataDir(scratch / "d")


# $1 is a closed directory, $2 a place to keep things, then come paths below $1 up to "--", then the command.
OPEN_UP = """
set -e; closed=$1; kept=$2; shift 2; n=0
for path; do [ "$path" != -- ] || break; n=$((n+1)); mkdir -p "$kept/$n"; mount --bind "$path" "$kept/$n"; done
mount -t tmpfs -o mode=0755 none "$closed"; n=0
while [ "$1" != -- ]; do n=$((n+1)); mkdir -p "$1"; mount --bind "$kept/$n" "$1"; shift; done
shift; cd "$CHECKOUT"; exec "$@"
"""


def closed_ancestor(path: Path) -> Path | None:
    """The highest directory above a path that other users may not pass through."""
    return next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & stat.S_IXOTH), None)


def opened_up(scratch: Path) -> tuple[str, ...]:
    """Runs a command where the checkout and its interpreter can be reached by others, wherever they lie.

    A user with a checkout of his own can read it; one below a closed home (/root, say) is made to look so, in a mount
    namespace of the command.
    """
    needed = [CHECKOUT, Path(sys.base_prefix)]
    closed = {closed_ancestor(path) for path in needed} - {None}
    prefix: tuple[str, ...] = ()
    for number, directory in enumerate(sorted(map(str, closed))):
        below = [str(path) for path in needed if path.is_relative_to(directory)]
        script = ("/bin/sh", "-c", OPEN_UP, "sh", directory, str(scratch / f"kept{number}"), *below, "--")
        prefix += ("unshare", "--mount", "--propagation=private", "env", f"CHECKOUT={CHECKOUT}", *script)
    return prefix


@pytest.fixture
def as_nobody(scratch: Path) -> tuple[str, ...]:
    """Runs a command as another user, who may read checkout and interpreter wherever they are."""
    only = "-all,+dac_read_search"
    capabilities = (f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}")
    return (*opened_up(scratch), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *capabilities)


@pytest.fixture
def processes_of() -> Callable[[Path], list[str]]:
    """Asks which processes mention a directory in their command line or work in it."""
    return list_processes


def list_processes(directory: Path) -> list[str]:
    wanted = str(directory)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            environment = (entry / "environ").read_bytes().decode("utf-8", "replace")
            cwd = str((entry / "cwd").readlink())
        except OSError:
            continue
        if wanted in command or wanted in environment or cwd.startswith(wanted):
            found.append(f"{entry.name} {command}")
    return found
