"""Compares what hosts found in compact sets with the lists: what is on none vanishes, and is counted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from sandfly_web.rules.compiled import Level
from sandfly_web.rules.indicators.sets import find_kinds, holds
from scanners.contract import MAX_REPEATS, Candidate, Expr, RuleMatch, RuleState, RuleStatus, ScanReport

PREFIX = "indicator."
LEVEL = PREFIX + "level"
NOTHING_SAID = "the list says no more of it"


@dataclass(frozen=True)
class Listed:
    """One entry of a list, with what its list says of all of them."""

    list_name: str
    level: str
    description: str = ""
    reference: str = ""


Value = tuple[str, str]
"""Kind and canonical value."""

LookUp = Callable[[Collection[Value]], Mapping[Value, list[Listed]]]


def verify_report(report: ScanReport, conditions: Mapping[str, Expr | None], look_up: LookUp) -> ScanReport:
    """The report as it is once the lists are looked up; `conditions` are those of its rules by id.

    A match of a rule that uses lists stays only for values that are on one; its record then says which (`indicator.…`,
    names that no host can make up). A rule without such a match no longer alerts.
    """
    using = {rule_id: when for rule_id, when in conditions.items() if when is not None and find_kinds(when)}
    asked = {(one.kind, one.value) for match in report.matches for one in match.candidates}
    listed = look_up(asked) if asked else {}
    matches = [kept for match in report.matches for kept in _verify_match(match, using, listed)]
    return replace(
        report,
        matches=matches,
        rules=[_verify_status(status, matches) if status.rule_id in using else status for status in report.rules],
        cost=replace(report.cost, indicator_candidates=len(asked), indicator_matches=len(listed)),
    )


def level_of(record: Mapping[str, Any], level: str) -> str:
    """That of the list a finding rests on, else the rule's own."""
    return str(record.get(LEVEL, level))


def _verify_match(
    match: RuleMatch, using: Mapping[str, Expr], listed: Mapping[Value, list[Listed]]
) -> Iterator[RuleMatch]:
    """One match for the rules without lists, and one for each rule with a verified value."""
    # Only this module says what is on a list.
    record = {name: value for name, value in match.record.items() if not name.startswith(PREFIX)}
    plain = [rule_id for rule_id in match.rule_ids if rule_id not in using]
    if plain:
        yield replace(match, rule_ids=plain, record=record, candidates=[])
    found: dict[tuple[str, str], list[Candidate]] = {}
    for one in match.candidates:
        if (one.kind, one.value) in listed:
            found.setdefault((one.kind, one.field), []).append(one)
    for rule_id in match.rule_ids:
        if rule_id in using and holds(using[rule_id], found):
            mine = [one for key in _asked(using[rule_id]) for one in found.get(key, [])]
            told = {**record, **_describe(mine, listed)}
            yield replace(match, rule_ids=[rule_id], record=told, candidates=mine)


def _asked(expression: Expr) -> list[tuple[str, str]]:
    """Kind and field of every list that a condition looks into, in its order."""
    if expression.get("op") == "in_set":
        return [(kind, expression["field"]) for kind in expression["values"]]
    sides = expression.get("and") or expression.get("or") or []
    return list(dict.fromkeys(key for side in sides for key in _asked(side)))


def _describe(found: list[Candidate], listed: Mapping[Value, list[Listed]]) -> dict[str, Any]:
    """Facts of the finding: values that were found, and the entries they have on lists, worst list first."""
    entries = [entry for one in found for entry in listed[one.kind, one.value]]
    entries.sort(key=lambda entry: (-Level(entry.level).rank, entry.list_name))
    about = [text for entry in entries for text in (entry.description, entry.reference) if text]
    return {
        "indicator.value": _joined(one.value for one in found),
        "indicator.kind": _joined(one.kind for one in found),
        "indicator.field": _joined(one.field for one in found),
        "indicator.list": _joined(entry.list_name for entry in entries),
        "indicator.about": _joined(about) or NOTHING_SAID,
        LEVEL: entries[0].level,
    }


def _joined(texts: Any) -> str:
    return ", ".join(dict.fromkeys(texts))


def _is_cut(rule_id: str, matches: list[RuleMatch]) -> bool:
    """Whether a value was seen in as many records as a host tells of, so that there may be more."""
    seen = Counter(one for match in matches if rule_id in match.rule_ids for one in match.candidates)
    return any(count >= MAX_REPEATS for count in seen.values())


def _verify_status(status: RuleStatus, matches: list[RuleMatch]) -> RuleStatus:
    """What a rule says once its candidates are looked up. Matches that were counted and not sent may have been real."""
    verified = sum(status.rule_id in match.rule_ids for match in matches)
    if status.state is not RuleState.ALERT:
        return status
    if verified:
        return replace(status, matched=verified, truncated=status.truncated or _is_cut(status.rule_id, matches))
    if status.truncated:
        return replace(status, state=RuleState.ERROR, reason="limit", matched=0)
    for reason, state in (("error", RuleState.ERROR), ("limit", RuleState.ERROR), ("needs_root", RuleState.SKIPPED)):
        if status.unknown.get(reason):
            return replace(status, state=state, reason=reason, matched=0)
    return replace(status, state=RuleState.PASS, reason="", matched=0)
