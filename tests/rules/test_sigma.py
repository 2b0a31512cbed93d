"""Reading rule files: what is kept, what is refused, and where errors point."""

from __future__ import annotations

import datetime as dt
import hashlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandfly_web.rules.compiled import CompiledRule, Level, RuleErrors, RuleStatus, RuleType
from sandfly_web.rules.sigma import parse_rule
from tests.rules.conftest import rule_text

Build = Callable[..., CompiledRule]

FULL = """\
title: A shell of nobody
id: 5F3C1C9E-52A5-4F3C-8D25-3D9A0F1A0001
name: process_shell_of_nobody
status: stable
description: Finds it.
references: [https://example.org/a]
author: somebody
date: 2026-01-02
modified: 2026/02/03
tags: [attack.execution, attack.t1059.004, attack.defense_evasion, cve.2024-1]
logsource: {category: process, product: linux}
detection:
  selection:
    path|endswith: /sh
    environ|contains: X=
  condition: selection
falsepositives: [none]
level: high
sandfly:
  type: detection
  explain: |
    {username} runs
    {path}.
  os: {os_id: [debian, ubuntu], kernel_version|startswith: '6.'}
  tests:
    - {name: it, record: {path: /bin/sh, pid: 5, environ: [X=1]}, expect: alert}
"""


# Eight times eight times … values in a few lines.
BOMB = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 7))


def errors_of(text: str, location: str = "r.yml") -> list[str]:
    with pytest.raises(RuleErrors) as caught:
        parse_rule(text, location)
    return [str(error) for error in caught.value.errors]


def test_a_whole_rule_is_read() -> None:
    rule = parse_rule(FULL, "rules/process_shell_of_nobody.yml")

    assert (rule.id, rule.name) == ("5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001", "process_shell_of_nobody")
    assert (rule.type, rule.level, rule.status) == (RuleType.DETECTION, Level.HIGH, RuleStatus.STABLE)
    assert (rule.date, rule.modified) == (dt.date(2026, 1, 2), dt.date(2026, 2, 3))
    assert rule.techniques == ("T1059.004",)
    assert rule.tactics == ("execution", "defense-evasion")
    assert rule.explain == "{username} runs {path}."
    assert rule.path == "rules/process_shell_of_nobody.yml"


def test_the_digest_is_that_of_the_text() -> None:
    assert parse_rule(FULL, "r.yml").digest == hashlib.sha256(FULL.encode()).hexdigest()


def test_environment_stays_at_home_unless_a_rule_asks_for_it() -> None:
    rule = parse_rule(FULL, "r.yml")
    asking = parse_rule(FULL.replace("  type: detection", "  type: detection\n  fields: [environ]"), "r.yml")

    assert set(rule.plan_rule.fields) == {"username", "path"}
    assert "environ" in asking.plan_rule.fields


def test_conditions_on_the_host_are_kept_as_an_expression() -> None:
    assert parse_rule(FULL, "r.yml").os == {
        "and": [
            {"field": "os_id", "op": "eq", "values": ["debian", "ubuntu"]},
            {"field": "kernel_version", "op": "startswith", "values": ["6."]},
        ]
    }


def test_conditions_on_the_host_know_only_facts_of_the_host() -> None:
    found = errors_of(FULL.replace("os_id: [debian", "os_idd: [debian"))

    assert len(found) == 1
    assert found[0].startswith("r.yml:24: ")
    assert 'did you mean "os_id"' in found[0]


def test_only_stable_detections_and_inventories_run_by_default() -> None:
    rule = parse_rule(FULL, "r.yml")
    trial = parse_rule(FULL.replace("status: stable", "status: test"), "r.yml")
    policy = parse_rule(FULL.replace("type: detection", "type: policy"), "r.yml")

    assert [one.is_default_enabled for one in (rule, trial, policy)] == [True, False, False]


def test_a_rule_without_our_block_is_a_detection_named_by_its_file() -> None:
    rule = parse_rule(rule_text({"a": {"uid": 0}, "condition": "a"}, name=None), "x/proc_creation_lnx_thing.yml")

    assert (rule.name, rule.type, rule.status) == (
        "proc_creation_lnx_thing",
        RuleType.DETECTION,
        RuleStatus.EXPERIMENTAL,
    )


def test_all_faults_of_a_file_are_told_at_once_in_order_with_their_lines() -> None:
    text = (
        FULL.replace("title: A shell of nobody", "titel: A shell")
        .replace("5F3C1C9E", "ZZZ")
        .replace("path|endswith", "pth|endswith")
        .replace("level: high", "level: hgh")
        .replace("{username} runs", "{usernam} runs")
        .replace("pid: 5", "pid: five")
    )

    found = errors_of(text)

    places = [(line.split(":")[1], line.split(": ")[1]) for line in found]
    assert places == [
        ("1", "titel"),
        ("1", "title"),
        ("2", "id"),
        ("14", "pth"),
        ("18", "level"),
        ("21", "sandfly.explain"),
        ("26", "sandfly.tests.0.record.pid"),
    ]
    assert 'did you mean "high"' in found[4]
    assert 'did you mean "username"' in found[5]


