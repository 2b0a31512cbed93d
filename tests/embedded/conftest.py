"""Data directories directly under /tmp: pytest's own are too deep for Unix sockets and closed to the servers' user."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandfly_web.embedded import postgres
from sandfly_web.embedded.paths import DataDir


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


@pytest.fixture
def as_nobody() -> tuple[str, ...]:
    """Runs a command as another user, who may read the interpreter wherever it is installed."""
    only = "-all,+dac_read_search"
    capabilities = (f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}")
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *capabilities)


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
