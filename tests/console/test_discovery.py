"""The page of a discovery, and what a host's page says of its whereabouts."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.api.builders import WebMake
from tests.server.builders import NOW


@pytest.fixture
def operator(make: WebMake) -> Client:
    client = Client()
    client.force_login(make.person("operator"))
    return client


def test_discovery_is_made_looks_and_is_cancelled(make: WebMake, operator: Client, redis: object) -> None:
    from sandfly_web.inventory.models import Discovery, Sweep

    zone = make.zone("edge")
    data = {
        "name": "office", "is_enabled": "on", "zone": zone.pk, "ranges": "10.0.0.0/29\n", "excluded": "", "port": 22,
        "credentials": [make.credential(zone).pk], "interval_s": 86400, "rate_per_s": 20, "timeout_s": 3,
        "retire_after_hours": 48,
    }  # fmt: skip

    made = operator.post(reverse("admin:inventory_discovery_add"), data, follow=True)
    discovery = Discovery.objects.get()

    def command(name: str) -> str:
        url = reverse("admin:inventory_discovery_command", args=[discovery.pk, name])
        return operator.post(url, follow=True).content.decode()

    assert made.status_code == 200
    assert "A sweep over 6 addresses has begun" in command("sweep")
    Sweep.objects.update(
        faults=[{"address": "10.0.0.3", "port": 22, "banner": "SSH-2.0-<x>", "reason": "no credential fits"}]
    )
    page = operator.get(reverse("admin:inventory_discovery_change", args=[discovery.pk])).content.decode()
    assert "no credential fits" in page
    assert "SSH-2.0-&lt;x&gt;" in page
    assert "after 48 h offline" in page
    assert "The sweep is cancelled" in command("cancel")
    assert "no sweep is under way" in command("cancel")


def test_networks_that_cannot_be_read_are_named(make: WebMake, operator: Client) -> None:
    zone = make.zone("edge")
    data = {
        "name": "x", "zone": zone.pk, "ranges": "10.0.0.0/99", "port": 22, "credentials": [make.credential(zone).pk],
        "interval_s": 86400, "rate_per_s": 9, "timeout_s": 3,
    }  # fmt: skip

    page = operator.post(reverse("admin:inventory_discovery_add"), data).content.decode()

    assert "line 1" in page


def test_host_page_tells_of_twins_other_addresses_and_retirement(make: WebMake, operator: Client) -> None:
    host = make.host(machine_id="a" * 32, retired_at=NOW, other_addresses=["10.0.0.9:22"])
    twin = make.host(machine_id="a" * 32, name="the-copy")

    page = operator.get(reverse("admin:inventory_host_change", args=[host.pk])).content.decode()

    assert "10.0.0.9:22" in page
    assert "no schedule visits it until it is seen again" in page
    assert reverse("admin:inventory_host_change", args=[twin.pk]) in page
    assert "has the same machine-id" in page
