"""A timeline as files: CSV for tables, the body file of The Sleuth Kit for `mactime`. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sandfly_web.findings.timeline.kinds import Kind

if TYPE_CHECKING:
    from sandfly_web.findings.timeline.reading import Line

COLUMNS = ("at", "kind", "subject", "what", "detail", "field", "clock", "precision", "source", "source_id")
# What a table program takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Column of a body file, counted from 0, for each kind; whatever is no time of a file stands where its change does.
BODY_COLUMN = {Kind.ACCESSED: 0, Kind.MODIFIED: 1, Kind.CHANGED: 2, Kind.CREATED: 3}
FILE_KINDS = frozenset(BODY_COLUMN)


def csv_lines(lines: Iterable[Line]) -> Iterator[bytes]:
    """RFC 4180 with a head; text that a table program would run is marked as text."""
    yield ",".join(COLUMNS).encode() + b"\r\n"
    for line in lines:
        buffer = io.StringIO()
        values = [line.at.isoformat(), *(getattr(line, name) for name in COLUMNS[1:])]
        csv.writer(buffer).writerow([cell(str(value)) for value in values])
        yield buffer.getvalue().encode()


def cell(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def body_lines(lines: Iterable[Line]) -> Iterator[bytes]:
    """`MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|crtime`, as TSK 3 reads it; a time that is not known is 0."""
    for line in lines:
        facts = line.facts if line.facts and line.kind in FILE_KINDS else {}
        times = ["0"] * 4
        times[BODY_COLUMN.get(Kind(line.kind), BODY_COLUMN[Kind.MODIFIED])] = str(int(line.at.timestamp()))
        name = line.what if line.kind in FILE_KINDS else f"[{line.kind}] {line.what} {line.detail}".rstrip()
        columns = ["0", name, *(number(facts, key) for key in ("inode",)), text(facts, "mode")]
        columns += [number(facts, key) for key in ("uid", "gid", "size")]
        yield "|".join(map(escape, [*columns, *times])).encode("utf-8", "backslashreplace") + b"\n"


def number(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else "0"


def text(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return value if isinstance(value, str) else "0"


def escape(value: str) -> str:
    r"""Line ends and the bar that parts columns as `\x7c`."""
    return "".join(char if char.isprintable() and char != "|" else f"\\x{ord(char):02x}" for char in value)
