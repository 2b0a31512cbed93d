"""Asking for scans, following and cancelling them; schedules."""

from __future__ import annotations

import uuid
from typing import Any

from scanners.contract import Heartbeat, Phase, encode, heartbeat_key
from tests.api.builders import WebMake
from tests.server.builders import NOW


def test_scan_request_answers_with_a_batch_that_can_be_followed(make: WebMake) -> None:
    make.rule()
    hosts = [make.host(), make.host()]
    client = make.api("responder")

    answer = client.post(
        "/api/v1/scans", {"hosts": [str(host.pk) for host in hosts], "types": ["detection"], "priority": "high"}, "json"
    )
    followed = client.get(f"/api/v1/scans?batch={answer.json()['batch']}").json()["results"]

    assert answer.status_code == 202, answer.content
    assert {row["host"] for row in followed} == {str(host.pk) for host in hosts}
    assert {(row["status"], row["priority"]) for row in followed} == {("queued", "high")}


def test_hosts_are_named_by_tag_too_and_once(make: WebMake) -> None:
    from sandfly_web.inventory.models import Tag

    make.rule()
    host = make.host()
    for name in ("web", "edge"):
        host.tags.add(Tag.objects.create(name=name))

    answer = make.api("responder").post(
        "/api/v1/scans", {"hosts": [str(host.pk)], "tags": ["web", "edge"]}, format="json"
    )

    assert len(answer.json()["scans"]) == 1


def test_unknown_hosts_tags_types_rules_and_priorities_are_named(make: WebMake) -> None:
    make.rule()
    host = str(make.host().pk)
    client = make.api("responder")
    bodies = {
        "hosts": {"hosts": [str(uuid.uuid4())]},
        "tags": {"tags": ["nowhere"]},
        "types.0": {"hosts": [host], "types": ["magic"]},
        "": {"hosts": [host], "rules": ["no_such_rule"]},
        "priority": {"hosts": [host], "priority": "urgent"},
        "hosts.0": {"hosts": ["web-1"]},
    }

    for field, body in bodies.items():
        answer = client.post("/api/v1/scans", body, format="json")
        assert answer.status_code == 400, body
        assert answer.json()["errors"][0]["field"] == field

    assert client.post("/api/v1/scans", {}, format="json").json()["errors"][0]["field"] == "hosts"


def test_body_that_is_no_json_is_a_problem(make: WebMake) -> None:
    answer = make.api("responder").post("/api/v1/scans", "{", content_type="application/json")

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_waiting_scan_is_cancelled_at_once_and_a_finished_one_is_a_conflict(make: WebMake) -> None:
    scan = make.scan()
    client = make.api("responder")

    first = client.post(f"/api/v1/scans/{scan.pk}/cancel")
    second = client.post(f"/api/v1/scans/{scan.pk}/cancel")

    assert (first.status_code, first.json()["status"]) == (202, "cancelled")
    assert second.status_code == 409


def test_scan_shows_why_rules_gave_no_answer(make: WebMake) -> None:
    scan, rule = make.scan(), make.rule()
    make.outcome(scan, rule)

    shown = make.api("viewer").get(f"/api/v1/scans/{scan.pk}").json()["rule_outcomes"]

    assert [(row["rule_name"], row["state"], row["reason"]) for row in shown] == [(rule.name, "skipped", "needs_root")]


def test_schedule_is_written_and_run_now(make: WebMake) -> None:
    make.host()
    client = make.api("operator")

    created = client.post(
        "/api/v1/schedules", {"name": "Nightly", "interval_s": 86400, "rule_types": ["detection"]}, format="json"
    )
    run = client.post(f"/api/v1/schedules/{created.json()['id']}/run")
    off = client.patch(f"/api/v1/schedules/{created.json()['id']}", {"is_enabled": False}, format="json")
    refused = client.post(f"/api/v1/schedules/{created.json()['id']}/run")

    assert created.status_code == 201, created.content
    assert (run.status_code, run.json()) == (202, {"due_hosts": 1})
    assert off.json()["is_enabled"] is False
    assert refused.status_code == 409


