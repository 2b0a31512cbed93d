"""Makes text from hosts safe to look at: what a terminal or a browser would act on is shown as an escape. Pure.

HTML escaping is the template's; this is about characters that hide or reorder what an analyst reads.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

# Control, format (bidi overrides, zero width, tags), surrogate, private, unassigned; line, paragraph and odd spaces.
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Blank though they count as letters, marks or symbols: Hangul fillers, Braille blank, joiners.
BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


class Piece(NamedTuple):
    """A run of text; `is_escape` ones stand for one character that cannot be shown."""

    text: str
    is_escape: bool


def is_hidden(char: str) -> bool:
    """Whether a reader could not see this character for what it is."""
    if char.isascii() and char.isprintable():
        return False
    return unicodedata.category(char) in HIDDEN_CATEGORIES or char in BLANKS


def escape(char: str) -> str:
    """`\\x1b`, `\\u202e`, `\\U000e0041`."""
    if char in SHORT:
        return SHORT[char]
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def pieces(text: str, *, keep_lines: bool = False) -> list[Piece]:
    """Split into runs; with `keep_lines` line ends and tabs stay what they are."""
    result: list[Piece] = []
    start = 0
    for place, char in enumerate(text):
        if not is_hidden(char) or (keep_lines and char in "\n\t"):
            continue
        if start < place:
            result.append(Piece(text[start:place], is_escape=False))
        result.append(Piece(escape(char), is_escape=True))
        start = place + 1
    if start < len(text):
        result.append(Piece(text[start:], is_escape=False))
    return result


def visible(text: str) -> str:
    """The text on one line with every hidden character as its escape."""
    return "".join(piece.text for piece in pieces(text))
