"""What recon sees is kept as intervals; that something is gone is said only by a visit that looked."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from sandfly_web.findings.models import Record
from scanners.contract import CollectorState, CollectorStatus, Failure, Outcome, RuleState, RuleStatus
from tests.server.builders import NOW, match, report

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def recon(make):
    return make.rule("recon", fields=["path", "exe_sha256", "pid"])


@pytest.fixture
def visit(make, ingest, recon):
    """Visits of one host with the recon rule run to its end."""
    host, plan = make.host(), make.plan(recon)

    def run(*matches, at=NOW, rules=None, state=CollectorState.OK, **fields):
        scan = make.scan(host, plan=plan, in_flight=True)
        statuses = rules or [RuleStatus(rule_id=str(recon.pk), state=RuleState.ALERT, matched=len(matches))]
        collectors = [CollectorStatus(subject="process", state=state)]
        answer = report(scan, *matches, finished_at=at, rules=statuses, collectors=collectors, **fields)
        assert ingest(answer, at)
        return scan

    return run


def intervals():
    rows = Record.objects.order_by("first_seen_at", "pk")
    return [(row.data.get("exe_sha256"), row.first_seen_at, row.last_seen_at, row.is_current) for row in rows]


def test_the_same_content_only_moves_last_seen(visit, recon):
    visit(match(recon, exe_sha256="aa"))

    scan = visit(match(recon, exe_sha256="aa"), at=LATER)

    assert intervals() == [("aa", NOW, LATER, True)]
    assert Record.objects.get().last_scan == scan


def test_other_content_ends_one_interval_and_begins_another(visit, recon):
    visit(match(recon, exe_sha256="aa"))

    visit(match(recon, exe_sha256="bb"), at=LATER)

    assert intervals() == [("aa", NOW, NOW, False), ("bb", LATER, LATER, True)]


def test_a_new_pid_is_no_other_content(visit, recon):
    visit(match(recon, pid=1))

    visit(match(recon, pid=2), at=LATER)

    assert Record.objects.count() == 1


def test_what_is_not_there_any_more_is_no_longer_current(visit, recon):
    visit(match(recon, path="/stays"), match(recon, path="/goes"))

    visit(match(recon, path="/stays"), at=LATER)

    assert Record.objects.get(is_current=False).identity["path"] == "/goes"
    assert Record.objects.get(is_current=True).identity["path"] == "/stays"


def test_what_comes_back_begins_a_new_interval(visit, recon):
    passed = [RuleStatus(rule_id=str(recon.pk), state=RuleState.PASS)]
    visit(match(recon))
    visit(rules=passed)

    visit(match(recon), at=LATER)

    assert [row[1:] for row in intervals()] == [(NOW, NOW, False), (LATER, LATER, True)]


@pytest.mark.parametrize("state", [CollectorState.PARTIAL, CollectorState.ERROR, CollectorState.SKIPPED])
def test_a_collector_that_could_not_look_ends_nothing(visit, recon, state):
    visit(match(recon))

    visit(state=state, at=LATER)

    assert Record.objects.get().is_current


@pytest.mark.parametrize(
    "status",
    [
        {"state": RuleState.ERROR},
        {"state": RuleState.SKIPPED},
        {"state": RuleState.ALERT, "truncated": True},
        {"state": RuleState.PASS, "unknown": {"needs_root": 2}},
    ],
    ids=["error", "skipped", "cut", "unknown"],
)
def test_a_rule_that_did_not_see_everything_ends_nothing(visit, recon, status):
    visit(match(recon))

    visit(rules=[RuleStatus(rule_id=str(recon.pk), **status)], at=LATER)

    assert Record.objects.get().is_current


def test_a_visit_without_the_recon_rule_ends_nothing(make, visit, recon):
    visit(match(recon))

    visit(rules=[RuleStatus(rule_id=str(make.rule().pk), state=RuleState.PASS)], at=LATER)

    assert Record.objects.get().is_current


def test_a_failed_visit_ends_nothing(visit, recon):
    visit(match(recon))

    visit(outcome=Outcome.FAILED, failure=Failure(code="report_truncated", message="cut"), at=LATER)

    assert Record.objects.get().is_current


def test_records_of_other_hosts_are_left_alone(make, ingest, visit, recon):
    other = make.scan(in_flight=True)
    ingest(report(other, match(recon)))

    visit(match(recon, path="/else"))

    assert Record.objects.get(host=other.host).is_current


def test_a_record_keeps_only_what_recon_asked_for(make, visit, recon):
    seen = match(recon, make.rule(), cwd="/root", exe_sha256="aa")

    visit(seen)

    assert set(Record.objects.get().data) == {"path", "cmdline", "uid", "exe_sha256", "pid"}


def test_two_recon_rules_on_one_thing_make_one_record(make, visit, recon):
    visit(match(recon, make.rule("recon", fields=["cwd"]), cwd="/"))

    assert len(Record.objects.get().rule_ids) == 2


def test_one_identity_twice_in_a_visit_is_one_record(visit, recon):
    visit(match(recon, exe_sha256="bb"), match(recon, exe_sha256="aa"))

    visit(match(recon, exe_sha256="aa"), match(recon, exe_sha256="bb"), at=LATER)

    assert intervals() == [("aa", NOW, LATER, True)]


def test_matches_of_incident_rules_are_no_inventory_but_stay_with_their_scan(make, visit):
    rule = make.rule("incident", fields=["path", "cwd"])

    scan = visit(match(rule, path="/tmp/x", cwd="/", pid=7), match(rule, path="/tmp/x", cwd="/", pid=8))

    assert not Record.objects.exists()
    kept = [(row.rule_name, row.subject, row.identity["path"], row.data) for row in scan.forensic_records.all()]
    assert kept == [(rule.name, "process", "/tmp/x", {"path": "/tmp/x", "cwd": "/"})] * 2


def test_a_record_is_of_its_subject(visit, recon):
    seen = match(recon)

    visit(seen, msgspec.structs.replace(seen, subject="file"))

    assert set(Record.objects.values_list("subject", flat=True)) == {"process", "file"}
