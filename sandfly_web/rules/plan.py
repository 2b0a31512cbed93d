"""Builds the plan that is sent to a probe. Deterministic: the same rules and limits give the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scanners.contract import Limits, Plan, PlanLimits, PlanRule, encode


class Plannable(Protocol):
    """What a plan needs of a rule: a `CompiledRule`, or one that was stored compiled."""

    @property
    def id(self) -> str: ...

    @property
    def plan_rule(self) -> PlanRule: ...


@dataclass(frozen=True)
class BuiltPlan:
    """A plan, its JSON bytes and their SHA-256. Reports refer to rules by their place in `plan.rules`."""

    plan: Plan
    body: bytes
    digest: str


def build_plan(rules: Sequence[Plannable], limits: Limits) -> BuiltPlan:
    """One plan for all rules, ordered by rule id. Raises ValueError when two rules share an id."""
    by_id = {rule.id: rule for rule in rules}
    if len(by_id) != len(rules):
        raise ValueError("two rules of a plan have the same id")
    plan = Plan(limits=_limits(limits), rules=[by_id[rule_id].plan_rule for rule_id in sorted(by_id)])
    body = encode(plan)
    return BuiltPlan(plan, body, hashlib.sha256(body).hexdigest())


def _limits(limits: Limits) -> PlanLimits:
    return PlanLimits(
        deadline_s=limits.probe_deadline_s,
        cpu_percent=limits.cpu_percent,
        nice=limits.nice,
        memory_bytes=limits.memory_bytes,
        report_bytes=limits.report_bytes,
        matches_per_rule=limits.matches_per_rule,
        value_bytes=limits.value_bytes,
    )
