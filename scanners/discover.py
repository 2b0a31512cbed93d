"""Looks who answers in a network, gently: a greeting first, a sign-in only where SSH greets.

Connections begin at a steady rate, each is one at a time per host, and nothing is sent to what does not greet as SSH. A
host whose key is known is not signed in to again; one that shows another key than the known ones never is.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from scanners.budget import Budget
from scanners.contract import (
    Answer,
    CredentialSecret,
    DiscoverJob,
    DiscoverReport,
    Failure,
    HostEndpoint,
    HostKeyPin,
    Limits,
    Sought,
)
from scanners.diagnosis import safe_words
from scanners.errors import ScanError
from scanners.profile import run_profile
from scanners.transport import PasswordPolicy, open_ssh, read_host_key

log = logging.getLogger(__name__)

# RFC 4253, 4.2: at most 255 characters; other lines may come before it.
MAX_GREETING_BYTES = 1024
MAX_OPEN = 256
SIGN_INS = 8
SIGN_IN_TIMEOUT_S = 15
PROFILE_TIMEOUT_S = 20


def sweep(
    job: DiscoverJob,
    secrets: Sequence[CredentialSecret],
    *,
    worker: str = "",
    should_stop: Callable[[], bool] = lambda: False,
    budget: Budget | None = None,
) -> DiscoverReport:
    """Looks at all that is sought; never raises for what hosts do. Stopping early is a failure, not an empty answer.

    `budget` bounds wrong passwords, so that a network of strangers does not lock the account of a directory.
    """
    passwords = PasswordPolicy(budget) if budget else PasswordPolicy()
    started_at = datetime.now(UTC)
    greeted = asyncio.run(_greet_all(job, should_stop))
    pace = _Pace(job.rate_per_s)

    def look(entry: tuple[Sought, str]) -> Answer | None:
        sought, banner = entry
        if should_stop():
            return None
        pace.wait()
        return _look(sought, banner, secrets, job.timeout_s, pace, passwords)

    with ThreadPoolExecutor(SIGN_INS, thread_name_prefix="discover") as pool:
        answers = [answer for answer in pool.map(look, greeted) if answer is not None]
    stopped = Failure(code="cancelled", message="the sweep was stopped") if should_stop() else None
    return DiscoverReport(
        sweep_id=job.sweep_id, part=job.part, attempt=job.attempt, worker=worker, started_at=started_at,
        finished_at=datetime.now(UTC), failure=stopped, answers=answers,
    )  # fmt: skip


class _Pace:
    """Lets connections begin at most so often, whichever thread asks."""

    def __init__(self, rate_per_s: int) -> None:
        self._gap_s = 1 / rate_per_s
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            due = max(self._next, time.monotonic())
            self._next = due + self._gap_s
        time.sleep(max(0.0, due - time.monotonic()))


async def _greet_all(job: DiscoverJob, should_stop: Callable[[], bool]) -> list[tuple[Sought, str]]:
    """Those that greet as SSH, with their greeting, in the order they were sought."""
    room = asyncio.Semaphore(MAX_OPEN)
    found: dict[int, str] = {}
    tasks = []

    async def one(place: int, sought: Sought) -> None:
        try:
            if (banner := await _greet(sought, job.timeout_s)) is not None:
                found[place] = banner
        finally:
            room.release()

    begun = time.monotonic()
    for place, sought in enumerate(job.sought):
        if should_stop():
            break
        await asyncio.sleep(max(0.0, begun + place / job.rate_per_s - time.monotonic()))
        await room.acquire()
        tasks.append(asyncio.create_task(one(place, sought)))
    await asyncio.gather(*tasks)
    return [(job.sought[place], found[place]) for place in sorted(found)]


async def _greet(sought: Sought, timeout_s: float) -> str | None:
    """The SSH greeting, or None for whatever else happens."""
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(sought.address, sought.port, limit=MAX_GREETING_BYTES)
            return await _read_greeting(reader)
    except (OSError, TimeoutError, ValueError, UnicodeError):
        return None
    finally:
        if writer is not None:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await writer.wait_closed()


async def _read_greeting(reader: asyncio.StreamReader) -> str | None:
    read = 0
    while read < MAX_GREETING_BYTES:
        line = await reader.readline()
        if not line:
            return None
        read += len(line)
        if line.startswith(b"SSH-"):
            return safe_words(line.decode("utf-8", "replace"), 255)
    return None


def _look(
    sought: Sought,
    banner: str,
    secrets: Sequence[CredentialSecret],
    timeout_s: int,
    pace: _Pace,
    passwords: PasswordPolicy,
) -> Answer:
    answer = Answer(address=sought.address, port=sought.port, banner=banner)
    try:
        key = read_host_key(sought.address, sought.port, sought.host_keys, max(timeout_s, SIGN_IN_TIMEOUT_S))
        answer = msgspec.structs.replace(answer, host_key=key)
        if not sought.sign_in or (sought.host_keys and key not in sought.host_keys):
            return answer
        pace.wait()
        return _sign_in(sought, key, secrets, answer, passwords)
    except ScanError as error:
        failure = Failure(code=error.code, message=error.message[:4096], retryable=error.retryable)
    except Exception as error:  # the edge: one host's oddity must not end the sweep
        log.exception("a host could not be looked at by a fault of this program")
        failure = Failure(code="internal", message=f"a fault of this program: {type(error).__name__}")
    return msgspec.structs.replace(answer, failure=failure)


def _sign_in(
    sought: Sought,
    key: HostKeyPin,
    secrets: Sequence[CredentialSecret],
    greeted: Answer,
    passwords: PasswordPolicy,
) -> Answer:
    """Only to the holder of the key that was just shown."""
    endpoint = HostEndpoint(address=sought.address, port=sought.port, host_keys=[key])
    connection = open_ssh(endpoint, secrets, Limits(connect_timeout_s=SIGN_IN_TIMEOUT_S), passwords=passwords)
    try:
        profile, _ = run_profile(connection, PROFILE_TIMEOUT_S)
        used = connection.secret.id if connection.secret else ""
        return msgspec.structs.replace(greeted, host_key=key, profile=profile, credential=used)
    finally:
        connection.close()
