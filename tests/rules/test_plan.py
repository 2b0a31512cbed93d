"""Plans, selection of rules, and the lock of the catalogue."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Callable

import msgspec
import pytest

from sandfly_web.rules import lock
from sandfly_web.rules.compiled import CompiledRule, RuleStatus, RuleType
from sandfly_web.rules.plan import build_plan
from sandfly_web.rules.select import UnknownRuleError, select
from scanners.contract import Limits, PlanRule, decode_plan

Build = Callable[..., CompiledRule]


@pytest.fixture
def three(build: Build) -> list[CompiledRule]:
    rule = build({"uid": 0}, status="stable", tags=["attack.t1059.004", "attack.execution"])
    other = dataclasses.replace(rule, id="2" * 36, name="file_b", type=RuleType.POLICY, path="file/file_b.yml", tags=())
    trial = dataclasses.replace(rule, id="3" * 36, name="user_c", status=RuleStatus.TEST, path="user/user_c.yml")
    return [dataclasses.replace(one, plan_rule=_with_id(one)) for one in (rule, other, trial)]


def _with_id(rule: CompiledRule) -> PlanRule:
    return msgspec.structs.replace(rule.plan_rule, id=rule.id)


def test_the_same_rules_give_the_same_bytes_in_any_order(three: list[CompiledRule]) -> None:
    plan = build_plan(three, Limits())

    assert build_plan(three[::-1], Limits()).body == plan.body
    assert plan.digest == hashlib.sha256(plan.body).hexdigest()
    assert [rule.id for rule in plan.plan.rules] == sorted(rule.id for rule in three)


def test_a_plan_survives_the_wire(three: list[CompiledRule]) -> None:
    plan = build_plan(three, Limits(probe_deadline_s=7, cpu_percent=3))

    assert decode_plan(plan.body) == plan.plan
    assert (plan.plan.limits.deadline_s, plan.plan.limits.cpu_percent) == (7, 3)


def test_a_plan_with_the_same_rule_twice_is_refused(three: list[CompiledRule]) -> None:
    with pytest.raises(ValueError, match="same id"):
        build_plan([*three, three[0]], Limits())


@pytest.mark.parametrize(
    ("types", "names", "expected"),
    [
        ([], [], ["process_example"]),
        (["policy"], [], ["file_b"]),
        (["detection"], [], ["process_example", "user_c"]),
        ([], ["user_c"], ["user_c"]),
        ([], ["file_b.yml"], ["file_b"]),
        ([], ["file/file_b.yml", "process_example"], ["process_example", "file_b"]),
        ([], ["attack.t1059.004"], ["process_example", "user_c"]),
        ([], ["T1059.004"], ["process_example", "user_c"]),
        (["policy"], ["attack.execution"], []),
        ([], ["2" * 36], ["file_b"]),
    ],
)
def test_rules_are_chosen_by_type_name_tag_and_file(
    three: list[CompiledRule], types: list[str], names: list[str], expected: list[str]
) -> None:
    assert [rule.name for rule in select(three, types, names)] == expected


def test_an_unknown_name_is_refused_with_what_is_near(three: list[CompiledRule]) -> None:
    with pytest.raises(UnknownRuleError, match='did you mean "user_c"'):
        select(three, names=["user_d"])


def test_a_lock_survives_its_file(three: list[CompiledRule]) -> None:
    built = lock.build_lock(three)

    assert lock.parse_lock(lock.format_lock(built)) == built


OLD = {"a": lock.LockedRule("1", "aa", "2026-01-01"), "gone": lock.LockedRule("9", "gg", "2026-01-01")}
TODAY = dt.date(2026, 5, 5)


@pytest.mark.parametrize(
    ("now", "refused"),
    [
        (lock.LockedRule("1", "aa", "2026-01-01"), False),
        (lock.LockedRule("1", "bb", "2026-01-01"), True),
        (lock.LockedRule("1", "bb", "2026-05-05"), False),
        (lock.LockedRule("2", "aa", "2026-05-05"), True),
    ],
)
def test_new_text_needs_a_new_date_and_ids_stay(now: lock.LockedRule, refused: bool) -> None:
    assert bool(lock.find_refused(OLD, {"a": now}, TODAY)) is refused


def test_a_rule_may_change_twice_on_one_day() -> None:
    old = {"a": lock.LockedRule("1", "aa", "2026-05-05")}

    assert lock.find_refused(old, {"a": lock.LockedRule("1", "bb", "2026-05-05")}, TODAY) == []


def test_the_lock_tells_new_changed_and_missing_rules() -> None:
    new = {"a": lock.LockedRule("1", "bb", "2026-05-05"), "new": lock.LockedRule("3", "cc", "")}

    assert lock.find_drift(OLD, new) == [
        "a: changed since it was locked",
        "gone: locked, but there is no such rule",
        "new: not locked yet",
    ]