def test_interval_below_a_minute_is_refused(make: WebMake) -> None:
    answer = make.api("operator").post(
        "/api/v1/schedules", {"name": "Too often", "interval_s": 5, "rule_types": ["detection"]}, format="json"
    )

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "interval_s"


def test_schedule_is_paused_resumed_and_aborted(make: WebMake, redis: object) -> None:
    schedule = make.schedule()
    make.scan(schedule=schedule)
    client = make.api("operator")
    url = f"/api/v1/schedules/{schedule.pk}"

    paused = client.post(f"{url}/pause", {"reason": "maintenance"}, format="json")
    again = client.post(f"{url}/pause", {}, format="json")
    aborted = client.post(f"{url}/abort")
    resumed = client.post(f"{url}/resume")

    assert (paused.status_code, paused.json()["pause_reason"]) == (200, "maintenance")
    assert again.status_code == 409
    assert aborted.json() == {"stopped_scans": 1}
    assert resumed.json()["paused_at"] is None
    assert client.post(f"{url}/resume").status_code == 409


def test_schedule_names_what_is_wrong_with_it(make: WebMake) -> None:
    client = make.api("operator")
    good = {"name": "Nightly", "rule_types": ["detection"]}
    wrong = {
        "blackout_end": {"blackout_start": "08:00"},
        "time_zone": {"time_zone": "Europe/Atlantis"},
        "rule_percent": {"rule_percent": 4},
        "always_rules": {"always_rules": ["no_such_rule"]},
        "nice": {"nice": 20},
        "zones": {"zones": ["moon"]},
    }

    for field, body in wrong.items():
        answer = client.post("/api/v1/schedules", {**good, **body}, format="json")
        assert answer.status_code == 400, body
        assert answer.json()["errors"][0]["field"].startswith(field)


def test_new_blackout_moves_hosts_out_of_it(make: WebMake) -> None:
    from datetime import timedelta

    from django.utils import timezone

    from sandfly_web.scans.models import ScheduledHost

    schedule = make.schedule()
    now = timezone.now()
    row = ScheduledHost.objects.create(schedule=schedule, host=make.host(), next_due_at=now + timedelta(minutes=30))
    around = {
        "blackout_start": f"{now - timedelta(hours=1):%H:%M}",
        "blackout_end": f"{now + timedelta(hours=2):%H:%M}",
    }

    answer = make.api("operator").patch(f"/api/v1/schedules/{schedule.pk}", around, format="json")

    row.refresh_from_db()
    assert answer.status_code == 200, answer.content
    assert row.next_due_at > now + timedelta(hours=1, minutes=50)


def adhoc_body(make: WebMake, **fields: object) -> dict[str, object]:
    credential = {"username": "root", "password": "canary-7d21"}
    return {"targets": ["10.9.0.1", "10.9.0.2"], "zone": make.zone().name, "credential": credential, **fields}


def test_hosts_outside_the_inventory_are_scanned_with_a_credential_in_the_request(make: WebMake) -> None:
    make.rule()
    client = make.api("operator")

    answer = client.post("/api/v1/scans", adhoc_body(make, nice=10, cpu_percent=20), format="json")
    batch = client.get(f"/api/v1/batches/{answer.json()['batch']}")

    assert answer.status_code == 202, answer.content
    assert len(answer.json()["scans"]) == 2
    assert b"canary-7d21" not in answer.content + batch.content
    assert (batch.json()["counts"], batch.json()["is_over"]) == ({"queued": 2}, False)


def test_scanning_outside_the_inventory_takes_the_right_to_add_hosts(make: WebMake) -> None:
    make.rule()

    assert make.api("responder").post("/api/v1/scans", adhoc_body(make), format="json").status_code == 403


