"""Puts the probe on a host and takes it away again, each with its own proof.

Nothing but a POSIX shell, mkdir, chmod, rm and cat is needed there. The scripts are one line without single quotes,
exclamation marks and backslashes, so that csh and fish as login shells hand them on unchanged.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scanners.connection import Completed, Connection
from scanners.diagnosis import safe_words
from scanners.errors import CleanupError, ProbeError
from scanners.profile import HostTools

PREFIX = ".sf-"
FILE_NAME = "sf"
# Names of the probe's file, and so of its process: a comma list, of which every visit takes one by chance, so that an
# intruder cannot wait for one name.
NAMES_VARIABLE = "SANDFLY_PROBE_NAMES"
# The kernel shows 15 bytes of a process's name.
GOOD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
DIRECTORY_PATTERN = r".*/\.sf-[0-9a-f]{16}"
# Whole packets, as OpenSSH takes them: 32 KiB, of which paramiko leaves 64 bytes free.
PIECE_BYTES = 8 * ((32 << 10) - 64)
MAX_ANSWER_BYTES = 64 << 10
OWN_DIRECTORY = re.compile(r"/\.sf-[0-9a-f]{16}$")

# The trial file has no interpreter line: the kernel refuses it on a noexec mount before the shell runs it by itself.
# BusyBox's `[ -x` says yes to root on a noexec mount, so only trying tells. When the line is cut in the middle, `cat`
# sees an ordinary end: the size tells (of xz the status: its last bytes come behind the program's), and with the
# broken pipe ignored there is still time to remove what came, also when it came whole and nobody listens any more. The
# `cat` in front takes the upload in large pieces: for each that is taken sshd sends a packet, and xz alone takes 8 KiB
# at a time.
STAGE = """
umask 077; trap "" PIPE; m=$1; n=$2; f=$3; z=$4; h=$5; u=$6; s=$7; shift 7; echo "$m-begin"; w=;
if command -v find >/dev/null 2>&1; then for d in "$@"; do
find "$d/" -maxdepth 1 -type d -name ".sf-????????????????" -user "$u" -mmin +60 -print -exec rm -rf {} + 2>/dev/null |
while read -r o; do echo "stale=$o"; done; done; fi;
for d in "$@"; do mkdir "$d/$n" 2>/dev/null || { echo "refused=$d"; continue; };
if echo "exit 0" 2>/dev/null >"$d/$n/$f" && chmod 700 "$d/$n/$f" && "$d/$n/$f" 2>/dev/null;
then w=$d/$n; break; fi; rm -rf "$d/$n"; echo "refused=$d"; done;
if [ -n "$w" ]; then if cat | $z >"$w/$f" && g=$(wc -c <"$w/$f") && [ "$g" -eq "$s" ]; then
if [ -n "$h" ]; then echo "digest=$($h <"$w/$f")"; fi; else rm -rf "$w"; echo "short=$g"; fi; fi;
echo "dir=$w"; echo "$m-end" 2>/dev/null || rm -rf "$w"
"""

REMOVE = """
m=$1; shift; echo "$m-begin"; for d in "$@"; do if [ -e "$d" ]; then echo "found=$d"; rm -rf "$d" 2>/dev/null; fi;
if [ -e "$d" ] || [ -h "$d" ]; then echo "left=$d"; else echo "gone=$d"; fi; done; echo "$m-end"
"""


class Build(Protocol):
    """A probe for one architecture, as `probes.build` gives it."""

    @property
    def path(self) -> Path: ...
    @property
    def gz_path(self) -> Path: ...
    @property
    def xz_path(self) -> Path | None: ...
    @property
    def bcj_path(self) -> Path | None: ...
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


@functools.cache
def file_names() -> tuple[str, ...]:
    """What the probe's file may be called on hosts without a guard. Raises ProbeError for a name that cannot be one."""
    names = tuple(name for part in os.environ.get(NAMES_VARIABLE, "").split(",") if (name := part.strip()))
    if wrong := [name for name in names if not GOOD_NAME.fullmatch(name)]:
        words = f"{wrong[0]!r} in {NAMES_VARIABLE} is no name of a process: 1 to 15 of letters, digits, _ . and -"
        raise ProbeError("probe_missing", words)
    return names or (FILE_NAME,)


def new_name() -> str:
    """Name of a directory for one stay."""
    return PREFIX + secrets.token_hex(8)


