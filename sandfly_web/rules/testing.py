"""Runs the tests inside rules through the real matcher: `probe --match`, one process for all rules.

The only module of the compiler side that starts a program; the program reads stdin and writes stdout.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sandfly_web.rules.compiled import CompiledRule, Expectation, RecordedVisit, RuleTest
from sandfly_web.rules.indicators.sets import EXAMPLES, build_sets
from sandfly_web.rules.plan import build_plan
from scanners.contract import Limits

TIMEOUT_S = 120


class MatcherError(Exception):
    """The probe could not run the tests; the message says what it printed."""

    code = "matcher_failed"


@dataclass(frozen=True)
class TestResult:
    """What the matcher said of one rule test. `unknown` is the reason when the record left it undecided."""

    rule: CompiledRule
    test: RuleTest
    alerted: bool
    unknown: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.unknown and self.alerted == (self.test.expect is Expectation.ALERT)

    @property
    def problem(self) -> str:
        """One sentence for a failed test, "" for one that holds."""
        if self.is_ok:
            return ""
        said = f"could not decide ({self.unknown})" if self.unknown else "alerts" if self.alerted else "passes"
        return f'test "{self.test.name}": expected {self.test.expect}, the rule {said}'


@dataclass(frozen=True)
class Verdict:
    """Rules that matched a record, and those that could not be decided with the reason; by rule id."""

    matched: frozenset[str]
    unknown: Mapping[str, str]


def run_tests(rules: Sequence[CompiledRule], probe: Path) -> list[TestResult]:
    """Run every test of the rules. Raises MatcherError when the probe does not answer as agreed."""
    pairs = [(rule, test) for rule in rules for test in rule.tests]
    alone = [(rule, test) for rule, test in pairs if test.visit is None]
    joint = [(rule, test, test.visit) for rule, test in pairs if test.visit is not None]
    verdicts = _ask(
        rules, [(rule.subject, test.record) for rule, test in alone], [visit for _, _, visit in joint], probe
    )
    asked = [*alone, *((rule, test) for rule, test, _ in joint)]
    results = [
        TestResult(rule, test, rule.id in verdict.matched, verdict.unknown.get(rule.id, ""))
        for (rule, test), verdict in zip(asked, verdicts, strict=True)
    ]
    order = {id(test): place for place, (_, test) in enumerate(pairs)}
    return sorted(results, key=lambda result: order[id(result.test)])


def match_records(
    rules: Sequence[CompiledRule], records: Sequence[tuple[str, Mapping[str, Any]]], probe: Path
) -> list[Verdict]:
    """What the rules say of each (subject, record). Raises MatcherError."""
    return _ask(rules, records, [], probe)


def match_visits(rules: Sequence[CompiledRule], visits: Sequence[RecordedVisit], probe: Path) -> list[Verdict]:
    """What the rules say of each visit, of which the records are looked at together. Raises MatcherError."""
    return _ask(rules, [], visits, probe)


def _ask(
    rules: Sequence[CompiledRule],
    records: Sequence[tuple[str, Mapping[str, Any]]],
    visits: Sequence[RecordedVisit],
    probe: Path,
) -> list[Verdict]:
    if not records and not visits:
        return []
    built = build_plan(rules, Limits(), build_sets(EXAMPLES))
    plan = built.plan
    request = {
        "plan": plan,
        "sets": built.sets,
        "records": _listed(records),
        "visits": [
            {"host": None if visit.host is None else dict(visit.host), "records": _listed(visit.records)}
            for visit in visits
        ],
    }
    lines = _run(probe, msgspec.json.encode(request))
    if len(lines) != len(records) + len(visits):
        raise MatcherError(f"{len(records) + len(visits)} questions were sent and {len(lines)} answers came back")
    ids = [rule.id for rule in plan.rules]
    return [_verdict(line, ids) for line in lines]


def _listed(records: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    return [{"subject": subject, "record": dict(record)} for subject, record in records]


def _run(probe: Path, request: bytes) -> list[bytes]:
    try:
        done = subprocess.run(
            [probe, "--match"], input=request + b"\n", capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MatcherError(f"the probe {probe} could not be run: {error}") from error
    if done.returncode != 0:
        raise MatcherError(f"the probe refused the rules: {done.stderr.decode(errors='replace').strip()[:2000]}")
    return done.stdout.splitlines()


def _verdict(line: bytes, ids: list[str]) -> Verdict:
    try:
        answer = json.loads(line)
        unknown = {ids[int(place)]: str(reason) for place, reason in (answer.get("unknown") or {}).items()}
        return Verdict(frozenset(ids[place] for place in answer["rules"] or []), unknown)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise MatcherError(f"the probe answered {line[:200]!r}") from error
