"""Forensics for a finding: incident rules on its host now, kept with it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from sandfly_web.findings.models import FindingEvent
from sandfly_web.scans.models import Scan
from sandfly_web.scans.retention import delete_old
from sandfly_web.scans.services import collect_forensics
from tests.api.builders import WebMake
from tests.server.builders import NOW, match, report


@pytest.fixture
def make(db, redis) -> WebMake:
    return WebMake()


def test_all_enabled_incident_rules_run_when_none_is_named(make):
    first, second = make.rule("incident"), make.rule("incident", subject="file")
    make.rule("incident", is_enabled=False)
    make.rule("detection")
    finding, user = make.finding(), make.user("ada")

    scan = collect_forensics(finding, [], user)

    assert sorted(scan.plan.rule_ids) == sorted([str(first.pk), str(second.pk)])
    assert (scan.host, scan.finding, scan.requested_by) == (finding.host, finding, user)
    assert scan.priority == Scan.Priority.HIGH
    event = finding.events.get(kind=FindingEvent.Kind.COLLECTED)
    assert (event.actor, event.comment) == (user, f"2 rules: {first.name}, {second.name}")


def test_only_what_is_named_runs(make):
    first, _ = make.rule("incident"), make.rule("incident")

    scan = collect_forensics(make.finding(), [first.name], None)

    assert scan.plan.rule_ids == [str(first.pk)]


@pytest.mark.parametrize("name", ["nowhere", "process_rule_1"])
def test_a_rule_that_is_no_incident_rule_is_refused(make, name):
    make.rule("detection", name="process_rule_1")
    make.rule("incident", name="process_incident")
    finding = make.finding()

    with pytest.raises(ValidationError, match="is no enabled incident rule"):
        collect_forensics(finding, [name], None)

    assert not Scan.objects.exists()
    assert not finding.events.filter(kind=FindingEvent.Kind.COLLECTED).exists()


def test_without_incident_rules_there_is_nothing_to_run(make):
    with pytest.raises(ValidationError, match="no incident rule is enabled"):
        collect_forensics(make.finding(), [], None)


def test_what_was_collected_is_kept_as_long_as_the_finding(make, ingest):
    rule = make.rule("incident", fields=["path"])
    finding = make.finding()
    kept = make.scan(finding.host, plan=make.plan(rule), in_flight=True, finding=finding)
    assert ingest(report(kept, match(rule)))
    other = make.scan(make.host(), status="done")

    deleted = delete_old(NOW + timedelta(days=9999), scan_days=30, record_days=30)

    assert deleted.scans == 1
    assert list(Scan.objects.all()) == [kept]
    assert kept.forensic_records.count() == 1
    assert not Scan.objects.filter(pk=other.pk).exists()

    finding.delete()
    delete_old(NOW + timedelta(days=9999), scan_days=30, record_days=30)
    assert not Scan.objects.exists()
