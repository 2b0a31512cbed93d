"""What is old goes; what somebody still needs stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command

from sandfly_web.findings.models import Finding, Record
from sandfly_web.scans import retention
from sandfly_web.scans.models import Plan, Scan
from sandfly_web.scans.retention import Deleted, delete_old
from tests.server.builders import NOW, match, report

pytestmark = pytest.mark.django_db


def aged(scan, days):
    Scan.objects.filter(pk=scan.pk).update(created_at=NOW - timedelta(days=days))
    return scan


def test_finished_scans_go_after_their_days_and_unfinished_ones_stay(make):
    plan = make.plan()
    aged(make.scan(plan=plan, status="done"), 91)
    kept = [aged(make.scan(plan=plan, status="done"), 89), aged(make.scan(plan=plan), 91)]

    assert delete_old(NOW, 90, 365).scans == 1

    assert set(Scan.objects.all()) == set(kept)


def test_findings_and_current_records_outlive_the_scans_that_saw_them(make, ingest):
    scan = make.scan(in_flight=True)
    ingest(report(scan, match(make.rule(), make.rule("recon"))))
    aged(scan, 91)

    delete_old(NOW, 90, 365)

    assert not Scan.objects.exists()
    assert Finding.objects.get().last_scan is None
    assert Record.objects.get().is_current


def test_records_that_are_gone_go_after_their_days(make, ingest):
    recon = make.rule("recon")
    ingest(report(make.scan(in_flight=True), match(recon, path="/gone"), match(recon, path="/here")))
    Record.objects.update(last_seen_at=NOW - timedelta(days=400))
    Record.objects.filter(identity__path="/gone").update(is_current=False)

    assert delete_old(NOW, 90, 365).records == 1

    assert Record.objects.get().identity["path"] == "/here"


def test_plans_that_nobody_uses_go_a_day_later(make):
    used, unused, fresh = make.plan(), make.plan(), make.plan()
    make.scan(plan=used)
    Plan.objects.exclude(pk=fresh.pk).update(created_at=NOW - timedelta(days=2))
    Plan.objects.filter(pk=fresh.pk).update(created_at=NOW)

    delete_old(NOW, 90, 365)

    assert set(Plan.objects.all()) == {used, fresh}
    assert unused.pk


def test_a_run_ends_after_its_chunks_and_the_next_goes_on(make, monkeypatch):
    monkeypatch.setattr(retention, "CHUNK_ROWS", 2)
    monkeypatch.setattr(retention, "MAX_CHUNKS", 2)
    plan = make.plan()
    for _ in range(5):
        aged(make.scan(plan=plan, status="done"), 91)

    assert [delete_old(NOW, 90, 365).scans for _ in range(3)] == [4, 1, 0]


def test_the_command_says_what_it_deleted(make, capsys):
    call_command("retain", "--scan-days", "1")

    assert capsys.readouterr().out == "deleted 0 scans, 0 records, 0 plans\n"
    assert delete_old(NOW, 1, 1) == Deleted(0, 0, 0)
