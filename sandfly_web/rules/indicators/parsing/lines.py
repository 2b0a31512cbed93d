"""What all formats share: bounded reading, and a value with its fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from sandfly_web.rules.indicators.kinds import (
    MAX_TEXT_CHARS,
    BadValue,
    Fault,
    Indicator,
    Kind,
    detect,
    normalize,
    refang,
)

MAX_LINE_BYTES = 64 << 10
SHOWN_CHARS = 120


class ParseError(ValueError):
    """A file that is no list of indicators, or too large for one; the message says which."""

    code = "indicators_invalid"


Line = tuple[int, str | None, str]
"""Number from 1, its text without the end, or None and why it cannot be read."""


def read_lines(stream: BinaryIO, max_bytes: int) -> Iterator[Line]:
    """Lines of a file in UTF-8. One that is too long or not UTF-8 comes without its text. Raises ParseError."""
    number, size = 0, 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number, size = number + 1, size + len(raw)
        if number == 1:
            if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise ParseError("the file is UTF-16; save it as UTF-8")
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        is_long = len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n")
        while is_long and raw and not raw.endswith(b"\n"):
            raw = stream.readline(MAX_LINE_BYTES)
            size += len(raw)
        if size > max_bytes:
            raise ParseError(f"the file is larger than {max_bytes} bytes")
        if is_long:
            yield number, None, f"the line is longer than {MAX_LINE_BYTES} bytes"
            continue
        try:
            yield number, raw.decode("utf-8").rstrip("\r\n"), ""
        except UnicodeDecodeError:
            yield number, None, "the line is not UTF-8"


def read_document(stream: BinaryIO, max_bytes: int) -> bytes:
    """A whole file. Raises ParseError when it is larger."""
    data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ParseError(f"the file is larger than {max_bytes} bytes")
    return data.removeprefix(b"\xef\xbb\xbf")


def decode_json(data: bytes | msgspec.Raw, kind: Any) -> Any:
    """JSON as a type. Raises ParseError."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ParseError(f"not the JSON that was expected: {shown(str(error))}") from None


def read_value(
    place: str, value: str, kind: Kind | None, description: str = "", reference: str = ""
) -> Indicator | Fault:
    """One entry from a value as it was written; `kind` None: what its form says."""
    try:
        plain = refang(value.strip())
        found = kind or detect(plain)
        return Indicator(found, normalize(found, plain), cut(description), cut(reference))
    except BadValue as problem:
        return Fault(place, str(problem), shown(value))


def cut(text: str) -> str:
    """Text about an indicator, on one line, without what a terminal or database would stumble over."""
    one_line = " ".join(text.split()) if not text.isprintable() else text.strip()
    plain = one_line if one_line.isprintable() else "".join(c if c.isprintable() else "?" for c in one_line)
    return plain if len(plain) <= MAX_TEXT_CHARS else plain[: MAX_TEXT_CHARS - 1] + "…"


def shown(text: str) -> str:
    """The beginning of a text that is not used, for its fault."""
    plain = "".join(c if c.isprintable() else "?" for c in text[: SHOWN_CHARS + 1])
    return plain if len(plain) <= SHOWN_CHARS else plain[:SHOWN_CHARS] + "…"
