"""Pages of errors: in the console's look, with a way back and the request's id, and with nothing of what went wrong."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sandfly_web.console.requestid import HEADER, RequestIdFilter
from tests.api.builders import WebMake

pytestmark = pytest.mark.django_db
SECRET = "relation secret_table does not exist"


def console(make: WebMake, role: str = "viewer") -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(make.person(role))
    return client


def check(answer: Any, status: int, title: str) -> None:
    page = answer.content.decode()

    assert answer.status_code == status
    assert f"<h1>{title}</h1>" in page
    assert f'href="{reverse("admin:index")}"' in page
    assert f"<code>{answer[HEADER]}</code>" in page
    assert "script-src 'self'" in answer["Content-Security-Policy"]


def test_address_that_leads_nowhere(make: WebMake) -> None:
    answer = console(make).get("/findings/nothing/<script>/")

    check(answer, 404, "There is no such page")
    assert "nothing" not in answer.content.decode()


def test_page_beyond_the_role(make: WebMake) -> None:
    check(console(make).get(reverse("admin:auth_user_changelist")), 403, "Your role does not allow this")


def test_form_without_its_token_changes_nothing(make: WebMake) -> None:
    finding = make.finding()
    client = Client(enforce_csrf_checks=True)
    client.force_login(make.person("analyst"))

    answer = client.post(reverse("admin:findings_finding_command", args=[finding.pk, "acknowledge"]))

    check(answer, 403, "This form was open for too long")
    finding.refresh_from_db()
    assert finding.status == "open"


def test_request_for_another_server(make: WebMake) -> None:
    check(console(make).get("/", headers={"Host": "evil.example"}), 400, "This request could not be read")


def test_fault_of_the_server_is_in_the_log_and_not_on_the_page(
    make: WebMake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_args: Any) -> None:
        raise RuntimeError(SECRET)

    client = console(make)
    monkeypatch.setattr("sandfly_web.console.dashboard.finding_part", break_down)
    caplog.handler.addFilter(RequestIdFilter())

    answer = client.get("/")

    check(answer, 500, "Something went wrong here")
    assert SECRET not in answer.content.decode()
    logged = [record for record in caplog.records if record.name == "django.request"]
    assert SECRET in str(logged[-1].exc_info)
    assert logged[-1].__dict__["request_id"] == answer[HEADER]


def test_fault_of_the_server_under_the_api_is_a_problem(make: WebMake, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_args: Any, **_options: Any) -> None:
        raise RuntimeError(SECRET)

    api = make.api("viewer")
    api.raise_request_exception = False
    monkeypatch.setattr("sandfly_web.findings.api.FindingViewSet.list", break_down)

    answer = api.get("/api/v1/findings")

    assert answer.status_code == 500
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "Something went wrong here",
        "request_id": answer[HEADER],
    }


def test_each_request_has_an_id_of_its_own_that_no_client_chooses(client: Client) -> None:
    first, second = (client.get("/healthz", headers={HEADER: "forged\nline"})[HEADER] for _ in range(2))

    assert first != second
    assert "forged" not in first + second


def test_what_is_logged_outside_of_a_request_says_so() -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "x", None, None)

    RequestIdFilter().filter(record)

    assert record.__dict__["request_id"] == "-"
