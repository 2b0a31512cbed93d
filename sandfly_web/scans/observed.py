"""Reads a report's matches into findings and records, cleaned and bounded. Pure but for the rules it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sandfly_web.findings.allowlist.matching import Entry, Seen, carried_fields, find_entry
from sandfly_web.findings.fingerprint import content_digest, fingerprint, identity_digest
from sandfly_web.findings.intervals import Observation
from sandfly_web.findings.sightings import Sighting
from sandfly_web.rules.explain import render
from sandfly_web.rules.indicators.sets import FIELDS
from sandfly_web.rules.indicators.verify import level_of
from sandfly_web.rules.models import Rule
from sandfly_web.scans.cleaning import clean_record, clean_text
from scanners.contract import CollectorState, RuleMatch, RuleState, ScanReport

MAX_SUBJECT_CHARS = 32
MAX_UNKNOWN = 256
ALERTING = frozenset({Rule.Type.DETECTION, Rule.Type.POLICY})


@dataclass(frozen=True)
class RuleFacts:
    """What ingest needs of a rule; `fields` are those it asked the probe for."""

    id: str
    name: str
    type: str
    title: str
    level: str
    tags: list[str]
    explain: str
    fields: tuple[str, ...]
    when: Any = None

    @property
    def alerts(self) -> bool:
        """Detection and policy rules make findings; recon and incident rules bring records."""
        return self.type in ALERTING

    @property
    def is_forensic(self) -> bool:
        """What incident rules bring is kept as it was at that moment, not as inventory."""
        return self.type == Rule.Type.INCIDENT


class Forensic(NamedTuple):
    """One match of an incident rule; `data` has the rule's fields."""

    rule_id: str
    rule_name: str
    subject: str
    identity: dict[str, Any]
    data: dict[str, Any]
    truncated: list[str]
    unknown: dict[str, str]


@dataclass(frozen=True)
class Matches:
    """What a visit brought home: findings, recon's records, and what incident rules collected."""

    sightings: list[Sighting]
    observations: list[Observation]
    forensics: list[Forensic]


@dataclass(frozen=True)
class _Cleaned:
    """One match, cleaned once for all of its rules."""

    subject: str
    identity: dict[str, Any]
    record: dict[str, Any]
    truncated: list[str]
    unknown: dict[str, str]


def _clean(match: RuleMatch) -> _Cleaned:
    record, cut = clean_record(match.record)
    identity, _ = clean_record(match.identity)
    named = [clean_text(name, 255) for name in match.truncated[:MAX_UNKNOWN]]
    unknown = list(match.unknown.items())[:MAX_UNKNOWN]
    return _Cleaned(
        subject=clean_text(match.subject, MAX_SUBJECT_CHARS),
        identity=identity,
        record=record,
        truncated=[*named, *cut],
        unknown={clean_text(name, 255): clean_text(reason, 255) for name, reason in unknown},
    )


def read_matches(
    host: str, matches: Iterable[RuleMatch], rules: Mapping[str, RuleFacts], allowlist: Sequence[Entry] = ()
) -> Matches:
    """Findings and records of a visit; `host` is the host's id, `allowlist` what may hide findings there.

    Several matches with one identity (two processes with the same command) become one: that with the smallest digest,
    so that the next visit picks the same, and one that no entry hides before those that are hidden.
    """
    sightings: dict[str, Sighting] = {}
    observations: dict[tuple[str, str], Observation] = {}
    forensics: list[Forensic] = []
    for match in matches:
        cleaned = _clean(match)
        matched = [rules[rule_id] for rule_id in match.rule_ids if rule_id in rules]
        for rule in matched:
            if rule.alerts:
                seen = _sighting(host, rule, cleaned, allowlist)
                other = sightings.setdefault(seen.fingerprint, seen)
                if _rank(seen) < _rank(other):
                    sightings[seen.fingerprint] = seen
        forensics.extend(_forensic(rule, cleaned) for rule in matched if rule.is_forensic)
        collecting = [rule for rule in matched if not (rule.alerts or rule.is_forensic)]
        if collecting:
            noted = _observation(collecting, cleaned)
            key = (noted.subject, noted.identity_digest)
            if noted.digest <= observations.setdefault(key, noted).digest:
                observations[key] = noted
    return Matches(list(sightings.values()), list(observations.values()), forensics)


def _forensic(rule: RuleFacts, match: _Cleaned) -> Forensic:
    data = {name: match.record[name] for name in dict.fromkeys(rule.fields) if name in match.record}
    return Forensic(rule.id, rule.name, match.subject, match.identity, data, match.truncated, match.unknown)


def _rank(sighting: Sighting) -> tuple[bool, str]:
    return sighting.allowed_by is not None, sighting.evidence_digest


def _allowed_by(rule: RuleFacts, match: _Cleaned, allowlist: Sequence[Entry]) -> str | None:
    """Id of the entry that hides a match."""
    if not allowlist:
        return None
    seen = Seen(rule.id, match.subject, match.identity, match.record, frozenset([*match.truncated, *match.unknown]))
    carried = carried_fields(match.subject, {"fields": rule.fields, "when": rule.when})
    entry = find_entry(allowlist, seen, carried)
    return str(entry.id) if entry is not None else None


def _sighting(host: str, rule: RuleFacts, match: _Cleaned, allowlist: Sequence[Entry]) -> Sighting:
    return Sighting(
        fingerprint=fingerprint(rule.id, host, match.subject, match.identity),
        rule_id=rule.id,
        rule_name=rule.name,
        subject=match.subject,
        title=rule.title,
        level=level_of(match.record, rule.level),
        tags=rule.tags,
        explanation=render(rule.explain, match.record) if rule.explain else rule.title,
        identity=match.identity,
        evidence=match.record,
        # Other rules of the same visit add fields to the record; they are no change of this rule's evidence.
        evidence_digest=content_digest(match.subject, match.record, _told(rule, match)),
        truncated=match.truncated,
        unknown=match.unknown,
        allowed_by=_allowed_by(rule, match, allowlist),
    )


def _told(rule: RuleFacts, match: _Cleaned) -> tuple[str, ...]:
    """What a finding rests on: the rule's fields, and the indicator where there is one."""
    return (*rule.fields, *(name for name in FIELDS if name in match.record))


def _observation(rules: list[RuleFacts], match: _Cleaned) -> Observation:
    asked = dict.fromkeys(name for rule in rules for name in rule.fields)
    data = {name: match.record[name] for name in [*match.identity, *asked] if name in match.record} or match.record
    return Observation(
        subject=match.subject,
        identity_digest=identity_digest(match.subject, match.identity),
        digest=content_digest(match.subject, data),
        identity=match.identity,
        data=data,
        rule_ids=sorted(rule.id for rule in rules),
    )


def subjects_collected(report: ScanReport) -> list[str]:
    """Subjects of which everything was looked at."""
    return [status.subject for status in report.collectors if status.state == CollectorState.OK]


def rules_completed(report: ScanReport) -> list[str]:
    """Ids of the rules that saw all there was: no failure, no limit, nothing they could not look at."""
    done = {RuleState.ALERT, RuleState.PASS}
    return [
        status.rule_id for status in report.rules if status.state in done and not (status.truncated or status.unknown)
    ]
