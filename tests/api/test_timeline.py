"""Everything dated that is known of a host, in one order."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.builders import WebMake
from tests.server.builders import NOW

DAY = timedelta(days=1)


def epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def record(make: WebMake, host: Any, subject: str, data: dict[str, Any], **fields: Any) -> Any:
    """Something recon saw, with the facts that its rule asked for."""
    row = make.record(host, subject, **fields.pop("identity", {"path": "/x"}))
    type(row).objects.filter(pk=row.pk).update(data={**row.identity, **data}, **fields)
    row.refresh_from_db()
    return row


def timeline(client: Any, host: Any, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/hosts/{host.pk}/timeline", query)
    assert answer.status_code == 200, answer.content
    assert answer.json()["is_whole"]
    rows: list[dict[str, Any]] = answer.json()["results"]
    return rows


def said(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["kind"], row["what"]) for row in rows]


def test_every_source_of_moments_is_on_one_line_newest_first(make: WebMake) -> None:
    from sandfly_web.findings import services
    from sandfly_web.findings.models import FindingEvidence, ForensicRecord

    host, user = make.host(), make.person("analyst")
    first = {"first_seen_at": NOW - 9 * DAY, "last_seen_at": NOW - 9 * DAY}
    record(make, host, "process", {"start_time": epoch(NOW - 8 * DAY)}, identity={"path": "/bin/nc"}, **first)
    record(make, host, "login", {"time": epoch(NOW - 7 * DAY)}, identity={"username": "mallory"}, **first)
    record(make, host, "package", {"install_time": epoch(NOW - 6 * DAY)}, identity={"name": "netcat"}, **first)
    scan = make.scan(host, status="done", observed_at=NOW - DAY, finished_at=NOW - DAY, alert_count=1)
    record(
        make,
        host,
        "log_line",
        {"time": epoch(NOW - 5 * DAY), "message": "Accepted publickey for root"},
        identity={"program": "sshd"},
        **first,
    )
    finding = make.finding(
        host,
        subject="file",
        title="Odd file",
        identity={"path": "/tmp/x"},
        first_seen_at=NOW - 2 * DAY,
        last_seen_at=NOW - DAY - timedelta(hours=1),
    )
    FindingEvidence.objects.create(
        finding=finding,
        digest="0" * 64,
        evidence={"mtime": epoch(NOW - 4 * DAY), "ctime": epoch(NOW - 3 * DAY), "mode": "4755"},
        first_seen_at=NOW,
        last_seen_at=NOW,
    )
    ForensicRecord.objects.create(
        scan=scan, rule_name="r", subject="file", identity={"path": "/tmp/y"}, data={"btime": epoch(NOW - 12 * DAY)}
    )
    services.close([finding], user, "Removed")

    rows = timeline(make.api("viewer"), host)

    assert said(rows) == [
        ("triage", f"Closed by {user.username}: Odd file"),
        ("visit", "Scan done"),
        ("found_last", "Odd file"),
        ("found", "Odd file"),
        ("changed", "/tmp/x"),
        ("modified", "/tmp/x"),
        ("log", "sshd"),
        ("installed", "netcat"),
        ("login", "mallory"),
        ("started", "/bin/nc"),
        ("created", "/tmp/y"),
    ]
    by_kind = {row["kind"]: row for row in rows}
    assert by_kind["log"]["detail"] == "Accepted publickey for root"
    assert by_kind["triage"]["detail"] == "Removed"
    assert by_kind["modified"]["detail"] == "evidence of: Odd file"
    assert (by_kind["modified"]["at"], by_kind["modified"]["field"]) == ("2026-02-25T12:00:00Z", "mtime")
    assert [by_kind[kind]["clock"] for kind in ("modified", "found")] == ["host", "scanner"]
    assert (by_kind["found"]["source"], by_kind["found"]["source_id"]) == ("finding", str(finding.pk))
    assert by_kind["found"]["level"] == "high"
    assert {by_kind[kind]["source"] for kind in ("login", "created", "visit")} == {"record", "forensic", "scan"}


def test_what_came_went_and_changed_is_dated_by_the_scans_that_saw_it(make: WebMake) -> None:
    from sandfly_web.findings.models import Record

    host = make.host()
    early, late = NOW - 3 * DAY, NOW - DAY
    there = record(make, host, "user", {}, identity={"username": "root"}, first_seen_at=early, last_seen_at=NOW)
    record(make, host, "user", {}, identity={"username": "new"}, first_seen_at=late, last_seen_at=NOW)
    gone = record(
        make, host, "user", {}, identity={"username": "old"}, first_seen_at=early, last_seen_at=late, is_current=False
    )
    before = record(
        make, host, "user", {}, identity={"username": "web"}, first_seen_at=early, last_seen_at=early, is_current=False
    )
    after = record(make, host, "user", {"uid": 0}, identity={"username": "web"}, first_seen_at=late, last_seen_at=NOW)
    Record.objects.filter(pk=after.pk).update(identity_digest=before.identity_digest)

    rows = timeline(make.api("viewer"), host)

    assert sorted(said(rows)) == [("altered", "web"), ("appeared", "new"), ("gone", "old")]
    assert {row["precision"] for row in rows} == {"scan"}
    assert {row["what"]: row["source_id"] for row in rows} == {
        "web": str(after.pk),
        "new": str(after.pk - 3),
        "old": str(gone.pk),
    }
    assert there.is_current


def test_what_comes_back_as_it_was_was_gone_in_between(make: WebMake) -> None:
    from sandfly_web.findings.models import Record

    host = make.host()
    times = [(NOW - 9 * DAY, NOW - 8 * DAY, False), (NOW - 2 * DAY, NOW, True)]
    record(make, host, "user", {}, identity={"username": "root"}, first_seen_at=NOW - 10 * DAY)
    rows = [
        record(make, host, "user", {}, first_seen_at=since, last_seen_at=until, is_current=current)
        for since, until, current in times
    ]
    Record.objects.filter(pk=rows[1].pk).update(identity_digest=rows[0].identity_digest, digest=rows[0].digest)

    found = timeline(make.api("viewer"), host)

    assert [(row["kind"], row["at"][:10]) for row in found] == [
        ("altered", "2026-02-27"),
        ("gone", "2026-02-21"),
        ("appeared", "2026-02-20"),
    ]


def test_the_same_moment_of_the_same_thing_is_told_once(make: WebMake) -> None:
    from sandfly_web.findings.models import FindingEvidence

    host, path, when = make.host(), {"path": "/tmp/x"}, {"mtime": epoch(NOW - DAY)}
    finding = make.finding(host, subject="file", identity=path)
    for digest, extra in (("0" * 64, {}), ("1" * 64, {"mode": "0644"})):
        FindingEvidence.objects.create(
            finding=finding, digest=digest, evidence={**when, **extra}, first_seen_at=NOW, last_seen_at=NOW
        )
    record(make, host, "file", when, identity=path)

    rows = timeline(make.api("viewer"), host, kind="modified")

    assert [row["source"] for row in rows] == ["finding"]


def test_what_is_new_is_read_and_nothing_else_again(make: WebMake, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandfly_web.findings.timeline import services

    host, client = make.host(), make.api("viewer")
    record(make, host, "login", {"time": epoch(NOW - DAY)}, identity={"username": "a"})
    timeline(client, host)
    newest = record(make, host, "login", {"time": epoch(NOW)}, identity={"username": "b"})
    stale = said(timeline(client, host))

    make.scan(host, status="done", observed_at=NOW + DAY)
    read: list[int] = []
    real = services._read
    monkeypatch.setattr(
        services, "_read", lambda cursor, state, name, ids: read.extend(ids) or real(cursor, state, name, ids)
    )
    fresh = said(timeline(client, host))

    # Records come with scans only, which is what it is looked up by.
    assert stale == [("login", "a")]
    assert fresh == [("visit", "Scan done"), ("login", "b"), ("login", "a")]
    assert read == [newest.pk]
    with CaptureQueriesContext(connection) as queries:
        timeline(client, host)
    assert not [query for query in queries if "INSERT INTO findings_timeline" in query["sql"]]


def test_more_than_is_read_at_once_follows_and_is_said(make: WebMake, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandfly_web.findings.timeline import services

    monkeypatch.setattr(services, "MAX_ROWS", 2)
    monkeypatch.setattr(services, "BUDGET_S", 0)
    host, client = make.host(), make.api("viewer")
    for number in range(3):
        record(make, host, "login", {"time": epoch(NOW) - number}, identity={"username": f"u{number}"})

    first = client.get(f"/api/v1/hosts/{host.pk}/timeline").json()
    second = client.get(f"/api/v1/hosts/{host.pk}/timeline").json()

    assert [(page["is_whole"], len(page["results"])) for page in (first, second)] == [(False, 2), (True, 3)]


def test_window_kinds_subjects_and_words_narrow_it(make: WebMake) -> None:
    host, client = make.host(), make.api("viewer")
    for days, name in ((1, "alice"), (2, "bob"), (3, "alice")):
        record(make, host, "login", {"time": epoch(NOW - days * DAY)}, identity={"username": name, "source": "utmp"})
    record(make, host, "process", {"start_time": epoch(NOW - 2 * DAY)}, identity={"path": "/usr/bin/Alice"})

    def found(**query: Any) -> list[str]:
        return [f"{row['kind']} {row['what']} {row['at'][8:10]}" for row in timeline(client, host, **query)]

    since, until = (NOW - 2 * DAY).isoformat(), (NOW - DAY).isoformat()
    assert found(since=since) == found(since=since, kind=["login", "started"])
    assert len(found(since=since)) == 3
    assert sorted(found(since=since, until=until)) == ["login bob utmp 27", "started /usr/bin/Alice 27"]
    assert found(kind="started") == found(subject="process") == ["started /usr/bin/Alice 27"]
    assert len(found(q="alice")) == 3
    assert found(q="alice utmp", until=until) == ["login alice utmp 26"]


def test_wrong_parameters_are_named(make: WebMake) -> None:
    host, client = make.host(), make.api("viewer")
    queries = [
        "since=yesterday",
        "kind=magic",
        "colour=red",
        f"q={'x' * 201}",
        "export=pdf",
        "since=2026-02-02&until=2026-01-01",
    ]

    for query in queries:
        answer = client.get(f"/api/v1/hosts/{host.pk}/timeline?{query}")
        assert answer.status_code == 400, query
        named = answer.json()["errors"][0]["field"].partition(".")[0]
        assert named == ("until" if "until" in query else query.partition("=")[0]), query
    assert client.get(f"/api/v1/hosts/{host.pk}/timeline?cursor=x").status_code == 400


@pytest.mark.parametrize("query", ["", "&kind=login", "&kind=login&kind=log"])
def test_pages_hold_every_entry_once_also_where_moments_are_the_same(make: WebMake, query: str) -> None:
    host, client = make.host(), make.api("viewer")
    names = {f"user-{number}" for number in range(25)}
    for number, name in enumerate(sorted(names)):
        record(make, host, "login", {"time": epoch(NOW) - number // 10}, identity={"username": name})

    seen, url = [], f"/api/v1/hosts/{host.pk}/timeline?page_size=4{query}"
    while url:
        page = client.get(url).json()
        seen += [row["what"] for row in page["results"]]
        url = page["next"]
    back = client.get(page["previous"]).json()

    assert len(seen) == 25
    assert set(seen) == names
    assert [row["what"] for row in back["results"]] == seen[20:24]


def test_values_that_are_no_moments_are_left_out(make: WebMake) -> None:
    host = make.host()
    for value in (0, -5, "soon", None, True, 1e300, 253402300800, [1]):
        record(make, host, "login", {"time": value}, identity={"username": repr(value)})
    record(make, host, "login", {"time": 1772366400.5}, identity={"username": "half"})

    assert said(timeline(make.api("viewer"), host)) == [("login", "half")]


def test_density_counts_every_entry_in_its_stretch(make: WebMake) -> None:
    host, client = make.host(), make.api("viewer")
    for hours in (0, 1, 1, 50):
        record(make, host, "login", {"time": epoch(NOW - timedelta(hours=hours))}, identity={"n": str(len(str(hours)))})
    make.finding(host, first_seen_at=NOW, last_seen_at=NOW)
    query = {"since": (NOW - timedelta(hours=79)).isoformat(), "until": (NOW + timedelta(hours=1)).isoformat()}

    found = client.get(f"/api/v1/hosts/{host.pk}/timeline/density", query).json()["buckets"]
    open_ends = client.get(f"/api/v1/hosts/{host.pk}/timeline/density").json()["buckets"]
    nothing = client.get(f"/api/v1/hosts/{make.host().pk}/timeline/density").json()["buckets"]

    assert len(found) == 80
    assert found[79]["counts"] == {"activity": 1, "findings": 1}
    assert (found[79]["since"], found[79]["until"]) == ("2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z")
    assert [bucket["total"] for bucket in found if bucket["total"]] == [1, 1, 2]
    assert sum(bucket["total"] for bucket in open_ends) == 4
    assert nothing == []


def read(client: Any, host: Any, kind: str) -> str:
    answer = client.get(f"/api/v1/hosts/{host.pk}/timeline?export={kind}")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def test_exports_hold_every_entry(make: WebMake) -> None:
    host, client = make.host(), make.api("viewer")
    when = epoch(NOW)
    record(
        make,
        host,
        "file",
        {"mtime": when, "mode": "4755", "uid": 7, "gid": 8, "size": 9, "inode": 11},
        identity={"path": "/tmp/a|b\nc"},
    )
    for number in range(60):
        record(make, host, "login", {"time": when - number - 1}, identity={"username": "=cmd()", "source": str(number)})

    lines = [json.loads(line) for line in read(client, host, "ndjson").splitlines()]
    table = list(csv.DictReader(io.StringIO(read(client, host, "csv"))))
    body = read(client, host, "bodyfile").splitlines()

    assert len(lines) == len(table) == len(body) == 61
    assert (lines[0]["kind"], lines[0]["at"]) == ("modified", "2026-03-01T12:00:00Z")
    assert table[1]["what"].startswith("'=cmd()")
    assert table[1]["at"] == "2026-03-01T11:59:59+00:00"
    assert body[0] == rf"0|/tmp/a\x7cb\nc|11|4755|7|8|9|0|{when}|0|0"
    assert body[1] == f"0|[login] =cmd() 0|0|0|0|0|0|0|{when - 1}|0|0"


def test_a_page_costs_the_same_however_long_the_timeline_is(make: WebMake) -> None:
    host, client = make.host(), make.api("viewer")
    counts = []
    for size in (2, 40):
        for number in range(size):
            record(make, host, "login", {"time": epoch(NOW) - number}, identity={"username": f"{size} {number}"})
        make.scan(host, status="done", observed_at=NOW)
        timeline(client, host)
        with CaptureQueriesContext(connection) as queries:
            timeline(client, host)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_a_page_is_read_from_an_index(make: WebMake) -> None:
    """Whatever the planner thinks of a small table: it can."""
    from sandfly_web.findings.timeline.reading import Window, pages

    host = make.host()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")
        for window in (
            Window(),
            Window(since=NOW - DAY, until=NOW),
            Window(kinds=("login",)),
            Window(kinds=("log", "found")),
        ):
            sql, values = pages(host, window)[:50].query.sql_with_params()
            cursor.execute(f"EXPLAIN {sql}", values)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Index Scan using timeline_" in plan, plan
            assert "Sort " not in plan.replace("Sort Key", ""), plan


def test_only_those_who_may_read_records_and_know_of_the_host_see_it(make: WebMake) -> None:
    from auditlog.models import LogEntry

    from sandfly_web.accounts.models import HostLimit
    from sandfly_web.inventory.models import Tag

    host, user = make.host(), make.person("viewer")
    HostLimit.objects.create(user=user).tags.add(Tag.objects.create(name="mine"))

    for path in ("timeline", "timeline/density"):
        url = f"/api/v1/hosts/{host.pk}/{path}"
        assert make.api(user=user).get(url).status_code == 404
        assert make.api("").get(url).status_code == 403
        assert make.api("viewer").get(url).status_code == 200
    seen = LogEntry.objects.get_for_object(host).filter(action=LogEntry.Action.ACCESS)
    assert seen.count() == 2


def test_a_timeline_is_forgotten_after_a_week_and_made_again(make: WebMake) -> None:
    from sandfly_web.findings.models import TimelineEntry, TimelineState
    from sandfly_web.scans.retention import delete_old

    host, client = make.host(), make.api("viewer")
    row = record(make, host, "login", {"time": epoch(NOW)}, identity={"username": "a"})
    timeline(client, host)
    row.delete()
    now = datetime.now(UTC)

    assert (delete_old(now, 90, 365).timelines, TimelineEntry.objects.count()) == (0, 1)
    gone_source = timeline(client, host)
    assert delete_old(now + 7 * DAY, 90, 365).timelines == 1
    assert (TimelineEntry.objects.count(), TimelineState.objects.count()) == (0, 0)

    assert (gone_source[0]["what"], gone_source[0]["detail"]) == ("a", "no longer kept")
    assert timeline(client, host) == []


def test_every_moment_of_the_reference_has_a_kind_that_says_something() -> None:
    """A new field with the unit of a moment gets its kind, or this list says why not."""
    from sandfly_web.findings.timeline.kinds import GROUP_OF, Kind, dated_fields

    assert {(subject, field) for subject, field, kind in dated_fields() if kind == Kind.OTHER} == set()
    assert {kind for _, _, kind in dated_fields()} > {"modified", "started", "login", "log", "installed", "command"}
    assert set(GROUP_OF) == set(Kind)
