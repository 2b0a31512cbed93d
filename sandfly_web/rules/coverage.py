"""Which techniques of ATT&CK the rules find, and how far that is proven. Pure.

Proven: a rule with its tag raised its alert when the behaviour was enacted on a host (`proven.json`, which the
suite of tests/behaviours writes). Tested: rules with the tag were tried on recorded facts only. Missing: no rule.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from sandfly_web.rules.attack import TACTICS
from sandfly_web.rules.attack_techniques import NOT_LINUX, TECHNIQUE_NAMES, TECHNIQUES
from sandfly_web.rules.compiled import RuleStatus, RuleType

PROVEN_PATH = Path(__file__).resolve().parent / "proven.json"
ATTACK_VERSION = "18.1"
NAVIGATOR_VERSION = "5.1.0"
LAYER_VERSION = "4.5"

Proven = Mapping[str, Sequence[str]]
"""Rule name → the enacted behaviours that raised it."""


class Teacher(Protocol):
    """What of a rule says which techniques it finds: a compiled rule, or a row of the database."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def techniques(self) -> Sequence[str]: ...
    @property
    def tests(self) -> Sequence[object]: ...


class State(StrEnum):
    """How far finding a technique is proven, best first."""

    PROVEN = "proven"
    TESTED = "tested"
    MISSING = "missing"


_COLOURS = {State.PROVEN: "#2e7d32", State.TESTED: "#f9a825", State.MISSING: "#eeeeee"}
_SCORES = {State.PROVEN: 2, State.TESTED: 1, State.MISSING: 0}


@dataclass(frozen=True)
class Row:
    """One technique. `below` is the best state of its sub-techniques, which are rows of their own."""

    id: str
    name: str
    tactics: tuple[str, ...]
    platform: str
    state: State
    below: State
    proven: tuple[str, ...]
    rules: tuple[str, ...]
    behaviours: tuple[str, ...]


def read_proven(path: Path = PROVEN_PATH) -> dict[str, list[str]]:
    """Nothing is proven where the file is missing. Raises ValueError when it is not what the suite writes."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(raw, dict) or not all(isinstance(value, list) for value in raw.values()):
        raise ValueError(f"{path}: expected an object of rule names to lists of behaviours")
    return {str(name): [str(one) for one in value] for name, value in raw.items()}


def build_rows(rules: Iterable[Teacher], proven: Proven) -> list[Row]:
    """Every technique of the Linux and container matrix, by id. Only rules that alert and are maintained count."""
    by_technique: dict[str, list[Teacher]] = {}
    for rule in rules:
        alerts = rule.type in {RuleType.DETECTION, RuleType.POLICY}
        if alerts and rule.status not in {RuleStatus.DEPRECATED, RuleStatus.UNSUPPORTED}:
            for technique in rule.techniques:
                by_technique.setdefault(technique, []).append(rule)
    states = {technique: _state(by_technique.get(technique, ()), proven) for technique in TECHNIQUES}
    below: dict[str, list[State]] = {}
    for technique, state in states.items():
        parent, is_part, _number = technique.partition(".")
        if is_part:
            below.setdefault(parent, []).append(state)
    return [
        _row(technique, by_technique.get(technique, []), (states[technique], below.get(technique, [])), proven)
        for technique in sorted(TECHNIQUES)
    ]


def _state(rules: Iterable[Teacher], proven: Proven) -> State:
    found = list(rules)
    if any(proven.get(rule.name) for rule in found):
        return State.PROVEN
    return State.TESTED if any(rule.tests for rule in found) else State.MISSING


def _row(technique: str, rules: list[Teacher], states: tuple[State, list[State]], proven: Proven) -> Row:
    """`states` is its own and those of its sub-techniques."""
    state, below = states
    raised = sorted(rule.name for rule in rules if proven.get(rule.name))
    return Row(
        id=technique,
        name=TECHNIQUE_NAMES[technique],
        tactics=TECHNIQUES[technique],
        platform="containers" if technique in NOT_LINUX else "linux",
        state=state,
        below=next((one for one in State if one in below), State.MISSING),
        proven=tuple(raised),
        rules=tuple(sorted(rule.name for rule in rules)),
        behaviours=tuple(sorted({behaviour for name in raised for behaviour in proven[name]})),
    )


def summarise(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Techniques by platform and state."""
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        of = counts.setdefault(row.platform, dict.fromkeys((*State, "total"), 0))
        of[row.state] += 1
        of["total"] += 1
    return counts


def as_object(rows: Sequence[Row]) -> dict[str, Any]:
    """For scripts."""
    return {
        "attack_version": ATTACK_VERSION,
        "summary": summarise(rows),
        "techniques": [
            {**vars(row), "tactics": list(row.tactics), "proven": list(row.proven), "rules": list(row.rules),
             "behaviours": list(row.behaviours)}
            for row in rows
        ],
    }  # fmt: skip


def as_navigator_layer(rows: Sequence[Row]) -> dict[str, Any]:
    """A layer for the ATT&CK Navigator (layer format 4.5): score 2 proven, 1 tested, 0 missing."""
    return {
        "name": "sandfly: what is found on Linux",
        "description": "Green: enacted on a host and found. Yellow: rules tried on recorded facts only.",
        "domain": "enterprise-attack",
        "versions": {
            "attack": ATTACK_VERSION.partition(".")[0],
            "navigator": NAVIGATOR_VERSION,
            "layer": LAYER_VERSION,
        },
        "filters": {"platforms": ["Linux", "Containers"]},
        "sorting": 3,
        "hideDisabled": False,
        "techniques": [_layer_entry(row) for row in rows],
        "gradient": {"colors": [_COLOURS[state] for state in reversed(State)], "minValue": 0, "maxValue": 2},
        "legendItems": [{"label": state.value, "color": _COLOURS[state]} for state in State],
    }


def _layer_entry(row: Row) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "techniqueID": row.id,
        "score": _SCORES[row.state],
        "color": _COLOURS[row.state],
        "enabled": True,
        "showSubtechniques": row.below != State.MISSING,
    }
    if row.rules:
        entry["comment"] = f"{row.state}: {', '.join(row.proven or row.rules)}"
        entry["metadata"] = [{"name": "rules", "value": str(len(row.rules))}]
    return entry


def by_tactic(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Tactics in ATT&CK's order with their techniques."""
    listed = list(rows)
    return [(tactic, found) for tactic in TACTICS if (found := [row for row in listed if tactic in row.tactics])]
