"""What makes two records the same thing, and how they differ. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from sandfly_web.findings.fingerprint import VOLATILE, VOLATILE_EVERYWHERE, canonical

Facts = Mapping[str, Any]

# What is left of the identity when the same thing may be started, placed or listed otherwise.
LOOSE: Mapping[str, tuple[str, ...]] = {
    "process": ("path",),
    "socket": ("protocol", "local_port", "process.path"),
    "package": ("name",),
    "cron_job": ("command",),
    "authorized_key": ("username", "fingerprint"),
    "known_host": ("fingerprint", "name"),
    "private_key": ("fingerprint",),
}
# Facts that two hosts made alike never share.
OWN = re.compile(r"(?:time|_age_s|inode|device|line_number|machine_id|netns)\Z")
# kworker/u8:2-events, ksoftirqd/3: kernel threads are numbered by processor.
THREAD_NUMBER = re.compile(r"[/:0-9].*", re.DOTALL)


class Strictness(StrEnum):
    """LOOSE: the program, port or name; MODERATE: the whole identity; STRICT: every fact that hosts can share."""

    LOOSE = "loose"
    MODERATE = "moderate"
    STRICT = "strict"


def near_key(subject: str, identity: Facts) -> str:
    """SHA-256 of what makes things comparable, whatever the strictness."""
    names = LOOSE.get(subject, tuple(identity))
    facts = {name: identity.get(name) for name in names}
    if subject == "process" and not identity.get("path"):
        facts = {"thread": THREAD_NUMBER.sub("", str(identity.get("name") or ""))}
    return hashlib.sha256(canonical([subject, facts])).hexdigest()


def same_key(subject: str, strictness: str, identity: Facts) -> str:
    """SHA-256 of what makes a thing the same; STRICT things may still differ in their facts (see `differing`)."""
    if strictness == Strictness.LOOSE or (subject == "process" and not identity.get("path")):
        return near_key(subject, identity)
    return hashlib.sha256(canonical([subject, identity])).hexdigest()


def stable(subject: str, data: Facts) -> dict[str, Any]:
    """Facts that hosts can share."""
    volatile = VOLATILE.get(subject, frozenset()) | VOLATILE_EVERYWHERE
    return {name: value for name, value in data.items() if name not in volatile and not OWN.search(name)}


def differing(subject: str, expected: Facts, seen: Facts) -> list[str]:
    """Names of facts that both have and that differ: what a visit did not ask for is no difference."""
    one, other = stable(subject, expected), stable(subject, seen)
    return [name for name in one if name in other and one[name] != other[name]]


def nearest(subject: str, candidates: Iterable[Facts], seen: Facts) -> Facts | None:
    """The candidate that differs least."""
    return min(candidates, key=lambda facts: len(differing(subject, facts, seen)), default=None)


def is_contained(data: Facts) -> bool:
    """It runs in a container."""
    return bool(data.get("in_container") or data.get("container_id"))
