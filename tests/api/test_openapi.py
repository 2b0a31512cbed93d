"""The OpenAPI document: valid, without warnings, and the committed one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

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


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("accept", "kind", "suffix"),
    [
        ("application/vnd.oai.openapi", "application/vnd.oai.openapi; charset=utf-8", "yaml"),
        ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json", "json"),
        ("*/*", "application/vnd.oai.openapi; charset=utf-8", "yaml"),
    ],
)
def test_served_document_is_the_committed_one_in_either_form(accept: str, kind: str, suffix: str) -> None:
    import yaml
    from rest_framework.test import APIClient

    answer = APIClient().get("/api/v1/schema", headers={"Accept": accept})

    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Content-Disposition"] == f'inline; filename="sandfly API.{suffix}"'
    assert yaml.load(answer.content, yaml.CSafeLoader) == yaml.load(COMMITTED.read_bytes(), yaml.CSafeLoader)


@pytest.mark.django_db
def test_the_document_is_made_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_framework.test import APIClient

    first = APIClient().get("/api/v1/schema").content
    monkeypatch.setattr("drf_spectacular.generators.SchemaGenerator.get_schema", None)

    assert APIClient().get("/api/v1/schema").content == first


LISTS = ("hosts", "findings", "scans", "batches", "rules", "records", "finding-events", "schedules", "forensic-records")


def as_json_schema(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [as_json_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: as_json_schema(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") is True else made


def test_every_post_and_every_main_list_has_examples_that_are_right() -> None:
    """Each example is held against its schema, formats and all."""
    import yaml
    from jsonschema import Draft202012Validator, FormatChecker

    document = yaml.safe_load(COMMITTED.read_text(encoding="utf-8"))
    components = {"components": as_json_schema(document["components"])}
    missing, wrong, seen = [], [], 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "post" and (method, path) not in {("get", f"/api/v1/{name}") for name in LISTS}:
                continue
            bodies = {"request": operation.get("requestBody", {})}
            bodies |= {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
            for where, body in bodies.items():
                content = body.get("content", {}).get("application/json")
                if content is None:
                    continue
                if "example" not in content:
                    missing.append(f"{method} {path} {where}")
                    continue
                schema = {**as_json_schema(content["schema"]), **components}
                check = Draft202012Validator(schema, format_checker=FormatChecker())
                wrong += [
                    f"{method} {path} {where}: {fault.message[:200]}" for fault in check.iter_errors(content["example"])
                ]
                seen += 1

    assert (missing, wrong) == ([], [])
    assert seen > 80
