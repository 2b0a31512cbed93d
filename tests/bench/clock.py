"""How much time the whole run has left."""

from __future__ import annotations

import time


class Clock:
    """Counts down from the start; every step asks it how long it may take at most."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def left_s(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def at_most(self, seconds: float) -> float:
        return min(seconds, self.left_s())
