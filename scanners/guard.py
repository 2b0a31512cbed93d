"""Visits to hosts whose owner keeps the account to a guard (`deploy/guard/`): the same steps, in the guard's few words.

A host with a guard says so when it is asked what it is, so that hosts without one cost no round trip more. No password
is ever sent to one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scanners.connection import Connection
from scanners.contract import Become
from scanners.diagnosis import safe_words
from scanners.errors import CleanupError, ProbeError
from scanners.launch import START_TIMEOUT_S, Launched, Start
from scanners.staging import (
    FILE_NAME,
    MAX_ANSWER_BYTES,
    PREFIX,
    Build,
    Removal,
    Staged,
    believe_removal,
    parse_answers,
    read_pieces,
)

CONTRACT = 1
COMMAND = "sandfly-guard"
REFUSED = 77
# `CONTRACT RELEASE DIRECTORY`, as the guard's answer to the first question has it.
SAID = re.compile(r"(?P<contract>[0-9]{1,4}) (?P<release>[A-Za-z0-9.+-]{1,32}) (?P<directory>/[A-Za-z0-9_./-]{1,128})")


@dataclass(frozen=True, slots=True)
class Guard:
    """What a host says of its guard; the text is the host's and goes into no command."""

    contract: int
    release: str
    directory: str

    def place(self, token: str) -> str:
        """Where the probe of this token is said to lie."""
        return f"{self.directory}/{PREFIX}{token}"


def parse_guard(text: str) -> Guard | None:
    """The guard's own words; None for "" and for anything else."""
    said = SAID.fullmatch(text)
    return Guard(int(said["contract"]), said["release"], said["directory"].rstrip("/")) if said else None


def new_token() -> str:
    """Names one stay."""
    return secrets.token_hex(8)


def put_probe(
    connection: Connection,
    build: Build,
    guard: Guard,
    token: str,
    tools: frozenset[str],
    timeout_s: float,
    on_percent: Callable[[int], None] = lambda percent: None,
) -> Staged:
    """Hands the probe to the guard, which takes it when its digest is published on the host.

    Raises ProbeError: `guard_refused`, `upload_failed`, `digest_mismatch`; ConnectError.
    """
    if guard.contract != CONTRACT:
        words = f"the host's guard keeps to contract {guard.contract} and this release to {CONTRACT}: renew the guard"
        raise ProbeError("guard_refused", words)
    source, packing = choose_packing(build, tools)
    argv = [COMMAND, "put", token, build.sha256, packing]
    done = connection.run(argv, stdin=read_pieces(source, on_percent), timeout_s=timeout_s, max_bytes=MAX_ANSWER_BYTES)
    said = done.stderr.decode("utf-8", "backslashreplace")
    if f"{token}-begin" not in done.stdout.decode("utf-8", "backslashreplace"):
        raise ProbeError("guard_refused", f"the host's guard does not take the probe: {_reason(said)}")
    answers = parse_answers(done, token)
    if "refused" in answers:
        raise ProbeError("guard_refused", f"the host's guard refuses the probe: {safe_words(answers['refused'][0])}")
    place = guard.place(token)
    if answers.get("dir") != [place]:
        raise ProbeError("upload_failed", "the host names a directory that was not asked for")
    if answers.get("digest") != [build.sha256]:
        raise ProbeError("digest_mismatch", "the probe on the host is not the one that was sent")
    return Staged(place, f"{place}/{FILE_NAME}", tuple(answers.get("stale", ())))


def choose_packing(build: Build, tools: frozenset[str]) -> tuple[Path, str]:
    """The smallest form that the host can unpack, and the guard's word for it."""
    if build.bcj_path is not None and "xz-bcj" in tools:
        return build.bcj_path, "xz"
    if build.xz_path is not None and tools & {"xz", "unxz", "busybox-unxz"}:
        return build.xz_path, "xz"
    return (build.gz_path, "gzip") if "gzip" in tools else (build.path, "cat")


def launch_guarded(connection: Connection, build: Build, token: str, *, is_root: bool, timeout_s: float) -> Launched:
    """Has the guard run what it took. Raises ProbeError, also `guard_refused`."""
    process = connection.start([COMMAND, "run", token, build.sha256], timeout_s)
    start = Start(Become.NONE, mark=token.encode())
    try:
        start.wait_ready(process, min(timeout_s, START_TIMEOUT_S))
    except ProbeError as error:
        process.close()
        if f"{COMMAND}: refused".encode() in start.err:
            reason = _reason(bytes(start.err).decode("utf-8", "backslashreplace"))
            raise ProbeError("guard_refused", f"the host's guard does not run the probe: {reason}") from None
        raise error from None
    except BaseException:
        process.close()
        raise
    become = Become.NONE if is_root else Become.SUDO
    return Launched(process, become, start.report_bytes, start.stderr_bytes)


def clean_guarded(connection: Connection, guard: Guard, tokens: Sequence[str], timeout_s: float) -> Removal:
    """Has the guard remove what it took and make sure. Raises CleanupError, ConnectError."""
    gone: list[str] = []
    found: list[str] = []
    for token in tokens:
        argv = [COMMAND, "clean", token]
        done = connection.run(argv, timeout_s=timeout_s, max_bytes=MAX_ANSWER_BYTES)
        if done.exit_status == REFUSED:
            reason = _reason(done.stderr.decode("utf-8", "backslashreplace"))
            raise CleanupError("cleanup_unverified", f"the host's guard does not clean up: {reason}")
        removal = believe_removal(done, token, [guard.place(token)])
        gone += removal.gone
        found += removal.found
    return Removal(tuple(gone), tuple(found))


def _reason(said: str) -> str:
    last = said.strip().rsplit("\n", 1)[-1]
    return safe_words(last.removeprefix(f"{COMMAND}: refused: ")) or "no reason given"
