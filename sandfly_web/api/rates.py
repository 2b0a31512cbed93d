"""How often a user or token may ask: programs that loop are told to wait, others are not held up by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.throttling import SimpleRateThrottle

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class RequestRate(SimpleRateThrottle):
    """`SANDFLY_API_RATE` requests, such as 3000/min, of one user or address; each process of the web server counts its
    own. Answers 429 with `Retry-After`.
    """

    scope = "api"

    def get_rate(self) -> str | None:
        """Empty: no limit."""
        rate: str = settings.API_RATE
        return rate or None

    def get_cache_key(self, request: Request, _view: APIView) -> str:
        ident = f"user-{request.user.pk}" if request.user and request.user.is_authenticated else self.get_ident(request)
        return self.cache_format % {"scope": self.scope, "ident": ident}
