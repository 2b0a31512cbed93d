"""What people do in the console: triage, scans, keys, switches; and what hostile evidence cannot do."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.api.builders import WebMake
from tests.server.builders import NOW

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egpj.exe\u200b'\"><img src=x onerror=alert(1)>"


def sign_in(user: Any) -> Client:
    client = Client(enforce_csrf_checks=False)
    client.force_login(user)
    return client


def do(client: Client, thing: Any, command: str, **data: str) -> Any:
    info = f"{thing._meta.app_label}_{thing._meta.model_name}"
    return client.post(reverse(f"admin:{info}_command", args=[thing.pk, command]), data, follow=True)


def test_hostile_evidence_is_inert_and_visible(make: WebMake) -> None:
    rule = make.rule(source=f"title: {HOSTILE}", description=HOSTILE, title=HOSTILE)
    host = make.host(name=HOSTILE, os_name=HOSTILE, state_reason=HOSTILE, state="offline")
    finding = make.finding(
        host,
        rule=rule,
        title=HOSTILE,
        explanation=HOSTILE,
        tags=[HOSTILE],
        identity={HOSTILE: HOSTILE},
        evidence={HOSTILE: HOSTILE, "list": [HOSTILE], "map": {HOSTILE: [HOSTILE]}, "long": HOSTILE * 9},
        truncated=[HOSTILE],
        unknown={"x": HOSTILE},
    )
    scan = make.scan(host, error_code="x", error_message=HOSTILE, created_paths=[HOSTILE], cleanup_error=HOSTILE)
    record = make.record(host, subject="user", username=HOSTILE)
    client = sign_in(make.person("admin"))
    urls = [
        "/",
        reverse("admin:findings_finding_changelist"),
        reverse("admin:inventory_host_changelist"),
        reverse("admin:auditlog_logentry_changelist"),
        *(
            reverse(f"admin:{thing._meta.app_label}_{thing._meta.model_name}_change", args=[thing.pk])
            for thing in (finding, host, rule, scan, record)
        ),
    ]

    for url in urls:
        text = client.get(url).content.decode()
        assert "<script>alert" not in text, url
        assert "<img src=x" not in text, url
        for hidden in ("\x1b", "\u202e", "\u200b"):
            assert hidden not in text, (url, hidden)


def test_buttons_of_the_finding_page_work_and_name_who_pressed_them(make: WebMake) -> None:
    user, finding = make.person("analyst"), make.finding()
    client = sign_in(user)

    do(client, finding, "acknowledge")
    do(client, finding, "assign-to-me")
    do(client, finding, "comment", text="Asked the owner")
    page = do(client, finding, "close", text="Rebuilt")

    finding.refresh_from_db()
    assert (finding.status, finding.close_reason, finding.assignee) == ("closed", "Rebuilt", user)
    assert list(finding.events.values_list("kind", flat=True))[1:] == [
        "acknowledged",
        "assigned",
        "commented",
        "closed",
    ]
    assert "Asked the owner" in page.content.decode()


def test_refused_step_is_told_and_changes_nothing(make: WebMake) -> None:
    finding = make.finding(status="closed")

    page = do(sign_in(make.person("analyst")), finding, "acknowledge")

    finding.refresh_from_db()
    assert finding.status == "closed"
    assert "is closed, so it cannot be acknowledged" in page.content.decode()


def test_viewer_sees_no_buttons_and_may_not_press_them(make: WebMake) -> None:
    finding, client = make.finding(), sign_in(make.person("viewer"))

    page = client.get(reverse("admin:findings_finding_change", args=[finding.pk])).content.decode()

    assert "Acknowledge</button>" not in page
    assert do(client, finding, "acknowledge").status_code == 403


def test_commands_answer_to_post_only_and_only_to_those_there_are(make: WebMake) -> None:
    finding, client = make.finding(), sign_in(make.person("analyst"))
    url = reverse("admin:findings_finding_command", args=[finding.pk, "acknowledge"])

    assert client.get(url).status_code == 405
    assert do(client, finding, "explode").status_code == 404


def test_command_without_csrf_token_is_refused(make: WebMake) -> None:
    finding, client = make.finding(), Client(enforce_csrf_checks=True)
    client.force_login(make.person("analyst"))

    assert client.post(reverse("admin:findings_finding_command", args=[finding.pk, "acknowledge"])).status_code == 403


def bulk(client: Client, action: str, findings: list[Any], **data: str) -> Any:
    chosen = {"action": action, "_selected_action": [str(finding.pk) for finding in findings]}
    return client.post(reverse("admin:findings_finding_changelist"), {**chosen, **data}, follow=True)


def test_findings_are_acknowledged_in_bulk(make: WebMake) -> None:
    findings = [make.finding(), make.finding()]

    page = bulk(sign_in(make.person("analyst")), "acknowledge_selected", findings)

    assert {type(f).objects.get(pk=f.pk).status for f in findings} == {"acknowledged"}
    assert "2 findings acknowledged." in page.content.decode()


@pytest.mark.parametrize(("action", "status"), [("close_selected", "closed"), ("mark_selected", "false_positive")])
def test_bulk_action_asks_for_the_reason_first(make: WebMake, action: str, status: str) -> None:
    findings, client = [make.finding(), make.finding()], sign_in(make.person("analyst"))

    asked = bulk(client, action, findings)
    without = bulk(client, action, findings, apply="1", reason="  ")
    assert {type(f).objects.get(pk=f.pk).status for f in findings} == {"open"}
    bulk(client, action, findings, apply="1", reason="Patched")

    assert 'name="reason"' in asked.content.decode()
    assert 'name="reason"' in without.content.decode()
    assert {type(f).objects.get(pk=f.pk).status for f in findings} == {status}


def test_list_shows_unresolved_findings_unless_asked_for_others(make: WebMake) -> None:
    make.finding(title="An open one")
    make.finding(title="A closed one", status="closed")
    client, url = sign_in(make.person("viewer")), reverse("admin:findings_finding_changelist")

    default, everything = client.get(url).content.decode(), client.get(url + "?status=all").content.decode()

    assert ("An open one" in default, "A closed one" in default) == (True, False)
    assert "A closed one" in everything


def test_opening_evidence_is_in_the_audit_log(make: WebMake) -> None:
    from auditlog.models import LogEntry

    user, finding = make.person("viewer"), make.finding()

    sign_in(user).get(reverse("admin:findings_finding_change", args=[finding.pk]))

    entry = LogEntry.objects.get_for_object(finding).filter(action=LogEntry.Action.ACCESS).get()
    assert entry.actor == user


def test_scan_now_queues_a_scan_in_the_name_of_the_user(make: WebMake) -> None:
    make.rule()
    user, host = make.person("responder"), make.host()

    do(sign_in(user), host, "scan")

    scan = host.scans.get()
    assert (scan.status, scan.requested_by) == ("queued", user)


def test_scan_now_without_rules_says_so(make: WebMake) -> None:
    page = do(sign_in(make.person("responder")), make.host(), "scan")

    assert "no enabled rule fits the choice" in page.content.decode()


def test_new_host_key_is_accepted_by_an_operator_only(make: WebMake) -> None:
    from sandfly_web.inventory.models import HostKey

    host = make.host(state="key_changed")
    key = HostKey.objects.create(
        host=host,
        key_type="ssh-ed25519",
        public_key="n",
        fingerprint="SHA256:n",
        status="rejected",
        first_seen_at=NOW,
        last_seen_at=NOW,
    )

    refused = do(sign_in(make.person("responder")), host, "accept-key", key=str(key.pk))
    accepted = do(sign_in(make.person("operator")), host, "accept-key", key=str(key.pk))
    again = do(sign_in(make.person("operator")), host, "accept-key", key="1x")

    key.refresh_from_db()
    assert refused.status_code == 403
    assert key.status == "pinned"
    assert "is now the accepted one" in accepted.content.decode()
    assert "no longer waiting" in again.content.decode()


def test_waiting_scan_is_cancelled(make: WebMake) -> None:
    scan = make.scan()

    do(sign_in(make.person("responder")), scan, "cancel")

    scan.refresh_from_db()
    assert scan.status == "cancelled"


def test_rule_is_switched_off_and_the_audit_log_says_by_whom(make: WebMake) -> None:
    from auditlog.models import LogEntry

    rule, user = make.rule(), make.person("operator")

    do(sign_in(user), rule, "disable")

    rule.refresh_from_db()
    entry = LogEntry.objects.get_for_object(rule).filter(action=LogEntry.Action.UPDATE).get()
    assert rule.is_enabled is False
    assert (entry.actor, entry.changes) == (user, {"is_enabled": ["True", "False"]})


def test_schedule_is_run_now(make: WebMake) -> None:
    from django.utils import timezone

    schedule, host = make.schedule(), make.host()

    do(sign_in(make.person("responder")), schedule, "run")

    assert schedule.scheduled_hosts.get(host=host).next_due_at <= timezone.now()
