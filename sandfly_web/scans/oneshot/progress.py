"""Live phase of each visit on the terminal (standard error), nothing when it is no terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sandfly_web.inventory.targets import Target
from sandfly_web.scans.oneshot.runner import OnPhase
from scanners.contract import Phase

SHOWN_HOSTS = 8


class PhaseBoard:
    """Which host is in which phase; visits report from several threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.phases: dict[str, Phase] = {}

    def report(self, target: Target, phase: Phase) -> None:
        with self.lock:
            if phase is Phase.REPORTING:
                self.phases.pop(target.label, None)
            else:
                self.phases[target.label] = phase

    def __rich__(self) -> Text:
        with self.lock:
            shown = list(self.phases.items())
        lines = [f"  {label}: {phase.value}" for label, phase in shown[:SHOWN_HOSTS]]
        if len(shown) > SHOWN_HOSTS:
            lines.append(f"  … and {len(shown) - SHOWN_HOSTS} more")
        return Text("\n".join(lines), style="dim")


@contextmanager
def show_progress(*, enabled: bool) -> Iterator[OnPhase]:
    """Gives the function that visits report their phase to."""
    board = PhaseBoard()
    if not enabled:
        yield board.report
        return
    with Live(board, console=Console(stderr=True), refresh_per_second=8, transient=True):
        yield board.report
