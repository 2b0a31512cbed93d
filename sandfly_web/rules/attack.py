"""Facts of MITRE ATT&CK for Enterprise that the catalogue is checked against: tactics and techniques."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sandfly_web.rules.attack_techniques import TECHNIQUES

__all__ = ["TACTICS", "TECHNIQUES", "tactics_of", "techniques_of"]

TACTICS: Mapping[str, str] = {
    "reconnaissance": "TA0043",
    "resource-development": "TA0042",
    "initial-access": "TA0001",
    "execution": "TA0002",
    "persistence": "TA0003",
    "privilege-escalation": "TA0004",
    "defense-evasion": "TA0005",
    "credential-access": "TA0006",
    "discovery": "TA0007",
    "lateral-movement": "TA0008",
    "collection": "TA0009",
    "command-and-control": "TA0011",
    "exfiltration": "TA0010",
    "impact": "TA0040",
}

_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)")


def techniques_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Technique ids (T1059.004) among Sigma tags."""
    return tuple(match.group(1).upper() for tag in tags if (match := _TECHNIQUE.fullmatch(tag.lower())))


def tactics_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Tactics (defense-evasion) among Sigma tags; underscores of older rules are read as hyphens."""
    names = (tag.lower().removeprefix("attack.").replace("_", "-") for tag in tags if tag.lower().startswith("attack."))
    return tuple(name for name in names if name in TACTICS)
