"""Whether somebody on the host got in the way of the probe: an intruder who is looked at may not like it."""

from __future__ import annotations

import contextlib
import re

from scanners.connection import Connection
from scanners.contract import Interference, Meddling, ProbeFooter
from scanners.errors import ConnectError, ScanError

MAX_VMSTAT_BYTES = 64 << 10
LOOK_TIMEOUT_S = 5.0
MAX_STAT_BYTES = 4 << 10
# proc_pid_stat(5): T is stopped by a signal, t by whoever traces it. The name is that of the staged file.
HELD = re.compile(rb"[0-9]{1,10} \(sf\) [Tt] ")
# It goes on then, sees that nobody reads any more, and ends. Of another user it stays; that is no reason to fail.
GO_ON = 'kill -CONT "$1" 2>/dev/null || :'
# Kernels since 4.13 count, also what dies at the limit of a control group.
OOM_KILL = re.compile(rb"^oom_kill ([0-9]{1,18})$", re.MULTILINE)


def after_failure(error: ScanError) -> Interference | None:
    """What the failure of a visit alone says."""
    if error.code == "digest_mismatch":
        return Interference(what=Meddling.CHANGED, out_of_memory=False)
    return Interference(what=Meddling.KILLED) if error.code == "probe_killed" else None


def after_report(footer: ProbeFooter) -> Interference | None:
    """A probe that was told to stop while we still listen: the worker never asks it to by a signal."""
    was_told = not footer.complete and footer.reason == "signal"
    return Interference(what=Meddling.STOPPED, out_of_memory=False) if was_told else None


def after_kill(connection: Connection, kills_before: int | None) -> Interference:
    """The probe was killed. The kernel does that for lack of memory, to the probe first; its count tells."""
    kills = run_memory_kills(connection) if kills_before is not None else None
    if kills is None or kills_before is None:
        return Interference(what=Meddling.KILLED)
    return Interference(what=Meddling.KILLED, out_of_memory=kills != kills_before)


def after_silence(connection: Connection, pid: int | None) -> Interference | None:
    """The probe did not end in time. A slow host does that; it is none where a signal or a debugger holds the probe."""
    if pid is None:
        return None
    try:
        stat = connection.run(["cat", f"/proc/{pid}/stat"], timeout_s=LOOK_TIMEOUT_S, max_bytes=MAX_STAT_BYTES)
    except (ConnectError, TimeoutError):
        return None
    if not HELD.match(stat.stdout):
        return None
    with contextlib.suppress(ConnectError, TimeoutError):
        connection.run(["sh", "-c", GO_ON, "sh", str(pid)], timeout_s=LOOK_TIMEOUT_S, max_bytes=MAX_STAT_BYTES)
    return Interference(what=Meddling.HALTED)


def run_memory_kills(connection: Connection) -> int | None:
    """The kernel's count, or None where it has none or the host does not say."""
    try:
        done = connection.run(["cat", "/proc/vmstat"], timeout_s=LOOK_TIMEOUT_S, max_bytes=MAX_VMSTAT_BYTES)
    except (ConnectError, TimeoutError):
        return None
    found = OOM_KILL.search(done.stdout)
    return int(found[1]) if found else None
