"""A rule that alerts on everything is cut and told as one finding; what most hosts have is flagged."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandfly_web.findings import floods
from sandfly_web.findings.models import Finding, WidespreadFinding
from tests.api.builders import WebMake
from tests.server.builders import NOW, match, report

pytestmark = pytest.mark.django_db


def matches(rule, count):
    return [match(rule, path=f"/tmp/{number:05}") for number in range(count)]


def test_thousands_of_matches_of_a_rule_become_a_few_and_one_that_says_so(make, ingest, monkeypatch):
    monkeypatch.setattr(floods, "MAX_FINDINGS", 5)
    rule, other = make.rule(title="T" * 250), make.rule()

    ingest(report(make.scan(in_flight=True), *matches(rule, 40), match(other, path="/bin/evil")))

    flood = Finding.objects.get(rule_name="rule_flood")
    assert Finding.objects.filter(rule=rule).count() == 5
    assert Finding.objects.filter(rule=other).count() == 1
    assert f"Rule {rule.name} matched 40 things on this host in one visit; 5 of them are kept" in flood.explanation
    assert (flood.level, flood.evidence["matched"]) == ("low", 40)


def test_the_next_visit_keeps_the_same_ones(make, ingest, monkeypatch):
    monkeypatch.setattr(floods, "MAX_FINDINGS", 5)
    rule, host = make.rule(), make.host()
    ingest(report(make.scan(host, in_flight=True), *matches(rule, 40)))
    before = set(Finding.objects.values_list("fingerprint", flat=True))
    later = NOW + timedelta(minutes=5)

    ingest(report(make.scan(host, in_flight=True), *reversed(matches(rule, 40)), finished_at=later), later)

    assert set(Finding.objects.values_list("fingerprint", flat=True)) == before
    assert set(Finding.objects.values_list("count", flat=True)) == {2}


def test_as_many_as_are_kept_are_no_flood(make, ingest, monkeypatch):
    monkeypatch.setattr(floods, "MAX_FINDINGS", 5)
    rule = make.rule()

    ingest(report(make.scan(in_flight=True), *matches(rule, 5)))

    assert Finding.objects.count() == 5


def test_what_is_allow_listed_floods_nothing_and_stays_told(ingest, monkeypatch):
    monkeypatch.setattr(floods, "MAX_FINDINGS", 5)
    make = WebMake()
    rule = make.rule()
    make.allowed(rule)

    ingest(report(make.scan(in_flight=True), *matches(rule, 20)))

    assert set(Finding.objects.values_list("status", flat=True)) == {"allowed"}
    assert Finding.objects.count() == 20


def test_the_same_finding_on_most_hosts_is_one_item(monkeypatch):
    monkeypatch.setattr(floods, "MIN_HOSTS", 3)
    make = WebMake()
    zone, rule, rare = make.zone(), make.rule(), make.rule()
    hosts = [make.host(zone) for _ in range(5)]
    for number, host in enumerate(hosts):
        make.finding(host, rule=rule, status="closed" if number == 0 else "open")
        make.finding(host, rule=rare, identity={"path": f"/tmp/{number}"})

    assert floods.count_widespread(NOW) == 1
    assert floods.count_widespread(NOW) == 1

    one = WidespreadFinding.objects.get()
    assert (one.rule, one.thing, one.host_count, one.watched_count) == (rule, "/tmp/x", 4, 5)
    told = make.api("viewer").get("/api/v1/widespread-findings").json()["results"]
    assert [(row["rule_name"], row["host_count"]) for row in told] == [(rule.name, 4)]


def test_what_half_the_hosts_have_is_not_most(monkeypatch):
    monkeypatch.setattr(floods, "MIN_HOSTS", 1)
    make = WebMake()
    zone, rule = make.zone(), make.rule()
    make.host(zone)
    make.finding(make.host(zone), rule=rule)

    assert floods.count_widespread(NOW) == 0


def test_the_overview_tells_what_most_hosts_have():
    from django.test import Client
    from django.urls import reverse

    make = WebMake()
    rule = make.rule()
    make.finding(rule=rule)
    WidespreadFinding.objects.create(
        rule=rule, subject="process", thing="/tmp/<x>", host_count=8, watched_count=9, counted_at=NOW
    )
    client = Client()
    client.force_login(make.person("analyst"))

    page = client.get(reverse("admin:index")).content.decode()

    assert "/tmp/&lt;x&gt;, on 8 of 9 hosts" in page
