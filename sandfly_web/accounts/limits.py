"""Opens each request without a limit to hosts, sets that of whoever is signed in, and ends it with the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from sandfly_web.accounts.services import narrow_hosts
from sandfly_web.inventory.scope import limited_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


class HostLimitMiddleware:
    """After authentication. A token's limit is set where the token is read, inside of this."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with limited_to(None):
            # Who has no session is not looked up: health checks and tokens ask no such question.
            if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
                narrow_hosts(request.user)
            return self.get_response(request)
