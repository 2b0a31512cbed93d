"""What the ATT&CK page and its small version on the start page show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandfly_web.console.attack.counting import MOST_OF_A_RULE, RECENT_DAYS, count_techniques, read_rules
from sandfly_web.console.attack.matrix import WORDS, Matrix, build_matrix, proven

if TYPE_CHECKING:
    from datetime import datetime


def matrix_of(now: datetime, *, with_findings: bool) -> Matrix:
    """Two queries. Without the right to see findings no technique was found."""
    rules = read_rules(now, with_findings=with_findings)
    return build_matrix(rules, count_techniques(rules, now, with_findings=with_findings), proven())


def attack_context(now: datetime, technique: str, *, with_findings: bool) -> dict[str, Any]:
    matrix = matrix_of(now, with_findings=with_findings)
    parts = matrix.parts(technique.upper()) if technique else []
    return {
        "matrix": matrix,
        "parts": parts,
        "chosen": parts[0] if parts else None,
        "unknown": technique if technique and not parts else "",
        "states": [(state, words, matrix.counts.get(state, 0)) for state, words in WORDS.items()],
        "with_findings": with_findings,
        "days": RECENT_DAYS,
        "most": MOST_OF_A_RULE,
    }
