"""The pages of queue and batches; what paused itself is told on the first page."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.api.builders import WebMake


@pytest.fixture
def responder(make: WebMake) -> Client:
    client = Client()
    client.force_login(make.person("responder"))
    return client


def test_queue_page_shows_zones_schedules_and_what_is_paused(make: WebMake, responder: Client, redis: object) -> None:
    from sandfly_web.scans.services import pause

    schedule = make.schedule(name="Nightly")
    make.scan(make.host(make.zone("edge")), schedule=schedule)
    pause(schedule, "4 of the last 9 probes crashed", is_tripped=True)

    page = responder.get(reverse("admin:scans_queue_changelist")).content.decode()
    overview = responder.get(reverse("admin:index")).content.decode()

    for words in ("edge", "Nightly", "4 of the last 9 probes crashed", "0 reports to be stored"):
        assert words in page
    assert "Paused by their limits" in overview
    assert "4 of the last 9 probes crashed" in overview


def test_batch_page_follows_pauses_and_aborts(make: WebMake, responder: Client, redis: object) -> None:
    from sandfly_web.scans.models import Scan, ScanBatch
    from sandfly_web.scans.services import RuleChoice, request_scans

    make.rule()
    batch = ScanBatch.objects.get(pk=request_scans([make.host()], RuleChoice()).id)
    url = reverse("admin:scans_scanbatch_change", args=[batch.pk])

    def command(name: str) -> str:
        return responder.post(
            reverse("admin:scans_scanbatch_command", args=[batch.pk, name]), follow=True
        ).content.decode()

    assert "1 scan: 1 queued" in responder.get(url).content.decode()
    assert "no further scan of the batch begins" in command("pause")
    assert "Paused" in responder.get(url).content.decode()
    assert "The batch goes on" in command("resume")
    assert "1 scan stopped" in command("abort")
    assert Scan.objects.get().status == "cancelled"
    assert "1 cancelled" in responder.get(reverse("admin:scans_scanbatch_changelist")).content.decode()


def test_viewer_sees_the_queue_and_may_stop_nothing(make: WebMake, redis: object) -> None:
    from sandfly_web.scans.services import RuleChoice, request_scans

    make.rule()
    batch = request_scans([make.host()], RuleChoice())
    client = Client()
    client.force_login(make.person("viewer"))

    page = client.get(reverse("admin:scans_scanbatch_change", args=[batch.id])).content.decode()

    assert "Abort all scans" not in page
    assert client.post(reverse("admin:scans_scanbatch_command", args=[batch.id, "abort"])).status_code == 403
    assert client.get(reverse("admin:scans_queue_changelist")).status_code == 200
