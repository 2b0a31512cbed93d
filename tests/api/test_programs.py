"""What programs need: parts of answers, exports, waiting, what is new, and how often they may ask."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone

from tests.api.builders import WebMake


@pytest.mark.parametrize("path", ["findings", "hosts", "scans", "rules"])
def test_only_the_named_fields_are_in_lists_and_things(make: WebMake, path: str) -> None:
    scan = make.scan()
    finding = make.finding(scan.host, rule=make.rule())
    row = {"findings": finding, "hosts": scan.host, "scans": scan, "rules": finding.rule}[path]
    client = make.api("viewer")
    name = "name" if path in {"hosts", "rules"} else "host"

    listed = client.get(f"/api/v1/{path}", {"fields": f"id,{name}"}).json()["results"]
    single = client.get(f"/api/v1/{path}/{row.pk}", {"fields": f" id , {name}"}).json()

    assert {tuple(sorted(entry)) for entry in (*listed, single)} == {tuple(sorted(["id", name]))}


def test_a_field_that_there_is_not_is_named_as_a_fault(make: WebMake) -> None:
    make.host()

    answer = make.api("viewer").get("/api/v1/hosts", {"fields": "id,colour"})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "fields"


def test_an_export_has_every_row_that_fits_in_order_one_a_line(make: WebMake) -> None:
    host = make.host()
    ids = [str(make.finding(host, level="high").pk) for _ in range(60)]
    make.finding(host, level="low")

    answer = make.api("viewer").get("/api/v1/findings", {"export": "ndjson", "level": "high", "fields": "id,host_name"})

    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert answer["Content-Type"] == "application/x-ndjson"
    assert [line["id"] for line in lines] == ids
    assert set(lines[0]) == {"id", "host_name"}


def test_an_export_of_another_kind_is_refused_as_a_misspelt_filter_is(make: WebMake) -> None:
    client = make.api("viewer")

    assert client.get("/api/v1/findings", {"export": "xml"}).status_code == 400
    assert client.get("/api/v1/findings", {"export": "ndjson", "levle": "high"}).status_code == 400


def test_who_waits_for_a_scan_is_answered_when_it_ends(make: WebMake, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandfly_web.scans import api
    from sandfly_web.scans.models import Scan

    scan, naps = make.scan(), []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            Scan.objects.filter(pk=scan.pk).update(status="done")

    monkeypatch.setattr(api.time, "sleep", sleep)

    answer = make.api("viewer").get(f"/api/v1/scans/{scan.pk}", {"wait": 30})

    assert answer.json()["status"] == "done"
    assert len(naps) == 3


@pytest.mark.parametrize("wait", ["-1", "31", "x", "1e9", "²"])
def test_a_wait_that_is_too_long_or_no_number_is_refused(make: WebMake, wait: str) -> None:
    assert make.api("viewer").get(f"/api/v1/scans/{make.scan().pk}", {"wait": wait}).status_code == 400


def test_a_wait_ends_when_its_time_is_over(make: WebMake) -> None:
    assert make.api("viewer").get(f"/api/v1/scans/{make.scan().pk}", {"wait": 1}).json()["status"] == "queued"


def events(client: Any, **query: Any) -> list[dict[str, Any]]:
    return client.get("/api/v1/finding-events", query).json()["results"]


def test_a_reader_of_events_goes_on_after_its_last_one_and_misses_none(make: WebMake) -> None:
    from sandfly_web.findings.models import FindingEvent

    finding, client = make.finding(title="First"), make.api("analyst")
    client.post(f"/api/v1/findings/{finding.pk}/close", {"reason": "gone"}, format="json")
    FindingEvent.objects.update(created_at=timezone.now() - timedelta(minutes=1))

    first = events(client)
    make.finding(title="Second")
    too_new = events(client, after=first[-1]["id"])
    FindingEvent.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    then = events(client, after=first[-1]["id"])

    assert [event["kind"] for event in first] == ["created", "closed"]
    assert (first[0]["finding"], first[0]["title"], first[1]["status"]) == (str(finding.pk), "First", "closed")
    assert too_new == []
    assert [event["title"] for event in then] == ["Second"]


@pytest.mark.django_db(transaction=True)
def test_an_event_of_a_transaction_that_takes_long_is_not_missed(
    make: WebMake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events would have smaller ids than those that are told, and be seen too late: later ones wait for it."""
    from sandfly_web.findings import api
    from sandfly_web.inventory.models import Tag

    monkeypatch.setattr(api, "EVENT_DELAY", timedelta(0))
    client = make.api("analyst")
    is_written, may_end = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            Tag.objects.bulk_create([Tag(name="slow")])
            is_written.set()
            may_end.wait(60)
        connection.close()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert is_written.wait(60)
    make.finding(title="Quick")
    meanwhile = events(client)
    may_end.set()
    writer.join()

    assert meanwhile == []
    assert [event["title"] for event in events(client)] == ["Quick"]


def test_who_asks_too_often_is_told_how_long_to_wait_and_nobody_else_is(make: WebMake, settings: Any) -> None:
    settings.API_RATE = "3/min"
    cache.clear()
    mine, other = make.api("viewer"), make.api("viewer")

    answers = [mine.get("/api/v1/me") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 0 < int(answers[3]["Retry-After"]) <= 60
    assert answers[3]["Content-Type"] == "application/problem+json"
    assert other.get("/api/v1/me").status_code == 200
