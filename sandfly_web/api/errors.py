"""Every error of the API as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, IntegrityError
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

if TYPE_CHECKING:
    from django.http import HttpRequest

CONTENT_TYPE = "application/problem+json"


class Conflict(exceptions.APIException):
    """The request is well formed, but the thing's state does not allow it."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "the present state does not allow this"
    default_code = "conflict"


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler; None lets an unexpected error reach the log as it is."""
    known = to_api_exception(error)
    if known is None:
        return None
    set_rollback()
    headers = {}
    if challenge := getattr(known, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(known, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return Response(problem(known), status=known.status_code, headers=headers, content_type=CONTENT_TYPE)


def to_api_exception(error: Exception) -> exceptions.APIException | None:
    """What REST framework knows of this error, if it is one a client can cause."""
    known: exceptions.APIException | None = None
    match error:
        case exceptions.APIException():
            known = error
        case Http404():
            known = exceptions.NotFound()
        case PermissionDenied():
            known = exceptions.PermissionDenied()
        case DjangoValidationError():
            known = exceptions.ValidationError(
                error.message_dict if hasattr(error, "error_dict") else {"non_field_errors": error.messages}
            )
        case ProtectedError() | RestrictedError():
            known = Conflict(f"still in use: {describe_users(error)}")
        case IntegrityError():
            known = Conflict("something with these values already exists, or was just changed")
        case DataError():
            # PostgreSQL's own bounds, such as a time zone beyond ±15:59; its message would quote the query.
            known = exceptions.ValidationError("a value is beyond what can be stored or compared")
    return known


def describe_users(error: ProtectedError | RestrictedError) -> str:
    """Up to three names of what still refers to the thing."""
    objects = error.protected_objects if isinstance(error, ProtectedError) else error.restricted_objects
    named = sorted(f"{item._meta.verbose_name} {item}" for item in objects)
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


def problem(error: exceptions.APIException) -> dict[str, Any]:
    """The body: `errors` lists each field at fault by its path, such as `rules.0`."""
    status = HTTPStatus(error.status_code)
    body: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": status.value}
    if isinstance(error, exceptions.ValidationError):
        body["detail"] = "the request is not valid; `errors` says what to change"
        body["errors"] = list(field_errors(error.detail, ""))
    else:
        body["detail"] = str(error.detail)
        body["code"] = error.get_codes()
    return body


def field_errors(detail: Any, path: str) -> list[dict[str, str]]:
    """Flatten REST framework's nested details."""
    if isinstance(detail, dict):
        pairs = [(key if key != "non_field_errors" else "", value) for key, value in detail.items()]
        return [e for key, value in pairs for e in field_errors(value, ".".join(filter(None, [path, str(key)])))]
    if isinstance(detail, list) and any(isinstance(entry, dict | list) for entry in detail):
        return [
            e
            for place, value in enumerate(detail)
            for e in field_errors(value, ".".join(filter(None, [path, str(place)])))
        ]
    if isinstance(detail, list):
        return [e for value in detail for e in field_errors(value, path)]
    return [{"field": path, "message": str(detail), "code": getattr(detail, "code", None) or "invalid"}]


# Nothing here changes anything; the check of a form's token would answer first, and with a page.
@csrf_exempt
def not_found(_request: HttpRequest) -> JsonResponse:
    """Addresses under /api/ that lead nowhere answer as the rest of the API does."""
    return JsonResponse(
        problem(exceptions.NotFound("no such address; /api/v1/schema lists them")),
        status=HTTPStatus.NOT_FOUND,
        content_type=CONTENT_TYPE,
    )
