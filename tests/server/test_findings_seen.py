"""One finding for each thing a rule alerts on, however often and however changed it is seen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandfly_web.findings import services
from sandfly_web.findings.models import Finding, FindingEvent
from tests.server.builders import NOW, match, report

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def visit(make, ingest):
    """Visits of one host, each a scan of its own."""
    host, plan = make.host(), make.plan()

    def run(*matches, at=NOW):
        scan = make.scan(host, plan=plan, in_flight=True)
        assert ingest(report(scan, *matches, finished_at=at), at)
        return scan

    return run


def test_a_finding_says_what_was_seen_and_why(make, visit):
    rule = make.rule(title="Runs from /tmp", level="critical")

    scan = visit(match(rule, path="/tmp/x", cmdline="/tmp/x -d"))

    finding = Finding.objects.get()
    assert (finding.rule, finding.title, finding.level, finding.level_rank) == (rule, "Runs from /tmp", "critical", 4)
    assert finding.explanation == "Process /tmp/x runs as /tmp/x -d"
    assert finding.identity == {"path": "/tmp/x", "cmdline": "/tmp/x -d", "uid": 0}
    assert finding.evidence["pid"] == 100
    assert (finding.first_scan, finding.last_scan) == (scan, scan)


def test_a_thing_seen_again_moves_last_seen_and_count(make, visit):
    rule = make.rule()
    first = visit(match(rule))

    second = visit(match(rule), at=LATER)

    finding = Finding.objects.get()
    assert (finding.count, finding.first_seen_at, finding.last_seen_at) == (2, NOW, LATER)
    assert (finding.first_scan, finding.last_scan) == (first, second)


def test_one_thing_that_two_rules_alert_on_is_two_findings(make, visit):
    visit(match(make.rule(), make.rule()))

    assert Finding.objects.count() == 2


def test_the_same_thing_on_two_hosts_is_two_findings(make, ingest):
    rule = make.rule()
    for _ in range(2):
        ingest(report(make.scan(in_flight=True), match(rule)))

    assert Finding.objects.values("fingerprint").distinct().count() == 2


def test_a_new_pid_is_no_new_version_of_the_evidence_but_is_shown(make, visit):
    rule = make.rule()
    visit(match(rule, pid=100))

    visit(match(rule, pid=200))

    finding = Finding.objects.get()
    assert finding.versions.count() == 1
    assert finding.evidence["pid"] == 200


def test_changed_evidence_makes_a_version_and_the_old_one_stays(make, visit):
    rule = make.rule(fields=["path", "exe_sha256"])
    visit(match(rule, exe_sha256="aa"))

    visit(match(rule, exe_sha256="bb"), at=LATER)

    finding = Finding.objects.get()
    assert finding.evidence["exe_sha256"] == "bb"
    versions = [(row.evidence["exe_sha256"], row.first_seen_at) for row in finding.versions.all()]
    assert versions == [("bb", LATER), ("aa", NOW)]


def test_evidence_that_changes_back_continues_its_version(make, visit):
    rule = make.rule(fields=["exe_sha256"])
    for digest in ("aa", "bb", "aa"):
        visit(match(rule, exe_sha256=digest))

    assert Finding.objects.get().versions.count() == 2


def test_fields_that_another_rule_asked_for_are_no_change(make, visit):
    rule = make.rule(fields=["path"])
    visit(match(rule))

    visit(match(rule, cwd="/root"))

    assert Finding.objects.get().versions.count() == 1


def test_two_processes_with_one_identity_are_one_finding_with_steady_evidence(make, visit):
    rule = make.rule(fields=["path", "cwd"])
    one, other = match(rule, cwd="/a"), match(rule, cwd="/b")
    visit(one, other)

    visit(other, one)

    finding = Finding.objects.get()
    assert (finding.count, finding.versions.count()) == (2, 1)


def test_a_closed_finding_that_is_seen_again_is_opened_with_an_event(make, visit):
    rule, analyst = make.rule(), make.user()
    visit(match(rule))
    services.close([Finding.objects.get()], analyst, "removed")

    # Closing takes the wall clock, which is later than the visits of these tests.
    Finding.objects.update(closed_at=NOW + timedelta(minutes=1))
    visit(match(rule), at=LATER)

    finding = Finding.objects.get()
    assert (finding.status, finding.closed_at, finding.close_reason) == ("open", None, "")
    assert list(finding.events.values_list("kind", "actor")) == [
        ("created", None),
        ("closed", analyst.pk),
        ("reopened", None),
    ]


def test_a_visit_that_ended_before_the_finding_was_closed_does_not_open_it(make, visit):
    rule = make.rule()
    visit(match(rule))
    services.close([Finding.objects.get()], None, "removed")

    Finding.objects.update(closed_at=NOW + timedelta(hours=2))
    visit(match(rule), at=LATER)

    finding = Finding.objects.get()
    assert (finding.status, finding.close_reason, finding.count) == ("closed", "removed", 2)


def test_a_false_positive_stays_one_and_still_counts(make, visit):
    rule = make.rule()
    visit(match(rule))
    services.mark_false_positive([Finding.objects.get()], None, "our backup")
    Finding.objects.update(closed_at=NOW)

    visit(match(rule), at=LATER)

    finding = Finding.objects.get()
    assert (finding.status, finding.count, finding.close_reason) == ("false_positive", 2, "our backup")
    assert not FindingEvent.objects.filter(kind="reopened").exists()


def test_an_acknowledged_finding_stays_acknowledged(make, visit):
    rule = make.rule()
    visit(match(rule))
    services.acknowledge([Finding.objects.get()], None)

    visit(match(rule), at=LATER)

    assert Finding.objects.get().status == "acknowledged"


def test_a_finding_follows_its_rules_title_and_level(make, visit):
    rule = make.rule(level="low")
    visit(match(rule))
    rule.title, rule.level = "Better words", "critical"
    rule.save()

    visit(match(rule))

    finding = Finding.objects.get()
    assert (finding.title, finding.level, finding.level_rank) == ("Better words", "critical", 4)


def test_a_finding_outlives_its_rule_and_its_scan(make, visit):
    rule = make.rule()
    scan = visit(match(rule))

    rule.delete()
    scan.delete()

    finding = Finding.objects.get()
    assert (finding.rule, finding.last_scan) == (None, None)


def test_what_could_not_be_looked_at_is_kept_with_the_finding(make, ingest):
    import msgspec

    rule, scan = make.rule(), make.scan(in_flight=True)
    seen = msgspec.structs.replace(match(rule), unknown={"cwd": "needs_root"}, truncated=["cmdline"])

    ingest(report(scan, seen))

    finding = Finding.objects.get()
    assert (finding.unknown, finding.truncated) == ({"cwd": "needs_root"}, ["cmdline"])
