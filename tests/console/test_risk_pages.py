"""Where the risk of a host and of the fleet is shown: as a number with its parts, and as a line."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from sandfly_web.console.sparkline import HEIGHT, WIDTH, sparkline
from sandfly_web.findings.models import RiskDay
from sandfly_web.findings.risk import Point, keep_risk
from tests.api.builders import WebMake
from tests.console.test_pages import sign_in

DAY = date(2026, 3, 1)


class TestSparkline:
    def test_days_keep_their_distance_and_the_highest_touches_the_top(self) -> None:
        spark = sparkline([Point(DAY, 0), Point(DAY + timedelta(days=1), 50), Point(DAY + timedelta(days=4), 100)])

        assert spark is not None
        assert spark.line == f"2.0,{HEIGHT - 2:.1f} 31.0,14.0 {WIDTH - 2:.1f},2.0"
        assert spark.words == "100 now, 100 more than on 2026-03-01; at most 100"

    def test_nothing_but_zeros_is_a_flat_line(self) -> None:
        spark = sparkline([Point(DAY, 0), Point(DAY + timedelta(days=1), 0)])

        assert spark is not None
        assert spark.words == "0 now, as much as on 2026-03-01; at most 0"

    def test_one_day_is_no_line(self) -> None:
        assert sparkline([Point(DAY, 5)]) is None
        assert sparkline([]) is None


@pytest.mark.django_db
def test_host_page_and_start_page_show_risk_with_its_parts_and_trend(make: WebMake) -> None:
    now = timezone.now()
    host = make.host(name="web-1", last_seen_at=now)
    make.finding(host, level="critical")
    make.finding(host, level="low")
    keep_risk(now)
    for row in (host, None):
        RiskDay.objects.create(host=row, day=(now - timedelta(days=3)).date(), risk=7)
    console = sign_in(make.person("viewer"))

    page = console.get(reverse("admin:inventory_host_change", args=[host.pk])).content.decode()
    start = console.get(reverse("admin:index")).content.decode()

    assert "61 now, 54 more than on" in page
    assert f"?host__id__exact={host.pk}&amp;level=critical" in page
    assert 'aria-label="Risk of all hosts: 61 now, 54 more than on' in start
    assert "1 critical, 0 high, 2 in all" in start


@pytest.mark.django_db
def test_list_of_hosts_is_ordered_by_risk(make: WebMake) -> None:
    names = ["host-calm", "host-bad", "host-worse"]
    hosts = [make.host(name=name) for name in names]
    make.finding(hosts[1], level="high")
    make.finding(hosts[2], level="critical")

    # The fifth column; who may scan has one for selecting before it.
    page = sign_in(make.person("viewer")).get(reverse("admin:inventory_host_changelist"), {"o": "-4"}).content.decode()

    assert sorted(names, key=page.index) == ["host-worse", "host-bad", "host-calm"]
