"""Who somebody is: a name and password in the console, `Authorization: Bearer <token>` for the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed

from sandfly_web.accounts.audit import record_sign_in
from sandfly_web.accounts.logins import forget_attempts, may_try
from sandfly_web.accounts.services import find_token_user

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
    from django.http import HttpRequest
    from rest_framework.request import Request


class ThrottledBackend(ModelBackend):
    """Django's users. A name tried too often from an address is refused there for a while, like a wrong password."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        address = request.META.get("REMOTE_ADDR", "") if request else ""
        if not username or password is None or not may_try(username, address, timezone.now()):
            return None
        user = super().authenticate(request, username, password, **kwargs)
        if user is not None:
            forget_attempts(username, address)
        # A known name costs a refused attempt no more than an unknown one, so that its time tells nothing.
        known = user or User.objects.filter(username=username).first()
        record_sign_in(known, is_accepted=user is not None)
        return user


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
