"""Policy rules say which control of a benchmark they check."""

from __future__ import annotations

from sandfly_web.rules.compiled import CompiledRule, RuleType
from sandfly_web.rules.controls import Control, controls_of


def test_controls_are_read_from_tags_and_sort_as_numbers() -> None:
    tags = [
        "attack.t1021.004",
        "cis.5.2.10",
        "cis.5.2.9",
        "cis-docker.5.4",
        "sandfly.5.50",
        "cis.x",
        "cis.5",
        "cis.1.2.3.4.5.6",
    ]

    assert [str(control) for control in controls_of(tags)] == [
        "cis.5.2.9",
        "cis.5.2.10",
        "cis-docker.5.4",
        "sandfly.5.50",
    ]


def test_a_control_knows_the_part_of_the_host_that_it_is_about() -> None:
    assert Control("cis", (5, 2, 10)).chapter == "Access and sign-in"
    assert Control("cis-docker", (5, 4)).chapter == "Containers"
    assert Control("sandfly", (99, 1)).chapter == ""


def test_every_policy_rule_checks_a_control_and_no_other_rule_does(catalog: list[CompiledRule]) -> None:
    offenders = [rule.name for rule in catalog if (rule.type is RuleType.POLICY) != bool(controls_of(rule.tags))]

    assert offenders == []


def test_controls_are_in_a_chapter(catalog: list[CompiledRule]) -> None:
    strays = [str(control) for rule in catalog for control in controls_of(rule.tags) if not control.chapter]

    assert strays == []
