"""Which part of its rules a schedule runs: drawn at random, so that nobody can know what is looked for next. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar


class Named(Protocol):
    """What is drawn from."""

    @property
    def pk(self) -> object: ...

    @property
    def name(self) -> str: ...


Rule = TypeVar("Rule", bound=Named)

MIN_PERCENT = 5
# How long one draw is used: hosts visited within it share a plan, which workers hold ready.
DRAW_S = 900


def draw_part(rules: Sequence[Rule], percent: int, always: Collection[str], seed: str) -> list[Rule]:
    """Those named in `always`, and `percent` of the others rounded up, in the order given.

    The same seed draws the same rules; whoever does not know it cannot tell which.
    """
    if percent >= 100:
        return list(rules)
    others = [rule for rule in rules if rule.name not in always]
    count = -(-len(others) * percent // 100)
    drawn = {rule.pk for rule in sorted(others, key=lambda rule: _rank(seed, rule))[:count]}
    return [rule for rule in rules if rule.name in always or rule.pk in drawn]


def _rank(seed: str, rule: Named) -> bytes:
    return hashlib.sha256(f"{seed}:{rule.pk}".encode()).digest()
