"""One step of triage for everything that a filter matches, through the API and in the console."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.api.builders import WebMake

PAGE = "/findings/finding/triage/"


def triage(client: Any, **body: Any) -> Any:
    return client.post("/api/v1/findings/triage", body, format="json")


def statuses() -> dict[str, int]:
    from collections import Counter

    from sandfly_web.findings.models import Finding

    return dict(Counter(Finding.objects.values_list("status", flat=True)))


def test_everything_that_a_filter_matches_is_closed_and_nothing_else(make: WebMake) -> None:
    from sandfly_web.findings.models import Finding, FindingEvent

    rule, user = make.rule(), make.person("analyst")
    for _ in range(60):
        make.finding(rule=rule, level="low")
    other, high = make.finding(level="low"), make.finding(rule=rule, level="high")
    done_before = make.finding(rule=rule, level="low", status="false_positive")

    asked = {"rule_name": rule.name, "level": ["low", "medium"]}
    client = make.api(user=user)
    seen = triage(client, action="close", filter=asked, dry_run=True).json()
    assert statuses() == {"open": 62, "false_positive": 1}
    done = triage(client, action="close", filter=asked, reason="Patched", expect=seen["applies"]).json()

    assert (seen["matched"], seen["applies"], seen["changed"]) == (61, 60, 0)
    assert (done["matched"], done["applies"], done["changed"]) == (61, 60, 60)
    closed = Finding.objects.filter(status="closed")
    assert (closed.count(), closed.filter(close_reason="Patched", closed_at__isnull=False).count()) == (60, 60)
    for finding in (other, high, done_before):
        before = finding.status
        finding.refresh_from_db()
        assert finding.status == before
    events = FindingEvent.objects.filter(kind="closed", actor=user, comment="Patched")
    assert set(events.values_list("finding", flat=True)) == set(closed.values_list("pk", flat=True))


def test_one_entry_of_the_audit_log_tells_the_filter_and_the_number(make: WebMake) -> None:
    from auditlog.models import LogEntry

    user = make.person("analyst")
    for _ in range(3):
        make.finding(level="low")

    triage(make.api(user=user), action="close", filter={"level": "low"}, reason="Patched")

    entry = LogEntry.objects.get(object_pk="")
    assert (entry.actor, entry.object_repr, entry.remote_addr) == (user, "3 findings", "127.0.0.1")
    assert {name: values[1] for name, values in entry.changes.items()} == {
        "action": "close",
        "reason": "Patched",
        "findings": "3",
        "filter.level": "low",
    }
    browser = Client()
    browser.force_login(make.person("admin"))
    page = browser.get(f"/auditlog/logentry/{entry.pk}/change/").content.decode()
    assert "3 findings" in page
    assert "filter.level" in page


@pytest.mark.parametrize(
    ("action", "more", "status", "kind"),
    [
        ("acknowledge", {"comment": "I look"}, "acknowledged", "acknowledged"),
        ("false_positive", {"reason": "Ours"}, "false_positive", "false_positive"),
        ("comment", {"comment": "Odd"}, "open", "commented"),
        ("assign", {"assignee": None}, "open", "assigned"),
    ],
)
def test_every_step_of_triage_is_there(make: WebMake, action: str, more: Any, status: str, kind: str) -> None:
    finding = make.finding()

    answer = triage(make.api("analyst"), action=action, filter={"is_unresolved": True}, **more)

    finding.refresh_from_db()
    assert answer.json()["changed"] == 1
    assert finding.status == status
    assert finding.events.last().kind == kind


def test_assigned_and_reopened_in_bulk(make: WebMake) -> None:
    user, findings = make.person("analyst"), [make.finding(), make.finding(status="closed", close_reason="x")]
    client, ids = make.api(user=user), [str(finding.pk) for finding in findings]

    assigned = triage(client, action="assign", ids=ids, assignee=user.username).json()
    reopened = triage(client, action="reopen", ids=ids).json()

    for finding in findings:
        finding.refresh_from_db()
    assert (assigned["matched"], assigned["changed"], reopened["changed"]) == (2, 1, 1)
    assert [finding.assignee for finding in findings] == [user, None]
    assert {(finding.status, finding.close_reason) for finding in findings} == {("open", "")}


def test_the_risk_of_hosts_follows(make: WebMake) -> None:
    from sandfly_web.findings.risk import risk_of, weigh

    findings = [make.finding(level="critical"), make.finding(level="critical")]
    weigh({finding.host_id for finding in findings})

    triage(make.api("analyst"), action="close", ids=[str(findings[0].pk)], reason="gone")

    assert [risk_of(finding.host_id).risk for finding in findings] == [0, 60]


def test_another_number_than_was_agreed_to_changes_nothing(make: WebMake) -> None:
    from auditlog.models import LogEntry

    make.finding()
    make.finding()

    answer = triage(make.api("analyst"), action="acknowledge", filter={"level": "high"}, expect=1)

    assert answer.status_code == 409
    assert "2 findings would change now, not 1" in answer.json()["detail"]
    assert statuses() == {"open": 2}
    assert not LogEntry.objects.filter(object_pk="").exists()


def test_more_than_the_bound_are_not_touched(make: WebMake, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandfly_web.findings.bulk import services

    monkeypatch.setattr(services, "MAX_FINDINGS", 2)
    for _ in range(3):
        make.finding()
    client, browser = make.api("analyst"), Client()
    browser.force_login(make.person("analyst"))

    answer = triage(client, action="acknowledge", filter={"level": "high"})
    looked = triage(client, action="acknowledge", filter={"level": "high"}, dry_run=True).json()
    page = browser.get(PAGE).content.decode()

    assert (answer.status_code, looked["matched"], looked["limit"]) == (409, 3, 2)
    assert "more than may be changed at once" in page
    assert 'name="action"' not in page
    assert statuses() == {"open": 3}


def test_what_is_wrong_with_a_request_is_named(make: WebMake) -> None:
    client = make.api("analyst")
    make.finding()
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("action", {"action": "explode", "filter": {"level": "high"}}),
        ("filter", {"action": "acknowledge"}),
        ("filter", {"action": "acknowledge", "filter": {}}),
        ("filter", {"action": "acknowledge", "filter": {"level": "high"}, "ids": [str(make.finding().pk)]}),
        ("filter.colour", {"action": "acknowledge", "filter": {"colour": "red"}}),
        ("filter.level", {"action": "acknowledge", "filter": {"level": "urgent"}}),
        ("filter.level", {"action": "acknowledge", "filter": {"level": [{}]}}),
        ("filter.host", {"action": "acknowledge", "filter": {"host": "7"}}),
        ("reason", {"action": "close", "filter": {"level": "high"}}),
        ("reason", {"action": "close", "filter": {"level": "high"}, "reason": "  "}),
        ("comment", {"action": "close", "filter": {"level": "high"}, "reason": "x", "comment": "y"}),
        ("assignee", {"action": "assign", "filter": {"level": "high"}}),
        ("assignee", {"action": "assign", "filter": {"level": "high"}, "assignee": "nobody-here"}),
        ("ids.0", {"action": "acknowledge", "ids": ["7"]}),
    ]

    for field, body in bodies:
        answer = triage(client, **body)
        assert answer.status_code == 400, body
        assert answer.json()["errors"][0]["field"] == field, body
    assert set(statuses()) == {"open"}


def test_only_those_who_triage_may(make: WebMake) -> None:
    make.finding()
    browser = Client()
    browser.force_login(make.person("viewer"))

    assert triage(make.api("viewer"), action="acknowledge", filter={"level": "high"}).status_code == 403
    assert browser.get(PAGE).status_code == 403
    assert "Select all that match" not in browser.get("/findings/finding/").content.decode()


def test_a_limited_person_triages_findings_of_their_hosts_alone(make: WebMake) -> None:
    from sandfly_web.accounts.models import HostLimit
    from sandfly_web.inventory.models import Tag

    tag, user = Tag.objects.create(name="mine"), make.person("analyst")
    HostLimit.objects.create(user=user).tags.add(tag)
    mine, other = make.finding(), make.finding()
    mine.host.tags.add(tag)
    browser = Client()
    browser.force_login(user)

    page = browser.get(PAGE).content.decode()
    by_filter = triage(make.api(user=user), action="acknowledge", filter={"level": "high"}).json()
    by_id = triage(make.api(user=user), action="comment", ids=[str(other.pk)], comment="x").json()

    mine.refresh_from_db()
    other.refresh_from_db()
    assert "1 finding matches" in page
    assert (by_filter["matched"], by_filter["changed"], by_id["matched"]) == (1, 1, 0)
    assert (mine.status, other.status, other.events.count()) == ("acknowledged", "open", 1)


def test_the_number_of_queries_does_not_grow(make: WebMake) -> None:
    client = make.api("analyst")
    triage(client, action="comment", filter={"level": "high"}, comment="What is asked once is known")
    make.finding()
    triage(client, action="comment", filter={"level": "high"}, comment="What is asked once is known")
    counts = []
    for number in (2, 40):
        for _ in range(number):
            make.finding(level="low")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert triage(client, action="close", filter={"level": "low"}, reason="x").json()["changed"] == number
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_all_that_the_list_shows_are_closed_in_the_console(make: WebMake) -> None:
    rule, browser = make.rule(), Client()
    browser.force_login(make.person("analyst"))
    for _ in range(60):
        make.finding(rule=rule, level="low")
    make.finding(level="low")
    query = f"?level=low&rule__id__exact={rule.pk}"

    listed = browser.get(f"/findings/finding/{query}").content.decode()
    asked = browser.get(PAGE + query)
    without = browser.post(PAGE + query, {"action": "close", "expect-close": "60", "text": " "})
    stale = browser.post(PAGE + query, {"action": "close", "expect-close": "59", "text": "Patched"})
    assert statuses() == {"open": 61}
    done = browser.post(PAGE + query, {"action": "close", "expect-close": "60", "text": "Patched"}, follow=True)

    assert PAGE + query.replace("&", "&amp;") in listed
    text = asked.content.decode()
    assert "60 findings match" in text
    assert "and 50 more" in text
    assert rule.name in text or rule.title in text
    assert "say why" in without.content.decode()
    assert "60 findings would change now, not 59" in stale.content.decode()
    assert statuses() == {"open": 1, "closed": 60}
    assert "60 findings closed." in done.content.decode()


def test_a_search_and_a_wrong_filter_in_the_console(make: WebMake) -> None:
    browser = Client()
    browser.force_login(make.person("analyst"))
    make.finding(explanation="Mallory was here")
    make.finding()

    found = browser.get(f"{PAGE}?q=mallory").content.decode()
    strange = browser.get(f"{PAGE}?colour=red")
    unknown = browser.post(f"{PAGE}?q=mallory", {"action": "explode"}).content.decode()

    assert "1 finding matches" in found
    assert strange.status_code == 302
    assert "choose what to do" in unknown


def test_a_filter_that_can_match_nothing_changes_nothing(make: WebMake) -> None:
    make.finding()
    answer = triage(make.api("analyst"), action="acknowledge", filter={"level": "low"}, expect=0)

    assert (answer.status_code, answer.json()["matched"], json.dumps(statuses())) == (200, 0, '{"open": 1}')