def test_a_faulty_condition_does_not_hide_faults_of_selections() -> None:
    found = errors_of(rule_text({"a": {"pth": 1}, "condition": "a and b"}))

    assert any('no selection is named "b"' in one for one in found)
    assert any('did you mean "path"' in one for one in found)


@pytest.mark.parametrize(
    ("logsource", "words"),
    [
        ({"category": "proces"}, 'did you mean "process"'),
        ({"category": "process", "product": "windows"}, "only linux"),
        ({"category": "process", "service": "auth"}, "remove one of them"),
        ("process", "expected a mapping"),
    ],
)
def test_subjects_that_are_not_collected_are_refused(build: Build, logsource: Any, words: str) -> None:
    with pytest.raises(RuleErrors, match=words):
        build({"uid": 0}, logsource=logsource)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a rule"),
        ("- a", "not a rule"),
        ("a: b\n--- c\nc: d\n", "not valid YAML"),
        ("---\n" * 3, "not a rule"),
        ("a: b\n---\n" * 101, "more than 100 documents"),
        ("a: [b", "not valid YAML"),
        ("title: x\ntitle: y\n", "r.yml:2: \"title\" appears twice"),
        ("1: x\n", "keys must be text"),
        ("? [a]\n: x\n", "keys must be text"),
        ("a: !!python/object:os.system x\n", "not valid YAML"),
        ("a: 2026-13-41\n", "out of range"),
        ("a: \x00\n", "not valid YAML"),
        ("a: " + "[" * 100 + "]" * 100, "deeply nested"),
        ("x" * 300_000, "longer than"),
        (BOMB, "too many"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused_with_a_reason(text: str, words: str) -> None:
    assert words in errors_of(text)[0]


def test_a_level_is_needed_for_all_that_alerts(build: Build) -> None:
    with pytest.raises(RuleErrors, match="level: expected one of"):
        build({"uid": 0}, level=None)


def test_inventories_need_no_level(build: Build) -> None:
    rule = build({"uid": 0}, level=None, sandfly={"type": "recon", "fields": ["pid"]})

    assert rule.level is Level.INFORMATIONAL


@pytest.mark.parametrize("explain", ["seen {", "seen }", "seen {}", "seen {a b}", "seen {{path}}"])
def test_lonely_braces_in_the_explanation_are_refused(build: Build, explain: str) -> None:
    with pytest.raises(RuleErrors, match="does not belong"):
        build({"uid": 0}, sandfly={"explain": explain})


KEYS = [
    "title", "id", "detection", "condition", "selection", "logsource", "category", "process", "sandfly", "tests",
    "record", "path|re", "uid|gt", "level", "high", "scope", "paths", "fields", "explain", "os", "tags", "date",
    "*",
]  # fmt: skip
WORDS = st.sampled_from([*KEYS, "1 of them", ""])
SCALARS = st.one_of(
    WORDS, st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.none(), st.dates(), st.datetimes()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=10,
)


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_rule_or_a_list_of_faults(text: str) -> None:
    try:
        parse_rule(text, "r.yml")
    except RuleErrors as errors:
        assert errors.errors


@given(
    st.dictionaries(
        st.sampled_from(["title", "id", "tags", "date", "level", "sandfly", "name", "falsepositives"]), VALUES
    ),
    st.dictionaries(WORDS, VALUES, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_any_shape_of_rule_is_a_rule_or_a_list_of_faults(changes: dict[str, Any], detection: dict[str, Any]) -> None:
    text = rule_text({"selection": {"uid": 0}, "condition": "selection", **detection}, **changes)

    try:
        rule = parse_rule(text, "r.yml")
    except RuleErrors as errors:
        assert errors.errors
    else:
        assert rule.plan_rule.fields


PARTS = [
    "path", "uid", "cmdline", "exe_deleted", "contains", "startswith", "endswith", "all", "re", "i", "m", "s",
    "cased", "cidr", "gt", "lte", "exists", "fieldref", "base64", "base64offset", "wide", "utf16", "windash",
    "expand", "neq",
]  # fmt: skip
NAMES = st.builds("|".join, st.lists(st.sampled_from([*PARTS, ""]), min_size=1, max_size=4))


@given(st.dictionaries(NAMES, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_any_mixture_of_modifiers_is_compiled_or_refused(selection: dict[str, Any]) -> None:
    try:
        parse_rule(rule_text({"selection": selection, "condition": "selection"}), "r.yml")
    except RuleErrors as errors:
        assert errors.errors


def test_the_compiler_knows_nothing_of_django() -> None:
    modules = ["catalog", "plan", "select", "explain", "testing", "lock"]
    imports = "".join(f"import sandfly_web.rules.{name};" for name in modules)
    check = "sys.exit(any(name.partition('.')[0] in {'django', 'celery', 'psycopg2'} for name in sys.modules))"

    assert subprocess.run([sys.executable, "-c", f"import sys;{imports}{check}"], check=False).returncode == 0
