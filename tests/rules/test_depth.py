"""Rules that cost much more than others are told by what they ask for."""

from sandfly_web.rules.depth import is_deep
from sandfly_web.scans.oneshot.session import choose_rules
from scanners.contract import PlanRule


def plan_rule(subject: str, when: dict | None = None) -> PlanRule:
    return PlanRule(id="r", subject=subject, fields=["path"], when=when)


def test_a_rule_over_packaged_files_or_hidden_things_is_deep() -> None:
    assert is_deep(plan_rule("package_file"))
    assert is_deep(plan_rule("hidden"))
    assert not is_deep(plan_rule("process"))


def test_a_condition_on_the_package_index_makes_a_rule_deep_wherever_it_stands() -> None:
    leaf = {"field": "package_owned", "op": "eq", "values": [False]}

    assert is_deep(plan_rule("file", {"and": [{"field": "name", "op": "eq", "values": ["x"]}, {"not": leaf}]}))
    assert not is_deep(plan_rule("file", {"field": "name", "op": "eq", "values": ["package_owned"]}))


def test_a_scan_leaves_deep_rules_out_unless_it_asks_for_them() -> None:
    usual, deep = choose_rules("detection", []), choose_rules("detection", [], deep=True)

    assert not [rule.name for rule in usual if is_deep(rule.plan_rule)]
    assert {"hidden", "package_file"} <= {rule.subject for rule in deep}


def test_a_deep_rule_that_is_named_runs() -> None:
    name = next(rule.name for rule in choose_rules("detection", [], deep=True) if rule.subject == "hidden")

    assert [rule.name for rule in choose_rules("detection", [name])] == [name]
