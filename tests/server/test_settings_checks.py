"""Settings that contradict each other are found before anything runs."""

from __future__ import annotations

import pytest

from sandfly_web.checks import check_scan_numbers, check_scan_times


def ids():
    return [message.id for message in (*check_scan_times(None), *check_scan_numbers(None))]


def test_the_defaults_contradict_nothing():
    assert ids() == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"SCAN_SILENCE_S": 20}, ["sandfly.E001"]),
        ({"DISPATCH_INTERVAL_S": 20}, ["sandfly.E002"]),
        ({"SCAN_EXPIRES_S": 300}, ["sandfly.E003"]),
        ({"ZONE_QUEUE_LENGTH": 0}, ["sandfly.E004"]),
        ({"RECORD_RETENTION_DAYS": 5}, ["sandfly.W001"]),
    ],
)
def test_a_contradiction_is_named_with_a_hint(settings, values, expected):
    for name, value in values.items():
        setattr(settings, name, value)

    assert ids() == expected
    assert all(message.hint for message in (*check_scan_times(None), *check_scan_numbers(None)))
