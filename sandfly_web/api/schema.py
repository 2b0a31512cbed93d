"""Additions to the OpenAPI document: the errors that every operation can answer with, and the key of a POST."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from sandfly_web.accounts.idempotency import MAX_KEY_CHARS
from sandfly_web.api.idempotency import HEADER, WITHOUT_KEY

PROBLEM = {
    "type": "object",
    "description": "An error as RFC 9457 describes it.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong, for a person."},
        "code": {"type": "string", "description": "What went wrong, for a program."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message", "code"],
                "properties": {
                    "field": {"type": "string", "description": "Path such as `rules.0`; empty for the whole."},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
    },
}
EVERYWHERE = {
    "401": "No valid token or session.",
    "403": "The user lacks the right.",
    "429": "Asked too often; `Retry-After` says for how many seconds to wait.",
}
WITH_ID = {"404": "There is no such thing, or the user may not see it."}
WITH_BODY = {"400": "The request is not valid.", "409": "The present state does not allow this."}
KEY_REUSED = {"422": "The `Idempotency-Key` was used with another request."}
KEY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A text of your own for this one thing to be done. Sent again with the same body within a day, the "
    "request is not done again: the first answer is given again, with `Idempotency-Replayed: true`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARS, "pattern": "^[!-~]+$"},
}
METHODS = frozenset({"get", "post", "put", "patch", "delete"})


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes `Authorization: Bearer`."""

    target_class = "sandfly_web.accounts.authentication.ApiTokenAuthentication"
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A token of `manage.py create_token` or `/tokens`."}


def add_problem_responses(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """drf-spectacular postprocessing hook."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if method in METHODS:
                add_to_operation(path, method, operation)
    return result


def add_to_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    wanted = dict(EVERYWHERE)
    if "{" in path:
        wanted |= WITH_ID
    if method != "get":
        wanted |= WITH_BODY
    if method == "post" and path not in WITHOUT_KEY:
        operation.setdefault("parameters", []).append(KEY_PARAMETER)
        wanted |= KEY_REUSED
    if method == "get" and any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
        wanted["400"] = WITH_BODY["400"]
    for status, description in wanted.items():
        operation["responses"].setdefault(
            status,
            {
                "description": description,
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
