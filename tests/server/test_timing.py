"""Hours of blackout by the clock on the wall, through every change of the clocks; drawing a part of the rules."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sandfly_web.scans.draw import draw_part
from sandfly_web.scans.timing import Blackout, place


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


MINUTE = timedelta(minutes=1)
BERLIN = ZoneInfo("Europe/Berlin")
# Clocks that change by an hour, by half an hour, at midnight, and one that left out a day.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
    "Asia/Kolkata",
]
MOMENTS = st.integers(int(at("2011-01-01T00:00Z").timestamp()), int(at("2030-01-01T00:00Z").timestamp())).map(
    lambda second: datetime.fromtimestamp(second, UTC)
)
CLOCKS = st.times().map(lambda at: at.replace(second=0, microsecond=0))


@settings(max_examples=150, deadline=None)
@given(
    moment=MOMENTS,
    start=CLOCKS,
    end=CLOCKS,
    zone=st.sampled_from(ZONES),
)
@example(at("2026-03-29T00:30Z"), time(1, 0), time(2, 30), "Europe/Berlin")
@example(at("2026-10-25T00:10Z"), time(2, 0), time(2, 30), "Europe/Berlin")
@example(at("2011-12-30T09:00Z"), time(22, 0), time(6, 0), "Pacific/Apia")
def test_a_blackout_ends_at_the_first_minute_outside_it(moment: datetime, start: time, end: time, zone: str) -> None:
    """Against asking minute by minute, which knows nothing of changes of the clocks."""
    assume(start != end)
    blackout = Blackout(start, end, ZoneInfo(zone))
    moment = moment.replace(second=0)

    ended = blackout.ends_after(moment)

    walked = moment
    while blackout.holds_at(walked):
        walked += MINUTE
    assert ended == walked


@settings(max_examples=100, deadline=None)
@given(
    moment=MOMENTS,
    start=CLOCKS,
    end=CLOCKS,
    zone=st.sampled_from(ZONES),
    seed=st.integers(0, 1000),
)
def test_no_visit_is_placed_inside_a_blackout_or_earlier_than_asked(
    moment: datetime, start: time, end: time, zone: str, seed: int
) -> None:
    assume(start != end)
    blackout = Blackout(start, end, ZoneInfo(zone))

    placed = place(moment, blackout, 86400, random.Random(seed))

    assert not blackout.holds_at(placed)
    assert placed >= moment


def test_an_hour_that_the_clocks_leave_out_is_not_waited_for() -> None:
    """On 29 March 2026 two o'clock in Berlin is three o'clock: a blackout until half past two is over by then."""
    blackout = Blackout(time(1), time(2, 30), BERLIN)

    assert blackout.ends_after(at("2026-03-29T01:30+01:00")) == at("2026-03-29T03:00+02:00")


def test_an_hour_that_comes_twice_is_blacked_out_twice() -> None:
    """On 25 October 2026 the hour from two to three comes twice in Berlin."""
    blackout = Blackout(time(2), time(3), BERLIN)

    assert blackout.ends_after(at("2026-10-25T02:10+02:00")) == at("2026-10-25T03:00+01:00")


def test_a_blackout_over_midnight_holds_on_both_sides() -> None:
    blackout = Blackout(time(22), time(6), BERLIN)

    assert blackout.ends_after(at("2026-06-01T23:00+02:00")) == at("2026-06-02T06:00+02:00")
    assert blackout.ends_after(at("2026-06-01T05:59+02:00")) == at("2026-06-01T06:00+02:00")
    assert not blackout.holds_at(at("2026-06-01T06:00+02:00"))


@dataclass(frozen=True)
class Named:
    pk: int
    name: str


RULES = [Named(number, f"rule_{number}") for number in range(40)]


@given(percent=st.integers(5, 100), seed=st.text(max_size=8), always=st.sets(st.sampled_from([r.name for r in RULES])))
def test_a_draw_has_its_share_and_all_that_always_run(percent: int, seed: str, always: set[str]) -> None:
    drawn = draw_part(RULES, percent, always, seed)
    others = [rule for rule in drawn if rule.name not in always]

    assert always <= {rule.name for rule in drawn}
    assert len(others) == -(-(len(RULES) - len(always)) * percent // 100)
    assert drawn == draw_part(RULES, percent, always, seed)


def test_every_rule_gets_its_turn() -> None:
    seen = {rule.name for seed in range(200) for rule in draw_part(RULES, 10, (), str(seed))}

    assert seen == {rule.name for rule in RULES}


@pytest.mark.parametrize("percent", [5, 50])
def test_two_draws_differ(percent: int) -> None:
    assert draw_part(RULES, percent, (), "one") != draw_part(RULES, percent, (), "two")
