"""Reports that wait together are stored together, as each would be alone."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from sandfly_web.findings.allowlist import services as allowlist
from sandfly_web.findings.drift import services as drift
from sandfly_web.findings.models import Baseline, Finding, FindingEvent, Record
from sandfly_web.inventory.models import Host, HostKey, Tag
from sandfly_web.scans import ingest
from sandfly_web.scans.ingest import ingest_reports
from sandfly_web.scans.models import RuleOutcome, Scan
from scanners.contract import RuleState, RuleStatus, ScanReport, encode
from tests.hosts.host import wait_until
from tests.server.builders import NOW, Make, failed, host_key_pin, match, report

pytestmark = pytest.mark.django_db


def store(*reports: ScanReport) -> None:
    ingest_reports([encode(one) for one in reports], NOW)


def count_queries(*reports: ScanReport) -> int:
    with CaptureQueriesContext(connection) as queries:
        store(*reports)
    return len(queries)


def test_many_reports_take_as_many_queries_as_two(make: Make) -> None:
    rule, recon, plan = make.rule(), make.rule("recon", subject="file", fields=["path"]), make.plan()

    def visit(number: int) -> list[ScanReport]:
        scans = [make.scan(make.host(), plan=plan, in_flight=True) for _ in range(number)]
        return [
            report(scan, match(rule), match(recon, subject="file"), presented_host_keys=[host_key_pin()])
            for scan in scans
        ]

    assert count_queries(*visit(2)) == count_queries(*visit(20))
    assert Finding.objects.count() == Record.objects.count() == HostKey.objects.count() == 22


def test_each_host_keeps_what_its_own_visit_says(make: Make) -> None:
    rule, blind = make.rule(), make.rule()
    scans = [make.scan(in_flight=True) for _ in range(4)]
    skipped = [RuleStatus(rule_id=str(blind.pk), state=RuleState.SKIPPED, reason="needs_root")]

    store(
        report(scans[0], match(rule, path="/a"), match(rule, path="/b")),
        report(scans[1], rules=skipped, finished_at=NOW - timedelta(seconds=30)),
        failed(scans[2], "timeout", retryable=True),
        failed(scans[3], "wrong_password"),
    )

    rows = Scan.objects.in_bulk([scan.pk for scan in scans])
    ended = [(rows[scan.pk].status, rows[scan.pk].attempt, rows[scan.pk].error_code) for scan in scans]
    assert ended == [("done", 1, ""), ("done", 1, ""), ("queued", 2, "timeout"), ("failed", 1, "wrong_password")]
    assert set(Finding.objects.values_list("host", "identity__path")) == {
        (scans[0].host_id, "/a"), (scans[0].host_id, "/b")
    }  # fmt: skip
    assert RuleOutcome.objects.get(scan=scans[1]).reason == "needs_root"
    seen = dict(Host.objects.values_list("pk", "last_seen_at"))
    assert [seen[scan.host_id] for scan in scans] == [NOW, NOW - timedelta(seconds=30), None, None]
    assert rows[scans[2].pk].not_before is not None


def test_what_is_gone_from_one_host_stays_on_another(make: Make) -> None:
    recon = make.rule("recon", subject="process", fields=["path"])
    hosts = [make.host(), make.host()]
    first = [make.scan(host, in_flight=True) for host in hosts]
    store(*(report(scan, match(recon, path="/x")) for scan in first))
    second = [make.scan(host, in_flight=True) for host in hosts]

    store(report(second[0], match(recon, path="/x")), report(second[1], match(recon, path="/y")))

    current = Record.objects.filter(is_current=True).values_list("host", "identity__path")
    assert set(current) == {(hosts[0].pk, "/x"), (hosts[1].pk, "/y")}


def test_an_allow_list_hides_only_where_it_is_meant_to(make: Make) -> None:
    rule, tag = make.rule(), Tag.objects.create(name="web")
    named, tagged, other = make.host(), make.host(), make.host()
    tagged.tags.add(tag)
    common: dict[str, Any] = {"title": "known", "reason": "ours", "rule": rule, "detection": ""}
    for scope in ({"scope": "hosts", "hosts": [named]}, {"scope": "tags", "tags": [tag]}):
        allowlist.create(allowlist.Proposal(**common, **scope), owner=None)

    store(*(report(make.scan(host, in_flight=True), match(rule)) for host in (named, tagged, other)))

    statuses = dict(Finding.objects.values_list("host", "status"))
    assert statuses == {named.pk: "allowed", tagged.pk: "allowed", other.pk: "open"}


def test_drift_is_found_on_the_hosts_that_a_baseline_covers(make: Make) -> None:
    recon, tag = make.rule("recon", fields=["path"]), Tag.objects.create(name="web")
    model, covered, other = make.host(), make.host(), make.host()
    covered.tags.add(tag)
    store(report(make.scan(model, in_flight=True), match(recon, path="/usr/sbin/sshd")))
    baseline = Baseline.objects.create(name="web", subjects={"process": "moderate"}, report_missing=True)
    baseline.model_hosts.add(model)
    baseline.tags.add(tag)
    drift.gather(baseline, None)
    drift.enforce(baseline)

    store(*(report(make.scan(host, in_flight=True), match(recon, path="/opt/new")) for host in (covered, other)))

    found = Finding.objects.filter(rule_name="drift").values_list("host", "evidence__drift_kind")
    assert set(found) == {(covered.pk, "new"), (covered.pk, "missing")}


def test_a_report_that_does_not_fit_harms_no_other(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = make.rule()
    good, bad, unread = (make.scan(in_flight=True) for _ in range(3))
    monkeypatch.setattr(ingest, "clean_text", lambda text, limit=0: text)
    documents = [encode(report(good, match(rule))), encode(report(bad, match(rule), worker="a\0b"))]
    wrong = encode(report(unread)).replace(b'"outcome":"done"', b'"outcome":"great"')

    ingest_reports([*documents, wrong, b"?"], NOW)

    ended = dict(Scan.objects.values_list("pk", "error_code"))
    assert ended == {good.pk: "", bad.pk: "internal", unread.pk: "report_wrong_schema"}
    assert Finding.objects.get().host == good.host


def test_a_fault_of_ours_on_one_report_harms_no_other(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rule = make.rule()
    good, bad = make.scan(in_flight=True), make.scan(in_flight=True)
    real = ingest.read_matches

    def faulty(host: str, *rest: Any) -> Any:
        if host == str(bad.host_id):
            raise KeyError(host)
        return real(host, *rest)

    monkeypatch.setattr(ingest, "read_matches", faulty)

    store(report(bad, match(rule)), report(good, match(rule)))

    good.refresh_from_db()
    assert good.status == "done"
    assert "lost by a fault" in caplog.text


def test_a_database_that_is_away_is_told_to_the_caller(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = [make.scan(in_flight=True) for _ in range(2)]

    def away(*_rest: Any, **_more: Any) -> None:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(ingest, "_claim", away)

    with pytest.raises(OperationalError):
        store(*map(report, scans))


def test_copies_and_two_scans_of_a_host_count_as_they_would_one_after_another(make: Make) -> None:
    rule, host, plan = make.rule(), make.host(), make.plan()
    one, two = make.scan(host, plan=plan, in_flight=True), make.scan(host, plan=plan)
    answers = [report(one, match(rule)), report(one, match(rule)), report(two, match(rule))]

    store(*answers, report(make.scan(in_flight=True), match(rule)))
    store(*answers)

    assert sorted(Finding.objects.values_list("count", flat=True)) == [1, 2]
    assert FindingEvent.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_report_whose_host_is_busy_waits_and_the_others_do_not(make: Make) -> None:
    rule = make.rule()
    busy, free = make.scan(in_flight=True), make.scan(in_flight=True)

    def run() -> None:
        store(report(busy, match(rule)), report(free, match(rule)))
        connections.close_all()

    thread = threading.Thread(target=run)
    with transaction.atomic():
        Host.objects.select_for_update(no_key=True).get(pk=busy.host_id)
        thread.start()
        wait_until(lambda: Finding.objects.filter(host=free.host_id).exists(), 60)
        assert not Finding.objects.filter(host=busy.host_id).exists()
    thread.join()

    assert Finding.objects.filter(host=busy.host_id).exists()
