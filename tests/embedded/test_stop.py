"""Ctrl-C is never lost, wherever it meets the program."""

import subprocess
import sys
from pathlib import Path

# What a handler raises is dropped where Python runs a finalizer; here the drop is written out.
LOST_ONCE = """
import os, signal, time
import django; django.setup()
from sandfly_web.embedded.installation import StopRequested, ignore_signals, listen_to_signals

listen_to_signals()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
except StopRequested:
    print("lost")
try:
    time.sleep(20)
except StopRequested:
    ignore_signals()
    print("stopped")
time.sleep(1.2)
print("left alone")
"""


def test_a_stop_that_was_lost_is_asked_for_again_until_it_is_seen():
    done = subprocess.run(
        [sys.executable, "-c", LOST_ONCE], capture_output=True, text=True, timeout=30, check=False,
        env={"DJANGO_SETTINGS_MODULE": "sandfly_web.settings", "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip

    assert done.stdout.split("\n") == ["lost", "stopped", "left alone", ""], done.stderr
