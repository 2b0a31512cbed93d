"""A worker's report becomes the state of its scan and host, once."""

from __future__ import annotations

import json
import logging
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections

from sandfly_web.findings.models import Finding, FindingEvent
from sandfly_web.inventory.models import Host
from sandfly_web.scans.ingest import ingest_report
from sandfly_web.scans.models import RuleOutcome, Scan
from scanners.contract import (
    CollectorState,
    CollectorStatus,
    Cost,
    Failure,
    Interference,
    Meddling,
    Outcome,
    RuleMatch,
    RuleState,
    RuleStatus,
    encode,
)
from tests.server.builders import NOW, failed, match, report

pytestmark = pytest.mark.django_db


def test_a_good_report_ends_its_scan_with_counts_and_cost(make, ingest):
    alerting, passing, blind, broken = make.rule(), make.rule(), make.rule(), make.rule()
    scan = make.scan(in_flight=True)
    statuses = [
        RuleStatus(rule_id=str(alerting.pk), state=RuleState.ALERT, matched=1),
        RuleStatus(rule_id=str(passing.pk), state=RuleState.PASS),
        RuleStatus(rule_id=str(blind.pk), state=RuleState.SKIPPED, reason="needs_root"),
        RuleStatus(rule_id=str(broken.pk), state=RuleState.ERROR, reason="collector_failed"),
    ]

    assert ingest(report(scan, match(alerting), rules=statuses, cost=Cost(probe_cpu_s=0.5)))

    scan.refresh_from_db()
    assert (scan.status, scan.finished_at, scan.is_root) == ("done", NOW, True)
    assert (scan.alert_count, scan.pass_count, scan.skipped_count, scan.error_count) == (1, 1, 1, 1)
    assert scan.cost["probe_cpu_s"] == 0.5


def test_rules_that_did_not_pass_are_kept_with_their_reason(make, ingest):
    alerting, passing, blind = make.rule(), make.rule(), make.rule()
    scan = make.scan(in_flight=True)
    statuses = [
        RuleStatus(rule_id=str(alerting.pk), state=RuleState.ALERT, matched=3, truncated=True),
        RuleStatus(rule_id=str(passing.pk), state=RuleState.PASS),
        RuleStatus(rule_id=str(blind.pk), state=RuleState.SKIPPED, reason="needs_root"),
    ]

    ingest(report(scan, match(alerting), rules=statuses))

    rows = set(RuleOutcome.objects.values_list("rule_id", "state", "reason", "matched", "is_truncated"))
    assert rows == {(alerting.pk, "alert", "", 3, True), (blind.pk, "skipped", "needs_root", 0, False)}


def test_a_recon_rule_that_found_something_is_no_alert(make, ingest):
    recon = make.rule("recon")
    scan = make.scan(in_flight=True)

    ingest(report(scan, match(recon)))

    scan.refresh_from_db()
    assert (scan.alert_count, scan.pass_count) == (0, 1)
    assert not RuleOutcome.objects.exists()
    assert not Finding.objects.exists()


def test_a_good_report_says_what_its_host_is(make, ingest):
    scan = make.scan(in_flight=True)

    ingest(report(scan))

    host = Host.objects.get()
    assert (host.state, host.hostname, host.os_name, host.last_seen_at) == (
        "active",
        "web1",
        "Debian GNU/Linux 12",
        NOW,
    )
    assert host.profile["arch"] == "amd64"


def test_a_host_added_by_address_takes_its_own_name_and_a_given_name_stays(make, ingest):
    by_address, named = make.host(), make.host(name="the web shop")

    ingest(report(make.scan(by_address, in_flight=True)))
    ingest(report(make.scan(named, in_flight=True)))

    assert set(Host.objects.values_list("name", flat=True)) == {"web1", "the web shop"}


def test_what_is_not_there_is_one_finding_that_comes_back_as_the_same(make, ingest):
    rule = make.rule(explain="{host.hostname} has none.")
    nothing = RuleMatch(
        subject="process",
        rule_ids=[str(rule.pk)],
        identity={"path": None, "name": None, "cmdline": None, "uid": None},
        record={"host.hostname": "web1"},
    )
    host = make.host()

    for _ in range(2):
        ingest(report(make.scan(host, in_flight=True), nothing))

    finding = Finding.objects.get()
    assert finding.explanation == "web1 has none."
    assert finding.count == 2


