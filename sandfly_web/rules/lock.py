"""The lock of the catalogue: which text each shipped rule has, so that a change shows in review and in `modified`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandfly_web.rules.compiled import CompiledRule

LOCK_PATH = Path(__file__).resolve().parent / "catalog.lock.json"


@dataclass(frozen=True)
class LockedRule:
    """A shipped rule as it was last locked; `modified` is an ISO date or ""."""

    id: str
    digest: str
    modified: str


Lock = Mapping[str, LockedRule]


def build_lock(rules: Iterable[CompiledRule]) -> dict[str, LockedRule]:
    """Rule name → its lock entry."""
    return {rule.name: LockedRule(rule.id, rule.digest, str(rule.modified or "")) for rule in rules}


def parse_lock(text: str) -> dict[str, LockedRule]:
    """Read what `format_lock` wrote. Raises ValueError or TypeError on anything else."""
    return {name: LockedRule(**entry) for name, entry in json.loads(text).items()}


def format_lock(lock: Lock) -> str:
    """JSON text, one rule a line, sorted by name."""
    lines = [f"  {json.dumps(name)}: {json.dumps(vars(lock[name]))}" for name in sorted(lock)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def find_drift(old: Lock, new: Lock) -> list[str]:
    """Where the committed lock and the rules differ; empty when they agree."""
    problems = []
    for name in sorted(set(old) | set(new)):
        before, now = old.get(name), new.get(name)
        if before is None or now is None:
            problems.append(f"{name}: {'not locked yet' if now else 'locked, but there is no such rule'}")
        elif before != now:
            problems.append(f"{name}: changed since it was locked")
    return problems


def find_refused(old: Lock, new: Lock, today: dt.date) -> list[str]:
    """Changes that must not be locked: another id under a known name, and new text under an old `modified`."""
    problems = []
    for name in sorted(set(old) & set(new)):
        before, now = old[name], new[name]
        if before.id != now.id:
            problems.append(f"{name}: its id changed; findings and allow-lists refer to the old one, so set it back")
        elif before.digest != now.digest and before.modified == now.modified and now.modified < today.isoformat():
            problems.append(f"{name}: its text changed and `modified` did not; set it to {today.isoformat()}")
    return problems
