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

from scanners.budget import Budget, MemoryCounters
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
from scanners.transport import MAX_GREETING_BYTES, PasswordPolicy, open_ssh, read_greeting, read_host_key

log = logging.getLogger(__name__)

MAX_OPEN = 256
# Through jump hosts each takes a thread.
MAX_OPEN_BEHIND_JUMPS = 48
SIGN_INS = 8
SIGN_IN_TIMEOUT_S = 15
PROFILE_TIMEOUT_S = 20


def sweep(
    job: DiscoverJob,
    secrets: Sequence[CredentialSecret],
    *,
    jump_secrets: Sequence[CredentialSecret | None] = (),
    worker: str = "",
    should_stop: Callable[[], bool] = lambda: False,
    budget: Budget | None = None,
) -> DiscoverReport:
    """Looks at all that is sought; never raises for what hosts do. Stopping early is a failure, not an empty answer.

    Through the job's jump hosts, where there are some; raises ScanError when they let nothing through.

    `budget` bounds wrong passwords, so that a network of strangers does not lock the account of a directory.
    """
    passwords = PasswordPolicy(budget or Budget(MemoryCounters()), job.try_all_passwords)
    look_at = _Looker(job, secrets, jump_secrets, passwords)
    started_at = datetime.now(UTC)
    greeted = look_at.greet_all(should_stop) if job.jumps else asyncio.run(_greet_all(job, should_stop))

    def look(entry: tuple[Sought, str]) -> Answer | None:
        sought, banner = entry
        if should_stop():
            return None
        look_at.pace.wait()
        return look_at.one(sought, banner)

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


class _Looker:
    """What all endpoints of a part are looked at with."""

    def __init__(
        self,
        job: DiscoverJob,
        secrets: Sequence[CredentialSecret],
        jump_secrets: Sequence[CredentialSecret | None],
        passwords: PasswordPolicy,
    ) -> None:
        self._job = job
        self._secrets = secrets
        self._jump_secrets = jump_secrets
        self._passwords = passwords
        self.pace = _Pace(job.rate_per_s)

    def _endpoint(self, sought: Sought, pins: Sequence[HostKeyPin] = ()) -> HostEndpoint:
        return HostEndpoint(address=sought.address, port=sought.port, host_keys=list(pins), jumps=self._job.jumps)

    def greet_all(self, should_stop: Callable[[], bool]) -> list[tuple[Sought, str]]:
        """As `_greet_all`, through jump hosts. Raises ScanError when they are not passed: then nobody has looked."""
        ended = threading.Event()

        def greet(sought: Sought) -> tuple[Sought, str] | None:
            if ended.is_set() or should_stop():
                return None
            self.pace.wait()
            try:
                banner = read_greeting(self._endpoint(sought), self._job.timeout_s, self._jump_secrets, self._passwords)
            except ScanError:
                # The others would only sign in in vain as well.
                ended.set()
                raise
            return None if banner is None else (sought, banner)

        with ThreadPoolExecutor(MAX_OPEN_BEHIND_JUMPS, thread_name_prefix="discover") as pool:
            return [found for found in pool.map(greet, self._job.sought) if found is not None]

    def one(self, sought: Sought, banner: str) -> Answer:
        """The key of an endpoint that greets, and who it is when somebody is to sign in."""
        answer = Answer(address=sought.address, port=sought.port, banner=banner)
        wait_s = max(self._job.timeout_s, SIGN_IN_TIMEOUT_S)
        try:
            endpoint = self._endpoint(sought, sought.host_keys)
            key = read_host_key(endpoint, wait_s, self._jump_secrets, self._passwords)
            answer = msgspec.structs.replace(answer, host_key=key)
            if not sought.sign_in or (sought.host_keys and key not in sought.host_keys):
                return answer
            self.pace.wait()
            return self._sign_in(sought, key, answer)
        except ScanError as error:
            failure = Failure(code=error.code, message=error.message[:4096], retryable=error.retryable)
        except Exception as error:  # the edge: one host's oddity must not end the sweep
            log.exception("a host could not be looked at by a fault of this program")
            failure = Failure(code="internal", message=f"a fault of this program: {type(error).__name__}")
        return msgspec.structs.replace(answer, failure=failure)

    def _sign_in(self, sought: Sought, key: HostKeyPin, greeted: Answer) -> Answer:
        """Only to the holder of the key that was just shown."""
        connection = open_ssh(
            self._endpoint(sought, [key]),
            self._secrets,
            Limits(connect_timeout_s=SIGN_IN_TIMEOUT_S),
            jump_secrets=self._jump_secrets,
            passwords=self._passwords,
        )
        try:
            profile, _ = run_profile(connection, PROFILE_TIMEOUT_S)
            used = connection.secret.id if connection.secret else ""
            return msgspec.structs.replace(greeted, host_key=key, profile=profile, credential=used)
        finally:
            connection.close()
