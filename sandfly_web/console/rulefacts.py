"""What the pages show of a rule's source beyond its columns. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandfly_web.rules.document import parse_document
from sandfly_web.rules.faults import Faults


@dataclass(frozen=True)
class RuleFacts:
    """`tests` is how many records the rule is tested on; references are shown as text."""

    false_positives: list[str]
    references: list[str]
    tests: int
    author: str


def parse_rule_facts(source: str) -> RuleFacts:
    """Read the Sigma text of a stored rule; a source that cannot be read has no facts."""
    document = parse_document(source, Faults(""))
    values = document.values if document else {}
    own = values.get("sandfly")
    tests = own.get("tests") if isinstance(own, dict) else None
    return RuleFacts(
        texts(values.get("falsepositives")),
        texts(values.get("references")),
        len(tests) if isinstance(tests, list) else 0,
        str(values.get("author") or ""),
    )


def texts(value: Any) -> list[str]:
    return [str(entry) for entry in value] if isinstance(value, list) else []
