"""`make` on a machine that lacks something says what to install."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make_venv(scratch: Path, python: str) -> subprocess.CompletedProcess[str]:
    interpreter = scratch / "python3"
    interpreter.write_text(f"#!/bin/sh\n{python}\n")
    interpreter.chmod(0o755)
    return subprocess.run(
        ["make", "venv", f"VENV={scratch / 'venv'}", f"PYTHON={interpreter}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ('case "$2" in *ensurepip*) exit 1;; esac', "apt-get install python3-venv"),
        ('case "$2" in *version_info*) exit 1;; esac', "Python 3.11 or newer is needed"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_left_half_made(scratch, python, sentence):
    done = make_venv(scratch, python)

    assert done.returncode != 0
    assert sentence in done.stdout
    assert not (scratch / "venv").exists()


def test_every_target_is_explained():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert all(f"make {target} " in shown for target in ("venv", "up", "scan", "test", "bench", "lock", "clean"))
    assert all(len(line) <= 100 for line in shown.splitlines())
