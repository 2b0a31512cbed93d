"""Sigma filters: documents that narrow rules of others, such as by an exception of one site. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandfly_web.rules.document import Document
from sandfly_web.rules.faults import Faults

ANY = "any"


@dataclass(frozen=True)
class Filter:
    """One filter. Its condition and that of a rule must both hold; `rules` are names or ids, () for every rule.

    `faults` are its own, as far as they show on a rule.
    """

    document: Document
    rules: tuple[str, ...]
    logsource: dict[str, Any]
    faults: Faults

    def is_for(self, rule: Document) -> bool:
        """Named, or every rule whose log source is at least as narrow as the filter's."""
        theirs = rule.values.get("logsource")
        if not isinstance(theirs, dict) or any(theirs.get(key) != value for key, value in self.logsource.items()):
            return False
        return not self.rules or bool({rule.values.get("name"), rule.values.get("id")} & set(self.rules))


def read_filter(document: Document, faults: Faults) -> Filter | None:
    """None when it is not one; `faults` says why."""
    before = len(faults)
    raw, logsource = document.values["filter"], document.values.get("logsource")
    if not isinstance(raw, dict):
        faults.add(document.line(("filter",)), "filter", "expected a mapping with rules, selections and a condition")
        return None
    if not isinstance(logsource, dict) or not logsource:
        faults.add(
            document.line(("logsource",)), "logsource", "a filter says which log source its rules have, as they do"
        )
        return None
    rules = _rules(raw.get("rules"), document, faults)
    return Filter(document, rules, logsource, Faults(faults.location)) if len(faults) == before else None


def _rules(raw: Any, document: Document, faults: Faults) -> tuple[str, ...]:
    if isinstance(raw, str) and raw:
        return () if raw.lower() == ANY else (raw,)
    if isinstance(raw, list) and all(isinstance(name, str) and name for name in raw):
        return tuple(raw)
    line = document.line(("filter", "rules"))
    faults.add(line, "filter.rules", f"expected names or ids of rules, or `{ANY}` for every rule of the log source")
    return ()
