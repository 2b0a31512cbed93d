"""Snoozing in the console and through the API: one, those that were chosen, and all that a filter matches."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.api.builders import WebMake

LIST = "/findings/finding/"


@pytest.fixture
def analyst(make: WebMake) -> Client:
    client = Client()
    client.force_login(make.person("analyst"))
    return client


def listed(client: Client, **query: str) -> set[str]:
    page = client.get(LIST, query).content.decode()
    return {title for title in ("The asleep", "The awake", "The woken") if title in page}


def three(make: WebMake) -> Any:
    now = timezone.now()
    make.finding(title="The awake")
    make.finding(title="The woken", snoozed_until=now - timedelta(minutes=1))
    return make.finding(title="The asleep", snoozed_until=now + timedelta(days=3))


def test_list_leaves_out_what_sleeps_and_finds_it_and_what_woke_by_filter(make: WebMake, analyst: Client) -> None:
    three(make)

    assert listed(analyst) == listed(analyst, status="open") == {"The awake", "The woken"}
    assert listed(analyst, status="snoozed") == {"The asleep"}
    assert listed(analyst, status="woke") == {"The woken"}
    assert listed(analyst, status="all") == {"The asleep", "The awake", "The woken"}


def test_start_page_counts_what_is_awake_and_says_what_sleeps(make: WebMake, analyst: Client) -> None:
    from sandfly_web.findings.risk import weigh

    three(make)
    weigh(None)

    page = analyst.get("/").content.decode()

    assert "The asleep" not in page
    assert "1 snoozed" in page
    assert "All 2" in page


def test_page_of_a_finding_snoozes_it_and_wakes_it(make: WebMake, analyst: Client) -> None:
    finding = make.finding()
    url = reverse("admin:findings_finding_command", args=[finding.pk, "snooze"])

    page = analyst.post(url, {"days": "7", "text": "Next sprint"}, follow=True).content.decode()

    finding.refresh_from_db()
    assert timedelta(days=6) < finding.snoozed_until - timezone.now() <= timedelta(days=7)
    assert "Next sprint" in page
    page = analyst.post(url.replace("snooze", "unsnooze"), follow=True).content.decode()
    assert "Finding woken." in page
    finding.refresh_from_db()
    assert finding.snoozed_until is None


def test_a_day_may_be_named_and_a_wrong_one_is_told(make: WebMake, analyst: Client) -> None:
    finding = make.finding()
    url = reverse("admin:findings_finding_command", args=[finding.pk, "snooze"])
    day = (timezone.now() + timedelta(days=40)).date()

    wrong = analyst.post(url, {"days": "1", "until": "soon", "text": "x"}, follow=True).content.decode()
    analyst.post(url, {"days": "1", "until": day.isoformat(), "text": "x"})

    finding.refresh_from_db()
    assert "write the day as" in wrong
    assert (finding.snoozed_until.date(), finding.snoozed_until.hour) == (day, 0)


def test_chosen_findings_are_snoozed_after_a_page_that_asks_why_and_woken(make: WebMake, analyst: Client) -> None:
    from sandfly_web.findings.models import Finding

    chosen = {"action": "snooze_selected", "_selected_action": [str(make.finding().pk), str(make.finding().pk)]}

    asked = analyst.post(LIST, chosen).content.decode()
    analyst.post(LIST, {**chosen, "apply": "1", "reason": "Later", "days": "30"})

    assert 'name="days"' in asked
    assert Finding.objects.filter(snoozed_until__gt=timezone.now() + timedelta(days=29)).count() == 2
    analyst.post(LIST + "?status=snoozed", {**chosen, "action": "unsnooze_selected"})
    assert not Finding.objects.filter(snoozed_until__isnull=False)


def test_all_that_a_filter_matches_is_snoozed_and_only_the_sleeping_are_woken(make: WebMake, analyst: Client) -> None:
    from sandfly_web.findings.models import Finding

    for level in ("low", "low", "high"):
        make.finding(level=level)

    analyst.post(LIST + "triage/?level=low", {"action": "snooze", "text": "Later", "days": "1", "expect-snooze": "2"})
    assert list(Finding.objects.filter(snoozed_until__isnull=False).values_list("level", flat=True)) == ["low", "low"]
    page = analyst.post(LIST + "triage/?status=all", {"action": "unsnooze", "expect-unsnooze": "2"}, follow=True)

    assert "2 findings woken." in page.content.decode()
    assert not Finding.objects.filter(snoozed_until__isnull=False)


def test_api_snoozes_and_wakes_and_filters(make: WebMake) -> None:
    asleep, client = three(make), make.api("analyst")
    finding = make.finding(title="Another")
    url = f"/api/v1/findings/{finding.pk}/"

    done = client.post(url + "snooze", {"days": 7, "reason": "Later"}, format="json").json()

    assert done["snoozed_until"] > (timezone.now() + timedelta(days=6)).isoformat()
    assert done["events"][-1]["kind"] == "snoozed"
    found = client.get("/api/v1/findings?is_snoozed=true").json()["results"]
    assert {row["id"] for row in found} == {str(finding.pk), str(asleep.pk)}
    assert [row["title"] for row in client.get("/api/v1/findings?woke=true").json()["results"]] == ["The woken"]
    assert client.post(url + "unsnooze", {}, format="json").json()["snoozed_until"] is None
    assert client.post(url + "unsnooze", {}, format="json").status_code == 409


@pytest.mark.parametrize("body", [{}, {"days": 1, "until": "2000-01-01T00:00:00Z"}, {"until": "2000-01-01T00:00:00Z"}])
def test_api_refuses_a_snooze_without_one_possible_end(make: WebMake, body: dict[str, Any]) -> None:
    finding, client = make.finding(), make.api("analyst")

    single = client.post(f"/api/v1/findings/{finding.pk}/snooze", {**body, "reason": "Later"}, format="json")
    bulk = {"action": "snooze", "ids": [str(finding.pk)], "reason": "Later", **body}
    every = client.post("/api/v1/findings/triage", bulk, format="json")

    assert (single.status_code, every.status_code) == (400, 400)
    assert not finding.events.filter(kind="snoozed")


def test_api_snoozes_all_that_are_named(make: WebMake) -> None:
    ids, client = [str(make.finding().pk) for _ in range(3)], make.api("analyst")

    body = {"action": "snooze", "ids": ids, "reason": "Later", "days": 2, "expect": 3}
    done = client.post("/api/v1/findings/triage", body, format="json").json()
    woken = client.post("/api/v1/findings/triage", {"action": "unsnooze", "ids": ids}, format="json").json()

    assert (done["changed"], woken["changed"]) == (3, 3)
