"""Typed readers of environment variables; a wrong value stops start-up with a sentence that says what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def boolean(name: str, *, default: bool) -> bool:
    """Raises ImproperlyConfigured for anything but True, False or empty."""
    raw = os.environ.get(name, "")
    values = {"": default, "true": True, "1": True, "false": False, "0": False}
    if raw.lower() not in values:
        raise ImproperlyConfigured(f"{name}={raw!r}: use True or False")
    return values[raw.lower()]


def integer(name: str, default: int) -> int:
    """Raises ImproperlyConfigured for anything but a whole number."""
    raw = os.environ.get(name, "")
    try:
        return int(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r}: use a whole number") from None


def words(name: str, default: list[str]) -> list[str]:
    """A comma-separated list."""
    raw = os.environ.get(name, "")
    return [word.strip() for word in raw.split(",") if word.strip()] if raw else default


def secret(name: str, default_file: Path | None = None) -> str:
    """The variable itself, else the content of the file `<name>_FILE` names, else that of `default_file` if it exists.

    Raises ImproperlyConfigured when `<name>_FILE` cannot be read.
    """
    if value := os.environ.get(name):
        return value
    if named := os.environ.get(f"{name}_FILE"):
        try:
            return Path(named).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE={named}: {error.strerror}") from None
    try:
        return default_file.read_text(encoding="utf-8").strip() if default_file else ""
    except OSError:
        # Not this user's data directory: commands without a server (`scan`, `rules`) still work.
        return ""


def database(url: str) -> dict[str, Any]:
    """Django's database settings from `postgresql://user:password@host:port/name?option=value`.

    A socket directory goes into `?host=/directory`. Raises ImproperlyConfigured for other engines.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must begin with postgresql:// - no other database is supported")
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "sandfly",
        "USER": unquote(parts.username or options.pop("user", "")),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or "") or options.pop("host", ""),
        "PORT": str(parts.port or options.pop("port", "")),
        "OPTIONS": options,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
