"""Makes values from hosts fit for the database: bounded, and without what PostgreSQL's jsonb refuses.

Nothing is dropped silently: refused characters become visible escapes, cut values end with "…" and are named. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

MAX_TEXT_CHARS = 65_536
MAX_KEY_CHARS = 255
MAX_ENTRIES = 4096
MAX_DEPTH = 6
# Unsigned, for inodes and masks. jsonb holds larger numbers, other readers of the API do not.
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**64 - 1
MAX_RECORD_CHARS = 1_048_576
# A record of at most this size cannot break another bound but that of depth.
SMALL_RECORD_BYTES = 4096

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
    if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        return "(number too large)"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def clean_mapping(value: Mapping[str, Any], depth: int = MAX_DEPTH) -> dict[str, Any]:
    """A JSON object, cleaned; at most MAX_ENTRIES keys."""
    pairs = list(value.items())[:MAX_ENTRIES]
    return {clean_text(str(key), MAX_KEY_CHARS): clean_value(entry, depth - 1) for key, entry in pairs}


def clean_struct(value: msgspec.Struct) -> Any:
    """A message of the contract as JSON value, cleaned; one of short texts and numbers is looked at as a whole."""
    plain = msgspec.structs.asdict(value)
    return plain if is_clean(plain) else clean_mapping(plain)


def clean_record(record: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The record, and the names of the fields left out because it was larger than MAX_RECORD_CHARS."""
    if is_clean(record):
        return dict(record), []
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


def is_clean(record: Mapping[str, Any]) -> bool:
    """Whether cleaning would change nothing, told from the JSON text: nearly every record, at a tenth of the cost.

    False also for some records that are clean; true for none that is not.
    """
    try:
        text = msgspec.json.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError):
        # Lone surrogates, numbers out of range, endless nesting.
        return False
    is_flat = text.count(b"{") == 1 and text.count(b"[") < MAX_DEPTH
    return (
        len(text) <= SMALL_RECORD_BYTES
        and is_flat
        and b"\\u0000" not in text
        and not any(map(_has_odd_number, record.values()))
        and all(len(key) <= MAX_KEY_CHARS for key in record)
    )


def _has_odd_number(value: Any) -> bool:
    """Whether a flat value holds a number that the encoder takes and cleaning does not."""
    if isinstance(value, list | tuple):
        return any(map(_has_odd_number, value))
    return isinstance(value, int | float) and _clean_number(value) is not value


def _size(value: Any) -> int:
    """Characters of text inside a value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _size(entry) for key, entry in value.items())
    return sum(map(_size, value)) if isinstance(value, list) else 8
