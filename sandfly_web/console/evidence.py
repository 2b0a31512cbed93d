"""Turns a record from a host into rows that a person reads: dates, modes, sizes, lists. Pure; shows no markup.

Everything here comes from a host and may be of any type under any name; what does not fit its name is shown as it is.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sandfly_web.rules.moments import read_moment

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MODE_ENDINGS = ("mode",)
SIZE_FIELDS = frozenset({"size", "memory_total", "memory_available", "swap_total"})
SIZE_ENDINGS = ("_size", "_bytes")
LONG_TEXT_CHARS = 160
LONG_LIST_ENTRIES = 12
MODE_DIGITS = range(3, 6)


class Kind(StrEnum):
    """How a template shows a value."""

    TEXT = "text"
    LONG = "long"
    LIST = "list"
    TIME = "time"
    MODE = "mode"
    SIZE = "size"
    FLAG = "flag"
    EMPTY = "empty"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Row:
    """One fact. `value` is text, or a list of texts, or an aware datetime; `note` says more, such as the raw number."""

    name: str
    label: str
    kind: Kind
    value: Any
    note: str = ""
    is_truncated: bool = False
    is_identity: bool = False
    count: int = 0
    is_long: bool = field(default=False)


def rows(
    record: Mapping[str, Any],
    *,
    identity: Collection[str] = (),
    truncated: Collection[str] = (),
    unknown: Mapping[str, str] | None = None,
) -> list[Row]:
    """Identity first, then by name; facts that could not be looked at come as rows of their own."""
    unknown = unknown or {}
    names = sorted({*record, *unknown}, key=lambda name: (name not in identity, name))
    return [
        unknown_row(name, str(unknown[name]))
        if name in unknown
        else value_row(name, record[name], is_truncated=name in truncated, is_identity=name in identity)
        for name in names
    ]


def unknown_row(name: str, reason: str) -> Row:
    return Row(name, label(name), Kind.UNKNOWN, reason)


def value_row(name: str, value: Any, *, is_truncated: bool = False, is_identity: bool = False) -> Row:
    kind, shown, note = present(name, value)
    count = len(shown) if isinstance(shown, list) else 0
    is_long = kind is Kind.LONG or count > LONG_LIST_ENTRIES
    return Row(name, label(name), kind, shown, note, is_truncated, is_identity, count, is_long)


def label(name: str) -> str:
    """`parent.cmdline` is Parent cmdline."""
    words = name.replace("_", " ").replace(".", " ").strip()
    return words[:1].upper() + words[1:]


def present(name: str, value: Any) -> tuple[Kind, Any, str]:
    """Kind, what to show, note."""
    match value:
        case None:
            return Kind.EMPTY, "", ""
        case bool():
            return Kind.FLAG, "yes" if value else "no", ""
        case int() | float():
            return present_number(name, value)
        case list():
            return (Kind.LIST, [as_text(entry) for entry in value], "") if value else (Kind.EMPTY, "", "none")
        case dict():
            return Kind.LIST, [f"{key}: {as_text(entry)}" for key, entry in value.items()], ""
        case _:
            return present_text(name, as_text(value))


def present_number(name: str, value: float) -> tuple[Kind, Any, str]:
    base = name.rpartition(".")[2]
    if moment := read_moment(name, value):
        return Kind.TIME, moment, str(value)
    if base in SIZE_FIELDS or base.endswith(SIZE_ENDINGS):
        return Kind.SIZE, readable_size(value), f"{value:,} bytes"
    return Kind.TEXT, str(value), ""


def present_text(name: str, text: str) -> tuple[Kind, Any, str]:
    if not text:
        return Kind.EMPTY, "", "empty text"
    if name.rpartition(".")[2].endswith(MODE_ENDINGS) and (mode := readable_mode(text)):
        return Kind.MODE, mode, text
    if len(text) > LONG_TEXT_CHARS or "\n" in text:
        return Kind.LONG, text, f"{len(text):,} characters"
    return Kind.TEXT, text, ""


def readable_mode(text: str) -> str:
    """`4755` is rwsr-xr-x; "" for text that is no octal mode."""
    if len(text) not in MODE_DIGITS or not text.isascii() or not all(char in "01234567" for char in text):
        return ""
    return stat.filemode(int(text, 8))[1:]


def readable_size(size: float) -> str:
    """In binary units, with one decimal above bytes."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
