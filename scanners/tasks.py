"""The worker's one task: decode, visit, hand over the report."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import random
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import msgspec.structs
import redis
from kombu.exceptions import OperationalError

from scanners.app import app, current_scan, heartbeat_ttl_s, redis_url
from scanners.budget import WINDOW_S, Budget, MemoryCounters
from scanners.contract import (
    CLAIM_TTL_S,
    DISCOVER_TASK,
    DISCOVERED_TASK,
    INGEST_QUEUE,
    INGEST_TASK,
    REKEYED_TASK,
    ROTATE_TASK,
    SCAN_TASK,
    CredentialSecret,
    DiscoverJob,
    DiscoverReport,
    Failure,
    Phase,
    PlanSet,
    Rekeyed,
    RotateRequest,
    ScanJob,
    ScanReport,
    SealedCredential,
    cancel_key,
    claim_key,
    encode,
    plan_key,
    prove_rekeyed,
    set_key,
    sweep_claim_key,
)
from scanners.discover import sweep
from scanners.errors import AuthError, ExpiredError, InternalError, ScanError
from scanners.memory import ReportMemory, Room, from_environment
from scanners.pulse import Pulse, Pulses
from scanners.vault import KEY_FILE_VARIABLE, ZoneKey, read_zone_key, rotate_key_file, seal
from scanners.visit import failed_report, run_visit

log = logging.getLogger(__name__)

REDIS_TIMEOUT_S = 10
# How often a sweep asks whether it is to stop.
STOP_ASKED_S = 2
# How long a finished report waits for Redis to come back before it is given up; the scan is then run again anyway.
DELIVERY_LIMIT_S = 3600
DELIVERY_PAUSE_S = (1.0, 30.0)


@functools.cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(redis_url(), socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S)


@functools.cache
def _pulses() -> Pulses:
    return Pulses(_redis, heartbeat_ttl_s())


@functools.cache
def _report_memory() -> ReportMemory:
    return from_environment()


def _zone_key_file() -> Path:
    path = os.environ.get(KEY_FILE_VARIABLE)
    if not path:
        raise AuthError("credential_unsealable", f"this worker has no zone key: set {KEY_FILE_VARIABLE}")
    return Path(path)


def _zone_key() -> ZoneKey:
    """Read again when the file is another: a new key is put there while workers run."""
    path = _zone_key_file()
    try:
        status = path.stat()
    except OSError:
        return read_zone_key(path)
    return _read_zone_key(path, status.st_ino, status.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read_zone_key(path: Path, inode: int, mtime_ns: int) -> ZoneKey:
    del inode, mtime_ns
    return read_zone_key(path)


def worker_name() -> str:
    """Shown beside each scan: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


@app.task(name=SCAN_TASK)
def scan(document: dict[str, Any]) -> None:
    """Runs one `ScanJob` (as JSON object) and sends its `ScanReport` to ingest."""
    try:
        job = msgspec.convert(document, ScanJob)
    except msgspec.ValidationError as error:
        # Nobody can be told: without a readable job there is no scan to report on.
        log.error("a scan job cannot be read and is dropped: %s", error)  # noqa: TRY400 - the sentence is all there is
        return
    token = current_scan.set(job.scan_id)
    try:
        if claim(job):
            perform(job)
    except redis.RedisError as error:
        # No heartbeat was written, so the dispatcher sends the scan again.
        log.warning("the scan is not begun, Redis is away: %s", type(error).__name__)
    finally:
        current_scan.reset(token)


@app.task(name=DISCOVER_TASK)
def discover(document: dict[str, Any]) -> None:
    """Runs one `DiscoverJob` (as JSON object) and sends its `DiscoverReport` to ingest."""
    try:
        job = msgspec.convert(document, DiscoverJob)
    except msgspec.ValidationError as error:
        log.error("a part of a sweep cannot be read and is dropped: %s", error)  # noqa: TRY400 - the sentence is all
        return
    if datetime.now(UTC) >= job.expires_at:
        log.warning("part %d of sweep %d came too late and is dropped", job.part, job.sweep_id)
        return
    if not _take_part(job):
        return
    try:
        report = sweep(
            job,
            _unseal_all(job.credentials),
            jump_secrets=[_zone_key().unseal(jump.credential) if jump.credential else None for jump in job.jumps],
            worker=worker_name(),
            should_stop=_asked_to_stop(job),
            budget=_budget(job.zone),
        )
    except ScanError as error:
        now = datetime.now(UTC)
        failure = Failure(code=error.code, message=error.message)
        report = DiscoverReport(
            sweep_id=job.sweep_id, part=job.part, attempt=job.attempt, worker=worker_name(), started_at=now,
            finished_at=now, failure=failure,
        )  # fmt: skip
    _deliver(DISCOVERED_TASK, encode(report).decode())
    log.info("part %d of sweep %d: %d of %d answer", job.part, job.sweep_id, len(report.answers), len(job.sought))


