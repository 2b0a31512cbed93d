"""The Content-Security-Policy of every answer: only what this server itself sends may run or be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

HEADER = "Content-Security-Policy"
DIRECTIVES = {
    "default-src": "'self'",
    # The expressions in the theme's attributes are read by console/expressions.js, not compiled by Alpine.js.
    "script-src": "'self'",
    # The theme and the API browser set style attributes.
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
POLICY = "; ".join(f"{name} {sources}" for name, sources in DIRECTIVES.items())


class ContentSecurityPolicyMiddleware:
    """Adds the policy to every answer, also to errors."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response[HEADER] = POLICY
        return response
