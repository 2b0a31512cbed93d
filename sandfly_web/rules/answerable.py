"""How far a live host can answer a rule: SigmaHQ's ask for facts that are gone once an event is over. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sandfly_web.rules.compiled import CompiledRule
from sandfly_web.rules.simplify import walk_leaves
from scanners.contract import Correlation, Expr


class Answer(StrEnum):
    """Whether records of a host can make a rule alert."""

    FULLY = "fully"
    PARTLY = "partly"
    NEVER = "never"


def how_answerable(rule: CompiledRule) -> Answer:
    """Partly: some of its conditions are unknown on a live host, and it can alert all the same."""
    plan = rule.plan_rule
    conditions = list(_conditions(plan.correlation)) if plan.correlation else [plan.when]
    if not any(leaf["op"] == "unknown" for when in conditions for leaf in walk_leaves(when)):
        return Answer.FULLY
    return Answer.PARTLY if all(when is None or _can_be(when, truth=True) for when in conditions) else Answer.NEVER


def _conditions(correlation: Correlation) -> Iterable[Expr | None]:
    for part in correlation.parts:
        if part.correlation is not None:
            yield from _conditions(part.correlation)
        else:
            yield part.when


def _can_be(expr: Expr, *, truth: bool) -> bool:
    """Whether some record makes the expression so; leaves are taken to be independent of each other."""
    if "not" in expr:
        return _can_be(expr["not"], truth=not truth)
    for word, all_needed in (("and", truth), ("or", not truth)):
        if word in expr:
            sides = [_can_be(child, truth=truth) for child in expr[word]]
            return all(sides) if all_needed else any(sides)
    return bool(expr["op"] != "unknown")
