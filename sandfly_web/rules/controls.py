"""Which control of a hardening benchmark a policy rule checks, as its tags say. Pure.

A tag is the benchmark, a dot and the number of the control there:

    cis.5.2.10        CIS Distribution Independent Linux Benchmark 2.0.0
    cis-docker.5.4    CIS Docker Benchmark 1.2.0
    sandfly.5.50      a control of ours, where neither has one: chapter as in the first, numbers from 50

Only the numbers are theirs: titles and texts are our own. A policy rule that alerts fails its controls, one that passes
meets them, and one that could not look says nothing about them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

BENCHMARKS = {
    "cis": "CIS Distribution Independent Linux Benchmark 2.0.0",
    "cis-docker": "CIS Docker Benchmark 1.2.0",
    "sandfly": "sandfly",
}
CHAPTERS = {
    1: "Initial set-up",
    2: "Services",
    3: "Network",
    4: "Logs and audit",
    5: "Access and sign-in",
    6: "Files and accounts",
    7: "Containers",
}
_TAG = re.compile(r"(cis|cis-docker|sandfly)\.(\d{1,3}(?:\.\d{1,3}){1,4})")


@dataclass(frozen=True, order=True)
class Control:
    """One control; they sort as a benchmark prints them."""

    benchmark: str
    number: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.benchmark}.{'.'.join(str(part) for part in self.number)}"

    @property
    def chapter(self) -> str:
        """The part of the host that it is about."""
        return CHAPTERS[7] if self.benchmark == "cis-docker" else CHAPTERS.get(self.number[0], "")


def controls_of(tags: Iterable[str]) -> tuple[Control, ...]:
    """The controls among the tags of a rule, sorted."""
    found = (_TAG.fullmatch(tag) for tag in tags)
    controls = {Control(match[1], tuple(int(part) for part in match[2].split("."))) for match in found if match}
    return tuple(sorted(controls))
