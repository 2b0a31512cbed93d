"""Writes of signing in: how often a name was tried from an address, so that passwords cannot be guessed in bulk."""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import datetime, timedelta

from django.db import connection

from sandfly_web.accounts.models import LoginAttempts

MAX_ATTEMPTS = 5
WINDOW = timedelta(minutes=15)

# Counted before the password is looked at, in one statement: attempts at the same moment are all counted.
_COUNT = """
    INSERT INTO accounts_loginattempts (digest, count, since) VALUES (%(digest)s, 1, %(now)s)
    ON CONFLICT (digest) DO UPDATE SET count = accounts_loginattempts.count + 1
    RETURNING count
"""


def attempts_digest(username: str, address: str) -> str:
    """Of the name as the database compares it. The name itself is not kept: people type passwords there."""
    name = unicodedata.normalize("NFKC", username).casefold()
    return hashlib.sha256(f"{name}\0{address}".encode("utf-8", "surrogatepass")).hexdigest()


def may_try(username: str, address: str, now: datetime) -> bool:
    """Count an attempt; False once there were too many since the first, for a while."""
    LoginAttempts.objects.filter(since__lte=now - WINDOW).delete()
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"digest": attempts_digest(username, address), "now": now})
        [count] = cursor.fetchone()
    return bool(count <= MAX_ATTEMPTS)


def forget_attempts(username: str, address: str) -> None:
    """Somebody signed in: what was mistyped before does not count."""
    LoginAttempts.objects.filter(digest=attempts_digest(username, address)).delete()
