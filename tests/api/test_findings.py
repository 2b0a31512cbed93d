"""Findings, their triage, records and rules through the API."""

from __future__ import annotations

import pytest

from tests.api.builders import WebMake


def act(client: object, finding: object, verb: str, **body: object) -> object:
    return client.post(f"/api/v1/findings/{finding.pk}/{verb}", body, format="json")  # type: ignore[attr-defined]


def test_triage_from_open_to_closed_and_back_is_in_the_history(make: WebMake) -> None:
    finding, user = make.finding(), make.person("analyst")
    client = make.api(user=user)

    act(client, finding, "acknowledge")
    act(client, finding, "assign", assignee=user.username)
    act(client, finding, "comment", comment="Looking into it")
    closed = act(client, finding, "close", reason="Rebuilt")
    reopened = act(client, finding, "reopen")

    assert (closed.json()["status"], closed.json()["close_reason"]) == ("closed", "Rebuilt")
    assert reopened.json()["status"] == "open"
    events = reopened.json()["events"]
    assert [event["kind"] for event in events] == [
        "created",
        "acknowledged",
        "assigned",
        "commented",
        "closed",
        "reopened",
    ]
    assert {event["actor"] for event in events[1:]} == {user.username}


@pytest.mark.parametrize("verb", ["close", "false-positive"])
def test_resolving_needs_a_reason(make: WebMake, verb: str) -> None:
    client, finding = make.api("analyst"), make.finding()

    for body in ({}, {"reason": ""}, {"reason": "   "}):
        answer = act(client, finding, verb, **body)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "reason"


def test_step_that_the_state_does_not_allow_is_a_conflict(make: WebMake) -> None:
    client, finding = make.api("analyst"), make.finding()
    act(client, finding, "close", reason="done")

    for verb in ("acknowledge", "close"):
        answer = act(client, finding, verb, reason="again")
        assert answer.status_code == 409
        assert "is closed" in answer.json()["detail"]


def test_false_positive_is_marked_with_its_reason(make: WebMake) -> None:
    answer = act(make.api("analyst"), make.finding(), "false-positive", reason="Our own tool")

    assert answer.json()["status"] == "false_positive"


def test_unknown_assignee_is_refused(make: WebMake) -> None:
    answer = act(make.api("analyst"), make.finding(), "assign", assignee="nobody-here")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "assignee"


def test_worst_and_last_seen_come_first(make: WebMake) -> None:
    low, old, new = make.finding(level="low"), make.finding(level="critical"), make.finding(level="critical")
    old.last_seen_at, new.last_seen_at = new.last_seen_at, old.last_seen_at
    old.save()
    new.save()

    found = [row["id"] for row in make.api("viewer").get("/api/v1/findings").json()["results"]]

    assert found == [str(new.pk), str(old.pk), str(low.pk)]


def test_findings_filter_by_what_an_analyst_asks_for(make: WebMake) -> None:
    rule = make.rule()
    wanted = make.finding(level="critical", rule=rule, status="acknowledged", tags=["attack.persistence"])
    make.finding(level="low", status="closed")
    client = make.api("viewer")
    queries = [
        "level=critical",
        "status=acknowledged&status=open",
        "is_unresolved=true",
        "tag=persistence",
        "tag=attack.persistence",
        f"rule={rule.pk}",
        f"rule_name={rule.name}",
        f"host={wanted.host_id}",
        f"first_seen_after={wanted.first_seen_at:%Y-%m-%dT%H:%M:%SZ}",
    ]

    for query in queries:
        found = [row["id"] for row in client.get(f"/api/v1/findings?{query}").json()["results"]]
        assert found == [str(wanted.pk)], query


def test_wrong_filter_values_are_named(make: WebMake) -> None:
    for query in ("level=urgent", "host=7", "first_seen_after=yesterday", "status=lost"):
        answer = make.api("viewer").get(f"/api/v1/findings?{query}")
        assert answer.status_code == 400, query
        assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


def test_reading_evidence_is_audited_in_the_name_of_the_token_s_user(make: WebMake) -> None:
    from auditlog.models import LogEntry

    user, finding = make.person("viewer"), make.finding()

    shown = make.api(user=user).get(f"/api/v1/findings/{finding.pk}").json()

    entry = LogEntry.objects.get_for_object(finding).filter(action=LogEntry.Action.ACCESS).get()
    assert shown["evidence"] == finding.evidence
    assert entry.actor == user


def test_list_does_not_carry_evidence(make: WebMake) -> None:
    make.finding()

    row = make.api("viewer").get("/api/v1/findings").json()["results"][0]

    assert "evidence" not in row
    assert "explanation" in row


def test_records_are_read_as_they_were_at_a_moment(make: WebMake) -> None:
    host = make.host()
    record = make.record(host, username="mallory")
    client = make.api("viewer")

    there = client.get("/api/v1/records", {"host": str(host.pk), "at": record.last_seen_at.isoformat()}).json()
    before = client.get("/api/v1/records", {"host": str(host.pk), "at": "2020-01-01T00:00:00Z"}).json()

    assert [row["data"]["username"] for row in there["results"]] == ["mallory"]
    assert before["results"] == []


def test_rule_is_switched_by_those_who_may_and_nothing_else_of_it_is_written(make: WebMake) -> None:
    rule = make.rule()
    operator = make.api("operator")

    switched = operator.patch(f"/api/v1/rules/{rule.pk}", {"is_enabled": False, "title": "x"}, format="json")
    rejected = operator.patch(f"/api/v1/rules/{rule.pk}", {"title": "x"}, format="json")

    rule.refresh_from_db()
    assert (switched.json()["is_enabled"], rule.title) == (False, switched.json()["title"])
    assert rejected.status_code == 400
