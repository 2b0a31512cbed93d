"""Plans of the catalogue to measure with, and how fast its rules are compiled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import NAMESPACE_OID, uuid5

from msgspec import structs

from sandfly_web.rules.catalog import load_catalog
from sandfly_web.rules.compiled import CompiledRule, RuleType
from sandfly_web.rules.plan import build_plan
from sandfly_web.rules.sigma import parse_rule
from scanners.contract import Limits
from tests.bench.table import Row, Section

# The probe as fast as it goes: what it costs, not how gently it spends it.
LIMITS = Limits(cpu_percent=100, nice=0, probe_deadline_s=120, connect_timeout_s=10)


@dataclass(frozen=True)
class MeasuredPlan:
    """A plan's JSON and how many rules it holds."""

    body: bytes
    count: int


def detection_rules() -> list[CompiledRule]:
    return [rule for rule in load_catalog() if rule.type is RuleType.DETECTION]


def plan_of(rules: Sequence[CompiledRule], times: int = 1) -> MeasuredPlan:
    """The rules, each as many times as asked for, under ids of their own."""
    copies = list(rules)
    for turn in range(1, times):
        copies += [_copy(rule, turn) for rule in rules]
    return MeasuredPlan(build_plan(copies, LIMITS).body, len(copies))


def _copy(rule: CompiledRule, turn: int) -> CompiledRule:
    rule_id = str(uuid5(NAMESPACE_OID, f"{rule.id} {turn}"))
    return replace(rule, id=rule_id, plan_rule=structs.replace(rule.plan_rule, id=rule_id))


def measure_compiler(seconds: float) -> Section:
    """Compiles the whole catalogue over and over."""
    sources = [(rule.source, rule.path) for rule in load_catalog()]
    started, cpu, count = time.monotonic(), time.process_time(), 0
    while time.monotonic() - started < seconds:
        for text, path in sources:
            parse_rule(text, path)
        count += len(sources)
    wall = time.monotonic() - started
    row = Row(
        f"{len(sources)} rules, again and again",
        cpu_s=time.process_time() - cpu,
        wall_s=wall,
        ratio=f"{count / wall:,.0f} rules/s",
    )
    return Section("Rule compiler", [row])
