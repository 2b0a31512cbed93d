"""The table of ATT&CK techniques that are proven, tested or missing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from sandfly_web.rules import coverage
from sandfly_web.rules.attack_techniques import NOT_LINUX, TECHNIQUES
from sandfly_web.rules.compiled import CompiledRule
from sandfly_web.rules.coverage import State, build_rows
from sandfly_web.rules.sigma import parse_rule
from tests.rules.conftest import rule_text

TESTS = [{"name": "it", "record": {"uid": 0}, "expect": "alert"}]


def rule(name: str, tag: str, number: int, **sandfly: Any) -> CompiledRule:
    text = rule_text(
        {"a": {"uid": 0}, "condition": "a"},
        name=name,
        id=f"5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a000{number}",
        tags=[tag],
        sandfly={"tests": TESTS, **sandfly},
    )
    return parse_rule(text, f"{name}.yml")


@pytest.fixture
def states() -> Callable[..., dict[str, coverage.Row]]:
    def build(*rules: CompiledRule, proven: dict[str, list[str]] | None = None) -> dict[str, coverage.Row]:
        return {row.id: row for row in build_rows(rules, proven or {})}

    return build


def test_a_technique_is_proven_tested_or_missing(states: Callable[..., dict[str, coverage.Row]]) -> None:
    rules = [rule("one", "attack.t1059.004", 1), rule("two", "attack.t1014", 2)]

    rows = states(*rules, proven={"one": ["a_shell_runs"], "gone": ["x"]})

    assert rows["T1059.004"].state is State.PROVEN
    assert rows["T1059.004"].behaviours == ("a_shell_runs",)
    assert rows["T1014"].state is State.TESTED
    assert rows["T1003"].state is State.MISSING


def test_a_technique_without_a_rule_of_its_own_says_what_is_below(
    states: Callable[..., dict[str, coverage.Row]],
) -> None:
    row = states(rule("one", "attack.t1059.004", 1), proven={"one": ["x"]})["T1059"]

    assert (row.state, row.below) == (State.MISSING, State.PROVEN)


def test_rules_that_only_collect_or_are_not_kept_up_find_nothing(
    states: Callable[..., dict[str, coverage.Row]],
) -> None:
    recon = rule("one", "attack.t1014", 1, type="recon")
    old = parse_rule(rule("two", "attack.t1014", 2).source + "status: deprecated\n", "two.yml")

    assert states(recon, old, proven={"one": ["x"], "two": ["x"]})["T1014"].state is State.MISSING


def test_nothing_is_proven_without_the_file_and_a_broken_one_is_no_proof(tmp_path: Path) -> None:
    broken = tmp_path / "proven.json"
    broken.write_text('{"a": 1}')

    assert coverage.read_proven(tmp_path / "none.json") == {}
    with pytest.raises(ValueError, match="expected an object"):
        coverage.read_proven(broken)


def test_every_technique_of_the_matrix_has_one_row(catalog: list[CompiledRule]) -> None:
    rows = build_rows(catalog, coverage.read_proven())

    counts = coverage.summarise(rows)
    assert [row.id for row in rows] == sorted(TECHNIQUES)
    assert counts["containers"]["total"] == len(NOT_LINUX)
    assert sum(count["total"] for count in counts.values()) == len(TECHNIQUES)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rules", "coverage", *arguments, stdout=out)
    return out.getvalue()


def test_the_table_and_the_json_say_the_same() -> None:
    table, document = run(), json.loads(run("--format", "json"))

    linux = document["summary"]["linux"]
    assert f"linux: {linux['proven']} proven, {linux['tested']} tested, {linux['missing']} missing" in table
    assert (
        sum(row["state"] == "proven" and row["platform"] == "linux" for row in document["techniques"])
        == linux["proven"]
    )


def test_the_layer_is_one_that_the_navigator_takes(tmp_path: Path) -> None:
    """Required keys and values: Navigator's layer format 4.5."""
    target = tmp_path / "layer.json"

    said = run("--format", "navigator", "--output", str(target))

    layer = json.loads(target.read_text())
    assert (layer["domain"], layer["versions"]["layer"]) == ("enterprise-attack", "4.5")
    assert {entry["techniqueID"] for entry in layer["techniques"]} == set(TECHNIQUES)
    assert {entry["score"] for entry in layer["techniques"]} <= {0, 1, 2}
    assert str(target) in said
