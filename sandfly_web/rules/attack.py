"""Facts of MITRE ATT&CK for Enterprise that the catalogue is checked against: tactics, and the techniques in use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

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

# Technique → the tactics it serves.
TECHNIQUES: Mapping[str, tuple[str, ...]] = {
    "T1003": ("credential-access",),
    "T1003.007": ("credential-access",),
    "T1003.008": ("credential-access",),
    "T1006": ("defense-evasion",),
    "T1014": ("defense-evasion",),
    "T1021.004": ("lateral-movement",),
    "T1027": ("defense-evasion",),
    "T1027.011": ("defense-evasion",),
    "T1027.002": ("defense-evasion",),
    "T1036": ("defense-evasion",),
    "T1036.003": ("defense-evasion",),
    "T1036.004": ("defense-evasion",),
    "T1036.005": ("defense-evasion",),
    "T1036.006": ("defense-evasion",),
    "T1036.008": ("defense-evasion",),
    "T1036.011": ("defense-evasion",),
    "T1040": ("credential-access", "discovery"),
    "T1041": ("exfiltration",),
    "T1046": ("discovery",),
    "T1048": ("exfiltration",),
    "T1049": ("discovery",),
    "T1053.002": ("execution", "persistence", "privilege-escalation"),
    "T1053.003": ("execution", "persistence", "privilege-escalation"),
    "T1053.006": ("execution", "persistence", "privilege-escalation"),
    "T1055": ("defense-evasion", "privilege-escalation"),
    "T1055.008": ("defense-evasion", "privilege-escalation"),
    "T1055.009": ("defense-evasion", "privilege-escalation"),
    "T1056.001": ("collection", "credential-access"),
    "T1057": ("discovery",),
    "T1059": ("execution",),
    "T1059.004": ("execution",),
    "T1059.006": ("execution",),
    "T1068": ("privilege-escalation",),
    "T1070": ("defense-evasion",),
    "T1070.002": ("defense-evasion",),
    "T1070.003": ("defense-evasion",),
    "T1070.004": ("defense-evasion",),
    "T1070.006": ("defense-evasion",),
    "T1071.001": ("command-and-control",),
    "T1078": ("defense-evasion", "persistence", "privilege-escalation", "initial-access"),
    "T1078.003": ("defense-evasion", "persistence", "privilege-escalation", "initial-access"),
    "T1082": ("discovery",),
    "T1087.001": ("discovery",),
    "T1090": ("command-and-control",),
    "T1090.003": ("command-and-control",),
    "T1095": ("command-and-control",),
    "T1098": ("persistence", "privilege-escalation"),
    "T1098.004": ("persistence", "privilege-escalation"),
    "T1098.007": ("persistence", "privilege-escalation"),
    "T1105": ("command-and-control",),
    "T1110": ("credential-access",),
    "T1136.001": ("persistence",),
    "T1140": ("defense-evasion",),
    "T1205": ("defense-evasion", "persistence", "command-and-control"),
    "T1205.002": ("defense-evasion", "persistence", "command-and-control"),
    "T1219": ("command-and-control",),
    "T1222.002": ("defense-evasion",),
    "T1485": ("impact",),
    "T1486": ("impact",),
    "T1496": ("impact",),
    "T1496.001": ("impact",),
    "T1505.003": ("persistence",),
    "T1518": ("discovery",),
    "T1543": ("persistence", "privilege-escalation"),
    "T1543.002": ("persistence", "privilege-escalation"),
    "T1546": ("persistence", "privilege-escalation"),
    "T1546.004": ("persistence", "privilege-escalation"),
    "T1546.018": ("persistence", "privilege-escalation"),
    "T1547.006": ("persistence", "privilege-escalation"),
    "T1548": ("privilege-escalation", "defense-evasion"),
    "T1548.001": ("privilege-escalation", "defense-evasion"),
    "T1548.003": ("privilege-escalation", "defense-evasion"),
    "T1552.004": ("credential-access",),
    "T1554": ("persistence",),
    "T1556": ("credential-access", "defense-evasion", "persistence"),
    "T1556.003": ("credential-access", "defense-evasion", "persistence"),
    "T1557": ("credential-access", "collection"),
    "T1562": ("defense-evasion",),
    "T1562.001": ("defense-evasion",),
    "T1562.003": ("defense-evasion",),
    "T1562.004": ("defense-evasion",),
    "T1564": ("defense-evasion",),
    "T1564.001": ("defense-evasion",),
    "T1564.013": ("defense-evasion",),
    "T1569.002": ("execution",),
    "T1571": ("command-and-control",),
    "T1572": ("command-and-control",),
    "T1573": ("command-and-control",),
    "T1574": ("persistence", "privilege-escalation", "defense-evasion"),
    "T1574.006": ("persistence", "privilege-escalation", "defense-evasion"),
    "T1601": ("defense-evasion",),
    "T1610": ("defense-evasion", "execution"),
    "T1611": ("privilege-escalation",),
    "T1620": ("defense-evasion",),
}

_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)")


def techniques_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Technique ids (T1059.004) among Sigma tags."""
    return tuple(match.group(1).upper() for tag in tags if (match := _TECHNIQUE.fullmatch(tag.lower())))


def tactics_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Tactics (defense-evasion) among Sigma tags; underscores of older rules are read as hyphens."""
    names = (tag.lower().removeprefix("attack.").replace("_", "-") for tag in tags if tag.lower().startswith("attack."))
    return tuple(name for name in names if name in TACTICS)
