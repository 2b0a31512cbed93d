"""How far each visit is, as bars on the terminal (standard error); nothing where that is no terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sandfly_web.inventory.targets import Target
from scanners.contract import Phase

SHOWN_HOSTS = 8
BAR_WIDTH = 30
# Which part of the bar a phase is, in percent. Running is told by the probe, staging by what is uploaded.
SHARES = {
    Phase.WAITING: (0, 0),
    Phase.CONNECTING: (0, 5),
    Phase.PROFILING: (5, 8),
    Phase.STAGING: (8, 25),
    Phase.RUNNING: (25, 98),
    Phase.CLEANING: (98, 100),
    Phase.REPORTING: (100, 100),
}


class VisitProgress:
    """One visit; its own thread writes it, that of the screen reads it."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.phase = Phase.WAITING
        self.percent = 0
        """Of the whole visit; never goes back."""

    def on_phase(self, phase: Phase) -> None:
        self.phase = phase
        self.on_percent(0)

    def on_percent(self, percent: int) -> None:
        """Of the phase."""
        first, last = SHARES[self.phase]
        self.percent = max(self.percent, first + (last - first) * max(0, min(100, percent)) // 100)


class Board:
    """All visits that are under way, and how many are over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._visits: list[VisitProgress] = []
        self._over = 0
        self._live: Live | None = None

    def begin(self, target: Target) -> VisitProgress:
        visit = VisitProgress(target.label)
        with self._lock:
            self._visits.append(visit)
        return visit

    def end(self, visit: VisitProgress) -> None:
        with self._lock:
            self._visits.remove(visit)
            self._over += 1

    @contextmanager
    def shown(self) -> Iterator[None]:
        """On standard error until the end of the block."""
        self._live = Live(
            self, console=Console(stderr=True), refresh_per_second=8, transient=True, redirect_stdout=False,
            redirect_stderr=False,
        )  # fmt: skip
        with self._live:
            yield

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Taken off the screen while something else is written there."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def __rich__(self) -> RenderableType:
        with self._lock:
            # The first in line wait longest; those that have begun say more.
            visits = sorted(self._visits, key=lambda visit: visit.phase is Phase.WAITING)
            over = self._over
        grid = Table.grid(padding=(0, 1))
        for visit in visits[:SHOWN_HOSTS]:
            bar = ProgressBar(total=100, completed=visit.percent, width=BAR_WIDTH)
            grid.add_row(f"  {visit.label}", bar, f"{visit.percent:3d} %", Text(visit.phase.value, style="dim"))
        more = f", {len(visits) - SHOWN_HOSTS} more under way" if len(visits) > SHOWN_HOSTS else ""
        lines: list[RenderableType] = [grid]
        if over or more:
            lines.append(Text(f"  {over} done{more}", style="dim"))
        return Group(*lines)


@contextmanager
def show_progress(*, enabled: bool) -> Iterator[Board]:
    """The board that visits are told to, and that nobody sees unless it is `enabled`."""
    board = Board()
    if not enabled:
        yield board
        return
    with board.shown():
        yield board
