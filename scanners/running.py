"""Gives a started probe its plan and reads its report to the end, within time and size."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scanners.connection import MAX_STDERR_FLOOD_BYTES, RemoteProcess, remaining_s
from scanners.diagnosis import safe_words
from scanners.errors import CancelledError, ProbeError, ReportError
from scanners.launch import Launched
from scanners.memory import Room
from scanners.report import Report, ReportReader

POLL_S = 1.0
# How long a probe whose report is whole may take to end.
EXIT_GRACE_S = 10.0
PLAN_REJECTED = 2
STDERR_TAIL_BYTES = 8 << 10
# What Go writes first when a signal such as SIGQUIT or SIGABRT ends the program; its status is 2 then.
ENDED_BY_SIGNAL = re.compile(rb"^(SIG[A-Z0-9]{2,6}): ", re.MULTILINE)
# How the probe names a rule that it does not take.
RULE_PLACE = re.compile(r"rules\[([0-9]{1,5})\]")
# "SANDFLY-AT 12 80": the probe has gone through 12 of 80 subjects.
PROGRESS = re.compile(rb"^SANDFLY-AT (\d{1,6}) (\d{1,6})\n", re.MULTILINE)


def run_probe(
    launched: Launched,
    plan_line: bytes,
    reader: ReportReader,
    timeout_s: float,
    should_stop: Callable[[], bool],
    on_percent: Callable[[int], None] = lambda percent: None,
    room: Room | None = None,
) -> Report:
    """Runs to the end of the report; closing the streams on the way out stops a probe that still runs.

    `on_percent` hears how far the probe says it is; `room` is what the report may take.
    Raises ProbeError, ReportError, CancelledError, ConnectError.
    """
    try:
        run = _Run(launched.process, reader, time.monotonic() + timeout_s, should_stop, on_percent, room or Room())
        return run.conduct(launched, plan_line)
    except TimeoutError:
        raise ProbeError("probe_timed_out", f"the probe was cut off after {timeout_s:.0f} s") from None
    finally:
        launched.process.close()


@dataclass
class _Run:
    process: RemoteProcess
    reader: ReportReader
    deadline: float
    should_stop: Callable[[], bool]
    on_percent: Callable[[int], None]
    room: Room
    stderr: bytearray = field(default_factory=bytearray)
    stderr_seen: int = 0
    signal_name: str = ""
    clock_skew_s: float | None = None

    def conduct(self, launched: Launched, plan_line: bytes) -> Report:
        # Standard input stays open, as its end tells the probe to stop. If it no longer reads, its status says why.
        with contextlib.suppress(BrokenPipeError):
            self.process.write(plan_line, remaining_s(self.deadline))
        self.reader.feed(launched.stdout)
        self._hear(launched.stderr)
        while not self._read():
            self._check()
        status = self._wait()
        if self.reader.is_complete:
            report = self.reader.finish()
            report.clock_skew_s = self.clock_skew_s
            return report
        raise self._explain(status)

    def _read(self) -> bool:
        wait_s = min(POLL_S, remaining_s(self.deadline))
        if not self.room.allows(self.reader.size_bytes, self.reader.max_bytes, wait_s):
            return False
        chunk = self.process.read(wait_s)
        if chunk.stdout:
            self.reader.feed(chunk.stdout)
        if self.clock_skew_s is None and self.reader.started_at is not None:
            self.clock_skew_s = round(self.reader.started_at - time.time(), 1)
        if chunk.stderr:
            self._hear(chunk.stderr)
        return chunk.ended

    def _check(self) -> None:
        if self.should_stop():
            raise CancelledError("cancelled", "the scan was cancelled while the probe ran")

    def _hear(self, data: bytes) -> None:
        self.stderr_seen += len(data)
        if self.stderr_seen > MAX_STDERR_FLOOD_BYTES:
            raise ReportError("report_too_large", "the host floods standard error")
        self.stderr += data
        if b"SANDFLY-AT" in self.stderr:
            self._follow()
        # Before it is cut: pages of stack traces follow.
        if not self.signal_name and b"SIG" in self.stderr and (found := ENDED_BY_SIGNAL.search(self.stderr)):
            self.signal_name = found[1].decode()
        del self.stderr[:-STDERR_TAIL_BYTES]

    def _follow(self) -> None:
        """Takes what the probe says of its progress out of its complaints."""
        said = PROGRESS.findall(self.stderr)
        self.stderr = bytearray(PROGRESS.sub(b"", self.stderr))
        for done, total in said[-1:]:
            self.on_percent(min(100, 100 * int(done) // max(1, int(total))))

    def _wait(self) -> int | None:
        try:
            return self.process.wait(min(EXIT_GRACE_S, remaining_s(self.deadline)))
        except TimeoutError:
            if self.reader.is_complete:
                return None
            raise

    def _explain(self, status: int | None) -> ProbeError | ReportError:
        """Why there is no footer."""
        text = self.stderr.decode("utf-8", "backslashreplace")
        if status == PLAN_REJECTED and (reason := _rejection(text, self.reader.rule_ids)):
            return ProbeError("plan_rejected", f"the probe does not take the plan: {reason}")
        if status is None or status > 128 or self.signal_name:
            how = f" by {self.signal_name}" if self.signal_name else ""
            return ProbeError("probe_killed", f"the probe was killed on the host{how} before its report was whole")
        if status != 0:
            last = safe_words(text.strip().rsplit("\n", 1)[-1])
            return ProbeError("probe_crashed", f"the probe ended with status {status}: {last or 'without a word'}")
        return ReportError("report_truncated", f"the report breaks off after {self.reader.lines} lines")


def _rejection(text: str, rule_ids: Sequence[str]) -> str:
    """Why the probe says it does not take the plan, with the id of the rule it means; "" when it says no such thing."""

    def name(place: re.Match[str]) -> str:
        number = int(place[1])
        return f"{place[0]} ({rule_ids[number]})" if number < len(rule_ids) else place[0]

    for line in reversed(text.strip().split("\n")):
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            return RULE_PLACE.sub(name, safe_words(str(document.get("error", "")), 500), count=1)
    return ""
