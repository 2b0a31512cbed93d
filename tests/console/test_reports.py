"""Reports of a host and of what scans cost: to read, and as HTML, CSV and JSON that hold the same."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.api.builders import WebMake

pytestmark = pytest.mark.django_db
PERFORMANCE = "admin:scans_scan_performance"


def console(make: WebMake, role: str = "viewer") -> Client:
    client = Client()
    client.force_login(make.person(role))
    return client


def read(client: Client, address: str, **query: str) -> Any:
    return json.loads(client.get(address, {**query, "format": "json"}).content)


def visited(make: WebMake, host: Any, cpu: float, **fields: Any) -> Any:
    cost = {"probe_cpu_s": cpu, "probe_wall_s": 2 * cpu, "probe_max_rss_bytes": 32 << 20, "uploaded_bytes": 1 << 20}
    return make.scan(host, **{"status": "done", "architecture": "amd64", "cost": cost, **fields})


def test_host_report_says_what_it_is_what_is_wrong_and_what_was_not_looked_at(make: WebMake) -> None:
    host = make.host(name="web-1", os_name="Debian 13")
    rule = make.rule()
    make.finding(host, rule=rule, level="critical", title="Shell on a socket")
    make.finding(host, level="low", status="closed", title="Not any more")
    make.record(host)
    scan = visited(make, host, 0.5)
    make.outcome(scan, rule, "error", "collector_failed")

    report = read(console(make), reverse("admin:inventory_host_report", args=[host.pk]))
    tables = {name: table["rows"] for name, table in report["tables"].items()}

    assert report["facts"]["Name"] == "web-1"
    assert report["facts"]["Risk"] > 0
    assert [(row["Severity"], row["Title"]) for row in tables["findings"]] == [("critical", "Shell on a socket")]
    assert tables["inventory"] == [{"Subject": "user", "Records": 1}]
    assert [(row["CPU s"], row["Memory MiB"]) for row in tables["scans"]] == [(0.5, 32.0)]
    assert [(row["State"], row["Reason"]) for row in tables["unanswered"]] == [("error", "collector_failed")]


def test_host_that_was_never_scanned_is_not_called_clean(make: WebMake) -> None:
    host = make.host(last_seen_at=None)

    page = console(make).get(reverse("admin:inventory_host_report", args=[host.pk])).content.decode()

    assert "Not known: no scan has finished yet." in page


@pytest.mark.parametrize(
    ("kind", "marked"),
    [("html", "&lt;script&gt;"), ("csv", "'=HYPERLINK"), ("json", "<script>")],
)
def test_what_a_host_wrote_is_inert_in_every_format(make: WebMake, kind: str, marked: str) -> None:
    host = make.host(name="=HYPERLINK(1)<script>")
    make.finding(host, title="=cmd", explanation="<script>alert(1)</script>\x1b[2J")

    answer = console(make).get(reverse("admin:inventory_host_report", args=[host.pk]), {"format": kind})
    text = answer.content.decode()

    assert answer["Content-Disposition"].startswith('attachment; filename="sandfly-host-')
    assert marked in text
    assert kind != "html" or ("<script" not in text and "http" not in text.replace("http-equiv", ""))
    if kind == "csv":
        assert [cell for row in csv.reader(text.splitlines()) for cell in row if cell.startswith(("=", "+", "@"))] == []


def test_performance_report_counts_by_build_and_names_costly_hosts_and_failures(make: WebMake) -> None:
    from sandfly_web.scans.models import Scan

    cheap, dear = make.host(name="cheap"), make.host(name="dear")
    for cpu in (1.0, 2.0, 3.0):
        visited(make, cheap, cpu)
    visited(make, dear, 9.0, architecture="arm64")
    make.scan(dear, status="failed", error_code="unreachable")
    make.scan(cheap, status="queued")
    Scan.objects.update(created_at=timezone.now())

    report = read(console(make), reverse(PERFORMANCE))
    tables = {name: table["rows"] for name, table in report["tables"].items()}

    assert report["facts"]["Scans that ended"] == 5
    assert report["facts"]["CPU s, median"] == 2.5
    assert report["facts"]["Failed"] == 1
    assert [(row["Build"], row["Visits"], row["CPU s, median"]) for row in tables["architectures"]] == [
        ("amd64", 3, 2.0),
        ("arm64", 1, 9.0),
    ]
    assert [row["Host"] for row in tables["hosts"]] == ["dear", "cheap"]
    assert tables["failures"] == [{"Reason": "unreachable", "Scans": 1, "Hosts": 1}]


@pytest.mark.parametrize("query", [{}, {"span": "1"}, {"span": "x"}, {"format": "xml"}])
def test_performance_page_answers_with_and_without_scans(
    make: WebMake, query: dict[str, str], django_assert_max_num_queries: Any
) -> None:
    client = console(make)
    from sandfly_web.scans.models import Scan

    visited(make, make.host(), 1.0)
    Scan.objects.update(created_at=timezone.now())

    with django_assert_max_num_queries(20):
        assert client.get(reverse(PERFORMANCE), query).status_code == 200


def test_reports_are_only_for_who_may_see_the_things_and_the_hosts(make: WebMake) -> None:
    host = make.host()

    assert console(make, "").get(reverse(PERFORMANCE)).status_code == 403
    assert console(make, "").get(reverse("admin:inventory_host_report", args=[host.pk])).status_code == 403
