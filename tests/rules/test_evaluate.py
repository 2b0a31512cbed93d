"""The server's evaluator says what the probe's says, on every record and every expression."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandfly_web.rules.evaluate import evaluate
from sandfly_web.rules.indicators.sets import find_kinds
from sandfly_web.rules.simplify import walk_leaves
from sandfly_web.rules.testing import match_records
from scanners.contract import Expr, Limits, Plan, PlanRule

TEXTS = st.sampled_from(
    [
        "",
        "/tmp/x",
        "/TMP/X",
        "/tmp/a*b",
        "a?c",
        "abc",
        "ABC",
        "Straße",
        "ΣΑΣ",
        "İ",
        "10",
        "10.5",
        "-3",
        "1e3",
        "0x10",
        "true",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "fe80::1%eth0",
        "a\nb",
        "\\",
        "back\\slash",
        "*",
        "?",
    ]
)
PATTERNS = st.sampled_from(
    ["/tmp/*", "*x", "a?c", "\\*", "*", "?", "a*c", "*\n*", "back\\\\*", "ΣΑ*", "/tmp/a\\*b", "x\\"]
)
REGEXES = st.sampled_from(["^/tmp/", "(?i)^abc$", "a.c", "(?s)a.b", "[0-9]+", "x$", "(?i)straße", "\\bx\\b"])
NUMBERS = st.one_of(st.integers(-20, 20), st.just(2**53 + 1), st.sampled_from([0.5, 10.5, 1000.0, -3.0]))
NETWORKS = st.sampled_from(["10.0.0.0/8", "10.0.0.1/32", "::/0", "fe80::/10", "0.0.0.0/0"])

TEXT_FIELDS = ["path", "cmdline", "username"]
LIST_FIELDS = ["fd_targets", "environ"]
NUMBER_FIELDS = ["pid", "uid"]

RECORDS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.one_of(st.none(), TEXTS) for name in TEXT_FIELDS},
        **{name: st.lists(TEXTS, max_size=3) for name in LIST_FIELDS},
        **{name: st.one_of(st.integers(-20, 20), st.just(2**53 + 1)) for name in NUMBER_FIELDS},
        "on_disk": st.booleans(),
    },
)


def leaf(field: st.SearchStrategy[str], op: st.SearchStrategy[str], value: st.SearchStrategy[Any]) -> Any:
    return st.fixed_dictionaries(
        {"field": field, "op": op, "values": st.lists(value, min_size=1, max_size=6)},
        optional={"all": st.booleans(), "cased": st.booleans()},
    )


ANY_TEXT = st.sampled_from(TEXT_FIELDS + LIST_FIELDS)
LEAVES = st.one_of(
    leaf(ANY_TEXT, st.sampled_from(["eq", "contains", "startswith", "endswith"]), TEXTS),
    leaf(ANY_TEXT, st.just("glob"), PATTERNS),
    leaf(ANY_TEXT, st.just("re"), REGEXES),
    leaf(ANY_TEXT, st.just("cidr"), NETWORKS),
    leaf(st.sampled_from(TEXT_FIELDS + NUMBER_FIELDS), st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS),
    leaf(st.sampled_from(NUMBER_FIELDS), st.just("eq"), st.integers(-20, 20)),
    leaf(st.just("on_disk"), st.just("eq"), st.booleans()),
    leaf(st.just(""), st.just("keyword"), PATTERNS),
    st.fixed_dictionaries(
        {"field": ANY_TEXT, "op": st.just("exists"), "values": st.lists(st.booleans(), min_size=1, max_size=1)}
    ),
    st.fixed_dictionaries({"field": ANY_TEXT, "op": st.just("null"), "values": st.just([])}),
    st.fixed_dictionaries(
        {
            "field": st.sampled_from(TEXT_FIELDS),
            "op": st.just("fieldref"),
            "values": st.lists(st.sampled_from(TEXT_FIELDS + LIST_FIELDS), min_size=1, max_size=3),
        },
        optional={
            "all": st.booleans(),
            "cased": st.booleans(),
            "mode": st.sampled_from(["", "contains", "startswith", "endswith"]),
        },
    ),
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=8,
)


def probe_says(probe: Path, pairs: list[tuple[Expr, dict[str, Any]]]) -> list[bool]:
    """One process for all pairs: rule n is asked about record n."""
    rules = [
        PlanRule(id=f"{place}", subject="process", when=expr, fields=["pid"]) for place, (expr, _) in enumerate(pairs)
    ]
    request = {
        "plan": Plan(limits=Limits(), rules=rules),
        "records": [{"subject": "process", "record": record} for _, record in pairs],
    }
    done = subprocess.run(
        [probe, "--match"], input=msgspec.json.encode(request) + b"\n", capture_output=True, timeout=60, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [place in (answer["rules"] or []) for place, answer in enumerate(answers)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(pairs=st.lists(st.tuples(EXPRESSIONS, RECORDS), min_size=20, max_size=60))
def test_it_agrees_with_the_probe(probe, pairs):
    said = [evaluate(expr, record) for expr, record in pairs]

    assert said == probe_says(probe, pairs)


def test_it_agrees_with_the_probe_on_every_test_of_the_catalogue(probe, catalog):
    # Lists of indicators are only on their way to hosts; the server has nothing to decide with.
    rules = [rule for rule in catalog if rule.plan_rule.when is not None and not find_kinds(rule.plan_rule.when)]
    pairs = [(rule, test.record) for rule in rules for test in rule.tests]
    verdicts = match_records(rules, [(rule.subject, record) for rule, record in pairs], probe)

    wrong = [
        (rule.name, record)
        for (rule, record), verdict in zip(pairs, verdicts, strict=True)
        if evaluate(rule.plan_rule.when, record) is not (rule.id in verdict.matched)
    ]

    assert len(pairs) > 800
    assert wrong == []


YES: Expr = {"field": "pid", "op": "eq", "values": [1]}
NO: Expr = {"field": "pid", "op": "eq", "values": [2]}
DARK: Expr = {"field": "path", "op": "eq", "values": ["/tmp/x"]}


@pytest.mark.parametrize(
    ("expr", "truth"),
    [
        (DARK, None),
        ({"not": DARK}, None),
        ({"and": [DARK, YES]}, None),
        ({"and": [DARK, NO]}, False),
        ({"or": [DARK, YES]}, True),
        ({"or": [DARK, NO]}, None),
        ({"field": "path", "op": "null", "values": []}, None),
        ({"field": "path", "op": "exists", "values": [False]}, None),
        ({"field": "pid", "op": "fieldref", "values": ["path"]}, None),
        ({"field": "", "op": "keyword", "values": ["x"]}, None),
        ({"field": "", "op": "unknown", "values": ["not_kept"]}, None),
        ({"not": {"field": "", "op": "unknown", "values": ["not_kept"]}}, None),
        ({"field": "", "op": "keyword", "values": ["sh"]}, True),
        ({"field": "cmdline", "op": "in_set", "values": ["domain"]}, None),
    ],
)
def test_what_could_not_be_looked_at_decides_nothing(expr, truth):
    assert evaluate(expr, {"pid": 1, "cmdline": "sh"}, unknown={"path"}) is truth


def test_no_expression_fits_every_record():
    assert evaluate(None, {}) is True


def test_an_operator_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="unknown operator 'like'"):
        evaluate({"field": "path", "op": "like", "values": ["x"]}, {"path": "x"})


def test_every_operator_of_the_catalogue_is_covered_here(catalog):
    used = {entry["op"] for rule in catalog for entry in walk_leaves(rule.plan_rule.when)}

    assert used <= {"eq", "contains", "startswith", "endswith", "glob", "re", "cidr", "gt", "gte", "lt", "lte"} | {
        "keyword", "exists", "null", "fieldref", "in_set"
    }  # fmt: skip
