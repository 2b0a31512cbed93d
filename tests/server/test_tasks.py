"""Ingest through a real worker: what the database does not take stays in the queue."""

from __future__ import annotations

import pytest
from celery.contrib.testing.worker import start_worker
from django.db import DatabaseError, InterfaceError, OperationalError, connections

from sandfly_web.celery import app
from sandfly_web.findings.models import Finding
from sandfly_web.scans import tasks, waiting
from sandfly_web.scans.ingest import ingest_report, ingest_reports
from sandfly_web.scans.models import Scan
from scanners.contract import INGEST_QUEUE, INGEST_TASK, encode
from tests.server.builders import match, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.integration]


def send(answer) -> None:
    """As workers do it: the report as text, so that nothing in it means anything to the broker's decoder."""
    app.send_task(INGEST_TASK, args=[encode(answer).decode()], queue=INGEST_QUEUE)


def work_off(redis, is_done, timeout_s=20) -> None:
    """Run a worker of the ingest queue until the condition holds."""
    import time

    with start_worker(app, queues=[INGEST_QUEUE], perform_ping_check=False, pool="solo", shutdown_timeout=20):
        deadline = time.monotonic() + timeout_s
        while not is_done() and time.monotonic() < deadline:
            time.sleep(0.05)
    connections.close_all()


def test_a_report_goes_from_the_queue_into_the_database(make, redis):
    rule, scan = make.rule(), make.scan(in_flight=True)
    send(report(scan, match(rule)))

    work_off(redis, Finding.objects.exists)

    assert Scan.objects.get().status == "done"
    assert not redis.hlen("unacked")


def test_a_host_cannot_hide_behind_what_the_brokers_decoder_understands(make, redis):
    rule, scan = make.rule(), make.scan(in_flight=True)
    send(report(scan, match(rule, cwd={"__type__": "datetime", "__value__": "no date"})))

    work_off(redis, Finding.objects.exists)

    assert Finding.objects.get().evidence["cwd"]["__value__"] == "no date"


# psycopg2 raises the last of them where the server ends in the middle of a statement.
@pytest.mark.parametrize("error", [OperationalError, InterfaceError, DatabaseError])
def test_a_report_is_kept_while_the_database_is_away(make, redis, monkeypatch, error):
    scan, calls = make.scan(in_flight=True), []

    def away_once(document, now=None):
        calls.append(document)
        if len(calls) == 1:
            raise error("server closed the connection")
        return ingest_report(document, now)

    monkeypatch.setattr(tasks, "DATABASE_PAUSE_S", 0)
    monkeypatch.setattr(tasks, "ingest_report", away_once)
    send(report(scan))

    work_off(redis, lambda: Scan.objects.get().status == "done")

    assert Scan.objects.get().status == "done"
    assert len(calls) == 2


def test_a_poisonous_report_does_not_block_the_one_behind_it(make, redis):
    rule, scan = make.rule(), make.scan(in_flight=True)
    app.send_task(INGEST_TASK, args=[{"scan_id": ["?"], "matches": 3}], queue=INGEST_QUEUE)
    send(report(scan, match(rule)))

    work_off(redis, Finding.objects.exists)

    assert Finding.objects.exists()
    assert not redis.llen(INGEST_QUEUE)


def test_reports_that_wait_are_stored_together_and_acknowledged(make, redis, monkeypatch):
    rule, together = make.rule(), []
    for _ in range(7):
        send(report(make.scan(in_flight=True), match(rule)))

    def store(documents, now=None):
        together.append(len(documents))
        ingest_reports(documents, now)

    monkeypatch.setattr(waiting, "MOST_REPORTS", 5)
    monkeypatch.setattr(tasks, "ingest_reports", store)

    work_off(redis, lambda: Finding.objects.count() == 7)

    assert Scan.objects.filter(status="done").count() == 7
    assert together[0] == 5
    assert not redis.hlen("unacked")
    assert not redis.llen(INGEST_QUEUE)


def test_large_reports_are_not_taken_along(make, redis, monkeypatch):
    rule, calls = make.rule(), []
    for _ in range(3):
        send(report(make.scan(in_flight=True), match(rule)))
    monkeypatch.setattr(waiting, "MOST_CHARS", 100)
    monkeypatch.setattr(tasks, "ingest_reports", calls.append)

    work_off(redis, lambda: Finding.objects.count() == 3)

    assert Finding.objects.count() == 3
    assert not calls


def test_all_that_were_taken_along_are_kept_while_the_database_is_away(make, redis, monkeypatch):
    rule, calls = make.rule(), []
    for _ in range(4):
        send(report(make.scan(in_flight=True), match(rule)))

    def away_once(documents, now=None):
        calls.append(len(documents))
        if len(calls) == 1:
            raise OperationalError("server closed the connection")
        return ingest_reports(documents, now)

    monkeypatch.setattr(tasks, "DATABASE_PAUSE_S", 0)
    monkeypatch.setattr(tasks, "ingest_reports", away_once)

    work_off(redis, lambda: Finding.objects.count() == 4)

    assert Scan.objects.filter(status="done").count() == 4
    assert Finding.objects.filter(count=1).count() == 4
    assert calls[0] > 1


def test_what_else_is_in_the_queue_is_next_in_turn(make, redis):
    rule, order = make.rule(), []

    @app.task(name="tests.other")
    def other() -> None:
        order.append(Finding.objects.count())

    try:
        for number in range(4):
            if number == 2:
                app.send_task("tests.other", queue=INGEST_QUEUE)
            send(report(make.scan(in_flight=True), match(rule)))
        work_off(redis, lambda: Finding.objects.count() == 4)
    finally:
        app.tasks.unregister("tests.other")

    assert order == [2]
    assert not redis.hlen("unacked")
