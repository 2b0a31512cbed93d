"""False alarms matter as much as misses: what stock servers do must be silent at medium level and above."""

from __future__ import annotations

from pathlib import Path

import yaml

from sandfly_web.rules.compiled import CompiledRule, Level, RuleType
from sandfly_web.rules.fields import registry
from sandfly_web.rules.testing import match_records

RECORDS = yaml.safe_load((Path(__file__).parent / "clean_host.yml").read_text(encoding="utf-8"))


def test_no_detection_alerts_on_what_stock_servers_do(catalog: list[CompiledRule], probe: Path) -> None:
    rules = [rule for rule in catalog if rule.type is RuleType.DETECTION and rule.level.rank >= Level.MEDIUM.rank]
    records = [(subject, record) for subject, entries in RECORDS.items() for record in entries]

    verdicts = match_records(rules, records, probe)

    names = {rule.id: rule.name for rule in rules}
    loud = [
        f"{sorted(names[rule_id] for rule_id in verdict.matched)}: {record}"
        for (_, record), verdict in zip(records, verdicts, strict=True)
        if verdict.matched
    ]
    assert loud == []


def test_the_records_have_only_fields_that_the_probe_has() -> None:
    known = registry()
    unknown = {
        f"{subject}.{name}"
        for subject, entries in RECORDS.items()
        for record in entries
        for name in record
        if name not in known[subject].fields
    }

    assert unknown == set()
