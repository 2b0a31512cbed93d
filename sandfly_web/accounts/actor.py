"""Who acts in a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request


def actor(request: HttpRequest | Request) -> User:
    """The signed-in user. Raises PermissionDenied for a stranger, whom a permission check should have stopped."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
