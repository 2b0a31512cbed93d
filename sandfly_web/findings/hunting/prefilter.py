"""What the database can leave out before a condition is decided. Pure.

Every record that the condition fits passes the filter; what passes still has to be decided.
"""

from __future__ import annotations

import re
from functools import reduce
from operator import or_

from django.db.models import Q, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.db.models.lookups import IContains

from scanners.contract import Expr

# Texts whose JSON is themselves, so that they are found in a list's JSON too.
PLAIN = re.compile(r"[A-Za-z0-9 /._:@%+=,;-]+\Z")
OPERATORS = frozenset({"eq", "contains", "startswith", "endswith"})
MAX_VALUES = 64


def necessary(expr: Expr | None) -> Q:
    """What must hold of a record's `data`, where that can be said; an empty Q asks nothing."""
    if expr is None:
        return Q()
    if "and" in expr:
        wanted = Q()
        for side in expr["and"]:
            wanted &= necessary(side)
        return wanted
    if "or" in expr:
        sides = [necessary(side) for side in expr["or"]]
        return reduce(or_, sides) if all(sides) else Q()
    return Q() if "not" in expr else _leaf(expr)


def _leaf(leaf: Expr) -> Q:
    texts = [value for value in leaf["values"] if isinstance(value, str)]
    is_plain = len(texts) == len(leaf["values"]) <= MAX_VALUES and all(PLAIN.match(text) for text in texts)
    # Text that spells a number equals the number, whose JSON may be spelled otherwise.
    if leaf["op"] not in OPERATORS or not is_plain or any(text.strip("0123456789.+-eE") == "" for text in texts):
        return Q()
    field = Coalesce(KeyTextTransform(leaf["field"], "data"), KeyTextTransform(leaf["field"], "identity"))
    held = [Q(IContains(field, Value(text, output_field=TextField()))) for text in texts]
    if leaf.get("all", False):
        wanted = Q()
        for one in held:
            wanted &= one
        return wanted
    return reduce(or_, held)
