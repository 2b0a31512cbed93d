"""Baselines in the console and through the API."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from sandfly_web.findings.models import Baseline, Finding
from sandfly_web.inventory.models import Tag
from tests.api.builders import WebMake


def signed_in(make: WebMake, role: str) -> Client:
    client = Client()
    client.force_login(make.person(role))
    return client


def baseline(make: WebMake, **fields: Any) -> Baseline:
    model = make.host(name="model-1")
    make.record(model, subject="user", username="alice")
    row = Baseline.objects.create(name="Web", subjects={"user": "moderate"}, **fields)
    row.model_hosts.add(model)
    row.tags.add(Tag.objects.create(name="web"))
    return row


def drift(make: WebMake, row: Baseline) -> Finding:
    evidence = {"username": "<b>eve</b>", "drift_baseline": str(row.pk), "drift_kind": "new", "drift_key": "k1"}
    return make.finding(rule_name="drift", subject="user", identity={"username": "<b>eve</b>"}, evidence=evidence)


def test_an_operator_edits_a_baseline_without_choosing_anew_what_it_compares(make: WebMake) -> None:
    operator, row = signed_in(make, "operator"), baseline(make)
    address = reverse("admin:findings_baseline_edit", args=[row.pk])
    form = {"name": "Web servers", "model_hosts": [row.model_hosts.get().pk], "tags": [row.tags.get().pk]}

    page = operator.get(address)
    saved = operator.post(address, {**form, "level": "high"})

    row.refresh_from_db()
    assert (page.status_code, saved.status_code) == (200, 302)
    assert (row.name, row.level, row.subjects) == ("Web servers", "high", {"user": "moderate"})


def test_an_operator_makes_gathers_and_enforces_a_baseline(make: WebMake) -> None:
    operator, host = signed_in(make, "operator"), make.host()
    make.record(host, subject="user", username="alice")
    tag = Tag.objects.create(name="web")
    form = {"name": "Web", "template": "server", "model_hosts": [host.pk], "tags": [tag.pk], "level": "medium"}

    operator.post(reverse("admin:findings_baseline_add"), form)
    row = Baseline.objects.get()
    for command in ("gather", "enforce"):
        operator.post(reverse("admin:findings_baseline_command", args=[row.pk, command]))

    row.refresh_from_db()
    assert (row.state, row.entries.count(), row.subjects["user"]) == ("enforced", 1, "moderate")
    assert "Web" in operator.get(reverse("admin:findings_baseline_changelist")).content.decode()


def test_the_page_shows_drift_inert_and_accepts_it(make: WebMake) -> None:
    row = baseline(make)
    finding = drift(make, row)
    operator = signed_in(make, "operator")

    page = operator.get(reverse("admin:findings_baseline_change", args=[row.pk])).content.decode()
    operator.post(reverse("admin:findings_baseline_command", args=[row.pk, "accept"]), {"key": "k1", "text": "hired"})

    finding.refresh_from_db()
    assert "&lt;b&gt;eve" in page
    assert "<b>eve" not in page
    assert (finding.status, row.entries.count()) == ("closed", 1)


def test_viewers_look_and_change_nothing(make: WebMake) -> None:
    row = baseline(make)
    viewer = signed_in(make, "viewer")

    page = viewer.get(reverse("admin:findings_baseline_change", args=[row.pk]))
    refused = viewer.post(reverse("admin:findings_baseline_command", args=[row.pk, "gather"]))

    assert page.status_code == 200
    assert refused.status_code == 403


def test_the_api_does_what_the_console_does(make: WebMake) -> None:
    row = baseline(make)
    api, address = make.api("operator"), f"/api/v1/baselines/{row.pk}"
    drift(make, row)

    early = api.post(f"{address}/enforce")
    gathered = api.post(f"{address}/gather").json()
    differences = api.get(f"{address}/differences").json()
    accepted = api.post(f"{address}/accept", {"key": "k1", "reason": "hired"}, format="json").json()
    enforced = api.post(f"{address}/enforce").json()
    moved = api.post("/api/v1/baselines/import", api.get(f"{address}/export").json() | {"name": "B"}, format="json")
    changed = api.patch(address, {"subjects": {"user": "strict"}}, format="json")

    assert (early.status_code, changed.status_code) == (409, 400)
    assert (gathered["entry_count"], enforced["state"], accepted) == (1, "enforced", {"closed": 1})
    assert [(entry["kind"], entry["hosts"]) for entry in differences] == [("new", 1)]
    assert (moved.status_code, moved.json()["entry_count"]) == (201, 2)
    assert [entry["action"] for entry in api.get(f"{address}/versions").json()] == ["accept", "gather"]
    assert api.post(f"{address}/pause").json()["state"] == "paused"
    assert make.api("viewer").post(f"{address}/pause").status_code == 403


def test_a_drift_check_is_scheduled_in_the_console_and_named_on_the_page_of_baselines(make: WebMake) -> None:
    from sandfly_web.scans.models import Schedule

    row, operator = baseline(make, state="enforced"), signed_in(make, "operator")
    form = {
        "name": "Nightly drift",
        "is_enabled": "on",
        "is_drift_check": "on",
        "interval_s": "86400",
        "jitter_s": "60",
    }
    form |= {"time_zone": "UTC", "priority": "0", "nice": "19", "cpu_percent": "50", "deadline_s": "120"}
    form |= {"rule_percent": "100", "max_cpu_s": "30", "max_memory_mib": "96", "max_wall_s": "100", "max_crashes": "3"}

    offered = operator.get(reverse("admin:findings_baseline_change", args=[row.pk])).content.decode()
    operator.post(reverse("admin:scans_schedule_add"), form)

    schedule = Schedule.objects.get()
    assert "schedule a drift check" in offered
    assert (schedule.is_drift_check, schedule.rule_types) == (True, [])
    page = operator.get(reverse("admin:findings_baseline_change", args=[row.pk])).content.decode()
    assert "Nightly drift" in page
    shown = operator.get(reverse("admin:scans_schedule_change", args=[schedule.pk])).content.decode()
    assert "what enforced baselines compare" in shown


def test_api_takes_a_drift_check_without_types_and_nothing_else_without(make: WebMake) -> None:
    api = make.api("operator")

    made = api.post("/api/v1/schedules", {"name": "Drift", "is_drift_check": True}, format="json")
    refused = api.post("/api/v1/schedules", {"name": "Nothing"}, format="json")
    undone = api.patch(f"/api/v1/schedules/{made.json()['id']}", {"is_drift_check": False}, format="json")

    assert (made.status_code, made.json()["rule_types"]) == (201, [])
    assert (refused.status_code, undone.status_code) == (400, 400)


def test_deleting_a_baseline_closes_its_drift_in_the_console_and_through_the_api(make: WebMake) -> None:
    row = baseline(make)
    finding, operator = drift(make, row), signed_in(make, "admin")

    operator.post(reverse("admin:findings_baseline_delete", args=[row.pk]), {"post": "yes"})
    other = Baseline.objects.create(name="Other", subjects={"user": "loose"})
    second = drift(make, other)
    make.api("admin").delete(f"/api/v1/baselines/{other.pk}")
    last = Baseline.objects.create(name="Last", subjects={"user": "loose"})
    third = drift(make, last)
    chosen = {"action": "delete_selected", "_selected_action": [str(last.pk)], "post": "yes"}
    operator.post(reverse("admin:findings_baseline_changelist"), chosen)

    for one in (finding, second, third):
        one.refresh_from_db()
        assert one.status == "closed"
    assert not Baseline.objects.exists()


def test_page_of_drift_names_the_rules_that_show_it(make: WebMake) -> None:
    row, rule = baseline(make), make.rule(type="recon", subject="user")
    finding = drift(make, row)
    finding.evidence |= {"drift_rules": [str(rule.pk)]}
    finding.save()

    page = signed_in(make, "viewer").get(reverse("admin:findings_finding_change", args=[finding.pk])).content.decode()

    assert rule.name in page
    assert str(rule.pk) not in page
