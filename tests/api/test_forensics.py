"""Forensics through the API, as a SOAR drives it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.api.builders import WebMake
from tests.server.builders import NOW, match, report


def collected(make: WebMake) -> tuple[Any, Any, Any]:
    """A finding, its incident rule and the scan that ran it."""
    from sandfly_web.scans.ingest import ingest_report
    from scanners.contract import encode

    rule = make.rule("incident", fields=["path", "cwd"], title="Every process")
    finding = make.finding()
    scan = make.scan(finding.host, plan=make.plan(rule), in_flight=True, finding=finding)
    assert ingest_report(encode(report(scan, match(rule, path="/tmp/x", cwd="/"), match(rule, path="/tmp/y"))), NOW)
    return finding, rule, scan


def test_collecting_is_asked_for_followed_and_read(make: WebMake, redis: Any) -> None:
    rule, finding = make.rule("incident"), make.finding()
    client = make.api("responder")

    asked = client.post(f"/api/v1/findings/{finding.pk}/collect", {"rules": [rule.name]}, format="json")

    assert asked.status_code == 202
    scan = client.get(f"/api/v1/scans/{asked.json()['scan']}").json()
    assert (scan["status"], scan["finding"], scan["host"]) == ("queued", str(finding.pk), str(finding.host_id))
    listed = client.get("/api/v1/scans", {"finding": str(finding.pk)}).json()["results"]
    assert [row["id"] for row in listed] == [scan["id"]]


def test_records_are_read_by_scan_finding_and_rule(make: WebMake) -> None:
    finding, rule, scan = collected(make)
    client = make.api("viewer")

    for query in ({"scan": scan.pk}, {"finding": finding.pk}, {"rule_name": rule.name}, {"subject": "process"}):
        rows = client.get("/api/v1/forensic-records", query).json()["results"]
        assert [row["data"] for row in rows] == [{"path": "/tmp/x", "cwd": "/"}, {"path": "/tmp/y"}]
    assert client.get("/api/v1/forensic-records", {"subject": "file"}).json()["results"] == []


def test_an_unknown_rule_is_refused_by_name(make: WebMake, redis: Any) -> None:
    make.rule("incident")

    answer = make.api("responder").post(
        f"/api/v1/findings/{make.finding().pk}/collect", {"rules": ["nope"]}, format="json"
    )

    assert answer.status_code == 400
    assert "'nope' is no enabled incident rule" in json.dumps(answer.json())


def test_analysts_do_not_start_scans(make: WebMake) -> None:
    make.rule("incident")

    assert make.api("analyst").post(f"/api/v1/findings/{make.finding().pk}/collect").status_code == 403


@pytest.fixture
def responder(make: WebMake) -> Client:
    client = Client()
    client.force_login(make.person("responder"))
    return client


def test_the_console_collects_what_was_chosen(make: WebMake, redis: Any, responder: Client) -> None:
    chosen, _ = make.rule("incident"), make.rule("incident", subject="file")
    finding = make.finding()
    url = reverse("admin:findings_finding_command", args=[finding.pk, "collect"])

    nothing = responder.post(url, follow=True).content.decode()
    page = responder.post(url, {"subject": ["process"]}, follow=True).content.decode()

    assert "choose at least one" in nothing
    assert "data-sf-live" in page
    assert finding.scans.get().plan.rule_ids == [str(chosen.pk)]


def test_what_was_collected_is_shown_and_downloaded(make: WebMake, responder: Client) -> None:
    finding, rule, scan = collected(make)

    case = responder.get(reverse("admin:findings_finding_change", args=[finding.pk])).content.decode()
    page = responder.get(reverse("admin:scans_scan_change", args=[scan.pk])).content.decode()
    download = responder.get(reverse("admin:scans_scan_forensics", args=[scan.pk]))
    lines = [json.loads(line) for line in b"".join(download.streaming_content).splitlines()]  # type: ignore[attr-defined]
    record = scan.forensic_records.first()
    one = responder.get(reverse("admin:findings_forensicrecord_change", args=[record.pk])).content.decode()
    listed = responder.get(
        reverse("admin:findings_forensicrecord_changelist"), {"scan__id__exact": str(scan.pk), "rule_name": rule.name}
    ).content.decode()

    assert reverse("admin:scans_scan_change", args=[scan.pk]) in case
    assert "Every process (2)" in page
    assert [line["record"]["path"] for line in lines] == ["/tmp/x", "/tmp/y"]
    assert {line["rule"] for line in lines} == {rule.name}
    assert "/tmp/x" in one
    assert "/tmp/y" in listed


def test_nobody_else_downloads(make: WebMake) -> None:
    _, _, scan = collected(make)
    client = Client()
    client.force_login(make.person(""))

    assert client.get(reverse("admin:scans_scan_forensics", args=[scan.pk])).status_code in {302, 403}
