"""Requests that are sent again: the first answer under an `Idempotency-Key` is kept for a day and given again.

What a request does and its answer are one transaction: a process that dies in between has done nothing, and no key
stays taken. Whoever is first holds an advisory lock until then, so that a second one at the same moment is told so.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.utils.crypto import salted_hmac
from django.utils.datastructures import MultiValueDict

from sandfly_web.accounts.models import IdempotentAnswer
from sandfly_web.inventory.scope import present_limit

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.core.files.uploadedfile import UploadedFile

KEPT_FOR = timedelta(hours=24)
MAX_KEY_CHARS = 255
# Packed; a list of ten thousand scans takes half of it.
MAX_BODY_BYTES = 1_048_576
# Of one token or user at a time.
MAX_ANSWERS = 10_000


class KeyInUseError(Exception):
    """The first request with this key has not ended."""


class TooManyKeysError(Exception):
    """The caller has used as many keys as are kept."""


@dataclass(frozen=True)
class Caller:
    """Whose keys they are: a token, or a person in the console."""

    user: User
    name: str


@dataclass(frozen=True)
class Kept:
    """An answer that was given; `body` is None when it was too long to keep."""

    digest: str
    status: int
    body: bytes | None


def caller_of(user: User) -> Caller:
    token = getattr(user, "token_id", None)
    return Caller(user, f"user {user.pk}" if token is None else f"token {token}")


def is_key(text: str) -> bool:
    """1 to 255 characters of ASCII that can be seen."""
    return 0 < len(text) <= MAX_KEY_CHARS and text.isascii() and text.isprintable() and " " not in text


def request_digest(method: str, path: str, body: Any) -> str:
    """HMAC-SHA-256 of what was asked, and of which hosts could be known: bodies hold passwords, which a stolen database
    must not let anybody guess.
    """
    limit = [sorted(tags) for tags in present_limit() or ()]
    body = dict(body.lists()) if isinstance(body, MultiValueDict) else body
    asked = json.dumps([method, path, body, limit], sort_keys=True, default=_file_digest)
    return salted_hmac("sandfly.idempotency", asked, algorithm="sha256").hexdigest()


def _file_digest(file: UploadedFile[bytes]) -> list[str | None]:
    """Name and SHA-256 of a file of a form; it is read again by whoever wants it."""
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return [file.name, digest.hexdigest()]


def take(caller: Caller, key: str) -> None:
    """Hold the key until the transaction ends. Raises KeyInUseError when another request does."""
    digest = hashlib.sha256(f"{caller.name}\n{key}".encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], signed=True)])
        if not cursor.fetchone()[0]:
            raise KeyInUseError


def find(caller: Caller, key: str, now: datetime) -> Kept | None:
    """The answer under a key that was taken; one that is too old is forgotten."""
    row = IdempotentAnswer.objects.filter(caller=caller.name, key=key).first()
    if row is None:
        return None
    if row.created_at <= now - KEPT_FOR:
        row.delete()
        return None
    return Kept(row.digest, row.status, None if row.body is None else zlib.decompress(bytes(row.body)))


def check_room(caller: Caller) -> None:
    """Raises TooManyKeysError."""
    if IdempotentAnswer.objects.filter(caller=caller.name)[:MAX_ANSWERS].count() >= MAX_ANSWERS:
        raise TooManyKeysError


def keep(caller: Caller, key: str, answer: Kept, now: datetime) -> None:
    packed = None if answer.body is None else zlib.compress(answer.body)
    IdempotentAnswer.objects.create(
        user=caller.user,
        caller=caller.name,
        key=key,
        digest=answer.digest,
        status=answer.status,
        body=packed if packed is None or len(packed) <= MAX_BODY_BYTES else None,
        created_at=now,
    )
