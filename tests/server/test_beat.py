"""Beat goes by a clock that nobody sets."""

from __future__ import annotations

import pytest
from celery.schedules import crontab

from sandfly_web import beat
from sandfly_web.beat import SteadyScheduler
from sandfly_web.celery import app


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(beat, "time", clock)
    return clock


@pytest.fixture
def sent(monkeypatch, clock) -> list[tuple[str, float]]:
    sent: list[tuple[str, float]] = []
    monkeypatch.setattr(SteadyScheduler, "producer", None)
    monkeypatch.setattr(
        SteadyScheduler, "apply_entry", lambda self, entry, producer=None: sent.append((entry.name, clock.now))
    )
    return sent


def test_every_entry_is_sent_at_once_and_then_at_its_interval(clock, sent):
    scheduler = SteadyScheduler(app)

    for _ in range(200):
        clock.now += scheduler.tick()

    at = [moment for name, moment in sent if name == "dispatch"]
    interval = app.conf.beat_schedule["dispatch"]["schedule"]
    assert at[:4] == [1000.0, 1000.0 + interval, 1000.0 + 2 * interval, 1000.0 + 3 * interval]
    assert {name for name, moment in sent if moment == 1000.0} == set(app.conf.beat_schedule)


def test_a_start_finds_no_word_of_earlier_runs(clock, sent, tmp_path):
    """Such as a last run that a clock set back since has put into the future."""
    SteadyScheduler(app, schedule_filename=str(tmp_path / "schedule")).tick()
    SteadyScheduler(app, schedule_filename=str(tmp_path / "schedule")).tick()

    assert [name for name, _ in sent].count("dispatch") == 2
    assert list(tmp_path.iterdir()) == []


def test_an_entry_by_the_calendar_is_refused(clock, sent):
    scheduler = SteadyScheduler(app)
    scheduler.schedule["dispatch"].schedule = crontab(minute="5")

    with pytest.raises(TypeError, match="dispatch"):
        scheduler.tick()
