"""Plans of the catalogue to measure with, and how fast its rules are compiled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from msgspec import structs

from sandfly_web.rules.catalog import load_catalog
from sandfly_web.rules.compiled import CompiledRule, RuleType
from sandfly_web.rules.plan import build_plan
from scanners.contract import Limits
from tests.bench.table import Row, Section

# The probe as fast as it goes: what it costs, not how gently it spends it.
LIMITS = Limits(cpu_percent=100, nice=0, probe_deadline_s=120, connect_timeout_s=10)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORD_OPS = {"eq", "glob", "contains", "startswith", "endswith", "keyword"}
# Fields that have a few values each: a word that is none of them would make a rule that nothing comes near.
KINDS = {"type", "state", "family", "protocol", "log", "source", "kind", "mode", "file_mode", "magic", "runtime"}


@dataclass(frozen=True)
class MeasuredPlan:
    """A plan's JSON and how many rules it holds."""

    body: bytes
    count: int


def detection_rules() -> list[CompiledRule]:
    return [rule for rule in load_catalog() if rule.type is RuleType.DETECTION]


def plan_of(rules: Sequence[CompiledRule], times: int = 1) -> MeasuredPlan:
    """The rules, each as many times as asked for: every copy looks for other names in the same places."""
    copies = list(rules)
    for turn in range(1, times):
        copies += [_copy(rule, turn) for rule in rules]
    return MeasuredPlan(build_plan(copies, LIMITS).body, len(copies))


def _copy(rule: CompiledRule, turn: int) -> CompiledRule:
    rule_id = str(uuid5(NAMESPACE_OID, f"{rule.id} {turn}"))
    when = _varied(rule.plan_rule.when, turn)
    return replace(rule, id=rule_id, plan_rule=structs.replace(rule.plan_rule, id=rule_id, when=when))


def _varied(expression: Any, turn: int) -> Any:
    """The expression with other words in it; what kind of thing it is about, and where that lies, stays."""
    if isinstance(expression, list):
        return [_varied(entry, turn) for entry in expression]
    if not isinstance(expression, dict):
        return expression
    if expression.get("op") == "re":
        return {**expression, "values": [f"(?:{value}){'z' * turn}" for value in expression["values"]]}
    if expression.get("op") in WORD_OPS and expression.get("field") not in KINDS:
        return {**expression, "values": [_other_word(value, turn) for value in expression["values"]]}
    return {word: _varied(side, turn) for word, side in expression.items()}


def _other_word(value: Any, turn: int) -> Any:
    """Each letter moved on in the alphabet; paths stay."""
    if not isinstance(value, str) or value.startswith("/"):
        return value
    return value.translate({ord(old): LETTERS[(place + turn) % 26] for place, old in enumerate(LETTERS)})


def measure_compiler(seconds: float) -> Section:
    """Compiles the whole catalogue over and over."""
    started, cpu, count = time.monotonic(), time.process_time(), 0
    while time.monotonic() - started < seconds:
        rules = load_catalog()
        count += len(rules)
    wall = time.monotonic() - started
    row = Row(
        f"{len(rules)} rules, again and again",
        cpu_s=time.process_time() - cpu,
        wall_s=wall,
        ratio=f"{count / wall:,.0f} rules/s",
    )
    return Section("Rule compiler", [row])
