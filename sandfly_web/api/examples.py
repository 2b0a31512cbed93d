"""An example of everything that is sent and answered, made from the document itself. Pure.

Values come by the name of a property where that says what it holds, else by its type; a test holds each example against
its schema, so that none can grow old.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 6
ID = "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d"
AT = "2026-03-01T12:00:00Z"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
DETECTION = "detection:\n  shell:\n    path|endswith: /sh\n    uid: 0\n  condition: shell\n"
BY_FORMAT = {
    "date-time": AT,
    "uuid": ID,
    "uri": "https://sandfly.example.com/api/v1/",
    "time": "22:00:00",
    "date": AT[:10],
}
# Used where the schema takes it.
BY_NAME: dict[str, Any] = {
    "address": "192.0.2.7",
    "architecture": "amd64",
    "assignee": "alice",
    "become": "auto",
    "callback_url": "https://soar.example.com/hooks/sandfly",
    "comment": "Asked the owner",
    "cpu_percent": 50,
    "cursor": "WyI-IiwiNyJd",
    "description": "Web servers in the office",
    "detail": "Accepted publickey for root from 192.0.2.7",
    "detection": DETECTION,
    "digest": DIGEST,
    "explanation": "The program /usr/bin/x runs as root, although it is no longer on disk.",
    "filter": {"rule_name": "process_running_deleted", "level": ["low", "medium"]},
    "fingerprint": "SHA256:tZ0b2nJr4oWm8yq1x7kQeV5uS3dF6gH9jK0lM1nB2vC",
    "host_name": "app-7",
    "hosts": [ID],
    "ids": [ID],
    "hostname": "app-7",
    "interval_s": 86400,
    "kernel": "6.1.0-26-amd64",
    "kind": "modified",
    "level": "high",
    "name": "app-7",
    "next": "https://sandfly.example.com/api/v1/findings?cursor=WyI-IiwiNyJd",
    "os_name": "Debian GNU/Linux 12",
    "password": "correct horse battery staple",
    "port": 22,
    "previous": None,
    "ranges": "192.0.2.0/24",
    "reason": "Rebuilt from the image",
    "requested_by": "alice",
    "role": "responder",
    "rule_name": "process_running_deleted",
    "rules": ["process_running_deleted"],
    "secret": DIGEST,
    "staging_directory": "/opt/scan",
    "subject": "process",
    "tags": ["web"],
    "text": "app-7 ansible_host=192.0.2.7\n",
    "thing": "/usr/bin/x (kworkerd)",
    "title": "Running program is deleted",
    "token": "sfly_7Hq2pX0cV9bN4mK1",
    "types": ["detection", "recon"],
    "username": "root",
    "what": "/var/www/html/uploads/image.php",
    "worker": "worker-1",
    "zone": "default",
}
# Whole bodies of requests whose properties exclude each other.
BODIES: dict[str, dict[str, Any]] = {
    "ScanRequestRequest": {
        "tags": ["web"],
        "types": ["detection", "recon"],
        "priority": "high",
        "callback_url": BY_NAME["callback_url"],
    },
    "TriageAllRequest": {
        "action": "close",
        "filter": BY_NAME["filter"],
        "reason": "Patched on all web servers",
        "expect": 1240,
    },
}


def add_examples(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """drf-spectacular postprocessing hook: an example in every JSON body of a request and of a good answer."""
    components = result["components"]["schemas"]
    for operations in result["paths"].values():
        for operation in operations.values():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            for content, is_request in contents(operation):
                if "example" not in content and "schema" in content:
                    content["example"] = example(content["schema"], components, is_request=is_request)
    return result


def contents(operation: Mapping[str, Any]) -> list[tuple[dict[str, Any], bool]]:
    """The JSON bodies of an operation; the second says whether it is sent."""
    bodies = [(operation.get("requestBody", {}), True)]
    bodies += [(answer, False) for status, answer in operation["responses"].items() if status.startswith("2")]
    found = [(body.get("content", {}).get("application/json"), is_request) for body, is_request in bodies]
    return [(content, is_request) for content, is_request in found if content is not None]


def example(
    schema: Mapping[str, Any],
    components: Mapping[str, Any],
    name: str = "",
    depth: int = 0,
    *,
    is_request: bool = False,
) -> Any:
    """A value of the schema. `name` is that of the property that holds it."""
    if "$ref" in schema:
        own = schema["$ref"].rpartition("/")[2]
        return BODIES.get(own) or example(components[own], components, name, depth, is_request=is_request)
    for several in ("allOf", "oneOf", "anyOf"):
        if several in schema:
            return example(schema[several][0], components, name, depth, is_request=is_request)
    if "enum" in schema:
        known = BY_NAME.get(name)
        made = known if known in schema["enum"] else schema["enum"][0]
    elif schema.get("type") == "object":
        made = example_object(schema, components, depth, name, is_request=is_request)
    elif schema.get("type") == "array":
        made = example_list(schema, components, depth, name, is_request=is_request)
    else:
        made = example_scalar(schema, name)
    return made


def example_list(
    schema: Mapping[str, Any], components: Mapping[str, Any], depth: int, name: str, *, is_request: bool
) -> list[Any]:
    """Of one entry, unless it is deep inside."""
    items, known = schema["items"], BY_NAME.get(name)
    if isinstance(known, list) and items.get("type") == "string" and "enum" not in items:
        return known
    if depth >= MAX_DEPTH and not schema.get("minItems"):
        return []
    return [example(items, components, "", depth + 1, is_request=is_request)]


def example_object(
    schema: Mapping[str, Any], components: Mapping[str, Any], depth: int, name: str, *, is_request: bool
) -> dict[str, Any]:
    """Of a request what is needed and what is usually given; of an answer all."""
    if name == "filter":
        return dict(BY_NAME["filter"])
    needed = schema.get("required", [])
    made: dict[str, Any] = {}
    for key, part in schema.get("properties", {}).items():
        if is_request and key not in needed and key not in USUAL:
            continue
        if part.get("nullable") and key in BY_NAME and BY_NAME[key] is None:
            made[key] = None
        else:
            made[key] = example(part, components, key, depth + 1, is_request=is_request)
    more = schema.get("additionalProperties")
    if not made and isinstance(more, dict) and more:
        made["example"] = example(more, components, "", depth + 1, is_request=is_request)
    return made


USUAL = frozenset({"comment", "tags", "reason", "password", "rules", "assignee", "port", "description"})


def example_scalar(schema: Mapping[str, Any], name: str) -> Any:
    kind, known = schema.get("type"), BY_NAME.get(name)
    if schema.get("format") in BY_FORMAT and not (isinstance(known, str) and schema["format"] == "uri"):
        return BY_FORMAT[schema["format"]]
    if kind == "string":
        return (
            known[: schema.get("maxLength", 10_000)] if isinstance(known, str) else "text"[: schema.get("maxLength", 9)]
        )
    if kind == "integer":
        value = known if isinstance(known, int) and not isinstance(known, bool) else 7
        return max(schema.get("minimum", value), min(value, schema.get("maximum", value)))
    return {"number": 0.5, "boolean": False}.get(str(kind), known if known is not None else {})
