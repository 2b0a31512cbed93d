"""A visit's report as the plain objects of the JSON lines contract (DESIGN: `scan` output)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from sandfly_web.findings.fingerprint import fingerprint
from sandfly_web.findings.interference import words
from sandfly_web.rules.compiled import CompiledRule, RuleType
from sandfly_web.rules.explain import render
from sandfly_web.rules.indicators.verify import level_of
from sandfly_web.rules.told import tell_subject
from sandfly_web.scans.cleaning import clean_mapping
from scanners.contract import Interference, Outcome, RuleMatch, RuleState, ScanReport

LEVELS = ("informational", "low", "medium", "high", "critical")
HOST_KEY_CHANGED = {
    "id": "host_key_changed",
    "name": "host_key_changed",
    "title": "SSH host key changed",
    "level": "critical",
    "tags": ["attack.credential-access", "attack.t1557"],
}


@dataclass(frozen=True)
class HostResult:
    """Everything one visit says, as JSON objects."""

    label: str
    host: dict[str, Any]
    findings: list[dict[str, Any]]
    records: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    errors: list[dict[str, Any]]

    @property
    def is_scanned(self) -> bool:
        return bool(self.host["outcome"] == Outcome.DONE)


def describe_rule(rule: CompiledRule) -> dict[str, Any]:
    return {"id": rule.id, "name": rule.name, "title": rule.title, "level": str(rule.level), "tags": list(rule.tags)}


def describe_finding(label: str, rule: CompiledRule, match: RuleMatch, observed_at: datetime) -> dict[str, Any]:
    record, identity = clean_mapping(match.record), clean_mapping(match.identity)
    return {
        "type": "finding",
        "host": label,
        "rule": {**describe_rule(rule), "level": level_of(record, str(rule.level))},
        "status": str(RuleState.ALERT),
        "explanation": render(rule.explain, record),
        "subject": tell_subject(match.subject, record),
        "truncated": list(match.truncated),
        "unknown": dict(match.unknown),
        "fingerprint": fingerprint(rule.id, label, match.subject, identity),
        "observed_at": observed_at.isoformat(),
    }


def describe_host(label: str, report: ScanReport) -> dict[str, Any]:
    return {
        "type": "host",
        "host": label,
        "outcome": str(report.outcome),
        "profile": msgspec.to_builtins(report.profile) if report.profile else None,
        "cost": msgspec.to_builtins(report.cost),
        "timings_s": {name: round(value, 4) for name, value in report.timings_s.items()},
        "collectors": msgspec.to_builtins(report.collectors),
        "probe_digest": report.probe_digest,
        "created": list(report.created),
        "removed": list(report.removed),
    }


def describe_errors(label: str, report: ScanReport) -> list[dict[str, Any]]:
    failures = [failure for failure in (report.failure, report.cleanup) if failure is not None]
    return [
        {
            "type": "error",
            "host": label,
            "code": failure.code,
            "message": failure.message,
            "retryable": failure.retryable,
        }
        for failure in failures
    ]


def host_key_finding(label: str, report: ScanReport) -> dict[str, Any]:
    shown = [f"{key.key_type} {key.public_key}" for key in report.presented_host_keys]
    return {
        "type": "finding",
        "host": label,
        "rule": HOST_KEY_CHANGED,
        "status": str(RuleState.ALERT),
        "explanation": report.failure.message if report.failure else "",
        "subject": {"kind": "host_key", "presented": shown},
        "truncated": [],
        "unknown": {},
        "fingerprint": hashlib.sha256(f"host_key_changed\0{label}".encode()).hexdigest(),
        "observed_at": report.finished_at.isoformat(),
    }


def interference_finding(label: str, report: ScanReport, interference: Interference) -> dict[str, Any]:
    told = words.tell(interference)
    identity = {"what": str(interference.what)}
    names = {"id": words.RULE_NAME, "name": words.RULE_NAME, "title": words.TITLE}
    return {
        "type": "finding",
        "host": label,
        "rule": {**names, "level": told.level, "tags": words.TAGS},
        "status": str(RuleState.ALERT),
        "explanation": told.explanation,
        "subject": {"kind": words.SUBJECT, **identity, "out_of_memory": interference.out_of_memory},
        "truncated": [],
        "unknown": {},
        "fingerprint": fingerprint(words.RULE_NAME, label, words.SUBJECT, identity),
        "observed_at": report.finished_at.isoformat(),
    }


def split_matches(
    label: str, report: ScanReport, rules: Mapping[str, CompiledRule]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Findings of rules that alert, and records of recon and incident rules, each record once."""
    findings, records = [], []
    for match in report.matches:
        matched = [rules[rule_id] for rule_id in match.rule_ids]
        alerting = [rule for rule in matched if rule.type in {RuleType.DETECTION, RuleType.POLICY}]
        findings += [describe_finding(label, rule, match, report.finished_at) for rule in alerting]
        collecting = [rule.name for rule in matched if rule not in alerting]
        if collecting:
            subject = tell_subject(match.subject, clean_mapping(match.record))
            records.append({"type": "record", "host": label, "rules": collecting, "subject": subject})
    findings.sort(key=lambda finding: (-LEVELS.index(finding["rule"]["level"]), finding["rule"]["name"]))
    return findings, records


def describe_rules(label: str, report: ScanReport, rules: Mapping[str, CompiledRule]) -> Iterator[dict[str, Any]]:
    for status in report.rules:
        yield {
            "type": "rule",
            "host": label,
            "rule": rules[status.rule_id].name,
            "status": str(status.state),
            "reason": status.reason,
            "matched": status.matched,
            "truncated": status.truncated,
            "unknown": dict(status.unknown),
        }


def describe_report(label: str, report: ScanReport, rules: Mapping[str, CompiledRule]) -> HostResult:
    """`rules` by id; it holds every rule of the plan."""
    findings, records = split_matches(label, report, rules)
    if report.failure and report.failure.code == "host_key_changed":
        findings.append(host_key_finding(label, report))
    if report.interference is not None:
        findings.append(interference_finding(label, report, report.interference))
    return HostResult(
        label=label,
        host=describe_host(label, report),
        findings=findings,
        records=records,
        rules=list(describe_rules(label, report, rules)),
        errors=describe_errors(label, report),
    )


@dataclass
class Summary:
    """Counts over all hosts; decides the exit status."""

    fail_on: str = "medium"
    hosts: int = 0
    failed: int = 0
    records: int = 0
    levels: Counter[str] = field(default_factory=Counter)

    def add(self, result: HostResult) -> None:
        self.hosts += 1
        self.failed += not result.is_scanned
        self.records += len(result.records)
        self.levels.update(finding["rule"]["level"] for finding in result.findings)

    @property
    def exit_status(self) -> int:
        """2: a host could not be scanned; 1: a finding of `fail_on` or above; 0: neither."""
        if self.failed:
            return 2
        return int(any(self.levels[level] for level in LEVELS[LEVELS.index(self.fail_on) :]))

    def as_object(self) -> dict[str, Any]:
        return {
            "type": "summary",
            "hosts": self.hosts,
            "failed": self.failed,
            "findings": {level: self.levels[level] for level in LEVELS},
            "records": self.records,
            "exit_status": self.exit_status,
        }
