"""CSV: the columns with values are named, known by their headings, or found by what is in them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from sandfly_web.rules.indicators.kinds import BadValue, Fault, Indicator, Kind, detect, normalize, refang
from sandfly_web.rules.indicators.parsing.lines import Line, ParseError, read_value

DELIMITERS = ",;\t|"
SAMPLE_ROWS = 200
# Headings, in lower case without spaces, dashes and underscores.
_KINDS = {
    "md5": Kind.MD5, "md5hash": Kind.MD5, "hashmd5": Kind.MD5, "sha1": Kind.SHA1, "sha1hash": Kind.SHA1,
    "hashsha1": Kind.SHA1, "sha256": Kind.SHA256, "sha256hash": Kind.SHA256, "hashsha256": Kind.SHA256,
    "sha512": Kind.SHA512, "sha512hash": Kind.SHA512, "ip": Kind.IP, "ipaddress": Kind.IP, "ipv4": Kind.IP,
    "ipv6": Kind.IP, "dstip": Kind.IP, "dip": Kind.IP, "cidr": Kind.IP, "network": Kind.IP, "domain": Kind.DOMAIN,
    "domainname": Kind.DOMAIN, "hostname": Kind.DOMAIN, "fqdn": Kind.DOMAIN, "path": Kind.PATH, "filepath": Kind.PATH,
    "filename": Kind.FILENAME, "fingerprint": Kind.KEY_FINGERPRINT, "keyfingerprint": Kind.KEY_FINGERPRINT,
}  # fmt: skip
_VALUES = frozenset(
    {"indicator", "indicators", "ioc", "iocs", "iocvalue", "indicatorvalue", "value", "hash", "observable"}
)
_DESCRIPTIONS = ("description", "comment", "note", "notes", "title", "malware", "family", "signature", "threat", "tags")
_REFERENCES = ("reference", "references", "source", "link", "url", "report")
_TYPES = frozenset({"type", "kind", "ioctype", "indicatortype"})
# What a column of types calls our kinds; other words leave it to the form of the value.
_TYPE_WORDS = {
    **_KINDS, "filehashmd5": Kind.MD5, "filehashsha1": Kind.SHA1, "filehashsha256": Kind.SHA256, "ipv4addr": Kind.IP,
    "ipv6addr": Kind.IP, "ipsrc": Kind.IP, "ipdst": Kind.IP, "sshfingerprint": Kind.KEY_FINGERPRINT,
}  # fmt: skip
# Words that look like domains are everywhere; a column of these is taken only when there is no better one.
_WEAK = frozenset({Kind.DOMAIN, Kind.PATH})


@dataclass
class _Columns:
    """Places of what a row tells. `values` maps a place to its kind, None where the form of the value says it."""

    values: dict[int, Kind | None] = field(default_factory=dict)
    description: int | None = None
    reference: int | None = None
    type: int | None = None


def looks_like_table(head: str) -> bool:
    """Whether the first lines all have the same number of cells, at least two; `head` may end within a line."""
    lines = [line for line in head.split("\n")[:20] if line.strip() and not line.lstrip().startswith("#")]
    whole = lines[:-1] if len(lines) > 1 and not head.endswith("\n") else lines
    return any(_are_even(whole, mark) for mark in ",;\t")


def _are_even(lines: list[str], delimiter: str) -> bool:
    try:
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
    except csv.Error:
        return False
    return len(widths) == 1 and widths != {1}


def parse_table(lines: Iterable[Line], column: str, kind: Kind | None) -> Iterator[Indicator | Fault]:
    """Raises ParseError when no column can be told to hold indicators."""
    faults: list[Fault] = []
    rows = _read_rows(lines, faults)
    sample = list(islice(rows, SAMPLE_ROWS))
    if not sample:
        yield from faults
        return
    columns, has_heading = _choose(sample, column, kind)
    for number, row in chain(sample[1:] if has_heading else sample, rows):
        yield from _drain(faults)
        yield from _read_row(f"line {number}", row, columns)
    yield from _drain(faults)


def _drain(faults: list[Fault]) -> list[Fault]:
    """What could not be read since the last time."""
    taken = faults[:]
    faults.clear()
    return taken


Row = tuple[int, list[str]]


def _read_rows(lines: Iterable[Line], faults: list[Fault]) -> Iterator[Row]:
    """Rows with the number of their last line; lines that cannot be read become faults. Raises ParseError."""
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for number, line, why in lines:
            last = number
            if line is None:
                faults.append(Fault(f"line {number}", why))
            elif line.strip() and not line.lstrip().startswith("#"):
                yield line.replace("\0", "\N{REPLACEMENT CHARACTER}") + "\n"

    source = texts()
    first = list(islice(source, 20))
    delimiter = _delimiter(first)
    try:
        for row in csv.reader(chain(first, source), delimiter=delimiter, skipinitialspace=True):
            if any(cell.strip() for cell in row):
                yield last, [cell.strip() for cell in row]
    except csv.Error as error:
        raise ParseError(f"line {last}: not CSV: {error} (a quotation mark that is never closed?)") from None


def _delimiter(lines: Sequence[str]) -> str:
    """The one that most lines have equally often, the earliest of DELIMITERS where several do."""
    best, votes = ",", 0
    for mark in DELIMITERS:
        counts = Counter(line.count(mark) for line in lines)
        counts.pop(0, None)
        most = max(counts.values(), default=0)
        if most > votes:
            best, votes = mark, most
    return best


def _heading(cell: str) -> str:
    return re.sub(r"[^a-z0-9]", "", cell.lower())


def _choose(sample: list[Row], column: str, kind: Kind | None) -> tuple[_Columns, bool]:
    """The columns, and whether the first row is a heading."""
    names = [_heading(cell) for cell in sample[0][1]]
    known = {*_KINDS, *_VALUES, *_TYPES, *_DESCRIPTIONS, *_REFERENCES}
    has_heading = any(name in known for name in names) or (bool(column) and _heading(column) in names)
    columns = _Columns()
    if has_heading:
        columns.description = _first(names, _DESCRIPTIONS)
        columns.reference = _first(names, _REFERENCES)
        columns.type = _first(names, _TYPES)
    if column:
        place = _named(column, names)
        columns.values[place] = kind or (_KINDS.get(names[place]) if has_heading and place < len(names) else None)
        return columns, has_heading
    if has_heading:
        generic = [place for place, name in enumerate(names) if name in _VALUES]
        typed = {place: _KINDS[name] for place, name in enumerate(names) if name in _KINDS}
        columns.values = dict.fromkeys(generic[:1], kind) if generic else {**typed}
        if any(one is not Kind.FILENAME for one in columns.values.values()):
            # A name beside a hash describes it; alone it would match files that share nothing else.
            columns.values = {place: one for place, one in columns.values.items() if one is not Kind.FILENAME}
    if not columns.values:
        rows = sample[1:] if has_heading else sample
        columns.values = dict.fromkeys(_by_content([row for _, row in rows]), kind)
    if not columns.values:
        raise ParseError("no column holds indicators; name one by its heading or number")
    return columns, has_heading


def _first(names: list[str], wanted: Iterable[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _named(column: str, names: list[str]) -> int:
    if _heading(column) in names:
        return names.index(_heading(column))
    if column.isascii() and column.isdigit() and 0 < int(column[:4]) <= 1000:
        return int(column) - 1
    raise ParseError(f"there is no column {column!r}; the first line has: {', '.join(filter(None, names))[:200]}")


def _by_content(rows: list[list[str]]) -> list[int]:
    """Columns of which most cells are values: those of hashes, addresses and keys before those of names."""
    strong: Counter[int] = Counter()
    weak: Counter[int] = Counter()
    for row in rows:
        for place, cell in enumerate(row[:1000]):
            try:
                kind = detect(refang(cell))
                normalize(kind, refang(cell))
            except BadValue:
                continue
            (weak if kind in _WEAK else strong)[place] += 1
    for votes in (strong, weak):
        chosen = sorted(place for place, count in votes.items() if count * 2 > len(rows))
        if chosen:
            return chosen if votes is strong else chosen[:1]
    return []


def _read_row(place: str, row: list[str], columns: _Columns) -> Iterator[Indicator | Fault]:
    description, reference = (
        row[at] if at is not None and at < len(row) else "" for at in (columns.description, columns.reference)
    )
    said = (
        _TYPE_WORDS.get(_heading(row[columns.type])) if columns.type is not None and columns.type < len(row) else None
    )
    values = [(row[at], kind or said) for at, kind in columns.values.items() if at < len(row) and row[at]]
    if not values:
        yield Fault(place, "no value in the column of indicators")
    for value, kind in values:
        yield read_value(place, value, kind, description, reference)
