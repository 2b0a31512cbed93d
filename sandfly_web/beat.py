"""When beat sends its tasks: by a clock that nobody sets, and with nothing kept in a file."""

from __future__ import annotations

import time
from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import schedule


class SteadyScheduler(Scheduler):
    """Sends every entry at once and then at its interval.

    Celery's own scheduler compares the time of day with that of the last run, which it keeps in a file: once the clock
    is set back by a day, nothing is sent for a day.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._due_at: dict[str, float] = {}
        super().__init__(*arguments, **options)

    def tick(self) -> float:  # type: ignore[override]
        """Send what is due; returns the seconds until something is again."""
        for name, entry in self.schedule.items():
            if self._due_at.get(name, 0.0) <= time.monotonic():
                self.apply_entry(entry, producer=self.producer)
                self._due_at[name] = time.monotonic() + interval_s(entry)
        return max(min(self._due_at.values()) - time.monotonic(), 0.0)


def interval_s(entry: ScheduleEntry) -> float:
    """Seconds between two runs. Raises TypeError for an entry by the calendar, which this clock does not know."""
    if type(entry.schedule) is not schedule:
        raise TypeError(f"beat's entry {entry.name} has no interval")
    return float(entry.schedule.run_every.total_seconds())  # type: ignore[attr-defined]
