"""`Authorization: Bearer <token>` for the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed

from sandfly_web.accounts.services import find_token_user

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
    from rest_framework.request import Request


class ApiTokenAuthentication(BaseAuthentication):
    """Finds the user of a bearer token; a request without one goes to the next method."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, str] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        user = find_token_user(token.decode("ascii", "replace").strip())
        if user is None:
            raise AuthenticationFailed("this token is unknown, expired or its user is inactive")
        return user, "token"

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
