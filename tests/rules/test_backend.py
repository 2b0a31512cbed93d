"""What Sigma's grammar becomes in a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandfly_web.rules.compiled import CompiledRule, RuleErrors
from sandfly_web.rules.sigma import parse_rule
from tests.rules.conftest import rule_text

Build = Callable[..., CompiledRule]


def leaf(field: str, op: str, *values: Any, **more: Any) -> dict[str, Any]:
    return {"field": field, "op": op, "values": list(values), **more}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("path", "/bin/sh", leaf("path", "eq", "/bin/sh")),
        ("path", ["/bin/sh", "/bin/ash"], leaf("path", "eq", "/bin/sh", "/bin/ash")),
        ("path", "/tmp/*", leaf("path", "startswith", "/tmp/")),
        ("path", "*/sh", leaf("path", "endswith", "/sh")),
        ("path", "*tmp*", leaf("path", "contains", "tmp")),
        ("path", "/t?p/*", leaf("path", "glob", "/t?p/*")),
        ("path", "/a*b", leaf("path", "glob", "/a*b")),
        ("path", "*", leaf("path", "exists", True)),
        ("path", r"/a\*b", leaf("path", "eq", "/a*b")),
        ("path", r"/a\*b*c", leaf("path", "glob", r"/a\*b*c")),
        ("path", None, leaf("path", "null")),
        ("path", "", leaf("path", "eq", "")),
        ("path|contains", "tmp", leaf("path", "contains", "tmp")),
        ("path|contains", "a*b", leaf("path", "glob", "*a*b*")),
        ("path|startswith", "/tmp", leaf("path", "startswith", "/tmp")),
        ("path|endswith", "sh", leaf("path", "endswith", "sh")),
        ("path|startswith|cased", "/Tmp", leaf("path", "startswith", "/Tmp", cased=True)),
        ("cmdline|contains|all", ["a", "b"], leaf("cmdline", "contains", "a", "b", all=True)),
        ("path|re", r"^/t\S*p$", leaf("path", "re", r"^/t\S*p$")),
        ("path|re|i", "x", leaf("path", "re", "(?i)x")),
        ("path|re|i|m|s", "x.", leaf("path", "re", "(?ims)x.")),
        ("remote_addresses|cidr", "10.0.0.0/8", leaf("remote_addresses", "cidr", "10.0.0.0/8")),
        ("remote_addresses|cidr", "fe80::/10", leaf("remote_addresses", "cidr", "fe80::/10")),
        ("uid", 0, leaf("uid", "eq", 0)),
        ("uid", "0", leaf("uid", "eq", 0)),
        ("uid|gt", 999, leaf("uid", "gt", 999)),
        ("cpu_time|gte", 1.5, leaf("cpu_time", "gte", 1.5)),
        ("uid|lt", 5, leaf("uid", "lt", 5)),
        ("uid|lte", 5, leaf("uid", "lte", 5)),
        ("exe_deleted", True, leaf("exe_deleted", "eq", True)),
        ("exe_deleted", "False", leaf("exe_deleted", "eq", False)),
        ("path|exists", True, leaf("path", "exists", True)),
        ("path|exists", False, leaf("path", "exists", False)),
        ("uid|fieldref", "euid", leaf("uid", "fieldref", "euid")),
        ("path|fieldref|startswith", "cwd", leaf("path", "fieldref", "cwd", mode="startswith")),
        ("path|fieldref|endswith", "name", leaf("path", "fieldref", "name", mode="endswith")),
        ("path|fieldref|contains", "name", leaf("path", "fieldref", "name", mode="contains")),
        ("cmdline|base64", "id", leaf("cmdline", "eq", "aWQ=")),
        ("cmdline|base64|contains", "foobar", leaf("cmdline", "contains", "Zm9vYmFy")),
        ("cmdline|base64offset|contains", "foobar", leaf("cmdline", "contains", "Zm9vYmFy", "Zvb2Jhc", "mb29iYX")),
        ("cmdline|wide|base64offset|contains", "a", leaf("cmdline", "contains", "YQ", "EA", "hA")),
        ("cmdline|windash|contains", " -x", leaf("cmdline", "contains", " -x", " /x", " –x", " —x", " ―x")),
        ("path|neq", "/bin/sh", {"not": leaf("path", "eq", "/bin/sh")}),
    ],
)  # fmt: skip
def test_modifiers_and_wildcards(build: Build, key: str, value: Any, expected: dict[str, Any]) -> None:
    assert build({key: value}).plan_rule.when == expected


def test_utf16_puts_a_zero_after_each_character(build: Build) -> None:
    assert build({"cmdline|wide|contains": "ab"}).plan_rule.when == leaf("cmdline", "contains", "a\0b\0")


def test_expand_takes_the_values_of_a_named_list(build: Build) -> None:
    when = build({"path|expand|startswith": "%temporary_directories%"}).plan_rule.when

    assert when is not None
    assert when["op"] == "startswith"
    assert {"/tmp/", "/var/tmp/", "/dev/shm/"} <= set(when["values"])


def test_expand_keeps_the_text_around_the_list_and_the_case_flag(build: Build) -> None:
    when = build({"path|expand|cased": "/usr/bin/%downloaders%"}).plan_rule.when

    assert when is not None
    assert when["cased"] is True
    assert "/usr/bin/curl" in when["values"]


def test_fields_of_a_selection_are_joined_by_and(build: Build) -> None:
    assert build({"path": "/a", "uid": 0}).plan_rule.when == {"and": [leaf("path", "eq", "/a"), leaf("uid", "eq", 0)]}


def test_a_list_of_mappings_is_joined_by_or(build: Build) -> None:
    when = build([{"path": "/a"}, {"uid": 0, "euid": 0}]).plan_rule.when

    assert when == {"or": [leaf("path", "eq", "/a"), {"and": [leaf("uid", "eq", 0), leaf("euid", "eq", 0)]}]}


def test_keywords_look_at_the_whole_record_without_outer_wildcards(build: Build) -> None:
    assert build(["*evil*", "bad?"]).plan_rule.when == leaf("", "keyword", "evil", "bad?")


def test_all_keywords_must_be_there_with_all(build: Build) -> None:
    assert build({"|all": ["a", "b"]}).plan_rule.when == leaf("", "keyword", "a", "b", all=True)


def selections(condition: str | list[str]) -> str:
    detection = {"x_a": {"path": "/a"}, "x_b": {"path": "/b"}, "y": {"uid": 0}, "condition": condition}
    return rule_text(detection)


A, B, Y = leaf("path", "eq", "/a"), leaf("path", "eq", "/b"), leaf("uid", "eq", 0)
AB = leaf("path", "eq", "/a", "/b")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("1 of x_*", AB),
        ("all of x_*", {**AB, "all": True}),
        ("1 of them", {"or": [AB, Y]}),
        ("all of them", {"and": [{**AB, "all": True}, Y]}),
        ("x_a and not y", {"and": [A, {"not": Y}]}),
        ("not not y", Y),
        ("x_a or x_b and y", {"or": [A, {"and": [B, Y]}]}),
        ("(x_a or x_b) and y", {"and": [AB, Y]}),
        ("not (x_a or y)", {"not": {"or": [A, Y]}}),
        (["x_a", "y"], {"or": [A, Y]}),
    ],
)
def test_conditions(condition: str | list[str], expected: dict[str, Any]) -> None:
    assert parse_rule(selections(condition), "r.yml").plan_rule.when == expected


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({"pth": "x"}, 'did you mean "path"'),
        ({"path|contians": "x"}, 'did you mean "contains"'),
        ({"path|gt": 5}, "gt needs a number and path is string"),
        ({"uid|contains": "5"}, "no number"),
        ({"uid|re": "5"}, "re needs text"),
        ({"uid": "root"}, "no number"),
        ({"exe_deleted": "maybe"}, "true or false"),
        ({"exe_mode": 755}, "in quotes"),
        ({"path": True}, "in quotes"),
        ({"path|re": "(?=x)"}, "no look-around"),
        ({"path|re": r"(a)\1"}, "no back-references"),
        ({"path|re": r"a\Cb"}, "single byte"),
        ({"path|re": 5}, "quote it"),
        ({"path|cidr": "10.0.0.0/99"}, "CIDR"),
        ({"path|fieldref": "uid"}, "cannot be compared"),
        ({"path|fieldref": "pth"}, 'did you mean "path"'),
        ({"path|expand": "%shels%"}, 'did you mean "shells"'),
        ({"start_time|hour": 5}, "epoch seconds"),
        ({"path": []}, "empty list"),
        ({"path": {"a": "b"}}, "modifiers follow its name"),
        ({"path|base64": "a*"}, "wildcards"),
    ],
)
def test_what_cannot_be_compiled_says_what_to_do(build: Build, selection: dict[str, Any], words: str) -> None:
    with pytest.raises(RuleErrors) as caught:
        build(selection)

    assert words in str(caught.value)


def test_a_keyword_may_be_a_regular_expression_but_no_network(build: Build) -> None:
    when = build({"|re": "a.*b"}).plan_rule.when

    assert when is not None
    assert {"field": "cmdline", "op": "re", "values": ["a.*b"]} in when["or"]
    with pytest.raises(RuleErrors, match="a keyword is text with wildcards or a regular expression"):
        build({"|cidr": "10.0.0.0/8"})


def test_a_detection_must_not_match_every_record(build: Build) -> None:
    with pytest.raises(RuleErrors, match="every record would match"):
        build("*")


def test_an_inventory_may_match_every_record(build: Build) -> None:
    rule = build("*", sandfly={"type": "recon", "fields": ["pid", "path"]})

    assert rule.plan_rule.when is None
    assert rule.plan_rule.max_matches is not None


def test_nesting_is_bounded(build: Build) -> None:
    with pytest.raises(RuleErrors, match="nested too deeply"):
        build({"uid": 0}, condition="not (selection and " * 60 + "selection" + ")" * 60)
