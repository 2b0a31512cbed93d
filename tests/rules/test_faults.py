"""Mistakes that rule authors make, and the one line that each of them is told."""

from __future__ import annotations

import pytest

from sandfly_web.rules.compiled import RuleErrors
from sandfly_web.rules.sigma import parse_rule

RULE = """\
title: A rule
id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001
name: process_example
status: stable
date: 2026-01-01
tags: [attack.execution, attack.t1059]
logsource: {category: process, product: linux}
detection:
  selection:
    path|startswith: /tmp/
  condition: selection
level: high
sandfly:
  explain: "{path} runs"
  tests:
    - {name: it, record: {path: /tmp/x}, expect: alert}
"""
PATH = "path|startswith: /tmp/"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("path|", "pth|", '10: pth: subject process has no field "pth"; did you mean "path"?'),
        (PATH, "Image: /x", '10: Image: subject process has no field "Image"; here it is "path"'),
        (
            "startswith",
            "startwith",
            '10: detection.selection.path|startwith: unknown modifier "startwith"; did you mean',
        ),
        (PATH, "path|re: '(a'", "10: detection.selection.path|re: Regular expression '(a' is invalid: missing )"),
        (PATH, "path|re: '(?<=x)y'", "expressions are RE2: no look-around and no back-references"),
        (PATH, "uid: root", "10: uid: uid is int and root is no number; use a number, gt, gte, lt or lte"),
        (PATH, "path|gt: 5", "10: path: gt needs a number and path is string; compare it as text"),
        (PATH, "exe_mode: 0755", "10: exe_mode: exe_mode is text and the value 493 is not; put the value in quotes"),
        (PATH, "uid|contains: 10", "contains does not fit the value 10: text modifiers take text (in quotes)"),
        (PATH, "path: {a: b}", "a field has a value or a list of values; modifiers follow its name: `path|contains`"),
        (PATH, "path: []", "10: detection.selection.path: an empty list never matches; give a value, or `null`"),
        (PATH, "remote_addresses|cidr: 10.0.0.0/99", "length of its prefix, such as 10.0.0.0/8"),
        (PATH, "path|expand: '%shels%'", '10: path: unknown list %shels%; did you mean "shells"?'),
        (
            "condition: selection",
            "condition: selektion",
            '11: detection.condition: no selection is named "selektion"; did',
        ),
        (
            "condition: selection",
            "condition: selection and",
            "11: detection.condition: not understood from character 14",
        ),
        ("condition: selection", "condition: (selection", "11: detection.condition: not understood from character 11"),
        ("condition: selection", "condition: selection | count() > 5", "write a `correlation` that counts this rule"),
        ("condition: selection", "timeframe: 5m\n  condition: selection", "write a `correlation` with a timespan"),
        (
            "  selection:",
            "\tselection:",
            "9: not valid YAML: found character that cannot start any token; indent with bl",
        ),
        (
            "level: high",
            "level: hig",
            "12: level: expected one of informational, low, medium, high, critical; did you mean",
        ),
        (
            "level: high",
            "level: high\nlevel: low",
            '13: "level" appears twice in the same mapping; join the two entries',
        ),
        ("category: process", "category: proces", '7: logsource: unknown subject "proces"; did you mean "process"?'),
        ("product: linux", "product: windows", '7: logsource: product "windows" is not collected; only linux is'),
        ("title: A rule\n", "", "1: title: missing; every rule has one"),
        ("id: 5f", "id: x", "2: id: expected a UUID, never used before; `python3 -c"),
        ("date: 2026-01-01", "date: soon", "5: date: expected a date such as 2026-01-31"),
        (
            "[attack.execution, attack.t1059]",
            "attack.execution",
            "6: tags: expected a list of texts, such as [one, two]",
        ),
        ("{path} runs", "{path runs", "14: sandfly.explain: a { or } that does not belong to a {field} place"),
        ("  explain", "  explian", '14: sandfly.explian: unknown key; did you mean "explain"?'),
        (
            "  explain",
            "  alert_on: abscence\n  explain",
            "14: sandfly.alert_on: expected one of match, absence; did you",
        ),
        (
            "  explain",
            "  fields: [pidd]\n  explain",
            '14: sandfly.fields: subject process has no field "pidd"; did you',
        ),
        ("  explain", "  os: {os_idd: x}\n  explain", '14: os_idd: subject host has no field "os_idd"; did you mean'),
        ("record: {path: /tmp/x}", "record: {path: 5}", "16: sandfly.tests.0.record.path: path is string, not 5"),
        ("record: {path: /tmp/x}", "records: {path: 5}", "16: sandfly.tests.0.records: expected a list of records"),
        ("expect: alert", "expect: alarm", "16: sandfly.tests.0.expect: expected one of alert, pass; did you mean"),
        ("category: process", "category: file", ""),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place_and_what_to_do(before: str, after: str, expected: str) -> None:
    assert before in RULE
    text = RULE.replace(before, after, 1)
    if not expected:
        assert parse_rule(text, "r.yml").plan_rule.scope is not None
        return

    with pytest.raises(RuleErrors) as caught:
        parse_rule(text, "r.yml")

    found = [str(error).removeprefix("r.yml:") for error in caught.value.errors]
    assert [expected in line for line in found] == [True], found
