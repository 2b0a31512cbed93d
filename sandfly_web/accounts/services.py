"""Writes of accounts: roles and API tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone

from sandfly_web.accounts.models import ApiToken, HostLimit
from sandfly_web.accounts.roles import LIMITED, ROLE_RIGHTS, Role
from sandfly_web.inventory.scope import narrow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from django.contrib.auth.models import User

    from sandfly_web.inventory.models import Tag

TOKEN_PREFIX = "sfly_"  # noqa: S105 - lets secret scanners recognise a leaked token
# Writing last_used_at on every request would make each read a write.
USED_RESOLUTION = timedelta(minutes=5)


def ensure_roles() -> None:
    """The groups of `accounts.roles` with exactly their rights; safe to run again.

    Rights whose models are not migrated yet are left for the next run.
    """
    known = {
        f"{right.content_type.app_label}.{right.codename}": right
        for right in Permission.objects.select_related("content_type")
    }
    for role, wanted in ROLE_RIGHTS.items():
        group, _ = Group.objects.get_or_create(name=role.value)
        group.permissions.set([known[name] for name in sorted(wanted & known.keys())])


def delete_token(token: ApiToken) -> None:
    """Programs that use the token are refused from now on."""
    token.delete()


def token_digest(token: str) -> str:
    """SHA-256; a token has 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def create_token(
    user: User,
    name: str,
    expires_at: datetime | None = None,
    role: str = "",
    host_tags: Sequence[Tag] | None = None,
) -> tuple[ApiToken, str]:
    """A new token row and the token itself, which can never be read again.

    `role` limits it, and `host_tags`, unless it is None, to hosts with one of these tags. Made with a token that knows
    only of some hosts it knows of no others either. Raises ValidationError when `user` signed in with a token that is
    limited itself, to less.
    """
    limit = limit_of(user)
    role = role or limit
    if limit and not ROLE_RIGHTS[Role(role)] <= ROLE_RIGHTS[Role(limit)]:
        raise ValidationError({"role": f"a token that is limited to {limit} makes none that may more"})
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    inherited: list[Tag] | None = getattr(user, "token_host_tags", None)
    if inherited is not None:
        host_tags = [tag for tag in inherited if host_tags is None or tag in host_tags]
    row = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=token[:10],
        digest=token_digest(token),
        expires_at=expires_at,
        role=role,
        is_limited_to_hosts=host_tags is not None,
    )
    row.host_tags.set(host_tags or [])
    return row, token


def limit_of(user: User) -> str:
    """The role that the token of this request is limited to; "" for none, and without a token."""
    return str(getattr(user, "token_role", ""))


def limit_rights(user: User, role: str) -> User:
    """The user with no more rights than the role, for as long as this object lives: one request."""
    keep_rights(user, ROLE_RIGHTS[Role(role)])
    setattr(user, "token_role", role)  # noqa: B010 - a fact of this request, not of the row
    return user


def keep_rights(user: User, allowed: Collection[str]) -> None:
    """Take all other rights from this object."""
    may, rights = user.has_perm, user.get_all_permissions

    def has_perm(perm: str, obj: Any = None) -> bool:
        return perm in allowed and may(perm, obj)

    def get_all_permissions(obj: Any = None) -> set[str]:
        return {name for name in rights(obj) if name in allowed}

    # On the object, so that everything that asks it is answered so; a class of its own would be another model.
    for name, value in (("has_perm", has_perm), ("get_all_permissions", get_all_permissions)):
        setattr(user, name, value)


def find_token_user(token: str) -> User | None:
    """The active user of a token that is known and not expired."""
    now = timezone.now()
    row = (
        ApiToken.objects.select_related("user")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), digest=token_digest(token), user__is_active=True)
        .first()
    )
    if row is None:
        return None
    if row.last_used_at is None or now - row.last_used_at > USED_RESOLUTION:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
    user = limit_rights(row.user, row.role) if row.role else row.user
    setattr(user, "token_id", row.pk)  # noqa: B010 - a fact of this request, not of the row
    narrow_hosts(user, row)
    return user


def narrow_hosts(user: User, token: ApiToken | None = None) -> None:
    """For the rest of this request: the limits of the user and of the token, in queries and in rights."""
    limits = []
    if not user.is_superuser:
        of_user = list(HostLimit.objects.filter(user=user).values_list("tags", flat=True))
        # A row without tags comes back as one without an id: a limit that no host is in.
        limits += [frozenset(pk for pk in of_user if pk is not None)] if of_user else []
    if token is not None and token.is_limited_to_hosts:
        tags = list(token.host_tags.all())
        limits.append(frozenset(tag.pk for tag in tags))
        setattr(user, "token_host_tags", tags)  # noqa: B010 - a fact of this request, not of the row
    if limits:
        narrow(tuple(limits))
        keep_rights(user, LIMITED)
