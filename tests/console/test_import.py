"""Importing hosts in the console and through the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sandfly_web.inventory.models import Host
from tests.api.builders import WebMake

URL = "admin:inventory_host_import"
INI = "[web]\nweb1 ansible_host=10.0.0.1\nweb2:0\n"


@pytest.fixture
def operator(make: WebMake) -> Client:
    client = Client()
    client.force_login(make.person("operator"))
    return client


def data(zone: Any, **changes: str) -> dict[str, Any]:
    return {"text": INI, "format": "auto", "zone": str(zone.pk), **changes}


def test_the_list_of_hosts_leads_there_and_nothing_is_added_before_it_was_seen(make: WebMake, operator: Client) -> None:
    zone = make.zone()

    link = operator.get(reverse("admin:inventory_host_changelist")).content.decode()
    page = operator.post(reverse(URL), data(zone, look="1")).content.decode()

    assert reverse(URL) in link
    assert "1 host, read as ansible-ini." in page
    assert "web1" in page
    assert "Left out (1)" in page
    assert not Host.objects.exists()

    done = operator.post(reverse(URL), data(zone, add="1"), follow=True).content.decode()

    assert "1 hosts were added" in done
    assert [tag.name for tag in Host.objects.get(name="web1").tags.all()] == ["web"]


def test_a_fault_of_the_choice_is_told(make: WebMake, operator: Client) -> None:
    other = make.credential(make.zone())

    page = operator.post(reverse(URL), data(make.zone(), credential=str(other.pk), add="1")).content.decode()

    assert "belongs to zone" in page
    assert not Host.objects.exists()


def test_analysts_import_nothing(make: WebMake) -> None:
    client = Client()
    client.force_login(make.person("analyst"))

    assert client.get(reverse(URL)).status_code == 403
    assert client.post(reverse(URL), data(make.zone(), add="1")).status_code == 403
    body = {"text": "web1", "zone": make.zone().pk}
    assert make.api("analyst").post("/api/v1/hosts/import", body, format="json").status_code == 403


def test_the_api_says_what_it_read_and_added(make: WebMake) -> None:
    zone, client = make.zone(), make.api("operator")
    body = {"text": INI, "zone": zone.pk, "tags": ["new"]}

    dry = client.post("/api/v1/hosts/import", {**body, "dry_run": True}, format="json").json()
    assert (dry["format"], dry["created"], dry["fault_count"]) == ("ansible-ini", 0, 1)
    assert dry["hosts"] == [{"address": "10.0.0.1", "port": 22, "name": "web1", "tags": ["web"]}]
    assert not Host.objects.exists()

    done = client.post("/api/v1/hosts/import", body, format="json").json()
    again = client.post("/api/v1/hosts/import", body, format="json").json()

    assert (done["created"], done["existing"]) == (1, 0)
    assert (again["created"], again["existing"]) == (0, 1)
    assert sorted(tag.name for tag in Host.objects.get().tags.all()) == ["new", "web"]
