"""Rules as rows: the shipped catalogue comes in, people's choices stay, plans come out."""

from __future__ import annotations

import uuid

import pytest
from django.core.exceptions import ValidationError

from sandfly_web.rules.compiled import RuleErrors
from sandfly_web.rules.models import Rule
from sandfly_web.rules.services import load_catalog, save_local_rule, select_rules, set_enabled
from sandfly_web.scans.services import ensure_plan
from scanners.contract import decode_plan

pytestmark = pytest.mark.django_db


def text(name="process_running_odd_place", **values) -> str:
    """A small rule that compiles."""
    rule_id = values.get("id", uuid.uuid5(uuid.NAMESPACE_OID, name))
    return f"""\
title: {values.get("title", name)}
id: {rule_id}
name: {name}
status: {values.get("status", "stable")}
description: A process runs from an odd place.
author: tests
date: 2026-01-01
tags: [{values.get("tags", "attack.execution, attack.t1059")}]
logsource: {{category: process, product: linux}}
detection:
  selection:
    path|startswith: {values.get("path", "/tmp/")}
  condition: selection
level: {values.get("level", "high")}
sandfly:
  type: {values.get("type", "detection")}
  explain: Process {{path}} runs from an odd place.
"""


@pytest.fixture
def catalog(tmp_path):
    """A catalogue of its own; call it with the texts it holds from now on."""

    def load(**texts):
        for file in tmp_path.iterdir():
            file.unlink()
        for name, content in texts.items():
            (tmp_path / f"{name}.yml").write_text(content)
        return load_catalog([tmp_path])

    return load


def test_the_shipped_catalogue_comes_in_whole_and_a_second_time_changes_nothing():
    first = load_catalog()

    second = load_catalog()

    assert first.created == Rule.objects.count() > 0
    assert (second.created, second.updated, second.disabled) == (0, 0, 0)


def test_a_rule_is_read_from_its_source(catalog):
    catalog(a=text(level="critical"))

    rule = Rule.objects.get()
    assert (rule.name, rule.type, rule.subject, rule.level) == (
        "process_running_odd_place", "detection", "process", "critical",
    )  # fmt: skip
    assert rule.plan_rule["id"] == str(rule.pk)
    assert rule.explain == "Process {path} runs from an odd place."
    assert rule.revisions.get().digest == rule.digest


def test_changed_source_makes_a_revision(catalog):
    catalog(a=text())

    result = catalog(a=text(title="Another title"))

    assert result.updated == 1
    rule = Rule.objects.get()
    assert (rule.title, rule.revisions.count()) == ("Another title", 2)


def test_only_trusted_rules_are_enabled_at_first(catalog):
    catalog(a=text(), b=text("process_b", status="test", path="/b"))

    assert dict(Rule.objects.values_list("status", "is_enabled")) == {"stable": True, "test": False}


@pytest.mark.parametrize(("status", "choice"), [("stable", False), ("test", True)])
def test_what_people_enabled_or_disabled_stays_so(catalog, status, choice):
    catalog(a=text(status=status))
    set_enabled(Rule.objects.all(), is_enabled=choice)

    catalog(a=text(status=status, title="Another title"))

    assert Rule.objects.get().is_enabled is choice


def test_a_rule_that_becomes_trusted_is_enabled_if_nobody_said_otherwise(catalog):
    catalog(a=text(status="test"))

    catalog(a=text(status="stable"))

    assert Rule.objects.get().is_enabled


def test_a_rule_that_is_no_longer_shipped_is_disabled_and_kept(catalog):
    catalog(a=text(), b=text("process_b", path="/b"))

    result = catalog(a=text())

    assert result.disabled == 1
    assert not Rule.objects.get(name="process_b").is_enabled


def test_a_catalogue_with_a_fault_changes_nothing(catalog):
    catalog(a=text())

    with pytest.raises(RuleErrors):
        catalog(a=text(title="New"), b="title: only")

    assert Rule.objects.get().title != "New"


def test_a_rule_written_here_is_kept_with_its_revisions(catalog):
    save_local_rule(text("process_mine"))

    rule = save_local_rule(text("process_mine", title="Better"))

    catalog(a=text())
    rule.refresh_from_db()
    assert (rule.origin, rule.title, rule.revisions.count(), rule.is_enabled) == ("local", "Better", 2, True)


def test_a_rule_with_faults_is_refused_with_all_of_them():
    with pytest.raises(ValidationError) as raised:
        save_local_rule(text().replace("level: high", "level: enormous").replace("path|startswith", "pth|startswith"))

    assert len(raised.value.message_dict["source"]) >= 2


def test_a_shipped_rule_is_not_overwritten_by_one_written_here(catalog):
    catalog(a=text())

    with pytest.raises(ValidationError, match="shipped"):
        save_local_rule(text(title="Mine"))


def test_a_name_belongs_to_one_rule(catalog):
    save_local_rule(text("process_mine"))

    with pytest.raises(ValidationError, match="another rule"):
        save_local_rule(text("process_mine", id=uuid.uuid4()))
    with pytest.raises(ValidationError, match="has the name of a shipped rule"):
        catalog(a=text("process_mine", id=uuid.uuid4()))


def names(rules):
    return {rule.name for rule in rules}


@pytest.fixture
def various(make):
    make.rule(name="alert_one", tags=["attack.t1059", "attack.execution"])
    make.rule(name="alert_two", tags=["attack.t1014"])
    make.rule("recon", name="recon_one", tags=[])
    make.rule("policy", name="policy_one", tags=["attack.t1059"])
    make.rule(name="off_one", is_enabled=False)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, {"alert_one", "alert_two", "recon_one"}),
        ({"types": ["policy"]}, {"policy_one"}),
        ({"types": ["detection", "policy"], "tags": ["attack.t1059"]}, {"alert_one", "policy_one"}),
        ({"tags": ["T1014"]}, {"alert_two"}),
        ({"names": ["off_one"]}, {"off_one"}),
        ({"types": ["incident"]}, set()),
    ],
)
def test_rules_are_chosen_by_type_tag_or_name(various, choice, expected):
    assert names(select_rules(**choice)) == expected


@pytest.mark.parametrize("choice", [{"types": ["nonsense"]}, {"names": ["nobody"]}, {"names": [str(uuid.uuid4())]}])
def test_a_choice_that_names_nothing_is_refused(various, choice):
    with pytest.raises(ValidationError):
        select_rules(**choice)


def test_a_rule_is_found_by_its_id(various):
    rule = Rule.objects.get(name="alert_one")

    assert select_rules(names=[str(rule.pk).upper()]) == [rule]


def test_the_same_rules_make_the_same_plan_in_any_order(make):
    rules = [make.rule(), make.rule()]

    plan = ensure_plan(rules)

    assert ensure_plan(rules[::-1]) == plan
    assert plan.rule_ids == sorted(str(rule.pk) for rule in rules)
    assert [rule.id for rule in decode_plan(plan.body).rules] == plan.rule_ids
