"""Settings that contradict each other are found before anything runs."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from sandfly_web.checks import check_scan_numbers, check_scan_times

ROOT = Path(__file__).resolve().parents[2]


def test_an_installation_behind_tls_passes_djangos_own_checks_for_deployment():
    names = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    own = {"SANDFLY_TLS": "1", "SANDFLY_SECRET_KEY": secrets.token_urlsafe(60), "SANDFLY_ALLOWED_HOSTS": "s.example"}
    argv = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]

    found = subprocess.run(argv, cwd=ROOT, env=names | own, capture_output=True, text=True, check=False)

    assert (found.returncode, found.stderr) == (0, "")


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
