"""The sentence that tells an analyst what was seen: a rule's `explain` with its `{field}` places filled from a record.

Records come from hosts and are hostile: control and direction characters are escaped, and everything is bounded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from sandfly_web.rules.moments import read_moment, utc

MAX_CHARS = 1000
MAX_VALUE_CHARS = 300
MAX_LIST = 20
ABSENT = "(none)"

_PLACE = re.compile(r"\{([a-z0-9_.]+)\}")


def find_places(template: str) -> list[str]:
    """Field names in the template, each once. Raises ValueError when a brace stands alone."""
    rest = _PLACE.sub("", template)
    if "{" in rest or "}" in rest:
        raise ValueError("a { or } that does not belong to a {field} place; write only {name} with a field's name")
    return list(dict.fromkeys(_PLACE.findall(template)))


def render(template: str, record: Mapping[str, Any]) -> str:
    """Fill the places: lists joined, booleans as yes or no, moments in UTC, a nameless user or group as its number, no
    value as "(none)"; at most 1000 characters.
    """
    return _cut(_PLACE.sub(lambda match: _filled(match.group(1), record), template), MAX_CHARS)


# A name that may be missing → the number that always is there.
NUMBERED = {"username": "uid", "groupname": "gid"}


def _filled(name: str, record: Mapping[str, Any]) -> str:
    value = record.get(name)
    if value in (None, ""):
        if name == "parent.name" and record.get("parent") == 0:
            # init and kthreadd have no parent; in a container's own numbering neither has what was put in from outside.
            return "kernel (parent 0)"
        return _numbered(name, record)
    moment = read_moment(name, value)
    return utc(moment) if moment else _shown(value)


def _numbered(name: str, record: Mapping[str, Any]) -> str:
    """`uid 62700` for an account that no file names."""
    prefix, dot, base = name.rpartition(".")
    word = NUMBERED.get(base)
    number = record.get(f"{prefix}{dot}{word}") if word else None
    return f"{word} {number}" if isinstance(number, int) and not isinstance(number, bool) else ABSENT


def _shown(value: Any) -> str:
    if value is None or value in ([], ""):
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        more = ", …" if len(value) > MAX_LIST else ""
        return _cut(", ".join(escape(_bounded(entry)) for entry in value[:MAX_LIST]) + more, MAX_VALUE_CHARS)
    return _cut(escape(_bounded(value)), MAX_VALUE_CHARS)


def _bounded(value: Any) -> str:
    return str(value)[: MAX_VALUE_CHARS + 1]


def escape(text: str) -> str:
    """Show control, format (such as right-to-left override), surrogate and unassigned characters as escapes."""
    if text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char)[0] == "C" else char for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"
