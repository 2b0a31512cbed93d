"""The page of a host's timeline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from tests.api.builders import WebMake
from tests.api.test_timeline import epoch, record
from tests.console.test_triage import HOSTILE

HOUR = timedelta(hours=1)


def signed_in(make: WebMake, role: str = "viewer") -> Client:
    client = Client()
    client.force_login(make.person(role))
    return client


def page(client: Client, host: Any, query: str = "") -> Any:
    answer = client.get(f"/inventory/host/{host.pk}/timeline/{query}")
    assert answer.status_code == 200
    return answer


def listed(answer: Any) -> list[str]:
    return [entry["line"].what for day in answer.context["days"] for entry in day["lines"]]


def test_the_page_shows_the_last_month_with_sources_and_exports(make: WebMake) -> None:
    now, host = timezone.now(), make.host(name="web-1")
    login = record(make, host, "login", {"time": epoch(now - HOUR)}, identity={"username": "mallory"})
    record(make, host, "login", {"time": epoch(now - timedelta(days=60))}, identity={"username": "alice"})
    finding = make.finding(host, title="Odd file", first_seen_at=now - 2 * HOUR, last_seen_at=now - 2 * HOUR)
    scan = make.scan(host, status="done", observed_at=now - 2 * HOUR, alert_count=1, pass_count=9)
    client = signed_in(make)

    answer = page(client, host)
    text = answer.content.decode()

    assert listed(answer) == ["mallory", "Scan done", "Odd file"] or listed(answer) == [
        "mallory",
        "Odd file",
        "Scan done",
    ]
    assert f"/findings/record/{login.pk}/change/" in text
    assert f"/findings/finding/{finding.pk}/change/" in text
    assert f"/scans/scan/{scan.pk}/change/" in text
    assert "time, by the host&#x27;s clock" in text
    assert "export=bodyfile" in text
    assert [len(band["marks"]) for band in answer.context["bands"]] == [1, 0, 1]
    assert listed(page(client, host, "?span=all"))[-1] == "alice"
    assert f"/inventory/host/{host.pk}/timeline/" in client.get(f"/inventory/host/{host.pk}/change/").content.decode()


def test_groups_words_and_moments_narrow_it_and_bars_zoom(make: WebMake) -> None:
    now, host = timezone.now().replace(microsecond=0), make.host()
    record(make, host, "login", {"time": epoch(now - HOUR)}, identity={"username": "mallory"})
    record(make, host, "file", {"mtime": epoch(now - 30 * HOUR)}, identity={"path": "/tmp/x"})
    client = signed_in(make)

    assert listed(page(client, host, "?group=files")) == ["/tmp/x"]
    assert listed(page(client, host, "?q=mallory")) == ["mallory"]
    assert listed(page(client, host, "?span=1")) == ["mallory"]
    assert listed(page(client, host, f"?until={now - 2 * HOUR:%Y-%m-%dT%H:%M}")) == ["/tmp/x"]
    bars = [bar for bar in page(client, host, "?span=7").context["bars"] if bar.segments]
    assert [listed(page(client, host, bar.url)) for bar in bars] == [["/tmp/x"], ["mallory"]]
    exported = client.get(f"/api/v1/hosts/{host.pk}/timeline?{page(client, host, '?group=files').context['exports']}")
    assert [row["what"] for row in exported.json()["results"]] == ["/tmp/x"]


def test_older_entries_follow_page_by_page(make: WebMake) -> None:
    now, host = timezone.now(), make.host()
    for number in range(205):
        record(make, host, "login", {"time": epoch(now - HOUR) - number // 7}, identity={"username": f"u{number}"})
    client, seen, query = signed_in(make), [], ""

    for _ in range(3):
        answer = page(client, host, query)
        seen += listed(answer)
        query = answer.context["older"]

    assert query == ""
    assert len(seen) == len(set(seen)) == 205


def test_what_is_no_moment_or_cursor_is_told_or_left_out(make: WebMake) -> None:
    host, client = make.host(), signed_in(make)
    record(make, host, "login", {"time": epoch(timezone.now() - HOUR)}, identity={"username": "mallory"})

    assert "is no moment" in page(client, host, "?since=yesterday").content.decode()
    turned = page(client, host, "?since=2026-02-02T00:00&until=2026-01-01T00:00")
    assert "The end must be later" in turned.content.decode()
    for query in ("?cursor=x", "?cursor=2026-01-01~x", "?group=magic", "?span=magic", "?since=9999-12-31T23:59-23:59"):
        assert page(client, host, query).status_code == 200
    assert "Look at all times" in page(client, make.host()).content.decode()


def test_hostile_names_are_inert_and_visible(make: WebMake) -> None:
    host = make.host(name=HOSTILE)
    when = epoch(timezone.now() - HOUR)
    record(make, host, "log_line", {"time": when, "message": HOSTILE}, identity={"program": HOSTILE})

    text = page(signed_in(make), host, "?q=%3Cscript%3Ealert&span=all").content.decode()

    assert "&lt;script&gt;alert" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    for hidden in ("\x1b", "\u202e", "\u200b"):
        assert hidden not in text


def test_only_those_who_may_read_records_see_it(make: WebMake) -> None:
    host = make.host()

    assert signed_in(make, "").get(f"/inventory/host/{host.pk}/timeline/").status_code == 403
    assert signed_in(make).get("/inventory/host/00000000-0000-0000-0000-000000000000/timeline/").status_code == 404
