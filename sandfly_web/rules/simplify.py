"""Makes expression trees small: flat `and`/`or`, no double `not`, and one leaf for tests of one field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scanners.contract import Expr

NEVER: Expr = {"or": []}
"""Stands for a leaf that could not be compiled; never part of a plan."""

# Of these, several values in one leaf mean what several leaves mean.
_MERGED = frozenset({
    "eq", "glob", "contains", "startswith", "endswith", "re", "cidr", "gt", "gte", "lt", "lte", "fieldref", "keyword",
    "in_set",
})  # fmt: skip


def simplify(expr: Expr) -> Expr:
    """An expression that says the same in Kleene's logic, in the same order."""
    for word in ("and", "or"):
        if word in expr:
            return _joined(word, expr[word])
    if "not" in expr:
        inner = simplify(expr["not"])
        unwrapped: Expr = inner.get("not", {"not": inner})
        return unwrapped
    return expr


def _joined(word: str, children: list[Expr]) -> Expr:
    flat: list[Expr] = []
    for child in children:
        small = simplify(child)
        flat.extend(small.get(word, [small]))
    merged = _merge(word, flat)
    return merged[0] if len(merged) == 1 else {word: merged}


def _merge(word: str, children: list[Expr]) -> list[Expr]:
    """Joins leaves of the same field and test: any of the values under `or`, all of them under `and`."""
    out: list[Expr] = []
    places: dict[tuple[Any, ...], int] = {}
    for child in children:
        key = _merge_key(word, child)
        if key is None or key not in places:
            if key is not None:
                places[key] = len(out)
            if child not in out:
                out.append(child)
            continue
        place = places[key]
        values = out[place]["values"] + [value for value in child["values"] if value not in out[place]["values"]]
        out[place] = {**out[place], "values": values}
        if word == "and" and len(values) > 1:
            out[place]["all"] = True
    return out


def _merge_key(word: str, leaf: Expr) -> tuple[Any, ...] | None:
    if leaf.get("op") not in _MERGED or (leaf["op"] == "in_set" and word == "and"):
        return None
    wants_all = leaf.get("all", False)
    if len(leaf["values"]) > 1 and wants_all != (word == "and"):
        return None
    return leaf["field"], leaf["op"], leaf.get("cased", False), leaf.get("mode", "")


def walk_leaves(expr: Expr | None) -> Iterator[Expr]:
    """Every leaf, in order."""
    if expr is None:
        return
    children = expr.get("and") or expr.get("or") or ([expr["not"]] if "not" in expr else None)
    if children is None:
        if "op" in expr:
            yield expr
        return
    for child in children:
        yield from walk_leaves(child)


def field_names(expr: Expr | None) -> list[str]:
    """Names of the fields an expression looks at, each once, in order."""
    names: dict[str, None] = {}
    for leaf in walk_leaves(expr):
        if leaf["field"]:
            names[leaf["field"]] = None
        if leaf["op"] == "fieldref":
            names.update(dict.fromkeys(leaf["values"]))
    return list(names)
