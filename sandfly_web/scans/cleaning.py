"""Makes values from hosts fit for the database: bounded, and without what PostgreSQL's jsonb refuses.

Nothing is dropped silently: refused characters become visible escapes, cut values end with "…" and are named. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

MAX_TEXT_CHARS = 65_536
MAX_KEY_CHARS = 255
MAX_ENTRIES = 4096
MAX_DEPTH = 6
# jsonb holds larger numbers, other readers of the API do not.
MAX_INTEGER = 2**63
MAX_RECORD_CHARS = 1_048_576

# jsonb has no NUL; a lone surrogate is no character (both arrive as JSON escapes, so the decoder lets them through).
_REFUSED = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    r"""The text with NUL as `\x00` and lone surrogates as `\udXXX`, at most `limit` characters."""
    if _REFUSED.search(text):
        text = _REFUSED.sub(_escaped, text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def clean_value(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A JSON value, cleaned all the way down; numbers that JSON cannot carry become text."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping | list | tuple):
        return _clean_container(value, depth)
    return _clean_number(value)


def _clean_container(value: Mapping[str, Any] | list[Any] | tuple[Any, ...], depth: int) -> Any:
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return clean_mapping(value, depth)
    cleaned = [clean_value(entry, depth - 1) for entry in value[:MAX_ENTRIES]]
    return cleaned if len(value) <= MAX_ENTRIES else [*cleaned, "…"]


def _clean_number(value: Any) -> Any:
    if isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
        return "(number too large)"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def clean_mapping(value: Mapping[str, Any], depth: int = MAX_DEPTH) -> dict[str, Any]:
    """A JSON object, cleaned; at most MAX_ENTRIES keys."""
    pairs = list(value.items())[:MAX_ENTRIES]
    return {clean_text(str(key), MAX_KEY_CHARS): clean_value(entry, depth - 1) for key, entry in pairs}


def clean_record(record: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The record, and the names of the fields left out because it was larger than MAX_RECORD_CHARS."""
    cleaned = clean_mapping(record)
    sizes = {name: _size(value) for name, value in cleaned.items()}
    total = sum(sizes.values())
    cut: list[str] = []
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if total <= MAX_RECORD_CHARS:
            break
        cleaned[name] = None
        total -= sizes[name]
        cut.append(name)
    return cleaned, cut


def _size(value: Any) -> int:
    """Characters of text inside a value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _size(entry) for key, entry in value.items())
    return sum(map(_size, value)) if isinstance(value, list) else 8