def test_targets_need_zone_and_credential_and_stand_alone(make: WebMake) -> None:
    make.rule()
    client, host = make.api("operator"), str(make.host().pk)
    whole = adhoc_body(make)
    bodies = {
        "zone": {key: value for key, value in whole.items() if key != "zone"},
        "credential": {key: value for key, value in whole.items() if key != "credential"},
        "targets": {**whole, "hosts": [host]},
        "credential.username": {**whole, "credential": {"password": "x"}},
    }

    for field, body in bodies.items():
        answer = client.post("/api/v1/scans", body, format="json")
        assert answer.status_code == 400, body
        assert answer.json()["errors"][0]["field"] == field


def test_batch_is_paused_resumed_and_aborted(make: WebMake, redis: object) -> None:
    make.rule()
    client = make.api("responder")
    made = client.post("/api/v1/scans", {"hosts": [str(make.host().pk)]}, format="json").json()
    url = f"/api/v1/batches/{made['batch']}"

    paused = client.post(f"{url}/pause", {}, format="json").json()
    listed = client.get("/api/v1/batches?is_paused=true").json()["results"]
    resumed = client.post(f"{url}/resume").json()
    aborted = client.post(f"{url}/abort").json()

    assert paused["pause_reason"].startswith("paused by user-")
    assert [row["id"] for row in listed] == [made["batch"]]
    assert resumed["paused_at"] is None
    assert client.post(f"{url}/resume").status_code == 409
    assert aborted == {"stopped_scans": 1}
    assert client.get(url).json()["is_over"]


def test_queue_is_told(make: WebMake, redis: object) -> None:
    schedule = make.schedule()
    make.scan(schedule=schedule)

    answer = make.api("viewer").get("/api/v1/queue")

    assert answer.status_code == 200
    assert answer.json()["zones"][0]["waiting"] == 1
    assert answer.json()["schedules"][0]["name"] == schedule.name
    assert make.api("").get("/api/v1/queue").status_code == 403


def test_a_scan_under_way_tells_its_phase_and_percent_as_they_are_in_redis(make: WebMake, redis: Any) -> None:
    scan = make.scan(status="running", in_flight=True, phase="staging")
    client = make.api("viewer")

    assert client.get(f"/api/v1/scans/{scan.pk}").json()["progress"] == {"phase": "staging", "percent": None}

    beat(redis, scan, Phase.RUNNING, 42)
    assert client.get(f"/api/v1/scans/{scan.pk}").json()["progress"] == {"phase": "running", "percent": 42}


def test_progress_of_an_earlier_attempt_or_of_a_scan_that_is_over_is_not_told(make: WebMake, redis: Any) -> None:
    again = make.scan(status="running", in_flight=True, attempt=2)
    over = make.scan(status="done", in_flight=True)
    for scan in (again, over):
        beat(redis, scan, Phase.RUNNING, 42, attempt=1)
    client = make.api("viewer")

    assert client.get(f"/api/v1/scans/{again.pk}").json()["progress"] is None
    assert client.get(f"/api/v1/scans/{over.pk}").json()["progress"] is None


def test_a_scan_is_shown_without_live_progress_while_redis_is_away(make: WebMake, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nonexistent/redis.sock"
    scan = make.scan(status="running", in_flight=True, phase="profiling")

    answer = make.api("viewer").get(f"/api/v1/scans/{scan.pk}")

    assert (answer.status_code, answer.json()["progress"]) == (200, {"phase": "profiling", "percent": None})


def beat(redis: Any, scan: Any, phase: Phase, percent: int, attempt: int | None = None) -> None:
    """What a worker writes."""
    one = Heartbeat(
        scan_id=str(scan.pk),
        attempt=attempt or scan.attempt,
        worker="w:1",
        phase=phase,
        started_at=NOW,
        percent=percent,
    )
    redis.set(heartbeat_key(str(scan.pk)), encode(one))
