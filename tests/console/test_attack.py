"""The ATT&CK page says of each technique how far finding it is proven, and how often it was found lately."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from sandfly_web.console.attack.counting import MOST_OF_A_RULE, RuleRow, count_techniques, read_rules
from sandfly_web.console.attack.matrix import Cell, build_matrix
from sandfly_web.rules.coverage import State
from sandfly_web.rules.models import Rule
from tests.api.builders import WebMake
from tests.console.test_pages import sign_in

URL = "admin:rules_attack_changelist"


def row(name: str, *techniques: str, tests: tuple[str, ...] = ("one",)) -> RuleRow:
    return RuleRow(name, "detection", "stable", techniques, tests, 0)


def cell(matrix: Any, technique: str) -> Cell:
    found: Cell = next(one for column in matrix.columns for one in column.cells if one.id == technique)
    return found


class TestMatrix:
    def test_a_technique_is_as_good_as_the_best_of_its_parts(self) -> None:
        rules = [row("a", "T1059.004"), row("b", "T1059.006"), row("c", "T1059.007", tests=())]

        matrix = build_matrix(rules, Counter(), {"a": ["shell_in_tmp"]})

        shells = cell(matrix, "T1059")
        assert (shells.state, shells.covered) == (State.PROVEN, 2)
        assert [part.state for part in matrix.parts("T1059") if part.rules] == [
            State.PROVEN,
            State.TESTED,
            State.MISSING,
        ]

    def test_findings_of_parts_are_summed_and_heat_the_cell(self) -> None:
        matrix = build_matrix([], Counter({"T1059": 1, "T1059.004": 19}), {})

        assert (cell(matrix, "T1059").found, cell(matrix, "T1059").heat) == (20, 3)
        assert (cell(matrix, "T1014").found, cell(matrix, "T1014").heat) == (0, 0)

    def test_a_technique_of_several_tactics_is_in_each_column(self) -> None:
        matrix = build_matrix([], Counter(), {})

        tactics = [column.tactic for column in matrix.columns if any(one.id == "T1053" for one in column.cells)]
        assert tactics == ["execution", "persistence", "privilege-escalation"]

    def test_an_id_that_is_not_there_has_no_parts(self) -> None:
        assert build_matrix([], Counter(), {}).parts("T9999") == []


@pytest.mark.django_db
class TestCounting:
    def test_findings_of_the_last_month_are_counted_by_the_tags_of_their_rules(self, make: WebMake) -> None:
        rule, now = make.rule(tags=["attack.execution", "attack.t1059.004"]), timezone.now()
        for age in (1, 29, 31):
            make.finding(rule=rule, last_seen_at=now - timedelta(days=age))
        make.finding(tags=["attack.t1557"], last_seen_at=now)

        counts = count_techniques(read_rules(now, with_findings=True), now, with_findings=True)

        assert counts == {"T1059.004": 2, "T1557": 1}

    def test_a_rule_that_alerts_without_end_is_counted_only_so_far(
        self, make: WebMake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sandfly_web.console.attack.counting.MOST_OF_A_RULE", 2)
        rule, now = make.rule(tags=["attack.t1014"]), timezone.now()
        for _ in range(4):
            make.finding(rule=rule, last_seen_at=now)

        assert [one.found for one in read_rules(now, with_findings=True)] == [2]
        assert MOST_OF_A_RULE > 2

    def test_only_enabled_rules_that_alert_count_and_tests_are_seen(self, make: WebMake) -> None:
        make.rule("recon"), make.rule(is_enabled=False)
        shipped = make.rule(origin=Rule.Origin.CATALOG, source="title: a\n")
        tested = make.rule(origin=Rule.Origin.LOCAL, source="title: a\nsandfly:\n    tests:\n      - alert: true\n")
        bare = make.rule(origin=Rule.Origin.LOCAL, source="title: a\ndescription: has no tests: at all\n")

        rows = {one.name: bool(one.tests) for one in read_rules(timezone.now(), with_findings=False)}

        assert rows == {shipped.name: True, tested.name: True, bare.name: False}


@pytest.mark.django_db
class TestPage:
    def test_a_cell_leads_to_the_findings_and_the_rules_of_its_technique(self, make: WebMake) -> None:
        console, now = sign_in(make.person("viewer")), timezone.now()
        rule = make.rule(tags=["attack.execution", "attack.t1059.004"])
        make.finding(rule=rule, title="Shell on a socket", tags=rule.tags, last_seen_at=now)
        make.finding(title="Older than that", tags=rule.tags, last_seen_at=now - timedelta(days=40))

        text = console.get(reverse(URL), {"technique": "T1059"}).content.decode()
        findings = console.get(
            reverse("admin:findings_finding_changelist"), {"tag": "t1059.004", "status": "all", "seen": "30"}
        ).content.decode()

        assert "?tag=t1059.004&amp;status=all&amp;seen=30" in text
        assert "?technique=T1014#technique" in text
        assert rule.name in text
        assert "Shell on a socket" in findings
        assert "Older than that" not in findings

    def test_an_unknown_technique_is_said_to_be_unknown(self, make: WebMake) -> None:
        text = sign_in(make.person("viewer")).get(reverse(URL), {"technique": "<script>"}).content.decode()

        assert "has no technique" in text
        assert "<script>&" not in text
        assert "&lt;script&gt;" in text

    def test_start_page_shows_the_small_map(self, make: WebMake) -> None:
        make.finding(make.host(last_seen_at=timezone.now()))

        text = sign_in(make.person("viewer")).get(reverse("admin:index")).content.decode()

        assert 'class="sf-map"' in text

    def test_nobody_sees_it_without_signing_in(self, client: Client) -> None:
        assert client.get(reverse(URL)).status_code == 302
