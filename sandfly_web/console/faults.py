"""The pages of errors. They ask the database nothing, so that they stand when it is away, and tell nothing of the error
but the request's id, by which the log tells the rest. Under /api/ the answer is a problem, as every error there is.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.template.loader import render_to_string
from unfold.settings import get_config

from sandfly_web.api.errors import CONTENT_TYPE
from sandfly_web.console import navigation
from sandfly_web.console.requestid import request_id

if TYPE_CHECKING:
    from django.http import HttpRequest


class Fault(NamedTuple):
    """What a person reads: what is the matter, and what to do about it."""

    title: str
    text: str


FAULTS = {
    HTTPStatus.BAD_REQUEST: Fault(
        "This request could not be read",
        "Something in its address or its headers is not what the console expects. Go back and try again; where that "
        "happens with every page, the name in the address bar may be missing in SANDFLY_ALLOWED_HOSTS.",
    ),
    HTTPStatus.FORBIDDEN: Fault(
        "Your role does not allow this",
        "You are signed in, but this page or action needs a right that your role has not. An admin can give it to you.",
    ),
    HTTPStatus.NOT_FOUND: Fault(
        "There is no such page",
        "What was here may have been deleted or merged, the address may be mistyped, or it belongs to a host that you "
        "may not see.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: Fault(
        "Something went wrong here",
        "That is a fault of the server, not yours, and it was logged. Try again in a moment; when it stays, give the "
        "request id below to whoever runs this server.",
    ),
}
CSRF = Fault(
    "This form was open for too long",
    "It was filled in before you signed in or out, or the browser keeps no cookies, so that nothing was changed. Go "
    "back, load the page again and send it once more.",
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, HTTPStatus.BAD_REQUEST)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, HTTPStatus.FORBIDDEN)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, HTTPStatus.NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    return answer(request, HTTPStatus.INTERNAL_SERVER_ERROR)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The reason tells how the check works; the log has it."""
    return answer(request, HTTPStatus.FORBIDDEN, CSRF)


def answer(request: HttpRequest, status: HTTPStatus, fault: Fault | None = None) -> HttpResponse:
    fault = fault or FAULTS[status]
    if request.path_info.startswith("/api/"):
        body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": fault.title}
        return JsonResponse({**body, "request_id": request_id.get()}, status=status, content_type=CONTENT_TYPE)
    page = {"status": status.value, "fault": fault, "title": fault.title, "request_id": request_id.get()}
    return HttpResponse(render_to_string("console/pages/fault.html", frame() | page), status=status)


def frame() -> dict[str, Any]:
    """What the theme's frame needs, without asking who looks."""
    look = settings.UNFOLD
    return {
        "site_title": look["SITE_TITLE"],
        "border_radius": look["BORDER_RADIUS"],
        "colors": {**get_config()["COLORS"], "primary": navigation.TEAL},
        "styles": [navigation.stylesheet(None)],
        "scripts": [navigation.expressions(None), navigation.script(None)],
        "site_icon": navigation.icon(None),
        "site_favicons": [{"rel": "icon", "type": "image/svg+xml", "href": navigation.icon(None)}],
    }