def test_an_alert_of_a_correlation_is_one_finding_for_each_group(make, ingest):
    rule = make.rule(explain="{correlation.count} from {source}", fields=["source"])
    host = make.host()

    def alert(source: str, count: int) -> RuleMatch:
        record = {"source": source, "correlation.count": count, "text": "Failed password"}
        return RuleMatch(subject="log_line", rule_ids=[str(rule.pk)], identity={"source": source}, record=record)

    ingest(report(make.scan(host, in_flight=True), alert("192.0.2.1", 5), alert("192.0.2.2", 9)))
    ingest(report(make.scan(host, in_flight=True), alert("192.0.2.1", 6)))

    assert set(Finding.objects.values_list("identity__source", "count")) == {("192.0.2.1", 2), ("192.0.2.2", 1)}


def test_the_same_report_twice_counts_once(make, ingest):
    rule, scan = make.rule(), make.scan(in_flight=True)
    answer = report(scan, match(rule))

    assert [ingest(answer), ingest(answer)] == [True, False]

    assert Finding.objects.get().count == 1
    assert FindingEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_report_twice_at_the_same_time_counts_once(make):
    rule, scan = make.rule(), make.scan(in_flight=True)
    data = encode(report(scan, *[match(rule, path=f"/tmp/{n}") for n in range(50)]))
    start, taken = threading.Barrier(4), []

    def run() -> None:
        start.wait()
        taken.append(ingest_report(data, NOW))
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == [False, False, False, True]
    assert Finding.objects.filter(count=1).count() == 50


@pytest.mark.django_db(transaction=True)
def test_reports_of_two_scans_of_one_host_at_the_same_time_both_count(make):
    rule, host, plan = make.rule(), make.host(), make.plan()
    scans = [make.scan(host, plan=plan, in_flight=True), make.scan(host, plan=plan)]
    start = threading.Barrier(2)

    def run(scan: Scan) -> None:
        start.wait()
        ingest_report(encode(report(scan, match(rule))), NOW)
        connections.close_all()

    threads = [threading.Thread(target=run, args=[scan]) for scan in scans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Finding.objects.get().count == 2


def test_a_report_of_an_earlier_attempt_is_dropped(make, ingest):
    scan = make.scan(in_flight=True, attempt=2)

    assert not ingest(report(scan, match(make.rule()), attempt=1))

    scan.refresh_from_db()
    assert scan.status == "queued"
    assert not Finding.objects.exists()


@pytest.mark.parametrize("status", Scan.FINAL)
def test_a_report_of_a_finished_scan_is_dropped(make, ingest, status):
    scan = make.scan(status=status)

    assert not ingest(report(scan, match(make.rule())))

    assert not Finding.objects.exists()


def test_what_a_rule_could_not_be_decided_on_is_kept_with_its_count(make, ingest):
    scan, rule = make.scan(in_flight=True), make.rule()
    unknown = {"denied": 3, "limit": 2**40, "odd\x00reason": -1}

    ingest(
        report(scan, rules=[RuleStatus(rule_id=str(rule.pk), state=RuleState.ERROR, reason="denied", unknown=unknown)])
    )

    assert scan.rule_outcomes.get().unknown == {"denied": 3, "limit": 2**31 - 1, "odd\\x00reason": 0}


def test_a_report_of_an_unknown_scan_is_dropped(make, ingest):
    scan = make.scan(in_flight=True)
    answer = report(scan)
    scan.delete()

    assert not ingest(answer)


def test_matches_of_rules_that_are_gone_are_left_out(make, ingest):
    rule, kept, scan = make.rule(), make.rule(), make.scan(in_flight=True)
    answer = report(scan, match(rule), match(kept, path="/kept"))
    rule.delete()

    assert ingest(answer)

    assert Finding.objects.get().rule == kept


def test_a_failed_visit_that_can_help_waits_longer_before_each_retry(make, ingest):
    scan = make.scan(in_flight=True)
    waits = []

    for _ in range(2):
        ingest(failed(scan, "timeout", retryable=True))
        scan.refresh_from_db()
        waits.append((scan.status, scan.dispatched_at, scan.attempt, scan.not_before - NOW))

    assert [wait[:3] for wait in waits] == [("queued", None, 2), ("queued", None, 3)]
    assert timedelta(seconds=30) <= waits[0][3] < timedelta(seconds=60)
    assert timedelta(seconds=120) <= waits[1][3] < timedelta(seconds=150)


def test_the_last_attempt_fails_for_good(make, ingest, settings):
    scan = make.scan(in_flight=True, attempt=settings.SCAN_MAX_ATTEMPTS)

    ingest(failed(scan, "timeout", retryable=True))

    scan.refresh_from_db()
    assert (scan.status, scan.error_code, scan.finished_at) == ("failed", "timeout", NOW)


def test_a_retry_that_would_come_after_expiry_is_not_made(make, ingest):
    scan = make.scan(in_flight=True, expires_at=NOW + timedelta(seconds=20))

    ingest(failed(scan, "timeout", retryable=True))

    scan.refresh_from_db()
    assert scan.status == "failed"


def test_a_cancelled_scan_is_not_tried_again(make, ingest):
    scan = make.scan(in_flight=True, cancel_requested_at=NOW)

    ingest(failed(scan, "timeout", retryable=True))

    scan.refresh_from_db()
    assert scan.status == "failed"


def test_a_refused_sign_in_is_never_tried_again(make, ingest):
    scan = make.scan(in_flight=True)

    ingest(failed(scan, "auth_rejected"))

    scan.refresh_from_db()
    assert (scan.status, scan.attempt) == ("failed", 1)
    assert scan.host.state == "auth_failed"


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("unreachable", "offline"),
        ("auth_rejected", "auth_failed"),
        ("credential_missing", "auth_failed"),
        ("unsupported_arch", "unsupported"),
        ("unsupported_kernel", "unsupported"),
        ("host_key_unknown", "new"),
        ("probe_crashed", "new"),
    ],
)
def test_the_host_says_why_it_could_not_be_visited(make, ingest, code, state):
    scan = make.scan(in_flight=True)

    ingest(failed(scan, code))

    host = Host.objects.get()
    assert (host.state, host.state_reason) == (state, f"it went wrong: {code}")


