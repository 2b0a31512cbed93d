"""Cursor pages by key: constant cost however deep, and stable while rows arrive.

REST framework's own cursor counts offsets among rows that tie on the first field and gives up after 1,000 of them; with
five severities over a million findings that is every page. Here the cursor holds all ordering values of the edge row.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field, Q
from rest_framework.exceptions import ParseError
from rest_framework.pagination import BasePagination
from rest_framework.response import Response

from sandfly_web.api.pieces import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import Model
    from rest_framework.request import Request
    from rest_framework.views import APIView

MAX_CURSOR_CHARS = 1024


def after(ordering: Sequence[str], values: Sequence[Any]) -> Q:
    """Rows behind the row with these ordering values.

    The first term is implied by the others; it gives the planner one range on the leading column of the index.
    """
    lead = ordering[0]
    edge = "lte" if lead.startswith("-") else "gte"
    tail = Q()
    ties: dict[str, Any] = {}
    for name, value in zip(ordering, values, strict=True):
        field = name.lstrip("-")
        tail |= Q(**ties, **{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        ties[field] = value
    return Q(**{f"{lead.lstrip('-')}__{edge}": values[0]}) & tail


def flip(ordering: Sequence[str]) -> tuple[str, ...]:
    """The opposite order."""
    return tuple(name[1:] if name.startswith("-") else f"-{name}" for name in ordering)


class CursorPages(BasePagination):
    """Pages in the order of the view's `ordering`, whose fields are never null and end with a unique one."""

    page_size = 50
    max_page_size = 500
    default_ordering = ("-id",)

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.url = request.build_absolute_uri(request.path)
        self.query = request.query_params.copy()
        self.ordering = tuple(getattr(view, "ordering", None) or self.default_ordering)
        size = self.read_page_size(self.query.get("page_size"))
        cursor = self.query.pop("cursor", [""])[-1]
        backwards, values = self.read_cursor(cursor, queryset.model) if cursor else (False, None)
        order = flip(self.ordering) if backwards else self.ordering
        rows = queryset.order_by(*order)
        if values is not None:
            rows = rows.filter(after(order, values))
        page = list(rows[: size + 1])
        self.keep_links(page, size, backwards=backwards, is_first=values is None)
        page = page[:size]
        return page[::-1] if backwards else page

    def keep_links(self, page: list[Any], size: int, *, backwards: bool, is_first: bool) -> None:
        """Remember the edge rows; the row past the page only says that there is more."""
        has_more = len(page) > size
        shown = page[:size][::-1] if backwards else page[:size]
        has_next, has_previous = (bool(shown), has_more) if backwards else (has_more, not is_first and bool(shown))
        self.next_url = self.link(shown[-1], backwards=False) if has_next else None
        self.previous_url = self.link(shown[0], backwards=True) if has_previous else None

    def link(self, row: Model, *, backwards: bool) -> str:
        values = [str(read_value(row, name.lstrip("-"))) for name in self.ordering]
        raw = json.dumps(["<" if backwards else ">", *values], separators=(",", ":")).encode()
        cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        pairs = [(key, value) for key, entries in self.query.lists() for value in entries]
        return f"{self.url}?{urlencode([*pairs, ('cursor', cursor)])}"

    def read_page_size(self, text: str | None) -> int:
        """Raises ParseError for anything but a whole number; larger ones are cut to the largest page."""
        if text is None:
            return self.page_size
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            raise ParseError(f"page_size must be a whole number from 1 to {self.max_page_size}")
        return min(int(text), self.max_page_size)

    def read_cursor(self, text: str, model: type[Model]) -> tuple[bool, list[Any]]:
        """Direction and ordering values. Raises ParseError for anything that this class did not write."""
        try:
            if len(text) > MAX_CURSOR_CHARS:
                raise ParseError("this cursor is not valid; take it from `next` or `previous` as it is")
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            direction, *values = json.loads(raw)
            fields = [name.lstrip("-") for name in self.ordering]
            return direction == "<", [to_python(model, f, v) for f, v in zip(fields, values, strict=True)]
        except (binascii.Error, ValueError, TypeError, ValidationError, FieldDoesNotExist):
            raise ParseError("this cursor is not valid; take it from `next` or `previous` as it is") from None

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next_url, "previous": self.previous_url, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "nullable": True, "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where the page begins; taken from `next` or `previous`.",
                "schema": {"type": "string"},
            },
            *PARAMETERS,
            {
                "name": "page_size",
                "in": "query",
                "required": False,
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": self.max_page_size,
                    "default": self.page_size,
                },
            },
        ]


def read_value(row: Model, field: str) -> Any:
    value = getattr(row, field)
    return value.isoformat() if hasattr(value, "isoformat") else value


def to_python(model: type[Model], field: str, value: Any) -> Any:
    """Raises ValidationError for text that is no value of the field."""
    if not isinstance(value, str) or "\x00" in value:
        raise ValidationError("not text")
    column = model._meta.get_field(field)
    if not isinstance(column, Field):
        raise ValidationError("not a column")
    return column.to_python(value)
