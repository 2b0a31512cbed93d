"""What changed on a host between two of its visits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from sandfly_web.findings.changes import Kind, changes_between
from scanners.contract import RuleState, RuleStatus
from tests.api.builders import WebMake
from tests.server.builders import NOW, match, report

HOUR = timedelta(hours=1)


@pytest.fixture
def make(db) -> WebMake:
    return WebMake()


@pytest.fixture
def visit(make, ingest):
    """Visits of one host at full hours after NOW; returns the host."""
    host, recon = make.host(name="web-1"), make.rule("recon", fields=["path", "exe_sha256", "cwd"])

    def run(hour, *things):
        scan = make.scan(host, plan=make.plan(recon), in_flight=True)
        matches = [match(recon, path=path, pid=hour, **facts) for path, facts in things]
        statuses = [RuleStatus(rule_id=str(recon.pk), state=RuleState.ALERT, matched=len(matches))]
        seen_at = NOW + hour * HOUR
        # The server takes the report a little later than the worker made it.
        assert ingest(report(scan, *matches, finished_at=seen_at, rules=statuses), seen_at + timedelta(seconds=9))
        return host

    return run


def between(host, first, second, late=timedelta(minutes=7)):
    """At moments a while after the visits: each is what the visit before it saw."""
    found = changes_between(host, NOW + first * HOUR + late, NOW + second * HOUR + late)
    return {(str(change.kind), change.record.identity["path"]) for change in found.changes}


def test_what_came_went_and_changed(visit):
    visit(0, ("/old", {}), ("/same", {}), ("/edited", {"exe_sha256": "aa", "cwd": "/"}))
    host = visit(1, ("/new", {}), ("/same", {}), ("/edited", {"exe_sha256": "bb", "cwd": "/"}))

    found = changes_between(host, NOW, NOW + HOUR)

    assert between(host, 0, 1) == {("appeared", "/new"), ("gone", "/old"), ("changed", "/edited")}
    [edited] = [change for change in found.changes if change.kind == Kind.CHANGED]
    assert [(field.name, field.before, field.after) for field in edited.fields] == [("exe_sha256", "aa", "bb")]


def test_a_volatile_fact_alone_is_no_change(visit):
    visit(0, ("/a", {}))
    host = visit(1, ("/a", {}))

    assert between(host, 0, 1) == set()


def test_what_came_and_went_in_between_is_no_difference(visit):
    visit(0, ("/a", {}))
    visit(1, ("/a", {}), ("/passing", {}))
    host = visit(2, ("/a", {}))

    assert between(host, 0, 2) == set()
    assert between(host, 0, 1) == {("appeared", "/passing")}
    assert between(host, 1, 2) == {("gone", "/passing")}


def test_what_changed_twice_and_back_is_no_difference_over_the_whole_time(visit):
    visit(0, ("/a", {"exe_sha256": "aa"}))
    visit(1, ("/a", {"exe_sha256": "bb"}))
    host = visit(2, ("/a", {"exe_sha256": "aa"}))

    assert between(host, 0, 1) == {("changed", "/a")}
    assert between(host, 0, 2) == set()


def test_an_older_state_is_still_known(visit):
    visit(0, ("/first", {}))
    visit(1, ("/second", {}))
    host = visit(2, ("/third", {}))

    assert between(host, 0, 1) == {("gone", "/first"), ("appeared", "/second")}
    assert between(host, 0, 2) == {("gone", "/first"), ("appeared", "/third")}


@pytest.fixture
def viewer(make) -> Client:
    client = Client()
    client.force_login(make.person("viewer"))
    return client


def test_the_page_compares_the_last_two_visits_or_those_chosen(make, visit, viewer):
    from sandfly_web.scans.models import Scan

    visit(0, ("/first", {}))
    visit(1, ("/second", {"exe_sha256": "aa"}))
    host = visit(2, ("/second", {"exe_sha256": "<b>"}))
    url = reverse("admin:inventory_host_changes", args=[host.pk])
    first, *_, last = (str(scan.pk) for scan in Scan.objects.order_by("observed_at"))

    page = viewer.get(url).content.decode()
    whole = viewer.get(url, {"since": first, "until": last}).content.decode()
    wrong = viewer.get(url, {"since": last, "until": first}).content.decode()

    assert "1 difference." in page
    assert "&lt;b&gt;" in page
    assert "/first" in whole
    assert "must be before" in wrong
    assert url in viewer.get(reverse("admin:inventory_host_change", args=[host.pk])).content.decode()


def test_a_host_with_one_visit_has_nothing_to_compare(visit, viewer):
    host = visit(0, ("/a", {}))

    page = viewer.get(reverse("admin:inventory_host_changes", args=[host.pk])).content.decode()

    assert "nothing to compare yet" in page


def test_the_api_tells_changes_between_moments(make, visit):
    visit(0, ("/old", {}))
    host = visit(1, ("/new", {}))
    client, url = make.api("viewer"), f"/api/v1/hosts/{host.pk}/changes"

    found = client.get(url, {"since": NOW.isoformat(), "until": (NOW + HOUR).isoformat()}).json()

    assert {(row["kind"], row["identity"]["path"]) for row in found["changes"]} == {
        ("appeared", "/new"),
        ("gone", "/old"),
    }
    assert client.get(url).status_code == 400
    assert make.api("").get(url, {"since": NOW.isoformat()}).status_code == 403
