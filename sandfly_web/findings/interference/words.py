"""What is said of a probe that somebody on the host got in the way of. Pure; for the server and the one-shot scan."""

from __future__ import annotations

from typing import NamedTuple

from scanners.contract import Interference, Meddling

RULE_NAME = "probe_interfered"
TITLE = "Scan was interfered with on the host"
TAGS = ["attack.defense-evasion", "attack.t1562.001"]
SUBJECT = "probe"


class Told(NamedTuple):
    """Level of the finding and its explanation."""

    level: str
    explanation: str


CHANGED = Told(
    "high",
    "The program that was put on the host to look at it was not the same any more when it was checked, and was not "
    "run. Something there changes files as they are written.",
)
STOPPED = Told(
    "medium",
    "A signal on the host told the probe to stop before it had seen everything. A shutdown of the host does that; else "
    "somebody who may signal processes there did not want to be looked at.",
)
HALTED = Told(
    "high",
    "The probe did not end in time, and a signal or a debugger on the host held it: it was stopped, not slow. Nothing "
    "but somebody who may signal processes there does that.",
)
KILLED = Told(
    "high",
    "The probe was killed on the host before it had seen everything, and the kernel killed nothing for lack of memory "
    "meanwhile. Somebody who may kill processes there did not want to be looked at.",
)
KILLED_SOMEHOW = Told(
    "medium",
    "The probe was killed on the host before it had seen everything: by somebody who may kill processes there, or by "
    "the kernel for lack of memory; this host does not tell which.",
)
KILLED_FOR_MEMORY = Told(
    "low",
    "The probe was killed on the host before it had seen everything. The kernel killed something for lack of memory at "
    "that time, and would take the probe first; look at the kernel's log if that is not likely there.",
)


def tell(interference: Interference) -> Told:
    if interference.what is Meddling.CHANGED:
        return CHANGED
    if interference.what is Meddling.STOPPED:
        return STOPPED
    if interference.what is Meddling.HALTED:
        return HALTED
    if interference.out_of_memory is None:
        return KILLED_SOMEHOW
    return KILLED_FOR_MEMORY if interference.out_of_memory else KILLED
