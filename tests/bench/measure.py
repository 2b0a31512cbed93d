"""Runs a program to its end or a time limit and says what it cost: time, and CPU of it and of all it waited for."""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KEPT_BYTES = 1 << 20


@dataclass(frozen=True)
class Usage:
    """What a run cost. `output` is the end of what it printed, `output_bytes` how much that was in all."""

    cpu_s: float
    wall_s: float
    output_bytes: int
    output: bytes
    status: int
    is_cut: bool


def run_measured(
    argv: Sequence[str | Path], *, timeout_s: float, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> Usage:
    """CPU is that of getrusage(2) for this one child with its descendants; those that outlive it do not count."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as source:
        source.write(stdin)
        source.seek(0)
        child = subprocess.Popen(
            [str(word) for word in argv], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, env=None if env is None else dict(env),
        )  # fmt: skip
    try:
        size, tail, is_cut = _read(child, started + timeout_s)
        status, used = _end(child, started + timeout_s)
    finally:
        _kill(child.pid)
    return Usage(used.ru_utime + used.ru_stime, time.monotonic() - started, size, tail, status, is_cut or status < 0)


def _read(child: subprocess.Popen[bytes], deadline: float) -> tuple[int, bytes, bool]:
    assert child.stdout
    size, tail = 0, b""
    with child.stdout, selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while selector.select(max(0, deadline - time.monotonic())):
            piece = os.read(child.stdout.fileno(), 1 << 16)
            if not piece:
                return size, tail, False
            size += len(piece)
            tail = (tail + piece)[-KEPT_BYTES:]
    return size, tail, True


def _end(child: subprocess.Popen[bytes], deadline: float) -> tuple[int, resource.struct_rusage]:
    """Waits as long as there is time, then asks the program to end, then makes it."""
    for sign in (0, signal.SIGTERM, signal.SIGKILL):
        if sign:
            _kill(child.pid, sign)
            deadline = time.monotonic() + 5
        while True:
            pid, status, used = os.wait4(child.pid, os.WNOHANG)
            if pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                return child.returncode, used
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
    raise TimeoutError(f"process {child.pid} does not end")


def _kill(group: int, sign: int = signal.SIGKILL) -> None:
    """The program and all that it started; the group has no member any more where everything has ended."""
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return
