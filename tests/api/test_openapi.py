"""The OpenAPI document: valid, without warnings, and the committed one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.management import call_command

COMMITTED = Path(__file__).resolve().parents[2] / "sandfly_web" / "api" / "openapi.yml"


def test_document_is_valid_without_warnings_and_as_committed(tmp_path: Path) -> None:
    """Run with UPDATE_GOLDEN=1 to write the committed file anew."""
    written = tmp_path / "openapi.yml"

    call_command("spectacular", "--validate", "--fail-on-warn", file=str(written))

    if os.environ.get("UPDATE_GOLDEN"):
        COMMITTED.write_text(written.read_text(encoding="utf-8"), encoding="utf-8")
    assert COMMITTED.read_text(encoding="utf-8") == written.read_text(encoding="utf-8"), (
        "the API changed: look at the difference, then write the document anew with UPDATE_GOLDEN=1"
    )


@pytest.mark.django_db
def test_documentation_loads_nothing_from_outside() -> None:
    from django.test import Client

    page = Client().get("/api/v1/docs").content.decode()
    script = Client().get("/api/v1/docs?script=").content.decode()

    assert "swagger-ui-bundle.js" in page
    assert [text for text in (page, script) if "http://" in text or "https://" in text] == []
    assert '"validatorUrl": null' in script


@pytest.mark.django_db
def test_document_names_token_authentication_and_problem_answers() -> None:
    from rest_framework.test import APIClient

    document = APIClient().get("/api/v1/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()

    operation = document["paths"]["/api/v1/scans"]["post"]
    assert {"apiToken": []} in operation["security"]
    assert set(operation["responses"]) == {"202", "400", "401", "403", "409", "422", "429"}
    assert "application/problem+json" in operation["responses"]["400"]["content"]
