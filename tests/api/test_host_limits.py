"""Who is limited to hosts with tags learns of no other host, wherever they ask."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from rest_framework.test import APIClient

from tests.api.builders import WebMake
from tests.api.matrix import endpoints
from tests.api.world import world

HIDDEN = "web-1"


def tag(name: str) -> Any:
    from sandfly_web.inventory.models import Tag

    return Tag.objects.get_or_create(name=name)[0]


def token_of(user: Any, *tags: str, role: str = "") -> APIClient:
    from sandfly_web.accounts.services import create_token

    client = APIClient()
    _row, token = create_token(user, "limited", role=role, host_tags=[tag(name) for name in tags] if tags else None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def limit(user: Any, *tags: str) -> Any:
    from sandfly_web.accounts.models import HostLimit

    HostLimit.objects.create(user=user).tags.set([tag(name) for name in tags])
    return user


def mine(make: WebMake, name: str = "mine-1", *tags: str) -> Any:
    host = make.host(name=name)
    host.tags.set([tag(name) for name in tags or ("mine",)])
    return host


def names(client: APIClient) -> list[str]:
    return [host["name"] for host in client.get("/api/v1/hosts").json()["results"]]


def test_nothing_that_a_limited_person_can_ask_for_tells_of_another_host(make: WebMake) -> None:
    """Every address of the URL conf, by console and by API, naming what belongs to the other host where it can."""
    hidden = world(make)["inventory_host"]
    asked = endpoints()
    host = mine(make)
    finding = make.finding(host, rule=make.rule(), title="One of mine")
    browser = Client(raise_request_exception=False)
    browser.force_login(limit(make.person("admin"), "mine"))
    programs = token_of(make.person("admin", is_superuser=True), "mine")

    told = {}
    for endpoint in asked:
        client: Any = programs if endpoint.is_api else browser
        if "logout" not in endpoint.pattern and "GET" in endpoint.methods:
            browser.cookies.pop("messages", None)  # "Host … does not exist", from the page before.
            answer = client.get(endpoint.address)
            text = (b"".join(answer.streaming_content) if answer.streaming else answer.content).decode()
            # The address itself may be said again.
            if HIDDEN in text or str(hidden.pk) in text.replace(endpoint.address, ""):
                told[endpoint.pattern] = answer.status_code

    assert told == {}
    assert [row["title"] for row in programs.get("/api/v1/findings").json()["results"]] == ["One of mine"]
    assert browser.get(f"/findings/finding/{finding.pk}/change/").status_code == 200
    assert "One of mine" in browser.get("/").content.decode()


def test_nothing_of_another_host_can_be_changed(make: WebMake) -> None:
    things = world(make)
    finding, scan = things["findings_finding"], make.scan(things["inventory_host"])
    finding.refresh_from_db()
    before = finding.status
    by_token = token_of(make.person("admin", is_superuser=True), "mine")
    for client in (by_token, token_of(limit(make.person("admin"), "mine"))):
        for path in (
            f"findings/{finding.pk}/acknowledge",
            f"findings/{finding.pk}/collect",
            f"scans/{scan.pk}/cancel",
        ):
            assert client.post(f"/api/v1/{path}", {}, format="json").status_code == 404, path
        asked = client.post("/api/v1/scans", {"hosts": [str(finding.host_id)]}, format="json")
        assert asked.status_code == 400
        by_tag = client.post("/api/v1/scans", {"tags": ["web"]}, format="json")
        assert HIDDEN not in by_tag.content.decode()

    finding.refresh_from_db()
    assert finding.status == before


@pytest.mark.parametrize(
    ("method", "path"),
    [("post", "hosts"), ("post", "schedules"), ("post", "tags"), ("post", "allowlist"), ("get", "credentials")],
)
def test_what_acts_on_hosts_of_others_is_no_right_of_a_limited_person(make: WebMake, method: str, path: str) -> None:
    client = token_of(make.person("admin", is_superuser=True), "mine")

    assert getattr(client, method)(f"/api/v1/{path}", {}, format="json").status_code == 403


def test_lines_of_an_export_are_read_within_the_limit(make: WebMake) -> None:
    """They are read once the view has answered, and with them what rows are related to."""
    hidden, host = make.host(name=HIDDEN), mine(make)
    make.allowed(make.rule(), hosts=[hidden, host])

    answer = token_of(make.person("analyst"), "mine").get("/api/v1/allowlist?export=ndjson")

    assert [json.loads(line)["hosts"] for line in b"".join(answer.streaming_content).splitlines()] == [[str(host.pk)]]


def test_what_model_hosts_hold_is_not_told_to_people_who_may_not_know_of_them(make: WebMake) -> None:
    from sandfly_web.findings.models import Baseline

    baseline = Baseline.objects.create(name="Web servers", subjects={"user": "moderate"})
    client = token_of(make.person("admin", is_superuser=True), "mine")

    for path in ("", f"/{baseline.pk}", f"/{baseline.pk}/export", f"/{baseline.pk}/versions"):
        assert client.get(f"/api/v1/baselines{path}").status_code == 403, path


def test_a_batch_that_scans_hosts_of_others_too_is_not_paused_nor_resumed_by_a_limited_person(make: WebMake) -> None:
    from sandfly_web.scans.services import RuleChoice, pause, request_scans

    make.rule()
    host = mine(make)
    both = request_scans([host, make.host(name=HIDDEN)], RuleChoice()).id
    own, foreign = (request_scans([one], RuleChoice()).id for one in (host, make.host(name="web-2")))
    client = token_of(make.person("responder"), "mine")

    assert {row["id"] for row in client.get("/api/v1/batches").json()["results"]} == {str(both), str(own)}
    assert client.post(f"/api/v1/batches/{foreign}/pause", {}, format="json").status_code == 404
    assert client.post(f"/api/v1/batches/{both}/pause", {}, format="json").status_code == 409
    assert client.post(f"/api/v1/batches/{own}/pause", {}, format="json").status_code == 200
    pause(batch_of(both), "by its owner")
    assert client.post(f"/api/v1/batches/{both}/resume", {}, format="json").status_code == 409
    assert batch_of(both).pause_reason == "by its owner"
    assert str(foreign) not in client.get("/api/v1/queue").content.decode()


def batch_of(key: Any) -> Any:
    from sandfly_web.scans.models import ScanBatch

    return ScanBatch.objects.get(pk=key)


def test_a_host_must_have_a_tag_of_the_user_and_one_of_the_token(make: WebMake) -> None:
    mine(make, "both", "web", "prod")
    mine(make, "web-only", "web")
    mine(make, "prod-only", "prod")
    user = limit(make.person("viewer"), "web")

    assert names(token_of(user)) == ["both", "web-only"]
    assert names(token_of(user, "prod")) == ["both"]


def test_a_limit_whose_tags_are_gone_leaves_nothing(make: WebMake) -> None:
    mine(make)
    user = make.person("viewer")
    by_token, by_user = token_of(user, "mine"), token_of(limit(make.person("viewer"), "mine"))

    tag("mine").delete()

    assert names(by_token) == names(by_user) == []


def test_a_limited_token_makes_none_that_knows_of_more(make: WebMake) -> None:
    mine(make, "a", "web")
    mine(make, "b", "prod")
    client = token_of(make.person("viewer"), "web")

    made = client.post("/api/v1/tokens", {"name": "wider", "host_tags": ["web", "prod"]}, format="json").json()
    plain = client.post("/api/v1/tokens", {"name": "plain"}, format="json").json()

    assert (made["host_tags"], plain["host_tags"], plain["is_limited_to_hosts"]) == (["web"], ["web"], True)
    other = APIClient()
    other.credentials(HTTP_AUTHORIZATION=f"Bearer {plain['token']}")
    assert names(other) == ["a"]


def test_a_limit_ends_with_its_request(make: WebMake) -> None:
    from sandfly_web.inventory.models import Host
    from sandfly_web.inventory.scope import present_limit

    mine(make)
    make.host(name="other")

    assert names(token_of(make.person("viewer"), "mine")) == ["mine-1"]
    assert present_limit() is None
    assert Host.objects.count() == 2
    assert names(make.api("viewer")) == ["mine-1", "other"]


def test_a_hunt_looks_only_through_hosts_that_one_may_know_of(make: WebMake) -> None:
    make.record(mine(make), username="mallory")
    make.record(make.host(name="other"), username="mallory")
    body = {"subject": "user", "detection": "detection:\n  s:\n    username: mallory\n  condition: s\n"}

    found = token_of(make.person("analyst"), "mine").post("/api/v1/hunt", body, format="json").json()

    assert (found["matched"], found["host_count"], found["looked_at"]) == (1, 1, 1)


def test_an_administrator_limits_a_person_in_the_console(make: WebMake) -> None:
    from sandfly_web.accounts.models import HostLimit

    mine(make)
    person, browser = make.person("viewer"), Client()
    browser.force_login(make.person("admin"))
    page = browser.get(f"/auth/user/{person.pk}/change/")
    form = {f.name: f.value() for f in page.context["adminform"].form if f.value() not in (None, False)}
    inline = {
        "host_limit-TOTAL_FORMS": "1",
        "host_limit-INITIAL_FORMS": "0",
        "host_limit-0-user": str(person.pk),
        "host_limit-0-tags": [str(tag("mine").pk)],
    }

    answer = browser.post(f"/auth/user/{person.pk}/change/", {**form, **inline})

    assert answer.status_code == 302, answer.context["errors"]
    assert list(HostLimit.objects.get(user=person).tags.values_list("name", flat=True)) == ["mine"]


def test_every_model_that_belongs_to_a_host_is_kept_by_the_limit() -> None:
    """A new model with a way to a host gets `host_path` and the manager, or is named here with the reason."""
    from sandfly_web.inventory.models import Host
    from sandfly_web.inventory.scope import HostScopedManager

    # Scan.finding is the finding that forensics were collected for, of the same host.
    scoped = {model for model in apps.get_models() if isinstance(model._default_manager, HostScopedManager)}
    missing = {
        model._meta.label
        for model in apps.get_models()
        if model not in scoped
        for field in model._meta.get_fields()
        if field.many_to_one and field.concrete and field.related_model in {*scoped, Host}
    }

    assert missing == set()
    assert Host in scoped
