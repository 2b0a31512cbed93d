"""`Idempotency-Key`: a POST that is sent again with the same key is done once and answered the same."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer

from sandfly_web.accounts import idempotency
from sandfly_web.accounts.actor import actor
from sandfly_web.api.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from rest_framework.request import Request

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
# A new token is a secret that is kept nowhere; a hunt changes nothing.
WITHOUT_KEY = frozenset({"/api/v1/tokens", "/api/v1/hunt"})


class KeyReused(exceptions.APIException):
    """The key belongs to another request."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY
    default_detail = "this Idempotency-Key was used with another request; take a new one for each thing to be done"
    default_code = "idempotency_key_reused"


def once(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler of a POST, done at most once for each key of its caller; only answers that succeeded are kept."""

    def handle(request: Request, *args: Any, **kwargs: Any) -> Any:
        key, caller = read_key(request), idempotency.caller_of(actor(request))
        digest = idempotency.request_digest(request.method or "", request.get_full_path(), request.data)
        with transaction.atomic():
            try:
                idempotency.take(caller, key)
            except idempotency.KeyInUseError:
                raise Conflict(f"the first request with this {HEADER} is still under way") from None
            now = timezone.now()
            if (kept := idempotency.find(caller, key, now)) is not None:
                return replay(kept, digest)
            try:
                idempotency.check_room(caller)
            except idempotency.TooManyKeysError:
                raise exceptions.Throttled(detail=f"more than {idempotency.MAX_ANSWERS} keys within a day") from None
            response = handler(request, *args, **kwargs)
            if response.status_code < HTTPStatus.BAD_REQUEST:
                body = JSONRenderer().render(response.data)
                idempotency.keep(caller, key, idempotency.Kept(digest, response.status_code, body), now)
            return response

    return handle


def read_key(request: Request) -> str:
    """Raises ValidationError for a key that is none, or where none is taken."""
    key = request.headers.get(HEADER, "")
    if request.path_info in WITHOUT_KEY:
        raise exceptions.ValidationError({HEADER: "this address takes none"})
    if not idempotency.is_key(key):
        raise exceptions.ValidationError({HEADER: f"1 to {idempotency.MAX_KEY_CHARS} printable characters of ASCII"})
    return key


def replay(kept: idempotency.Kept, digest: str) -> HttpResponse:
    """The first answer. Raises KeyReused for another request, and Conflict when the answer was too long to keep."""
    if kept.digest != digest:
        raise KeyReused
    if kept.body is None:
        raise Conflict(f"this was done and answered with {kept.status}, but the answer was too long to be kept")
    return HttpResponse(kept.body, status=kept.status, content_type="application/json", headers={REPLAYED: "true"})
