"""How rules refer to lists of indicators: `sha256|expand: '%indicators.sha256%'` is `in_set` in a plan. Pure.

What a set finds is a candidate. So a condition must not negate a list, and must not hold without it: then the exact
list, looked up in afterwards, decides what the rule says.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator
from typing import Any

from sandfly_web.rules.indicators.compact import CompactSet, build_set
from sandfly_web.rules.indicators.kinds import Indicator, Kind, key_of
from scanners.contract import Expr

OPERATOR = "in_set"
FIELDS = ("indicator.value", "indicator.kind", "indicator.field", "indicator.list", "indicator.about")
"""What a finding says of the indicator it rests on; also for use in `explain`."""

# Tests inside rules run with these as the lists: nothing real, from ranges kept for examples.
EXAMPLES = (
    *(Indicator(kind, "1d1cabe0" * count) for kind, count in
      ((Kind.MD5, 4), (Kind.SHA1, 5), (Kind.SHA256, 8), (Kind.SHA512, 16))),
    Indicator(Kind.IP, "203.0.113.66"),
    Indicator(Kind.IP, "198.51.100.0/24"),
    Indicator(Kind.DOMAIN, "indicator.example"),
    Indicator(Kind.PATH, "/opt/indicator/example"),
    Indicator(Kind.FILENAME, "indicator-example"),
    Indicator(Kind.KEY_FINGERPRINT, "SHA256:IndicatorExampleIndicatorExampleIndicatorEx"),
)  # fmt: skip


NO_COUNTING = "cannot rest on lists of indicators: what a host finds in them is only a candidate"


def leaf(field: str, kind: Kind) -> Expr:
    return {"field": field, "op": OPERATOR, "values": [kind.value]}


def find_kinds(expression: Any) -> frozenset[Kind]:
    """The kinds of lists that a condition asks for."""
    return frozenset(Kind(kind) for one in _leaves(expression) for kind in one["values"])


def has_lists(expression: Any, loaded: Collection[Kind]) -> bool:
    """Whether a condition needs no list, or one of those it asks for is loaded: else there is nothing to look for."""
    asked = find_kinds(expression)
    return not asked or any(kind in asked for kind in loaded)


def _leaves(expression: Any) -> Iterator[Expr]:
    if isinstance(expression, dict):
        if expression.get("op") == OPERATOR:
            yield expression
        for value in expression.values():
            yield from _leaves(value)
    elif isinstance(expression, list):
        for entry in expression:
            yield from _leaves(entry)


def holds(expression: Expr, found: Container[tuple[str, str]]) -> bool:
    """Whether a condition holds where all its other parts do and `found` are the (kind, field) of verified values."""
    if "and" in expression:
        return all(holds(side, found) for side in expression["and"])
    if "or" in expression:
        return any(holds(side, found) for side in expression["or"])
    if expression.get("op") == OPERATOR:
        return any((kind, expression["field"]) in found for kind in expression["values"])
    return True


def find_problem(expression: Expr | None) -> str:
    """Why the lists in a condition cannot be used there, "" when they can or there are none."""
    if expression is None or not find_kinds(expression):
        return ""
    if _is_negated(expression):
        return "a list of indicators cannot be negated: what a host finds is only a candidate"
    if holds(expression, ()):
        return "the rule can match without its list of indicators; make two rules, one with the list in every branch"
    return ""


def _is_negated(expression: Expr) -> bool:
    if "not" in expression:
        return bool(find_kinds(expression["not"]))
    return any(_is_negated(side) for side in expression.get("and") or expression.get("or") or [])


def build_sets(indicators: Iterable[Indicator]) -> dict[Kind, CompactSet]:
    """A set of every kind that is there, from entries that are at hand; see `services` for those in the database."""
    keys: dict[Kind, set[int]] = {}
    prefixes: set[tuple[int, int]] = set()
    for one in indicators:
        keys.setdefault(one.kind, set()).add(key_of(one.value))
        if one.kind is Kind.IP and "/" in one.value:
            prefixes.add(prefix_of(one.value))
    return {kind: build_set(kind, held, sorted(prefixes) if kind is Kind.IP else ()) for kind, held in keys.items()}


def prefix_of(network: str) -> tuple[int, int]:
    """IP version and bits of a canonical network."""
    return (6 if ":" in network else 4), int(network.rpartition("/")[2])
