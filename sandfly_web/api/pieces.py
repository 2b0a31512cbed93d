"""Answers in part and in a stream: `fields=` names what a client wants, `export=ndjson` gives every row, one a line."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from django.http import StreamingHttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.db.models import QuerySet
    from rest_framework.request import Request
    from rest_framework.serializers import BaseSerializer

FIELDS, EXPORT, NDJSON = "fields", "export", "ndjson"
CONTENT_TYPE = "application/x-ndjson"
READ_AT_ONCE = 1000
PARAMETERS = [
    {
        "name": FIELDS,
        "in": "query",
        "required": False,
        "description": "Names of fields, with commas between: only these are in the answer.",
        "schema": {"type": "string"},
        "example": "id",
    },
    {
        "name": EXPORT,
        "in": "query",
        "required": False,
        "description": "`ndjson`: every row that fits, one JSON object a line, without pages.",
        "schema": {"type": "string", "enum": [NDJSON]},
    },
]


def wanted_fields(request: Request) -> list[str]:
    """Of `fields=`; empty: all."""
    return [name.strip() for name in request.query_params.get(FIELDS, "").split(",") if name.strip()]


def keep_fields(serializer: BaseSerializer[Any], names: Sequence[str]) -> None:
    """Take all others out, so that what they need is not even computed. Raises ValidationError for unknown names."""
    fields = getattr(getattr(serializer, "child", serializer), "fields", {})
    unknown = sorted(set(names) - set(fields))
    if unknown:
        raise ValidationError({FIELDS: f"there is no {unknown[0]!r}; there are: {', '.join(sorted(fields))}"})
    for name in set(fields) - set(names):
        fields.pop(name)


def wants_lines(request: Request) -> bool:
    """Raises ValidationError for a kind of export that there is not."""
    text = request.query_params.get(EXPORT)
    if text not in {None, NDJSON}:
        raise ValidationError({EXPORT: f"is {NDJSON} or not given"})
    return text is not None


def lines(queryset: QuerySet[Any], serializer: Any) -> StreamingHttpResponse:
    """All rows in the order of the list, read in batches.

    They are read after the request has ended, but in its context: what it may know of hosts holds for what rows are
    related to, which is only read then.
    """
    renderer, context = JSONRenderer(), copy_context()

    def rows() -> Iterator[bytes]:
        for row in queryset.iterator(chunk_size=READ_AT_ONCE):
            yield renderer.render(serializer.to_representation(row)) + b"\n"

    def in_context(rows: Iterator[bytes]) -> Iterator[bytes]:
        while (line := context.run(next, rows, None)) is not None:
            yield line

    return StreamingHttpResponse(in_context(rows()), content_type=CONTENT_TYPE)