def test_a_report_cut_short_keeps_its_findings_but_is_no_success(make, ingest):
    rule, scan = make.rule(), make.scan(in_flight=True)
    failure = Failure(code="report_truncated", message="no footer")

    ingest(report(scan, match(rule), outcome=Outcome.FAILED, failure=failure))

    scan.refresh_from_db()
    assert (scan.status, scan.error_code) == ("failed", "report_truncated")
    assert Finding.objects.count() == 1


def test_a_probe_that_is_killed_on_its_host_is_one_finding_however_often(make, ingest):
    host = make.host()
    killed = Interference(what=Meddling.KILLED, out_of_memory=False)

    for _ in range(2):
        ingest(failed(make.scan(host, in_flight=True), "probe_killed", interference=killed))

    finding = Finding.objects.get()
    assert (finding.rule, finding.rule_name, finding.level, finding.count) == (None, "probe_interfered", "high", 2)
    assert finding.evidence["out_of_memory"] is False
    assert Scan.objects.filter(status="failed", error_code="probe_killed").count() == 2


def test_what_could_not_be_removed_from_the_host_is_kept_beside_the_result(make, ingest):
    scan = make.scan(in_flight=True)
    cleanup = Failure(code="cleanup_failed", message="/dev/shm/x is still there")

    ingest(report(scan, cleanup=cleanup, created=["/dev/shm/x"]))

    scan.refresh_from_db()
    assert (scan.status, scan.cleanup_error, scan.created_paths) == ("done", cleanup.message, ["/dev/shm/x"])


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.EXPIRED])
def test_a_visit_that_was_stopped_ends_its_scan_so(make, ingest, outcome):
    scan = make.scan(in_flight=True)

    ingest(failed(scan, str(outcome), outcome=outcome))

    scan.refresh_from_db()
    assert scan.status == outcome


