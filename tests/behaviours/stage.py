"""Runs hosts side by side: each is started, prepared, visited once and stopped, whoever asks first."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.behaviours.scan import Scanned, scan
from tests.hosts.host import Host, make_host

# A visit keeps one processor busy.
SIDE_BY_SIDE = 2
_numbers = itertools.count()


@dataclass(frozen=True)
class Act:
    """A host to be visited: `prepare` runs in it before the visit and returns what went wrong, by name."""

    name: str
    prepare: Callable[[Host], dict[str, str]]
    flavour: str = "openssh"
    visit: Callable[[Host], Scanned] = scan


@dataclass(frozen=True)
class Outcome:
    """What the visit found, and what could not be prepared."""

    scanned: Scanned
    wrong: dict[str, str]


@dataclass
class Stage:
    """Every act is played once, in the order in which they were announced."""

    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(SIDE_BY_SIDE))
    played: dict[str, Future[Outcome]] = field(default_factory=dict)

    def announce(self, act: Act) -> None:
        if act.name not in self.played:
            self.played[act.name] = self.pool.submit(play, act)

    def outcome(self, name: str) -> Outcome:
        return self.played[name].result()

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)


def play(act: Act) -> Outcome:
    # The host lives and dies in this thread, which started it.
    with make_host(act.name, address=_address(), flavour=act.flavour, own_network=True) as host:
        wrong = act.prepare(host)
        return Outcome(act.visit(host), wrong)


def _address() -> str:
    """The inner address of a pair of its own."""
    number = next(_numbers) * 4 + 2
    return f"10.98.{number // 256}.{number % 256}"
