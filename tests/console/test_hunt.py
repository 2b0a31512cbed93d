"""The hunting page and the API's hunt."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sandfly_web.findings.models import SavedHunt
from tests.api.builders import WebMake

URL = "admin:findings_savedhunt_changelist"
DETECTION = "detection:\r\n  it:\r\n    username: mallory\r\n  condition: it\r\n"


@pytest.fixture
def analyst(make: WebMake) -> Client:
    client = Client()
    client.force_login(make.person("analyst"))
    return client


def fill(make: WebMake) -> Any:
    host = make.host(name="web-1")
    make.record(host, subject="user", username="mallory")
    make.record(host, subject="user", username="alice")
    return host


def test_a_hunt_shows_what_it_finds_and_where(make: WebMake, analyst: Client) -> None:
    host = fill(make)

    page = analyst.post(reverse(URL), {"subject": "user", "detection": DETECTION, "run": "1"})

    text = page.content.decode()
    assert "1 match on 1 host." in text
    assert reverse("admin:inventory_host_change", args=[host.pk]) in text
    assert not SavedHunt.objects.exists()


def test_a_hunt_is_saved_loaded_and_deleted(make: WebMake, analyst: Client) -> None:
    fill(make)
    data = {"subject": "user", "detection": DETECTION, "name": "mallory & friends", "save": "1"}

    first = analyst.post(reverse(URL), data).content.decode()
    page = analyst.get(reverse(URL), {"saved": "mallory & friends"}).content.decode()
    saved = SavedHunt.objects.get()
    analyst.post(reverse("admin:findings_savedhunt_delete", args=[saved.pk]), {"post": "yes"})

    assert "?saved=mallory%20%26%20friends" in first
    assert "username: mallory" in page
    # To open it is to run it.
    assert "1 match on 1 host." in page
    assert not SavedHunt.objects.exists()


def test_faults_are_told_at_their_field(make: WebMake, analyst: Client) -> None:
    fill(make)

    page = analyst.post(reverse(URL), {"subject": "user", "detection": "detection: {it: {usrname: x}, condition: it}"})

    assert "did you mean" in page.content.decode()


def test_a_rule_page_leads_to_what_the_rule_would_have_said(make: WebMake, analyst: Client) -> None:
    fill(make)
    rule = make.rule(subject="user", plan_rule={"when": {"field": "username", "op": "eq", "values": ["mallory"]}})

    page = analyst.get(reverse("admin:rules_rule_change", args=[rule.pk])).content.decode()
    hunted = analyst.get(reverse(URL), {"rule": rule.name}).content.decode()

    assert f"{reverse(URL)}?rule={rule.name}" in page
    assert "1 match on 1 host." in hunted


def test_a_rule_over_several_records_says_that_it_cannot(make: WebMake, analyst: Client) -> None:
    rule = make.rule(plan_rule={"absent": True})

    assert "several records at once" in analyst.get(reverse(URL), {"rule": rule.name}).content.decode()


def test_viewers_hunt_and_save_nothing(make: WebMake) -> None:
    fill(make)
    viewer = Client()
    viewer.force_login(make.person("viewer"))

    page = viewer.post(reverse(URL), {"subject": "user", "detection": DETECTION, "name": "x", "save": "1"})

    assert "1 match on 1 host." in page.content.decode()
    assert not SavedHunt.objects.exists()


def test_the_api_hunts_too(make: WebMake) -> None:
    host = fill(make)
    client = make.api("viewer")

    found = client.post("/api/v1/hunt", {"subject": "user", "detection": DETECTION}, format="json")
    wrong = client.post("/api/v1/hunt", {"subject": "user", "detection": "detection: 1"}, format="json")

    assert found.status_code == 200
    assert (found.json()["matched"], found.json()["is_complete"]) == (1, True)
    assert [(row["host"], row["identity"]) for row in found.json()["records"]] == [
        (str(host.pk), {"username": "mallory"})
    ]
    assert wrong.status_code == 400
    assert make.api("").post("/api/v1/hunt", {}, format="json").status_code == 403
