"""Decides an expression on a record that is at hand, as the probe does on the host. Pure; RE2 only.

The grammar and its three values (yes, no, could not look) are those of `probes/README.md`, "Expressions"; a test holds
the two evaluators against each other. For what the server has: findings and stored records.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Container, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]  # the wheel brings no types

from scanners.contract import Expr

MAX_NUMBER_CHARS = 64
CACHED_PATTERNS = 4096

Truth = bool | None
"""True, False, or None where a field that decides could not be looked at."""


def evaluate(expr: Expr | None, record: Mapping[str, Any], unknown: Container[str] = ()) -> Truth:
    """Whether the record fits. A field that is not in the record has no value, unless `unknown` names it.

    No expression fits every record. Raises ValueError for an expression that is none of the grammar.
    """
    return True if expr is None else _node(expr, _Record(record, unknown))


class _Record:
    def __init__(self, values: Mapping[str, Any], unknown: Container[str]) -> None:
        self.values = values
        self.unknown = unknown

    def elements(self, name: str) -> list[Any] | None:
        """The values of a field, none for an empty list; None where it could not be looked at."""
        if name in self.unknown:
            return None
        value = self.values.get(name)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]


def _node(expr: Expr, record: _Record) -> Truth:
    if "and" in expr:
        return _all(_node(side, record) for side in expr["and"])
    if "or" in expr:
        return _any(_node(side, record) for side in expr["or"])
    if "not" in expr:
        inner = _node(expr["not"], record)
        return None if inner is None else not inner
    return _leaf(expr, record)


def _all(truths: Iterable[Truth]) -> Truth:
    """Kleene's `and`: one no settles it."""
    result: Truth = True
    for truth in truths:
        if truth is False:
            return False
        result = None if truth is None else result
    return result


def _any(truths: Iterable[Truth]) -> Truth:
    """Kleene's `or`: one yes settles it."""
    result: Truth = False
    for truth in truths:
        if truth is True:
            return True
        result = None if truth is None else result
    return result


def _leaf(leaf: Expr, record: _Record) -> Truth:
    if leaf["op"] == "keyword":
        return _keyword(leaf, record)
    elements = record.elements(leaf["field"])
    # Lists of indicators (in_set) are on their way to the hosts, not here; `unknown` is what no live host remembers.
    return None if elements is None or leaf["op"] in {"in_set", "unknown"} else _decide(leaf, elements, record)


def _decide(leaf: Expr, elements: list[Any], record: _Record) -> Truth:
    op, values = leaf["op"], leaf["values"]
    if op in {"exists", "null"}:
        return bool(elements) == (op == "exists" and bool(values[0]))
    if not elements:
        return False
    if op == "fieldref":
        return _reference(leaf, elements, record)
    if op not in _TESTS:
        raise ValueError(f"unknown operator {op!r}")
    test, fold = _TESTS[op], not leaf.get("cased", False)
    fits = (any(test(element, value, fold) for element in elements) for value in values)
    return all(fits) if leaf.get("all", False) else any(fits)


def _keyword(leaf: Expr, record: _Record) -> Truth:
    fold = not leaf.get("cased", False)
    texts = [
        text
        for name, value in record.values.items()
        if name not in record.unknown
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str)
    ]
    # Any text that could not be looked at may hold it.
    missing: Truth = None if record.unknown else False
    found = (True if any(_glob(text, f"*{value}*", fold) for text in texts) else missing for value in leaf["values"])
    return _all(found) if leaf.get("all", False) else _any(found)


def _reference(leaf: Expr, elements: list[Any], record: _Record) -> Truth:
    same = _TESTS[leaf.get("mode") or "eq"]
    fold = not leaf.get("cased", False)

    def compare(name: str) -> Truth:
        others = record.elements(name)
        return None if others is None else any(same(one, other, fold) for one in elements for other in others)

    compared = (compare(str(name)) for name in leaf["values"])
    return _all(compared) if leaf.get("all", False) else _any(compared)


def _spell(value: Any, fold: bool) -> str:  # noqa: FBT001 - as the probe's scalar
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    text = str(value)
    if not fold:
        return text
    # Letter by letter and without the mappings that make two of one, which is what Go's does.
    return text.lower() if text.isascii() else "".join(letter.lower()[0] for letter in text)


def _equal(element: Any, value: Any, fold: bool) -> bool:  # noqa: FBT001
    return _spell(element, fold) == _spell(value, fold)


def _part(has: Callable[[str, str], bool]) -> Callable[[Any, Any, bool], bool]:
    return lambda element, value, fold: has(_spell(element, fold), _spell(value, fold))


def _glob(element: Any, value: Any, fold: bool) -> bool:  # noqa: FBT001
    return _pattern(_spell(value, fold)).match(_spell(element, fold)) is not None


@lru_cache(CACHED_PATTERNS)
def _pattern(glob: str) -> Any:
    """`*` is any run of characters, `?` one, and a backslash makes the next literal."""
    out, escaped = [], False
    for letter in glob:
        if not escaped and letter == "\\":
            escaped = True
            continue
        wild = {"*": ".*", "?": "."}.get(letter) if not escaped else None
        out.append(wild or re2.escape(letter))
        escaped = False
    return re2.compile(f"(?s)\\A{''.join(out)}{re2.escape(chr(92)) if escaped else ''}\\z")


@lru_cache(CACHED_PATTERNS)
def _regex(pattern: str) -> Any:
    return re2.compile(pattern)


def _number(value: Any) -> Decimal | None:
    """Text counts when it is a plain decimal."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return Decimal(repr(value))
    text = str(value)
    if not 0 < len(text) <= MAX_NUMBER_CHARS or text.strip("0123456789+-.eE"):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return Decimal(repr(number)) if abs(number) != float("inf") else None


def _ordered(holds: Callable[[Decimal, Decimal], bool]) -> Callable[[Any, Any, bool], bool]:
    def test(element: Any, value: Any, _fold: bool) -> bool:  # noqa: FBT001
        one, other = _number(element), _number(value)
        return one is not None and other is not None and holds(one, other)

    return test


def _in_network(element: Any, value: Any, _fold: bool) -> bool:  # noqa: FBT001
    """IPv4 written as IPv6 (::ffff:a.b.c.d) counts as IPv4."""
    try:
        address = ipaddress.ip_address(_spell(element, fold=False).partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address) in ipaddress.ip_network(str(value), strict=False)


_TESTS: dict[str, Callable[[Any, Any, bool], bool]] = {
    "eq": _equal,
    "glob": _glob,
    "contains": _part(lambda text, part: part in text),
    "startswith": _part(str.startswith),
    "endswith": _part(str.endswith),
    "re": lambda element, value, _fold: _regex(str(value)).search(_spell(element, fold=False)) is not None,
    "cidr": _in_network,
    "gt": _ordered(lambda one, other: one > other),
    "gte": _ordered(lambda one, other: one >= other),
    "lt": _ordered(lambda one, other: one < other),
    "lte": _ordered(lambda one, other: one <= other),
}
