"""One visit with the whole detection set, deep rules too, and what it found."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sandfly_web.rules.compiled import CompiledRule, Level, RuleStatus, RuleType
from sandfly_web.rules.plan import BuiltPlan, build_plan
from sandfly_web.rules.shipped import load_shipped
from sandfly_web.scans.oneshot.results import describe_report
from scanners.contract import CollectorState, Limits, Outcome, RuleState, ScanJob
from scanners.visit import run_visit
from tests.hosts.host import Host

LIMITS = Limits(cpu_percent=100, nice=0)
# Findings of two hosts about the same thing get the same fingerprint.
LABEL = "host"


@dataclass(frozen=True)
class Finding:
    """A rule's alert on one subject."""

    rule: str
    level: Level
    subject: dict[str, Any]
    fingerprint: str

    @property
    def is_serious(self) -> bool:
        return self.level.rank >= Level.MEDIUM.rank

    @property
    def texts(self) -> list[str]:
        """All texts of the record, in lists too."""
        values = [entry for value in self.subject.values() for entry in (value if isinstance(value, list) else [value])]
        return [value for value in values if isinstance(value, str)]

    def __str__(self) -> str:
        facts = {name: value for name, value in self.subject.items() if value not in ([], "", None)}
        return f"{self.level} {self.rule}: {facts}"


@dataclass(frozen=True)
class Scanned:
    """What a visit brought home; `faults` are rules and collectors that could not do their work."""

    findings: list[Finding]
    faults: list[str]


@functools.cache
def detections() -> tuple[CompiledRule, ...]:
    """All detection rules that are in use, deep or not, stable or still in test."""
    retired = {RuleStatus.DEPRECATED, RuleStatus.UNSUPPORTED}
    return tuple(rule for rule in load_shipped() if rule.type is RuleType.DETECTION and rule.status not in retired)


@functools.cache
def whole_plan() -> BuiltPlan:
    return build_plan(detections(), LIMITS)


def scan(host: Host) -> Scanned:
    """Visits the host over SSH as root."""
    plan, rules = whole_plan(), {rule.id: rule for rule in detections()}
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    job = ScanJob(
        scan_id=host.name, zone="tests", host=host.endpoint, plan_digest=plan.digest, limits=LIMITS,
        expires_at=expires_at,
    )  # fmt: skip
    report = run_visit(job, plan.body, [host.secret()])
    if report.outcome is not Outcome.DONE:
        raise RuntimeError(f"{host.name}: {report.failure}")
    result = describe_report(LABEL, report, rules)
    findings = [
        Finding(entry["rule"]["name"], Level(entry["rule"]["level"]), entry["subject"], entry["fingerprint"])
        for entry in result.findings
    ]
    collectors = [
        f"{one.subject}: {one.reason} {one.detail}" for one in report.collectors if one.state is not CollectorState.OK
    ]
    broken = {RuleState.ERROR, RuleState.SKIPPED}
    statuses = [
        f"{rules[one.rule_id].name}: {one.state} {one.reason}"
        for one in report.rules
        if one.state in broken and one.reason != "no_indicators"
    ]
    return Scanned(findings, collectors + statuses)
