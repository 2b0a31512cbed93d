"""How much of reports the visits of one worker process hold at a time.

A report may have 32 MiB, and a worker two hundred visits under way: hosts that all send as much as they may would take
more memory than a machine has. So each visit has a little for itself, and whoever needs more first takes the most that
its report may grow to from what all share, whole: a visit that goes on can always come to its end. While there is not
enough left nothing is read from its host, whose probe then waits with its next line.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

VARIABLE = "SANDFLY_WORKER_REPORT_MEMORY"
DEFAULT_MIB = 256
# What a report may have before it needs room; nearly all stay below.
FREE_BYTES = 1 << 20


class ReportMemory:
    """What all visits of a process share."""

    def __init__(self, total_bytes: int) -> None:
        self._total = self._left = total_bytes
        self._changed = threading.Condition()
        self.peak_bytes = 0

    @contextlib.contextmanager
    def room(self) -> Iterator[Room]:
        """For one visit, until its report is handed over."""
        room = Room(self)
        try:
            yield room
        finally:
            self._give_back(room.taken_bytes)

    def take(self, wanted_bytes: int, timeout_s: float) -> int:
        """So many bytes, all there are at the most; 0 when they were not free in time."""
        wanted = min(wanted_bytes, self._total)
        with self._changed:
            if not self._changed.wait_for(lambda: self._left >= wanted, timeout_s):
                return 0
            self._left -= wanted
            self.peak_bytes = max(self.peak_bytes, self._total - self._left)
            return wanted

    def _give_back(self, taken_bytes: int) -> None:
        with self._changed:
            self._left += taken_bytes
            self._changed.notify_all()


@dataclass
class Room:
    """What one visit may hold; without a memory that is shared, as much as it likes."""

    memory: ReportMemory | None = None
    taken_bytes: int = field(default=0, init=False)

    def allows(self, size_bytes: int, most_bytes: int, timeout_s: float) -> bool:
        """Whether a report of this size, that may grow to `most_bytes`, may be read on; waits for it."""
        if self.memory is not None and size_bytes >= FREE_BYTES and not self.taken_bytes:
            self.taken_bytes = self.memory.take(most_bytes, timeout_s)
            return bool(self.taken_bytes)
        return True


def from_environment() -> ReportMemory:
    """As large as SANDFLY_WORKER_REPORT_MEMORY says, in MiB. Raises ValueError when that is no number above 0."""
    mebibytes = int(os.environ.get(VARIABLE) or DEFAULT_MIB)
    if mebibytes < 1:
        raise ValueError(f"{VARIABLE} is {mebibytes}: it has to be 1 MiB at least")
    return ReportMemory(mebibytes << 20)