def _take_part(job: DiscoverJob) -> bool:
    """As `claim`: nothing is looked for twice because its message came twice."""
    try:
        taken = _take(sweep_claim_key(job.sweep_id, job.part, job.attempt))
    except redis.RedisError as error:
        log.warning("part %d of sweep %d is not begun, Redis is away: %s", job.part, job.sweep_id, type(error).__name__)
        return False
    if not taken:
        log.warning("part %d of sweep %d was delivered twice, the second is dropped", job.part, job.sweep_id)
    return taken


def _asked_to_stop(job: DiscoverJob) -> Callable[[], bool]:
    """Asks Redis every other second."""
    asked = {"at": 0.0, "stop": 0.0}

    def ask() -> bool:
        if time.monotonic() - asked["at"] > STOP_ASKED_S:
            asked["at"] = time.monotonic()
            try:
                asked["stop"] = float(bool(_redis().exists(cancel_key(f"sweep-{job.sweep_id}"))))
            except redis.RedisError as error:
                log.warning("nobody can tell whether to stop: %s", type(error).__name__)
        return bool(asked["stop"])

    return ask


def perform(job: ScanJob) -> None:
    """Visits and delivers; the heartbeat goes on until the report is handed over."""
    with _pulses().follow(job, worker_name()) as pulse, _report_memory().room() as room:
        report = visit(job, pulse, room)
        pulse.set_phase(Phase.REPORTING)
        pulse.is_handed_over = deliver(report)


def claim(job: ScanJob) -> bool:
    """Takes this attempt; False when it was taken before, as after a redelivery."""
    if taken := _take(claim_key(job.scan_id, job.attempt)):
        return taken
    log.warning("attempt %d was delivered twice or given up, it is dropped", job.attempt)
    return False


def _take(key: str) -> bool:
    return bool(_redis().set(key, worker_name(), nx=True, ex=CLAIM_TTL_S))


def visit(job: ScanJob, pulse: Pulse, room: Room | None = None) -> ScanReport:
    """The visit with everything around it; every ScanError becomes a report."""
    try:
        if datetime.now(UTC) >= job.expires_at:
            raise ExpiredError("expired", "the scan was not started before its expiry")
        secrets = _unseal_all(job.credentials)
        jump_secrets = [_zone_key().unseal(jump.credential) if jump.credential else None for jump in job.host.jumps]
        plan = fetch_plan(job.plan_digest)
        sets = [fetch_set(digest) for digest in set_digests(plan)]
    except ScanError as error:
        return failed_report(job, error, worker_name())
    return run_visit(
        job,
        plan,
        secrets,
        jump_secrets=jump_secrets,
        sets=sets,
        worker=worker_name(),
        on_phase=pulse.set_phase,
        on_percent=pulse.set_percent,
        should_stop=pulse.is_cancelled,
        budget=_budget(job.zone),
        room=room,
    )


# At once: a count that goes away in between would come back below nothing, and never go away again.
TAKE_BACK = "if tonumber(redis.call('GET', KEYS[1]) or 0) > 0 then redis.call('DECR', KEYS[1]) end"


class RedisCounters:
    """Shared by all workers of a zone; while Redis is away, those of this process count."""

    def __init__(self, zone: str) -> None:
        self._prefix = f"sandfly:wrong:{zone}:"
        self._own = MemoryCounters()

    def add(self, name: str) -> int:
        try:
            pipe = _redis().pipeline(transaction=True)
            pipe.set(self._prefix + name, 0, nx=True, ex=WINDOW_S)
            pipe.incr(self._prefix + name)
            return int(pipe.execute()[1])
        except redis.RedisError:
            return self._own.add(name)

    def get(self, name: str) -> int:
        try:
            value = _redis().get(self._prefix + name)
        except redis.RedisError:
            return self._own.get(name)
        return int(value) if isinstance(value, bytes) and value.isdigit() else 0

    def take_back(self, name: str) -> None:
        try:
            _redis().eval(TAKE_BACK, 1, self._prefix + name)
        except redis.RedisError:
            self._own.take_back(name)

    def drop(self, name: str) -> None:
        try:
            _redis().delete(self._prefix + name)
        except redis.RedisError:
            self._own.drop(name)


