"""Connections that many visits use at once: opened by the first that wants one, closed a while after the last.

Knows threads and time only; what is shared is given as something that lives or not and can be closed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from scanners.errors import ConnectError, ScanError


class Shareable(Protocol):
    """What can be shared."""

    def is_alive(self) -> bool: ...

    def is_worn(self) -> bool:
        """Whether it lives and is to have no more users all the same."""
        ...

    def close(self) -> None:
        """Never raises."""
        ...


T = TypeVar("T", bound=Shareable)


@dataclass(eq=False)
class _Held(Generic[T]):
    key: Hashable
    link: T
    opened_at: float
    users: int = 0
    idle_since: float = 0.0
    is_dropped: bool = False


@dataclass(eq=False)
class _Opening:
    """One attempt; those who came while it went on share how it ended."""

    is_over: threading.Event = field(default_factory=threading.Event)
    error: ScanError | None = None


class Lease(Generic[T]):
    """The right to use `link` until `release`."""

    def __init__(self, links: SharedLinks[T], held: _Held[T], *, is_fresh: bool) -> None:
        self._links = links
        self._held: _Held[T] | None = held
        self.link = held.link
        self.is_fresh = is_fresh
        """Whether it was opened for this one."""

    def release(self) -> None:
        """Harmless the second time."""
        held, self._held = self._held, None
        if held is not None:
            self._links.give_back(held)


class SharedLinks(Generic[T]):
    """By key as many links as their users need: each has at most `most_users` at a time.

    A link that nobody used for `idle_s` is closed. One that is older than `age_s` gets no new users, so that an account
    which was withdrawn is not in use for ever. One that broke or is worn gets none either, and the next who asks opens
    another.
    """

    def __init__(self, *, most_users: int, idle_s: float, age_s: float) -> None:
        self._most_users = most_users
        self._idle_s = idle_s
        self._age_s = age_s
        self._changed = threading.Condition()
        self._held: list[_Held[T]] = []
        self._opening: dict[Hashable, _Opening] = {}
        self._closer: threading.Thread | None = None

    def __len__(self) -> int:
        """Links that are open."""
        with self._changed:
            return len(self._held)

    def lease(self, key: Hashable, open_link: Callable[[], T], timeout_s: float) -> Lease[T]:
        """A link of that key, opened by `open_link` where there is none with room.

        Of those who ask at once one opens. Its ScanError is everybody's: two hundred who each try what has just
        failed would take hours, and count as two hundred sign-ins. Raises ConnectError `jump_failed` when another's
        attempt is not over in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with self._changed:
                if (held := self._find(key)) is not None:
                    held.users += 1
                    return Lease(self, held, is_fresh=False)
                opening = self._opening.get(key)
                is_mine = opening is None
                if opening is None:
                    opening = self._opening[key] = _Opening()
            if is_mine:
                return self._open(key, opening, open_link)
            if not opening.is_over.wait(max(0.0, deadline - time.monotonic())):
                raise ConnectError(
                    "jump_failed", "the sign-in to a jump host, which other visits wait for, takes too long"
                )
            if (error := opening.error) is not None:
                raise type(error)(error.code, error.message)

    def _find(self, key: Hashable) -> _Held[T] | None:
        now = time.monotonic()
        for held in [held for held in self._held if held.key == key and not held.is_dropped]:
            if not held.link.is_alive() or held.link.is_worn() or now - held.opened_at > self._age_s:
                self._drop(held)
            elif held.users < self._most_users:
                return held
        return None

    def _drop(self, held: _Held[T]) -> None:
        """Gets no more users; the last one, or the closer when there is none, closes it."""
        held.is_dropped = True
        self._changed.notify()

    def _open(self, key: Hashable, opening: _Opening, open_link: Callable[[], T]) -> Lease[T]:
        try:
            link = open_link()
        except ScanError as error:
            opening.error = error
            raise
        else:
            held = _Held(key, link, time.monotonic(), users=1)
            with self._changed:
                self._held.append(held)
                if self._closer is None:
                    self._closer = threading.Thread(target=self._close_unused, name="shared links", daemon=True)
                    self._closer.start()
            return Lease(self, held, is_fresh=True)
        finally:
            with self._changed:
                del self._opening[key]
            opening.is_over.set()

    def give_back(self, held: _Held[T]) -> None:
        """One user less."""
        with self._changed:
            held.users -= 1
            held.idle_since = time.monotonic()
            self._changed.notify()

    def _close_unused(self) -> None:
        """Runs while there are links."""
        while True:
            with self._changed:
                unused = [held for held in self._held if self._left_s(held) <= 0]
                if not unused:
                    self._changed.wait(min((self._left_s(held) for held in self._held), default=None))
                    continue
                self._held = [held for held in self._held if held not in unused]
            for held in unused:
                held.link.close()
            with self._changed:
                if not self._held:
                    self._closer = None
                    return

    def _left_s(self, held: _Held[T]) -> float:
        """Seconds until it is to be closed, as far as is known now."""
        if held.users:
            return threading.TIMEOUT_MAX
        if held.is_dropped or held.link.is_worn() or not held.link.is_alive():
            return 0.0
        return max(0.0, held.idle_since + self._idle_s - time.monotonic())
