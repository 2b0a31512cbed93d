"""Which allow-list entry hides a finding, if any. Pure.

An entry hides only what it is sure about: where its condition asks for a fact that the finding does not carry, that was
cut or could not be looked at, the finding stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandfly_web.rules.evaluate import evaluate
from sandfly_web.rules.fields import registry
from sandfly_web.rules.simplify import field_names
from scanners.contract import Expr


@dataclass(frozen=True)
class Entry:
    """An entry as matching needs it. `rule_id` None: every rule of the subject; `condition` None: all of the rule."""

    id: uuid.UUID
    rule_id: str | None
    subject: str
    condition: Expr | None


@dataclass(frozen=True)
class Seen:
    """What of a finding decides: its rule, its facts, and the names of facts that were cut or could not be had."""

    rule_id: str | None
    subject: str
    identity: Mapping[str, Any]
    evidence: Mapping[str, Any]
    missing: Collection[str]


def carried_fields(subject: str, plan_rule: Mapping[str, Any]) -> frozenset[str]:
    """The fields that findings of a rule bring home when they have a value; `plan_rule` is the compiled rule."""
    known = registry().get(subject)
    always = (*known.identity, *known.evidence) if known else ()
    return frozenset([*always, *plan_rule.get("fields", ()), *field_names(plan_rule.get("when"))])


class _Missing:
    """Every field but those that are carried, and of these the ones that were cut or could not be looked at."""

    def __init__(self, carried: frozenset[str], missing: Collection[str]) -> None:
        self.carried = carried
        self.missing = missing

    def __contains__(self, name: object) -> bool:
        return name not in self.carried or name in self.missing


def find_entry(entries: Iterable[Entry], seen: Seen, carried: frozenset[str]) -> Entry | None:
    """The first entry that hides the finding."""
    if seen.rule_id is None:
        # What the visit itself found, such as a changed host key, is settled where it is accepted.
        return None
    facts = {**seen.identity, **seen.evidence}
    unknown = _Missing(carried, seen.missing)
    return next((entry for entry in entries if _hides(entry, seen, facts, unknown)), None)


def _hides(entry: Entry, seen: Seen, facts: Mapping[str, Any], unknown: _Missing) -> bool:
    if entry.subject != seen.subject or entry.rule_id not in {None, seen.rule_id}:
        return False
    return evaluate(entry.condition, facts, unknown) is True
