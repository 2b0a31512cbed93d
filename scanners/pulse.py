"""Says in Redis, for all visits of this process at once, that they go on; and hears whether one is to stop.

One thread and one round trip each interval, however many visits there are: two hundred threads that each ask for
themselves would keep both sides busy with asking.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import redis

from scanners.contract import (
    HEARTBEAT_TTL_DEFAULT_S,
    Heartbeat,
    Phase,
    ScanJob,
    cancel_key,
    encode,
    heartbeat_key,
    superseded_key,
)

log = logging.getLogger(__name__)

# Many visits may be new at once: each round trip stays short.
VISITS_PER_ROUND_TRIP = 500
# A few may be late or lost before a visit counts as silent.
BEATS_PER_TTL = 7.5
# A report that was handed over may lie in ingest's hands, in no queue, while a busy machine stores those before it: the
# last beat counts for so many lives of a usual one, so that its host is not visited once more meanwhile.
HANDED_OVER_TTLS = 4


class Pulse:
    """What is said of one visit. Its own thread writes it, that of `Pulses` reads it."""

    def __init__(self, job: ScanJob, worker: str) -> None:
        self._job = job
        self._worker = worker
        self._phase = Phase.WAITING
        self._percent: int | None = None
        self._started_at = datetime.now(UTC)
        self._cancelled = threading.Event()
        self.due_at = 0.0
        self.is_handed_over = False

    def set_phase(self, phase: Phase) -> None:
        self._phase, self._percent = phase, None

    def set_percent(self, percent: int) -> None:
        """How much of the phase is done, where that is known."""
        self._percent = max(0, min(100, percent))

    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()

    @property
    def scan_id(self) -> str:
        return self._job.scan_id

    @property
    def attempt(self) -> int:
        return self._job.attempt

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(
            scan_id=self._job.scan_id, attempt=self._job.attempt, worker=self._worker, phase=self._phase,
            started_at=self._started_at, percent=self._percent,
        )  # fmt: skip


class Pulses:
    """The visits under way; `connect` gives the Redis they are told to."""

    def __init__(self, connect: Callable[[], redis.Redis], ttl_s: float = HEARTBEAT_TTL_DEFAULT_S) -> None:
        self._connect = connect
        self._ttl_ms = int(ttl_s * 1000)
        self._interval_s = ttl_s / BEATS_PER_TTL
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._beating: set[Pulse] = set()
        self._handed_over: list[Pulse] = []
        self._thread: threading.Thread | None = None

    @contextmanager
    def follow(self, job: ScanJob, worker: str) -> Iterator[Pulse]:
        """Tells of a visit from now to the end of the block; at once for the first time."""
        pulse = Pulse(job, worker)
        with self._lock:
            self._beating.add(pulse)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()
        self._wake.set()
        try:
            yield pulse
        finally:
            with self._lock:
                self._beating.discard(pulse)
                if pulse.is_handed_over:
                    self._handed_over.append(pulse)
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._beat_due())
            self._wake.clear()

    def _beat_due(self) -> float:
        """Beats for those whose time it is; returns the seconds until the next is due."""
        now = time.monotonic()
        with self._lock:
            due = [pulse for pulse in self._beating if pulse.due_at <= now] + self._handed_over
            self._handed_over = []
        for start in range(0, len(due), VISITS_PER_ROUND_TRIP):
            self._beat(due[start : start + VISITS_PER_ROUND_TRIP])
        for pulse in due:
            pulse.due_at = now + self._interval_s
        with self._lock:
            next_at = min((pulse.due_at for pulse in self._beating), default=now + self._interval_s)
        return max(0.0, next_at - time.monotonic())

    def _beat(self, pulses: list[Pulse]) -> None:
        """Redis being away is no reason to stop a visit."""
        try:
            pipe = self._connect().pipeline(transaction=False)
            for pulse in pulses:
                ttl_ms = self._ttl_ms * (HANDED_OVER_TTLS if pulse.is_handed_over else 1)
                pipe.set(heartbeat_key(pulse.scan_id), encode(pulse.heartbeat()), px=ttl_ms)
                pipe.exists(cancel_key(pulse.scan_id), superseded_key(pulse.scan_id, pulse.attempt))
            answers = pipe.execute()
        except redis.RedisError as error:
            log.warning("no heartbeat of %d visits: %s", len(pulses), type(error).__name__)
            return
        for pulse, is_cancelled in zip(pulses, answers[1::2], strict=True):
            if is_cancelled:
                pulse.cancel()
