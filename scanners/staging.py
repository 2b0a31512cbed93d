"""Puts the probe on a host and takes it away again, each with its own proof.

Nothing but a POSIX shell, mkdir, chmod, rm and cat is needed there. The scripts are one line without single quotes,
exclamation marks and backslashes, so that csh and fish as login shells hand them on unchanged.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scanners.connection import Completed, Connection
from scanners.diagnosis import safe_words
from scanners.errors import CleanupError, ProbeError
from scanners.profile import HostTools

PREFIX = ".sf-"
FILE_NAME = "sf"
PIECE_BYTES = 128 << 10
MAX_ANSWER_BYTES = 64 << 10
OWN_DIRECTORY = re.compile(r"/\.sf-[0-9a-f]{16}$")

# The trial file has no interpreter line: the kernel refuses it on a noexec mount before the shell runs it by itself.
# BusyBox's `[ -x` says yes to root on a noexec mount, so only trying tells.
STAGE = """
umask 077; m=$1; n=$2; f=$3; z=$4; h=$5; u=$6; shift 6; echo "$m-begin"; w=;
if command -v find >/dev/null 2>&1; then for d in "$@"; do
find "$d/" -maxdepth 1 -type d -name ".sf-????????????????" -user "$u" -mmin +60 -print -exec rm -rf {} + 2>/dev/null |
while read -r s; do echo "stale=$s"; done; done; fi;
for d in "$@"; do mkdir "$d/$n" 2>/dev/null || { echo "refused=$d"; continue; };
if echo "exit 0" 2>/dev/null >"$d/$n/$f" && chmod 700 "$d/$n/$f" && "$d/$n/$f" 2>/dev/null;
then w=$d/$n; break; fi; rm -rf "$d/$n"; echo "refused=$d"; done;
echo "dir=$w";
if [ -n "$w" ]; then if $z >"$w/$f"; then echo "size=$(wc -c <"$w/$f")";
if [ -n "$h" ]; then echo "digest=$($h <"$w/$f")"; fi; else echo "failed=1"; fi; fi;
echo "$m-end"
"""

REMOVE = """
m=$1; shift; echo "$m-begin"; for d in "$@"; do rm -rf "$d" 2>/dev/null;
if [ -e "$d" ] || [ -h "$d" ]; then echo "left=$d"; else echo "gone=$d"; fi; done; echo "$m-end"
"""


class Build(Protocol):
    """A probe for one architecture, as `probes.build` gives it."""

    @property
    def path(self) -> Path: ...
    @property
    def gz_path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Staged:
    """The probe on a host: its own directory, its path, and old directories of earlier visits that were removed."""

    directory: str
    path: str
    stale: tuple[str, ...] = ()


def script_argv(script: str, *arguments: str) -> list[str]:
    """Command that runs one of the scripts with positional parameters."""
    return ["/bin/sh", "-c", " ".join(script.split("\n")).strip(), "sh", *arguments]


def run_stage(
    connection: Connection, build: Build, tools: HostTools, directories: Sequence[str], uid: int, timeout_s: float
) -> Staged:
    """Uploads the probe into a fresh directory and checks it there.

    Raises ProbeError: `no_exec_dir`, `upload_failed`, `digest_mismatch`; ConnectError.
    """
    if not directories:
        raise ProbeError("no_exec_dir", "the host has no directory where a program may be put and run")
    mark, name = secrets.token_hex(8), PREFIX + secrets.token_hex(8)
    source = build.gz_path if tools.unpack else build.path
    argv = script_argv(STAGE, mark, name, FILE_NAME, tools.unpack or "cat", tools.digest, str(uid), *directories)
    done = connection.run(argv, stdin=_pieces(source), timeout_s=timeout_s, max_bytes=MAX_ANSWER_BYTES)
    answers = _answers(done, mark)
    directory = _staged_directory(answers, name, directories)
    staged = Staged(directory, f"{directory}/{FILE_NAME}", tuple(answers.get("stale", ())))
    try:
        _verify(connection, build, staged, answers, timeout_s)
    except ProbeError:
        run_removal(connection, [directory], timeout_s)
        raise
    return staged


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _answers(done: Completed, mark: str) -> dict[str, list[str]]:
    """Key → values between the marks; what is around them is noise of login scripts."""
    text = done.stdout.decode("utf-8", "backslashreplace")
    _, _, rest = text.partition(f"{mark}-begin\n")
    body, ended, _ = rest.partition(f"{mark}-end\n")
    if not ended or done.is_cut:
        reason = safe_words(done.stderr.decode("utf-8", "backslashreplace")) or f"exit status {done.exit_status}"
        raise ProbeError("upload_failed", f"the host broke off a command: {reason}")
    answers: dict[str, list[str]] = {}
    for line in body.split("\n"):
        key, found, value = line.partition("=")
        if found:
            answers.setdefault(key, []).append(value)
    return answers


def _staged_directory(answers: dict[str, list[str]], name: str, directories: Sequence[str]) -> str:
    directory = answers.get("dir", [""])[0]
    if not directory:
        tried = ", ".join(safe_words(tried) for tried in directories)
        raise ProbeError("no_exec_dir", f"none of {tried} lets this user put a program there and run it")
    # The answer is the host's; only a path that was asked for is ever used in a later command.
    if directory not in [f"{parent}/{name}" for parent in directories]:
        raise ProbeError("upload_failed", "the host names a directory that was not asked for")
    return directory


def _verify(
    connection: Connection, build: Build, staged: Staged, answers: dict[str, list[str]], timeout_s: float
) -> None:
    if "failed" in answers or answers.get("size", [""])[0].strip() != str(build.size):
        raise ProbeError("upload_failed", "the probe did not arrive whole: is the file system of the host full?")
    digest = answers.get("digest", [""])[0].split(" ")[0].lower()
    if not digest:
        digest = _read_back(connection, build, staged, timeout_s)
    if digest != build.sha256:
        raise ProbeError("digest_mismatch", "the probe on the host is not the one that was sent")


def _read_back(connection: Connection, build: Build, staged: Staged, timeout_s: float) -> str:
    """Digest of what the host gives back, for hosts that cannot compute one."""
    mark = secrets.token_hex(8)
    argv = script_argv('echo "$1"; cat "$2"', mark, staged.path)
    done = connection.run(argv, timeout_s=timeout_s, max_bytes=build.size + MAX_ANSWER_BYTES)
    _, _, content = done.stdout.partition(mark.encode() + b"\n")
    return hashlib.sha256(content).hexdigest()


def run_removal(connection: Connection, directories: Sequence[str], timeout_s: float) -> list[str]:
    """Removes staging directories and makes sure; returns those that are gone now.

    The probe has removed itself by then, so mostly this is the proof. Raises CleanupError, ConnectError.
    """
    own = [directory for directory in directories if OWN_DIRECTORY.search(directory)]
    mark = secrets.token_hex(8)
    done = connection.run(script_argv(REMOVE, mark, *own), timeout_s=timeout_s, max_bytes=MAX_ANSWER_BYTES)
    try:
        answers = _answers(done, mark)
    except ProbeError as error:
        raise CleanupError("cleanup_unverified", error.message) from None
    gone = [directory for directory in own if directory in answers.get("gone", [])]
    if left := [directory for directory in own if directory in answers.get("left", [])]:
        raise CleanupError("cleanup_failed", f"the host would not remove {', '.join(left)}")
    if len(gone) != len(own):
        raise CleanupError("cleanup_unverified", "the host did not say whether everything is gone")
    return gone
