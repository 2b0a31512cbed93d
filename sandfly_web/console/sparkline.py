"""A number day by day as a small line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandfly_web.findings.risk import Point

WIDTH = 120.0
HEIGHT = 28.0
# The line is two units thick and must not be cut at the edges.
MARGIN = 2.0


@dataclass(frozen=True)
class Sparkline:
    """`line`: the points of a polyline in a view box of WIDTH by HEIGHT. `words` says it to those who listen."""

    line: str
    first: date
    last: int
    most: int
    words: str


def sparkline(points: Sequence[Point]) -> Sparkline | None:
    """Days keep their distance, missing ones are bridged; None for fewer than two days, which are no line."""
    if len(points) < 2:
        return None
    first, last = points[0], points[-1]
    most = max(point.risk for point in points)
    days = (last.day - first.day).days

    def place(point: Point) -> str:
        x = MARGIN + (WIDTH - 2 * MARGIN) * (point.day - first.day).days / days
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * point.risk / max(most, 1)
        return f"{x:.1f},{y:.1f}"

    change = last.risk - first.risk
    told = "as much as" if change == 0 else f"{abs(change):,} {'more' if change > 0 else 'less'} than"
    words = f"{last.risk:,} now, {told} on {first.day:%Y-%m-%d}; at most {most:,}"
    return Sparkline(" ".join(map(place, points)), first.day, last.risk, most, words)