def test_a_worker_whose_clock_is_ahead_does_not_date_findings_into_the_future(make, ingest):
    scan = make.scan(in_flight=True)

    ingest(report(scan, match(make.rule()), finished_at=NOW + timedelta(days=400)))

    assert Finding.objects.get().last_seen_at == NOW


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (lambda text: text[:-20], None),
        (lambda text: b"\xff\xfe" + text, None),
        (lambda text: text.replace(b'"outcome":"done"', b'"outcome":"great"'), "report_wrong_schema"),
        (lambda text: text.replace(b'"worker":', b'"unheard_of":1,"worker":'), "report_wrong_schema"),
        (lambda text: b"[1, 2]", None),
        (lambda text: b"[" * 100_000, None),
    ],
    ids=["cut", "not UTF-8", "unknown word", "unknown field", "no object", "too deep"],
)
def test_a_report_that_cannot_be_read_is_dropped_and_fails_its_scan_if_it_names_one(make, data, code, caplog):
    scan = make.scan(in_flight=True)

    with caplog.at_level(logging.ERROR):
        assert not ingest_report(data(encode(report(scan))), NOW)

    scan.refresh_from_db()
    assert (scan.status, scan.error_code) == (("failed", code) if code else ("queued", ""))
    assert "report dropped" in caplog.text


def test_a_wrong_report_of_an_earlier_attempt_does_not_fail_the_scan(make):
    scan = make.scan(in_flight=True, attempt=2)

    ingest_report({"scan_id": str(scan.pk), "attempt": 1, "outcome": "great"}, NOW)

    scan.refresh_from_db()
    assert scan.status == "queued"


def test_a_report_with_more_matches_than_any_visit_brings_fails_its_scan(make, monkeypatch):
    monkeypatch.setattr("sandfly_web.scans.ingest.MAX_MATCHES", 2)
    rule, scan = make.rule(), make.scan(in_flight=True)

    ingest_report(encode(report(scan, *[match(rule)] * 3)), NOW)

    scan.refresh_from_db()
    assert scan.error_code == "report_too_large"


HOSTILE = {
    "nul": "a\x00b",
    "lone surrogate": "a\ud800b",
    "right to left": "a\u202eb",
    "huge number": 10**4000,
    "infinite": float("inf"),
    "not a number": float("nan"),
    "deep": [[[[[[[[["x"]]]]]]]]],
    "long": "x" * 100_000,
    "type tag": {"__type__": "datetime", "__value__": "x"},
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_hostile_values_of_a_host_are_stored_visibly(make, value):
    rule, scan = make.rule(), make.scan(in_flight=True)
    document: dict[str, Any] = json.loads(encode(report(scan, match(rule))))
    for part in ("record", "identity"):
        document["matches"][0][part] |= {"cmdline": value, str(value)[:20]: value}

    assert ingest_report(document, NOW)

    finding = Finding.objects.get()
    assert finding.evidence["cmdline"] not in (None, "")
    assert "\x00" not in json.dumps(finding.evidence, ensure_ascii=False) + finding.explanation


def test_nul_and_lone_surrogates_are_shown_as_escapes(make):
    rule, scan = make.rule(), make.scan(in_flight=True)
    document = json.loads(encode(report(scan, match(rule))))
    document["matches"][0]["record"]["cmdline"] = "a\x00b\udc80c"
    document["profile"]["hostname"] = "evil\x00host"

    ingest_report(document, NOW)

    assert Finding.objects.get().evidence["cmdline"] == r"a\x00b\udc80c"
    assert Host.objects.get().hostname == r"evil\x00host"


def test_markup_in_evidence_is_kept_as_it_is(make, ingest):
    rule, scan = make.rule(), make.scan(in_flight=True)
    sql = "'; DROP TABLE findings_finding; -- %s %(x)s <script>"

    ingest(report(scan, match(rule, path=sql)))

    assert Finding.objects.get().identity["path"] == sql


def _queries(run) -> int:
    before = len(connection.queries_log)
    run()
    return len(connection.queries_log) - before


def test_the_number_of_queries_does_not_depend_on_the_matches(make, ingest, settings):
    settings.DEBUG = True
    connection.force_debug_cursor = True
    rule, recon, plan = make.rule(), make.rule("recon", subject="file", fields=["path"]), make.plan()
    counts = []

    for number in (10, 1000):
        host = make.host()
        for _ in range(2):
            matches = [match(rule, path=f"/{n}") for n in range(number)]
            matches += [match(recon, path=f"/{n}", subject="file") for n in range(number)]
            collectors = [CollectorStatus(subject="file", state=CollectorState.OK)]
            answer = report(make.scan(host, plan=plan, in_flight=True), *matches, collectors=collectors)
            counts.append(_queries(lambda answer=answer: ingest(answer)))
    connection.force_debug_cursor = False

    few_new, few_again, many_new, many_again = counts
    assert (few_new, few_again) == (many_new, many_again)
    assert max(counts) <= 20
