"""Rules that cost much more than others are told by what they ask for."""

from sandfly_web.rules.depth import audits_passwords, is_deep
from sandfly_web.scans.oneshot.session import choose_rules
from scanners.contract import Correlation, CorrelationPart, PlanRule, Scope

WIDE = Scope(paths=["/usr"])
NEAR = Scope(paths=["/usr/bin", "/usr/lib"], max_depth=1)
UNOWNED = {"field": "package_owned", "op": "eq", "values": [False]}


def plan_rule(subject: str, when: dict | None = None, scope: Scope | None = None) -> PlanRule:
    return PlanRule(id="r", subject=subject, fields=["path"], when=when, scope=scope)


def test_a_rule_over_all_packaged_files_is_deep_and_one_over_programs_is_not() -> None:
    assert is_deep(plan_rule("package_file"))
    assert is_deep(plan_rule("package_file", scope=WIDE))
    assert is_deep(plan_rule("package_file", scope=Scope(max_depth=1)))
    assert not is_deep(plan_rule("package_file", scope=NEAR))


def test_a_rule_over_every_process_id_is_deep_and_others_over_hidden_things_are_not() -> None:
    assert is_deep(plan_rule("hidden", {"and": [{"field": "beyond_allocated", "op": "eq", "values": [True]}]}))
    assert not is_deep(plan_rule("hidden", {"field": "kind", "op": "eq", "values": ["beyond_allocated"]}))


def test_a_condition_on_the_package_index_makes_a_file_rule_deep_where_it_looks_at_everything() -> None:
    nested = {"and": [{"field": "name", "op": "eq", "values": ["x"]}, {"not": UNOWNED}]}

    assert is_deep(plan_rule("file", nested, WIDE))
    assert not is_deep(plan_rule("file", nested, NEAR))
    assert not is_deep(plan_rule("file", {"field": "name", "op": "eq", "values": ["package_owned"]}, WIDE))
    assert not is_deep(plan_rule("process", UNOWNED))


def test_a_scan_leaves_deep_rules_out_unless_it_asks_for_them() -> None:
    usual, deep = choose_rules("detection", []), choose_rules("detection", [], deep=True)

    assert not [rule.name for rule in usual if is_deep(rule.plan_rule)]
    assert {"hidden", "package_file"} <= {rule.subject for rule in usual}
    assert {"hidden", "package_file", "file"} <= {rule.subject for rule in deep if is_deep(rule.plan_rule)}


def test_a_deep_rule_that_is_named_runs() -> None:
    name = next(rule.name for rule in choose_rules("detection", [], deep=True) if is_deep(rule.plan_rule))

    assert [rule.name for rule in choose_rules("detection", [name])] == [name]


def test_a_rule_that_guesses_passwords_is_deep_by_its_condition_or_by_what_it_sends_home() -> None:
    leaf = {"field": "password_weak", "op": "exists", "values": [True]}

    assert is_deep(plan_rule("user", {"not": leaf}))
    assert is_deep(PlanRule(id="r", subject="user", fields=["username", "password_audit"]))
    assert not is_deep(PlanRule(id="r", subject="user", fields=["username", "password_hash_shared_with"]))


def test_a_correlation_over_guessed_passwords_is_deep() -> None:
    part = CorrelationPart(name="p", subject="user", values=["password_weak"])
    counted = Correlation(type="value_count", parts=[part], timespan_s=1)

    assert is_deep(PlanRule(id="r", subject="user", fields=[], correlation=counted))


def test_passwords_are_guessed_by_a_deep_scan_alone() -> None:
    usual, deep = choose_rules("detection", []), choose_rules("detection", [], deep=True)

    assert [rule.name for rule in usual if audits_passwords(rule.plan_rule)] == []
    assert "user_password_weak" in {rule.name for rule in deep if audits_passwords(rule.plan_rule)}