@functools.cache
def _budget(zone: str) -> Budget:
    return Budget(RedisCounters(zone))


def _unseal_all(sealed: list[SealedCredential]) -> list[CredentialSecret]:
    """Those that open; AuthError when there are some and none does."""
    opened, failure = [], None
    for credential in sealed:
        try:
            opened.append(msgspec.structs.replace(_zone_key().unseal(credential), id=credential.id))
        except AuthError as error:
            failure = error
    if failure and not opened:
        raise failure
    return opened


@functools.lru_cache(maxsize=16)
def fetch_plan(digest: str) -> bytes:
    """The plan of a digest, from Redis or as seen before. Raises InternalError `plan_missing`."""
    return _fetch(plan_key(digest), digest, "plan")


@functools.lru_cache(maxsize=16)
def fetch_set(digest: str) -> bytes:
    """The coded values of a set of indicators, likewise; a megabyte for a million."""
    return _fetch(set_key(digest), digest, "set of indicators")


def _fetch(key: str, digest: str, what: str) -> bytes:
    try:
        body = _redis().get(key)
    except redis.RedisError as error:
        raise InternalError("plan_missing", f"the {what} cannot be fetched: {type(error).__name__}") from error
    if not isinstance(body, bytes):
        raise InternalError("plan_missing", f"the {what} is not in Redis any more")
    if hashlib.sha256(body).hexdigest() != digest:
        raise InternalError("plan_missing", f"the {what} in Redis is not the one the scan asks for")
    return body


class _Sets(msgspec.Struct):
    sets: list[PlanSet] = []


@functools.lru_cache(maxsize=16)
def set_digests(plan: bytes) -> list[str]:
    """Of the sets that a plan refers to, in its order. Raises InternalError."""
    try:
        return [spec.digest for spec in msgspec.json.decode(plan, type=_Sets).sets]
    except msgspec.MsgspecError as error:
        raise InternalError("internal", f"the plan cannot be read: {error}") from error


def deliver(report: ScanReport) -> bool:
    """Sends a report to ingest; while Redis is away it is tried again with growing pauses. Whether it was sent."""
    # As text: a large report is then one string to the broker's encoder, not a million small objects.
    is_sent = _deliver(INGEST_TASK, encode(report).decode())
    if is_sent:
        log.info("%s in %.1f s", report.outcome.value, report.timings_s.get("total", 0.0))
    return is_sent


def _deliver(task: str, document: str) -> bool:
    """Whether it was sent before DELIVERY_LIMIT_S were over."""
    begun = time.monotonic()
    pause_s, longest_s = DELIVERY_PAUSE_S
    while True:
        try:
            app.send_task(task, args=[document], queue=INGEST_QUEUE, retry=False)
        except (OperationalError, redis.RedisError, OSError) as error:
            if time.monotonic() - begun > DELIVERY_LIMIT_S:
                log.error("the report is given up: Redis is away for too long")  # noqa: TRY400 - nothing to trace
                return False
            log.warning("the report waits for Redis: %s", type(error).__name__)
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause_s = min(pause_s * 2, longest_s)
        else:
            return True


@app.task(name=ROTATE_TASK)
def rotate_key(document: str) -> None:
    """Makes the zone a new key and sends home everything sealed to it; runs again harmlessly after it was cut short."""
    try:
        request = msgspec.json.decode(document, type=RotateRequest)
    except msgspec.MsgspecError as error:
        log.error("a request for a new zone key cannot be read and is dropped: %s", error)  # noqa: TRY400 - as above
        return
    done = Rekeyed(zone=request.zone, old_public_key=request.public_key)
    try:
        key = rotate_key_file(_zone_key_file(), request.public_key)
        challenge = key.open_challenge(request.challenge)
        sealed = [
            msgspec.structs.replace(seal(key.unseal(one), key.public_key), id=one.id) for one in request.credentials
        ]
        done = msgspec.structs.replace(
            done, public_key=key.public_key, replaced=request.credentials, credentials=sealed
        )
        done = msgspec.structs.replace(done, proof=prove_rekeyed(challenge, done))
    except AuthError as error:
        done = msgspec.structs.replace(done, failure=error.message)
    except OSError as error:
        done = msgspec.structs.replace(done, failure=f"the zone's key file cannot be written: {error.strerror}")
    app.send_task(REKEYED_TASK, args=[encode(done).decode()], queue=INGEST_QUEUE)
