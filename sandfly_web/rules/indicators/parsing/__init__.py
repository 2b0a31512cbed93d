"""Reads indicators from text, CSV, STIX 2.1 bundles and MISP events. Pure, bounded, nothing is lost silently."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import BinaryIO

from sandfly_web.rules.indicators.kinds import Fault, Indicator, Kind
from sandfly_web.rules.indicators.parsing import misp, stix, table, text
from sandfly_web.rules.indicators.parsing.lines import ParseError, read_document, read_lines

__all__ = ["Format", "ParseError", "parse_indicators"]

# Large enough for a million SHA-512 digests, small enough to read in one go.
MAX_BYTES = 256 << 20
# 4 bytes each while a probe works; four million are a quarter of its 64 MB.
MAX_ENTRIES = 4_000_000


class Format(StrEnum):
    """How a list is written."""

    TEXT = "text"
    CSV = "csv"
    STIX = "stix"
    MISP = "misp"


def parse_indicators(
    stream: BinaryIO, now: datetime, *, form: Format | None = None, column: str = "", kind: Kind | None = None
) -> tuple[Format, Iterator[Indicator | Fault]]:
    """The format (detected when not given) and every entry of the list, good or bad, in its order.

    `column` names the column of a CSV by its heading or number (from 1); `kind` says what all plain values are, where
    their form does not. `now` decides what has expired. Raises ParseError, also while iterating, for what is no list at
    all or too large.
    """
    head = stream.read(4096)
    stream.seek(0)
    found = form or _detect(head, column)
    if found in {Format.STIX, Format.MISP}:
        document = read_document(stream, MAX_BYTES)
        if form is None and not stix.is_bundle(document):
            found = Format.MISP
        entries = stix.parse_bundle(document, now) if found is Format.STIX else misp.parse_events(document)
        return found, _bounded(entries)
    lines = read_lines(stream, MAX_BYTES)
    if found is Format.CSV:
        return found, _bounded(table.parse_table(lines, column, kind))
    return found, _bounded(text.parse_lines(lines, kind))


def _detect(head: bytes, column: str) -> Format:
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begin[:1] in {b"{", b"["} and not begin.startswith(b"[."):
        return Format.STIX
    if column or table.looks_like_table(head.decode("utf-8", "replace")):
        return Format.CSV
    return Format.TEXT


def _bounded(entries: Iterator[Indicator | Fault]) -> Iterator[Indicator | Fault]:
    """Also notices a list without anything in it, which is more likely the wrong file than a wish."""
    first = next(entries, None)
    if first is None:
        raise ParseError("there is nothing in this list")
    for count, entry in enumerate(chain([first], entries), start=1):
        if count > MAX_ENTRIES:
            raise ParseError(f"more than {MAX_ENTRIES} entries")
        yield entry
