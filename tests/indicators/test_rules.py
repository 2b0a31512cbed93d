"""How rules name lists, and what becomes of matches once the lists themselves are looked up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from sandfly_web.rules.compiled import RuleErrors
from sandfly_web.rules.condition import parse_condition
from sandfly_web.rules.indicators import sets
from sandfly_web.rules.indicators.kinds import Indicator, Kind
from sandfly_web.rules.indicators.verify import LEVEL, NOTHING_SAID, Listed, verify_report
from sandfly_web.rules.plan import build_plan
from sandfly_web.rules.sigma import parse_rule
from scanners.contract import (
    MAX_REPEATS,
    Candidate,
    Expr,
    Limits,
    Outcome,
    RuleMatch,
    RuleState,
    RuleStatus,
    ScanReport,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MD5 = "'%indicators.md5%'"


def rule(selection: Any, condition: str = "selection", category: str = "process", **more: Any) -> Any:
    detection = selection if condition != "selection" else {"selection": selection}
    document = {
        "title": "A rule",
        "id": "5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001",
        "name": f"{category}_example",
        "level": "medium",
        "logsource": {"category": category, "product": "linux"},
        "detection": {**detection, "condition": condition},
        **more,
    }
    return parse_rule(yaml.safe_dump(document, sort_keys=False), f"{category}_example.yml")


def fault(*args: Any, **more: Any) -> str:
    with pytest.raises(RuleErrors) as raised:
        rule(*args, **more)
    return str(raised.value)


def in_set(field: str, *kinds: str) -> Expr:
    return {"field": field, "op": "in_set", "values": list(kinds)}


def test_a_list_is_one_condition_and_several_on_a_field_are_joined() -> None:
    one = rule({"exe_sha256|expand": "%indicators.sha256%"})
    two = rule({"cmdline|expand": ["%indicators.domain%", "%indicators.ip%"]})

    assert one.plan_rule.when == in_set("exe_sha256", "sha256")
    assert one.plan_rule.max_matches == 10_000
    assert two.plan_rule.when == in_set("cmdline", "domain", "ip")


def test_lists_that_must_all_hold_stay_apart() -> None:
    both = rule({"cmdline|expand": "%indicators.domain%", "path|expand": "%indicators.path%"})
    same = rule({"cmdline|expand|all": ["%indicators.domain%", "%indicators.ip%"]})

    assert both.plan_rule.when == {"and": [in_set("cmdline", "domain"), in_set("path", "path")]}
    assert same.plan_rule.when == {"and": [in_set("cmdline", "domain"), in_set("cmdline", "ip")]}


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"path|expand": "%indicators.colour%"}, "unknown list %indicators.colour%; known: %indicators.md5%"),
        ({"path|contains|expand": "%indicators.path%"}, "stands alone"),
        ({"path|expand": "/tmp/%indicators.filename%"}, "stands alone"),
        ({"path|expand|cased": "%indicators.path%"}, "stands alone"),
        ({"pid|expand": "%indicators.path%"}, "needs text"),
    ],
)
def test_lists_stand_alone_on_fields_of_text(selection: Any, message: str) -> None:
    assert message in fault(selection)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("other and not listed", "cannot be negated"),
        ("other or listed", "can match without its list"),
        ("not (other and listed)", "cannot be negated"),
    ],
)
def test_lists_are_refused_where_a_candidate_would_decide(condition: str, message: str) -> None:
    named = {"other": {"name": "x"}, "listed": {"path|expand": "%indicators.path%"}}

    assert message in fault(named, condition)


def test_lists_may_stand_in_every_branch_and_beside_what_is_negated() -> None:
    named = {
        "other": {"name": "x"},
        "listed": {"path|expand": "%indicators.path%"},
        "told": {"cmdline|expand": "%indicators.ip%"},
    }

    compiled = rule(named, "(listed or (told and other)) and not other")

    assert sets.find_kinds(compiled.plan_rule.when) == {Kind.PATH, Kind.IP}


def test_sentences_may_name_the_indicator_only_where_there_is_one() -> None:
    told = {"explain": "{path} is {indicator.value} on {indicator.list}: {indicator.about}"}

    assert rule({"path|expand": "%indicators.path%"}, sandfly=told).plan_rule.fields == ["path"]
    assert "indicator.value" in fault({"path": "/tmp/x"}, sandfly=told)


def test_absence_hosts_and_allow_list_conditions_do_not_rest_on_lists() -> None:
    listed = {"path|expand": "%indicators.path%"}

    assert "alert on absence" in fault(listed, sandfly={"alert_on": "absence", "explain": "none on {host.hostname}"})
    assert "host's kind" in fault({"path": "/x"}, sandfly={"os": {"os_name|expand": "%indicators.domain%"}})
    with pytest.raises(RuleErrors, match="are for rules"):
        parse_condition(yaml.safe_dump({"detection": {"s": listed, "condition": "s"}}), "process")


def test_plans_carry_the_sets_that_their_rules_ask_for() -> None:
    made = sets.build_sets([Indicator(Kind.IP, "192.0.2.0/24"), Indicator(Kind.PATH, "/tmp/x")])
    asking, other = (
        rule({"path|expand": "%indicators.path%"}),
        rule({"path": "/tmp/x"}, id="5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0002"),
    )

    with_set, without = build_plan([asking], Limits(), made), build_plan([other], Limits(), made)

    assert [one.kind for one in with_set.plan.sets] == ["path"]
    assert with_set.sets == (made[Kind.PATH].body,)
    assert (without.plan.sets, without.sets) == ([], ())
    assert made[Kind.IP].spec.prefixes4 == [24]


RULE, OTHER = "rule-listed", "rule-other"
WHEN: Expr = {
    "and": [{"field": "name", "op": "eq", "values": ["x"]}, {"or": [in_set("path", "path"), in_set("cmdline", "ip")]}]
}
LISTS = {
    ("path", "/tmp/x"): [Listed("b", "low", "dropper", "https://r.example/"), Listed("a", "critical")],
    ("ip", "192.0.2.1"): [Listed("b", "low")],
}


def seen(*candidates: tuple[str, str, str], rules: tuple[str, ...] = (RULE,), **record: Any) -> RuleMatch:
    made = [Candidate(kind=kind, field=field, value=value) for kind, field, value in candidates]
    return RuleMatch(
        subject="process", rule_ids=list(rules), identity={}, record={"path": "/tmp/x", **record}, candidates=made
    )


def verified(*matches: RuleMatch, **status: Any) -> ScanReport:
    given = {"state": RuleState.ALERT, "matched": len(matches), **status}
    report = ScanReport(
        scan_id="s", outcome=Outcome.DONE, started_at=NOW, finished_at=NOW, matches=list(matches),
        rules=[RuleStatus(rule_id=RULE, **given), RuleStatus(rule_id=OTHER, state=RuleState.ALERT, matched=1)],
    )  # fmt: skip
    return verify_report(
        report, {RULE: WHEN, OTHER: None}, lambda asked: {value: LISTS[value] for value in asked if value in LISTS}
    )


def test_a_value_on_a_list_stays_and_names_the_lists_worst_first() -> None:
    report = verified(seen(("path", "path", "/tmp/x")))

    assert [match.rule_ids for match in report.matches] == [[RULE]]
    told = report.matches[0].record
    assert {name: told[name] for name in (*sets.FIELDS, LEVEL)} == {
        "indicator.value": "/tmp/x",
        "indicator.kind": "path",
        "indicator.field": "path",
        "indicator.list": "a, b",
        "indicator.about": "dropper, https://r.example/",
        LEVEL: "critical",
    }
    assert (report.cost.indicator_candidates, report.cost.indicator_matches) == (1, 1)


def test_a_candidate_on_no_list_vanishes_and_is_counted() -> None:
    report = verified(seen(("path", "path", "/tmp/near-miss")))

    assert report.matches == []
    assert report.rules[0] == RuleStatus(rule_id=RULE, state=RuleState.PASS)
    assert report.rules[1].state is RuleState.ALERT
    assert (report.cost.indicator_candidates, report.cost.indicator_matches) == (1, 0)


@pytest.mark.parametrize(
    "candidates",
    [(), (("ip", "path", "192.0.2.1"),), (("path", "cmdline", "/tmp/x"),), (("domain", "path", "/tmp/x"),)],
)
def test_a_value_counts_only_for_the_kind_and_field_that_the_rule_asks_for(candidates: Any) -> None:
    assert verified(seen(*candidates)).matches == []


def test_another_rule_on_the_record_keeps_its_match_without_the_indicator() -> None:
    report = verified(seen(("ip", "cmdline", "192.0.2.1"), rules=(RULE, OTHER)))

    assert [(match.rule_ids, "indicator.value" in match.record) for match in report.matches] == [
        ([OTHER], False),
        ([RULE], True),
    ]
    assert report.matches[1].record["indicator.about"] == NOTHING_SAID


def test_what_a_host_says_of_indicators_is_dropped() -> None:
    forged = {"indicator.list": "trusted", LEVEL: "informational"}

    report = verified(seen(rules=(OTHER,), **forged), seen(("path", "path", "/tmp/x"), **forged))

    assert not forged.keys() & report.matches[0].record.keys()
    assert report.matches[1].record[LEVEL] == "critical"


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ({"truncated": True, "matched": 5000}, RuleState.ERROR, "limit"),
        ({"unknown": {"needs_root": 3}}, RuleState.SKIPPED, "needs_root"),
        ({"unknown": {"error": 3}}, RuleState.ERROR, "error"),
    ],
)
def test_a_rule_without_verified_matches_says_what_it_could_not_see(status: Any, state: RuleState, reason: str) -> None:
    report = verified(seen(("path", "path", "/tmp/near-miss")), **status)

    assert (report.rules[0].state, report.rules[0].reason) == (state, reason)


def test_a_value_in_as_many_records_as_hosts_tell_of_may_be_in_more() -> None:
    many = [seen(("path", "path", "/tmp/x"), pid=number) for number in range(MAX_REPEATS)]

    assert verified(*many).rules[0].truncated
    assert not verified(*many[1:]).rules[0].truncated


def test_matches_that_stay_are_counted_anew() -> None:
    report = verified(seen(("path", "path", "/tmp/x")), seen(("path", "path", "/tmp/y")), matched=2)

    assert (report.rules[0].state, report.rules[0].matched) == (RuleState.ALERT, 1)
