"""When a schedule may visit: windows of random length, hours of blackout in a time zone. Pure.

A blackout is told by the clock on the wall: a moment belongs to it when that clock shows a time in it. So an hour that
a change of the clocks repeats is blacked out twice, and one that it leaves out is not waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

if TYPE_CHECKING:
    import random

DAY = timedelta(days=1)
HOUR_S = 3600


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every name of the time zone database that is here."""
    return frozenset(available_timezones())


@dataclass(frozen=True)
class Blackout:
    """From `start` until before `end` of each day by the clock in `zone`; over midnight when start is later."""

    start: time
    end: time
    zone: ZoneInfo

    def holds_at(self, moment: datetime) -> bool:
        """Whether an aware moment is blacked out."""
        clock = moment.astimezone(self.zone).time()
        if self.start <= self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end

    def ends_after(self, moment: datetime) -> datetime:
        """The first moment from this one on that is not blacked out, in UTC."""
        if not self.holds_at(moment):
            return moment
        local = moment.astimezone(self.zone)
        ends = [
            datetime.combine(local.date() + timedelta(days=days), self.end, self.zone).replace(fold=fold)
            for days in (0, 1, 2)
            for fold in (0, 1)
        ]
        found = [end.astimezone(UTC) for end in ends] + self._clock_changes(moment)
        return min(end for end in found if end > moment and not self.holds_at(end))

    def _clock_changes(self, moment: datetime) -> list[datetime]:
        """Where the clock jumps within the next two days; it does so at whole seconds."""
        first = int(moment.timestamp())
        hours = [(at, at + HOUR_S) for at in range(first, first + 48 * HOUR_S, HOUR_S)]
        return [self._find_change(low, high) for low, high in hours if self._offset(low) != self._offset(high)]

    def _find_change(self, low: int, high: int) -> datetime:
        """The first second with the offset of `high`."""
        before = self._offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._offset(middle) == before else (low, middle)
        return datetime.fromtimestamp(high, UTC)

    def _offset(self, second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, self.zone).utcoffset()

    @property
    def free_s(self) -> float:
        """Seconds of a common day that are not blacked out."""
        start, end = (timedelta(hours=at.hour, minutes=at.minute, seconds=at.second) for at in (self.start, self.end))
        return (DAY - (end - start) % DAY).total_seconds()


def place(moment: datetime, blackout: Blackout | None, spread_s: float, rng: random.Random) -> datetime:
    """The moment, or one after the blackout it falls into: within `spread_s`, so that not all come at its end."""
    if blackout is None or not blackout.holds_at(moment):
        return moment
    end = blackout.ends_after(moment)
    later = end + timedelta(seconds=rng.uniform(0, max(0.0, min(spread_s, blackout.free_s))))
    # A change of the clocks may shorten the day.
    return end if blackout.holds_at(later) else later
