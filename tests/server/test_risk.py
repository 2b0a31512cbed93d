"""The risk of a host follows its findings through everything that happens to them, and is kept day by day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sandfly_web.findings import services
from sandfly_web.findings.allowlist.services import end
from sandfly_web.findings.models import Finding, HostRisk, RiskDay
from sandfly_web.findings.risk import (
    APPEARED_DAYS,
    KEPT_DAYS,
    RISK_WEIGHTS,
    Point,
    appeared,
    fleet_trend,
    host_trend,
    keep_risk,
    risk_of,
    weigh,
)
from sandfly_web.inventory.models import Tag
from sandfly_web.inventory.scope import limited_to
from tests.api.builders import WebMake
from tests.server.builders import NOW, match, report

pytestmark = pytest.mark.django_db


@pytest.fixture
def make(db):
    return WebMake()


def counted(host):
    """What the kept number must be, from the findings themselves."""
    levels = Finding.objects.filter(host=host, status__in=Finding.UNRESOLVED).values_list("level", flat=True)
    return sum(RISK_WEIGHTS[level] for level in levels)


def test_a_visit_weighs_what_it_finds(make, ingest):
    host = make.host()

    ingest(report(make.scan(host, in_flight=True), match(make.rule(level="critical")), match(make.rule(level="low"))))

    kept = risk_of(host.pk)
    assert (kept.risk, kept.critical, kept.high, kept.low) == (61, 1, 0, 1)


def test_a_rule_that_became_worse_weighs_more_at_the_next_visit(make, ingest):
    host, rule = make.host(), make.rule(level="low")
    ingest(report(make.scan(host, in_flight=True), match(rule)))
    type(rule).objects.update(level="high")
    later = NOW + timedelta(minutes=5)

    ingest(report(make.scan(host, in_flight=True), match(rule), finished_at=later), later)

    assert risk_of(host.pk).risk == 20


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda findings: services.acknowledge(findings, None), 80),
        (lambda findings: services.add_comment(findings, None, "looked at"), 80),
        (lambda findings: services.close(findings, None, "rebuilt"), 0),
        (lambda findings: services.mark_false_positive(findings, None, "known"), 0),
        (lambda findings: services.reopen(services.close(findings, None, "rebuilt"), None), 80),
    ],
    ids=["acknowledged", "commented", "closed", "false positive", "reopened"],
)
def test_triage_changes_the_risk_as_it_changes_the_findings(make, step, expected):
    host = make.host()
    findings = [make.finding(host, level="critical"), make.finding(host, level="high")]

    step(findings)

    assert risk_of(host.pk).risk == counted(host) == expected


def test_what_is_allow_listed_weighs_nothing_until_the_entry_ends(make, ingest):
    host, other, rule = make.host(), make.host(), make.rule(level="high")
    for one in (host, other):
        ingest(report(make.scan(one, in_flight=True), match(rule)))
    entry = make.allowed(rule)

    hidden = [risk_of(one.pk).risk for one in (host, other)]
    end(entry, None)

    assert hidden == [0, 0]
    assert [risk_of(one.pk).risk for one in (host, other)] == [20, 20]


def test_the_hourly_count_repairs_what_was_written_past_the_services(make):
    host = make.host()
    finding = make.finding(host, level="critical")
    Finding.objects.filter(pk=finding.pk).update(level="low", level_rank=1)
    HostRisk.objects.filter(host=make.host()).delete()

    keep_risk(NOW)

    assert risk_of(host.pk).risk == 1
    assert HostRisk.objects.count() == 2


def test_all_hosts_are_counted_in_parts_so_that_ingest_waits_for_few_of_them(make, monkeypatch):
    monkeypatch.setattr("sandfly_web.findings.risk.PART_HOSTS", 2)
    for _ in range(5):
        make.finding(make.host(), level="critical")
    HostRisk.objects.all().delete()

    with CaptureQueriesContext(connection) as queries:
        weigh(None)

    locks = [query["sql"] for query in queries.captured_queries if "FOR UPDATE" in query["sql"]]
    assert len(locks) == 3
    assert [row.risk for row in HostRisk.objects.all()] == [60] * 5


def test_weighing_no_hosts_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        weigh([])


class TestTrend:
    def test_each_day_keeps_the_last_count_of_it(self, make):
        host = make.host(last_seen_at=NOW)
        finding = make.finding(host, level="high")
        keep_risk(NOW - timedelta(days=2))
        make.finding(host, level="critical")
        keep_risk(NOW - timedelta(hours=2))
        services.close([finding], None, "rebuilt")
        keep_risk(NOW)

        expected = [Point((NOW - timedelta(days=2)).date(), 20), Point(NOW.date(), 60)]
        assert host_trend(host.pk) == expected
        assert fleet_trend() == expected

    def test_a_host_that_was_never_visited_has_no_days(self, make):
        host = make.host(last_seen_at=None)

        keep_risk(NOW)

        assert host_trend(host.pk) == []
        assert fleet_trend() == [Point(NOW.date(), 0)]

    def test_old_days_are_forgotten(self, make):
        host = make.host(last_seen_at=NOW)
        for days in (KEPT_DAYS + 1, KEPT_DAYS, 1):
            keep_risk(NOW - timedelta(days=days))

        keep_risk(NOW)

        days = set(RiskDay.objects.values_list("day", flat=True))
        assert days == {NOW.date() - timedelta(days=number) for number in (KEPT_DAYS, 1, 0)}
        assert RiskDay.objects.filter(host=host).count() == 3

    def test_whoever_is_limited_to_hosts_sees_the_sum_of_those(self, make):
        tag = Tag.objects.create(name="mine")
        mine, other = make.host(last_seen_at=NOW), make.host(last_seen_at=NOW)
        mine.tags.add(tag)
        make.finding(mine, level="low")
        make.finding(other, level="critical")
        keep_risk(NOW)

        with limited_to((frozenset({tag.pk}),)):
            own, foreign = fleet_trend(), host_trend(other.pk)

        assert own == [Point(NOW.date(), 1)]
        assert foreign == []
        assert fleet_trend() == [Point(NOW.date(), 61)]


def test_a_deleted_host_leaves_no_rows(make):
    host = make.host(last_seen_at=NOW)
    make.finding(host)
    keep_risk(NOW)

    host.delete()

    assert not HostRisk.objects.exists()
    assert list(RiskDay.objects.values_list("host", "day")) == [(None, date(NOW.year, NOW.month, NOW.day))]


class TestNewFindings:
    def test_days_that_are_over_are_kept_and_today_is_counted(self, make, django_assert_num_queries):
        days = [NOW - timedelta(days=ago) for ago in (0, 1, 5, 20)]
        for moment, level in zip(days, ("low", "high", "critical", "medium"), strict=True):
            make.finding(level=level, first_seen_at=moment)
        for ago in range(6):
            keep_risk(NOW - timedelta(days=ago))
        keep_risk(NOW)

        with django_assert_num_queries(2):
            counts = appeared(NOW)

        assert len(counts) == APPEARED_DAYS
        assert {day: found for day, found in counts.items() if any(found)} == {
            days[2].date(): [0, 0, 0, 0, 1],
            days[1].date(): [0, 0, 0, 1, 0],
            days[0].date(): [0, 1, 0, 0, 0],
        }

    def test_what_is_stored_late_is_counted_for_its_day(self, make):
        keep_risk(NOW - timedelta(days=1))
        make.finding(level="high", first_seen_at=NOW - timedelta(days=1))

        keep_risk(NOW)

        assert RiskDay.objects.get(host=None, day=NOW.date() - timedelta(days=1)).appeared == [0, 0, 0, 1, 0]
        assert appeared(NOW)[NOW.date() - timedelta(days=1)] == [0, 0, 0, 1, 0]

    def test_whoever_is_limited_to_hosts_is_told_of_those(self, make):
        tag = Tag.objects.create(name="mine")
        mine, other = make.host(), make.host()
        mine.tags.add(tag)
        moment = NOW - timedelta(days=5)
        make.finding(mine, level="low", first_seen_at=moment)
        make.finding(other, level="low", first_seen_at=moment)
        for ago in range(6):
            keep_risk(NOW - timedelta(days=ago))

        with limited_to((frozenset({tag.pk}),)):
            own = appeared(NOW)[moment.date()]

        assert own == [0, 1, 0, 0, 0]
        assert appeared(NOW)[moment.date()] == [0, 2, 0, 0, 0]
