"""Builds the plan that is sent to a probe. Deterministic: the same rules and limits give the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sandfly_web.rules.indicators.compact import CompactSet
from sandfly_web.rules.indicators.kinds import Kind
from sandfly_web.rules.indicators.sets import find_kinds
from scanners.contract import Limits, PasswordAudit, Plan, PlanLimits, PlanRule, encode


class Plannable(Protocol):
    """What a plan needs of a rule: a `CompiledRule`, or one that was stored compiled."""

    @property
    def id(self) -> str: ...

    @property
    def plan_rule(self) -> PlanRule: ...


@dataclass(frozen=True)
class BuiltPlan:
    """A plan, its JSON bytes and their SHA-256. Reports refer to rules by their place in `plan.rules`.

    `sets` are the coded values of `plan.sets`, in their order.
    """

    plan: Plan
    body: bytes = field(repr=False)  # may hold an operator's passwords
    digest: str
    sets: tuple[bytes, ...] = ()


def build_plan(
    rules: Sequence[Plannable],
    limits: Limits,
    indicators: Mapping[Kind, CompactSet] | None = None,
    passwords: PasswordAudit = PasswordAudit(),  # noqa: B008 - frozen
) -> BuiltPlan:
    """One plan for all rules, ordered by rule id, with those sets of indicators that the rules ask for.

    Raises ValueError when two rules share an id.
    """
    by_id = {rule.id: rule for rule in rules}
    if len(by_id) != len(rules):
        raise ValueError("two rules of a plan have the same id")
    asked = {kind for rule in rules for kind in find_kinds(rule.plan_rule.when)}
    sets = [one for kind, one in sorted((indicators or {}).items()) if kind in asked]
    planned = [by_id[rule_id].plan_rule for rule_id in sorted(by_id)]
    plan = Plan(limits=_limits(limits), passwords=passwords, rules=planned, sets=[one.spec for one in sets])
    body = encode(plan)
    return BuiltPlan(plan, body, hashlib.sha256(body).hexdigest(), tuple(one.body for one in sets))


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
