"""A name for each request: in the answer, in every line that is logged under it, and on the pages of errors."""

from __future__ import annotations

import logging
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-Id"
# What is logged outside of any request.
NONE = "-"
request_id: ContextVar[str] = ContextVar("request_id", default=NONE)


class RequestIdMiddleware:
    """First of all, so that whatever fails has one. A client's own would let it write into the log: it is not taken."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = request_id.set(uuid.uuid4().hex[:16])
        try:
            response = self.get_response(request)
            response[HEADER] = request_id.get()
        finally:
            request_id.reset(token)
        return response


class RequestIdFilter(logging.Filter):
    """Gives each record the `request_id` that the formatter writes."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