def run_stage(
    connection: Connection,
    build: Build,
    tools: HostTools,
    places: Sequence[str],
    uid: int,
    timeout_s: float,
    on_percent: Callable[[int], None] = lambda percent: None,
) -> Staged:
    """Uploads the probe into a fresh directory, the first of `places` (paths that do not exist yet) where it can run.

    After an error any of `places` may exist and has to be removed. Raises ProbeError: `no_exec_dir`, `upload_failed`,
    `digest_mismatch`; NoRoomError; ConnectError.
    """
    if not places:
        raise ProbeError("no_exec_dir", "the host has no directory where a program may be put and run")
    mark = secrets.token_hex(8)
    parents = [place.rpartition("/")[0] for place in places]
    name = places[0].rpartition("/")[2]
    source, unpack = choose_packing(build, tools)
    file_name = secrets.choice(file_names())
    argv = script_argv(STAGE, mark, name, file_name, unpack, tools.digest, str(uid), str(build.size), *parents)
    done = connection.run(argv, stdin=read_pieces(source, on_percent), timeout_s=timeout_s, max_bytes=MAX_ANSWER_BYTES)
    answers = parse_answers(done, mark)
    directory = _staged_directory(answers, places)
    staged = Staged(directory, f"{directory}/{file_name}", tuple(answers.get("stale", ())))
    _verify(connection, build, staged, answers, timeout_s)
    return staged


def choose_packing(build: Build, tools: HostTools) -> tuple[Path, str]:
    """The smallest form of the probe that the host can unpack, and the command that does."""
    if build.bcj_path is not None and tools.has_bcj:
        return build.bcj_path, tools.unxz
    if build.xz_path is not None and tools.unxz:
        return build.xz_path, tools.unxz
    return (build.gz_path, tools.gunzip) if tools.gunzip else (build.path, "cat")


def read_pieces(path: Path, on_percent: Callable[[int], None] = lambda percent: None) -> Iterator[bytes]:
    """The file for an upload, in parts; `on_percent` hears how much of it is taken."""
    size, sent = max(1, path.stat().st_size), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
            sent += len(piece)
            on_percent(100 * sent // size)


def parse_answers(done: Completed, mark: str) -> dict[str, list[str]]:
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


def _staged_directory(answers: dict[str, list[str]], places: Sequence[str]) -> str:
    directory = answers.get("dir", [""])[0]
    if not directory:
        tried = ", ".join(safe_words(place.rpartition("/")[0]) for place in places)
        raise ProbeError("no_exec_dir", f"none of {tried} lets this user put a program there and run it")
    # The answer is the host's; only a path that was asked for is ever used in a later command.
    if directory not in places:
        raise ProbeError("upload_failed", "the host names a directory that was not asked for")
    return directory


def _verify(
    connection: Connection, build: Build, staged: Staged, answers: dict[str, list[str]], timeout_s: float
) -> None:
    if "short" in answers:
        raise NoRoomError(staged.directory)
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


class NoRoomError(ProbeError):
    """The probe did not arrive whole in `directory`, which is removed again; another place may have room."""

    def __init__(self, directory: str) -> None:
        super().__init__("upload_failed", "the probe did not arrive whole: is the file system of the host full?")
        self.directory = directory


@dataclass(frozen=True, slots=True)
class Removal:
    """`gone`: paths that are not there now; `found`: those of them that still were."""

    gone: tuple[str, ...]
    found: tuple[str, ...]


def run_removal(connection: Connection, directories: Sequence[str], timeout_s: float) -> Removal:
    """Removes staging directories and makes sure.

    The probe has removed itself by then, so mostly this is the proof. Raises CleanupError, ConnectError.
    """
    own = [directory for directory in directories if OWN_DIRECTORY.search(directory)]
    mark = secrets.token_hex(8)
    done = connection.run(script_argv(REMOVE, mark, *own), timeout_s=timeout_s, max_bytes=MAX_ANSWER_BYTES)
    return believe_removal(done, mark, own)


def believe_removal(done: Completed, mark: str, own: Sequence[str]) -> Removal:
    """What the answer to a removal of `own` proves. Raises CleanupError."""
    try:
        answers = parse_answers(done, mark)
    except ProbeError as error:
        raise CleanupError("cleanup_unverified", error.message) from None
    if left := [directory for directory in own if directory in answers.get("left", [])]:
        raise CleanupError("cleanup_failed", f"the host would not remove {', '.join(left)}")
    gone = tuple(directory for directory in own if directory in answers.get("gone", []))
    if len(gone) != len(own):
        raise CleanupError("cleanup_unverified", "the host did not say whether everything is gone")
    return Removal(gone, tuple(directory for directory in gone if directory in answers.get("found", [])))
