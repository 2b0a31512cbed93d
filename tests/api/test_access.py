"""Who may do what: roles, tokens, health."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.api.builders import WebMake

ROLES = ["", "viewer", "analyst", "responder", "operator", "admin"]


def attempts(make: WebMake, client: Any) -> dict[str, int]:
    """Status codes of one request of each kind."""
    make.rule()
    host, finding, scan = make.host(), make.finding(), make.scan()
    zone = host.zone_id
    return {
        "read": client.get("/api/v1/findings").status_code,
        "triage": client.post(f"/api/v1/findings/{finding.pk}/acknowledge").status_code,
        "scan": client.post("/api/v1/scans", {"hosts": [str(host.pk)]}, format="json").status_code,
        "cancel": client.post(f"/api/v1/scans/{scan.pk}/cancel").status_code,
        "add host": client.post("/api/v1/hosts", {"address": "192.0.2.9", "zone": zone}, format="json").status_code,
        "see credentials": client.get("/api/v1/credentials").status_code,
        "add zone": client.post("/api/v1/zones", {"name": "north"}, format="json").status_code,
    }


# What each role is the first to be allowed.
FIRST_ALLOWED = {
    "read": "viewer",
    "triage": "analyst",
    "scan": "responder",
    "cancel": "responder",
    "add host": "operator",
    "see credentials": "operator",
    "add zone": "admin",
}


@pytest.mark.parametrize("role", ROLES)
def test_role_may_do_what_it_is_for_and_no_more(make: WebMake, role: str) -> None:
    answers = attempts(make, make.api(role))

    for what, status in answers.items():
        is_allowed = ROLES.index(role) >= ROLES.index(FIRST_ALLOWED[what])
        assert (status < 300) is is_allowed, (what, status)
        assert is_allowed or status == 403, (what, status)


def test_roles_are_written_once_and_hold_exactly_their_rights(db: None) -> None:
    from django.contrib.auth.models import Group, Permission

    from sandfly_web.accounts.roles import ROLE_RIGHTS
    from sandfly_web.accounts.services import ensure_roles

    viewer = Group.objects.get(name="viewer")
    viewer.permissions.add(Permission.objects.get(codename="delete_host"))

    ensure_roles()
    ensure_roles()

    for role, rights in ROLE_RIGHTS.items():
        held = Group.objects.get(name=role.value).permissions.select_related("content_type")
        assert {f"{right.content_type.app_label}.{right.codename}" for right in held} == set(rights)


def test_me_names_roles_and_rights(make: WebMake) -> None:
    me = make.api("analyst").get("/api/v1/me").json()

    assert me["roles"] == ["analyst"]
    assert "findings.change_finding" in me["permissions"]
    assert "inventory.view_credential" not in me["permissions"]


@pytest.mark.parametrize("state", ["unknown", "expired", "inactive"])
def test_token_that_does_not_hold_is_refused(make: WebMake, state: str) -> None:
    from rest_framework.test import APIClient

    from sandfly_web.accounts.services import create_token

    user = make.person("viewer", is_active=state != "inactive")
    expires_at = timezone.now() - timedelta(seconds=1) if state == "expired" else None
    _row, token = create_token(user, "test", expires_at)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {'x' if state == 'unknown' else token}")

    answer = client.get("/api/v1/me")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_token_is_shown_once_and_only_its_owner_sees_the_row(make: WebMake) -> None:
    mine, other = make.api("viewer"), make.api("admin")

    created = mine.post("/api/v1/tokens", {"name": "soar"}, format="json").json()
    listed = mine.get("/api/v1/tokens")

    assert created["token"].startswith("sfly_")
    assert created["token"] not in listed.content.decode()
    assert other.get(f"/api/v1/tokens/{created['id']}").status_code == 404
    assert mine.delete(f"/api/v1/tokens/{created['id']}").status_code == 204


def test_token_that_is_already_expired_is_not_made(make: WebMake) -> None:
    answer = make.api("viewer").post(
        "/api/v1/tokens", {"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, format="json"
    )

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "expires_at"


def test_token_made_on_the_command_line_works(make: WebMake) -> None:
    from django.core.management import CommandError, call_command
    from rest_framework.test import APIClient

    user, printed = make.person("viewer"), io.StringIO()

    call_command("create_token", user.username, "script", "--days", "3", stdout=printed)

    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {printed.getvalue().strip()}")
    assert client.get("/api/v1/me").json()["username"] == user.username
    with pytest.raises(CommandError, match="no user named"):
        call_command("create_token", "nobody", "x")


def test_health_needs_nothing_and_readiness_says_what_is_missing(make: WebMake, settings: Any) -> None:
    from django.test import Client

    settings.REDIS_URL = "unix:///nonexistent/redis.sock"

    health, ready = Client().get("/healthz"), Client().get("/readyz")

    assert (health.status_code, health.content) == (200, b"ok\n")
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] == "ok"
    assert ready.json()["checks"]["broker"].startswith("unavailable")


def test_ready_with_database_and_broker(make: WebMake, redis: Any) -> None:
    from django.test import Client

    assert Client().get("/readyz").json() == {"ready": True, "checks": {"database": "ok", "broker": "ok"}}


def test_receivers_of_the_audit_log_do_not_pile_up(make: WebMake) -> None:
    """A service names its actor inside a request that names one already."""
    from auditlog.models import LogEntry
    from django.db.models.signals import pre_save

    from sandfly_web.inventory.models import HostKey
    from tests.server.builders import NOW

    host = make.host()
    times = {"first_seen_at": NOW, "last_seen_at": NOW}
    HostKey.objects.create(host=host, key_type="t", public_key="n", fingerprint="SHA256:n", status="rejected", **times)
    client = make.api("operator")
    before = len(pre_save._live_receivers(LogEntry)[0])

    client.post(f"/api/v1/hosts/{host.pk}/accept-host-key", {"fingerprint": "SHA256:n"}, format="json")

    assert len(pre_save._live_receivers(LogEntry)[0]) == before


def limited(make: WebMake, user: Any, role: str) -> Any:
    """A client whose token is limited to a role."""
    from rest_framework.test import APIClient

    from sandfly_web.accounts.services import create_token

    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {create_token(user, 'soar', role=role)[1]}")
    return client


@pytest.mark.parametrize("role", ROLES[1:])
def test_a_token_limited_to_a_role_may_do_no_more_than_the_role(make: WebMake, role: str) -> None:
    """Also when its user is a superuser."""
    user = make.person("admin")
    user.is_superuser = True
    user.save()

    for what, status in attempts(make, limited(make, user, role)).items():
        assert (status < 300) is (ROLES.index(role) >= ROLES.index(FIRST_ALLOWED[what])), (what, status)


def test_a_token_limited_to_a_role_may_do_no_more_than_its_user(make: WebMake) -> None:
    answers = attempts(make, limited(make, make.person("viewer"), "admin"))

    assert {what for what, status in answers.items() if status < 300} == {"read"}


def test_a_limited_token_says_what_it_may_and_makes_none_that_may_more(make: WebMake) -> None:
    user = make.person("admin")
    client = limited(make, user, "analyst")

    me = client.get("/api/v1/me").json()
    same = client.post("/api/v1/tokens", {"name": "same"}, format="json")
    less = client.post("/api/v1/tokens", {"name": "less", "role": "viewer"}, format="json")
    more = client.post("/api/v1/tokens", {"name": "more", "role": "operator"}, format="json")

    assert "findings.change_finding" in me["permissions"]
    assert "scans.add_scan" not in me["permissions"]
    assert (same.json()["role"], less.json()["role"]) == ("analyst", "viewer")
    assert more.status_code == 400
    assert "makes none that may more" in str(more.json())


def test_a_limited_token_from_the_command_line(make: WebMake) -> None:
    from django.core.management import call_command

    from sandfly_web.accounts.models import ApiToken

    call_command("create_token", make.person("admin").username, "siem", "--role", "viewer", stdout=io.StringIO())

    assert ApiToken.objects.get().role == "viewer"


@pytest.mark.parametrize("role", ["viewer", "responder"])
def test_an_account_without_a_password_is_for_the_api_alone(make: WebMake, role: str) -> None:
    from django.test import Client
    from django.urls import reverse

    user = make.person(role)
    user.set_unusable_password()
    user.save()

    signed_in = Client().post(reverse("admin:login"), {"username": user.username, "password": ""})
    guessed = Client().post(reverse("admin:login"), {"username": user.username, "password": user.password})

    assert (signed_in.status_code, guessed.status_code) == (200, 200)
    assert make.api(user=user).get("/api/v1/me").json()["roles"] == [role]
