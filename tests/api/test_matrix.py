"""Who may ask which endpoint: as committed, and by rules that hold for every row."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import pytest

from tests.api.builders import WebMake
from tests.api.matrix import API_METHODS, COLUMNS, COMMITTED, ROLES, ask, ask_all, client_of, document, endpoints
from tests.api.world import world

# Databases are only made for tests that say so.
pytestmark = pytest.mark.django_db

REFUSED = {"401", "403", "sign in"}
# What everybody may ask, also without signing in.
PUBLIC = {
    "/healthz",
    "/readyz",
    "/login/",
    "/logout/",
    "/jsi18n/",
    "/api/v1/schema",
    "/api/v1/docs",
    "/api/",
}
# What somebody without a role may ask: their own account and tokens, and the frame of the console.
OWN = {
    "/accounts/apitoken/{id}/history/",
    "/",
    "/logout/",
    "/password_change/",
    "/password_change/done/",
    "/autocomplete/",
    "/search/",
    "/{url}",
    "/{app_label}/",
    "/r/{content_type_id}/{id}/",
    "/api/v1/me",
    "/api/v1/tokens",
    "/api/v1/tokens/{id}",
}
# Pages of the console that change something.
CHANGES = ("/add/", "/delete/", "/edit/", "/do/", "/import/", "/password/")
# What a viewer may ask with a method that changes something.
VIEWER_WRITES = {"/accounts/apitoken/add/", "/accounts/apitoken/{id}/delete/", "/api/v1/hunt"}


@pytest.fixture(scope="module")
def matrix(django_db_setup: None, django_db_blocker: Any) -> Any:
    """Asked once for all tests of this file."""
    from django.db import transaction
    from django.template.response import TemplateResponse

    patch = pytest.MonkeyPatch()
    # Whether a page is given is decided before it is drawn, which takes most of the time.
    patch.setattr(TemplateResponse, "rendered_content", property(lambda _self: ""))
    with django_db_blocker.unblock(), transaction.atomic():
        make = WebMake()
        world(make)
        found = endpoints()
        clients = {column: client_of(make, column) for column in COLUMNS}
        rows = ask_all(clients, found)
        refused = {method: ask_other(clients["admin"][0], method, found) for method in API_METHODS}
        limited = ask_all(limited_clients(make), [endpoint for endpoint in found if endpoint.is_api])
        transaction.set_rollback(True)
    patch.undo()
    return rows, limited, refused


def ask_other(program: Any, method: str, found: list[Any]) -> dict[str, str]:
    """Answers of the addresses of the API that do not list the method."""
    others = [
        endpoint
        for endpoint in found
        if endpoint.pattern != "/api/" and endpoint.is_api and method not in endpoint.methods
    ]
    return {endpoint.pattern: ask(program, method, endpoint.address) for endpoint in others}


def limited_clients(make: WebMake) -> dict[str, Any]:
    """Tokens of a superuser that are limited to a role."""
    from rest_framework.test import APIClient

    from sandfly_web.accounts.services import create_token

    user = make.person("admin", is_superuser=True)
    clients = {}
    for role in ROLES:
        program = APIClient(raise_request_exception=False)
        program.credentials(HTTP_AUTHORIZATION=f"Bearer {create_token(user, role, role=role)[1]}")
        clients[role] = (program, program)
    return clients


def test_answers_are_the_committed_ones(matrix: Any) -> None:
    written = document(matrix[0])

    if os.environ.get("UPDATE_GOLDEN"):
        COMMITTED.write_text(written, encoding="utf-8")
    assert COMMITTED.read_text(encoding="utf-8") == written, (
        "who may what changed: look at the difference, then write the document anew with UPDATE_GOLDEN=1"
    )


def test_nobody_gets_a_server_error(matrix: Any) -> None:
    broken = {key: answers for key, answers in matrix[0].items() if any(answer.startswith("5") for answer in answers)}

    # Nothing runs that it could be ready for.
    assert {pattern for _, pattern in broken} <= {"/readyz"}


def allowed(matrix: Any, column: str) -> set[tuple[str, str]]:
    place = COLUMNS.index(column)
    return {key for key, answers in matrix[0].items() if answers[place] not in REFUSED}


def test_each_role_may_all_that_the_one_before_may(matrix: Any) -> None:
    for less, more in pairwise(COLUMNS[1:]):
        assert allowed(matrix, less) - allowed(matrix, more) == set(), (less, more)


def test_strangers_and_people_without_a_role_are_kept_out_of_all_but_what_is_named_here(matrix: Any) -> None:
    assert {pattern for _, pattern in allowed(matrix, "anonymous")} <= PUBLIC
    # An address that ends with a key leads to its page, whoever asks, and the page refuses.
    pages = {pattern for _, pattern in allowed(matrix, "no role") if not pattern.endswith("/{id}/")}
    assert pages <= PUBLIC | OWN


def test_a_viewer_changes_nothing(matrix: Any) -> None:
    """Pages that only show something answer a POST as a GET."""
    asked = {pattern for method, pattern in allowed(matrix, "viewer") if method != "GET"}
    writes = {pattern for pattern in asked if pattern.startswith("/api/") or any(part in pattern for part in CHANGES)}

    assert writes <= PUBLIC | OWN | VIEWER_WRITES


def test_a_token_limited_to_a_role_is_answered_as_the_role(matrix: Any) -> None:
    rows, limited, _ = matrix
    different = {
        key: (rows[key][COLUMNS.index(role)], answers[ROLES.index(role)])
        for key, answers in limited.items()
        for role in ROLES
        if rows[key][COLUMNS.index(role)] != answers[ROLES.index(role)]
    }

    # The token that the address names is somebody else's in either case.
    assert different == {}


def test_methods_that_are_not_listed_are_refused(matrix: Any) -> None:
    for method, answers in matrix[2].items():
        assert set(answers.values()) <= {"403", "405"}, method


def test_every_resource_and_button_is_in_it(matrix: Any) -> None:
    from sandfly_web.api.urls import router

    asked = {pattern for _, pattern in matrix[0]}
    assert {f"/api/v1/{prefix}" for prefix, _viewset, _basename in router.registry} <= asked
    assert {"/findings/finding/", "/scans/scan/{id}/do/cancel/", "/inventory/host/{id}/changes/"} <= asked
