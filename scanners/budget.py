"""How many wrong passwords an account may get from us: servers lock accounts by counting, and so must we.

Two counts within one window: of one user on one host, which is kept strictly, and of one credential over all hosts of
the zone since it last got in, for accounts that live in a directory. Visits that are in flight at the moment when a
password stops being right can go past the second by their number.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# pam_faillock(8) locks at 3 wrong passwords within 15 minutes unless it is told otherwise: one is left to the owner.
MAX_ON_HOST = 2
MAX_IN_ZONE = 3
WINDOW_S = 1800


@dataclass(frozen=True, slots=True)
class Account:
    """Whose password is about to be tried, and for what: signing in, or becoming root."""

    host: str
    username: str
    purpose: str = "login"
    credential: str = ""

    @property
    def on_host(self) -> str:
        return f"host:{self.host}:{self.purpose}:{self.username}"

    @property
    def in_zone(self) -> str:
        return f"credential:{self.credential}:{self.purpose}:{self.username}"


class Counters(Protocol):
    """Numbers that go away by themselves `WINDOW_S` after they were first counted up."""

    def add(self, name: str) -> int: ...
    def get(self, name: str) -> int: ...
    def take_back(self, name: str) -> None: ...
    def drop(self, name: str) -> None: ...


class Budget:
    """Asked before every password and told how it went."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def take(self, account: Account) -> bool:
        """Whether the password may be tried; counts it as wrong until `succeeded` says otherwise.

        So a visit that dies between the two, or a second one at the same time, cannot go past the bound.
        """
        if account.credential and self._counters.get(account.in_zone) >= MAX_IN_ZONE:
            return False
        return self._counters.add(account.on_host) <= MAX_ON_HOST

    def failed(self, account: Account) -> None:
        """The password was refused."""
        if account.credential:
            self._counters.add(account.in_zone)

    def release(self, account: Account) -> None:
        """It came to no answer about the password, as where the server takes none."""
        self._counters.take_back(account.on_host)

    def succeeded(self, account: Account) -> None:
        self._counters.drop(account.on_host)
        if account.credential:
            self._counters.drop(account.in_zone)


class MemoryCounters:
    """For one process, as `manage.py scan` is."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def add(self, name: str) -> int:
        with self._lock:
            count, since = self._current(name)
            self._counts[name] = count + 1, since
            return count + 1

    def get(self, name: str) -> int:
        with self._lock:
            return self._current(name)[0]

    def take_back(self, name: str) -> None:
        with self._lock:
            count, since = self._current(name)
            self._counts[name] = max(0, count - 1), since

    def drop(self, name: str) -> None:
        with self._lock:
            self._counts.pop(name, None)

    def _current(self, name: str) -> tuple[int, float]:
        now = self._clock()
        count, since = self._counts.get(name, (0, now))
        return (count, since) if now - since < WINDOW_S else (0, now)


_for_process = Budget(MemoryCounters())


def process_budget() -> Budget:
    """The one of this process."""
    return _for_process
