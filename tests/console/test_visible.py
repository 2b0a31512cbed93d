"""Text from hosts: every character that hides or reorders is shown as an escape; evidence is readable."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandfly_web.console.evidence import Kind, readable_mode, readable_size, rows
from sandfly_web.console.visible import pieces, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[2K", r"\x1b[2K"),
        ("a\tb\nc\r", r"a\tb\nc\r"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("pay\u200bpal", r"pay\u200bpal"),
        ("no\u00a0break", r"no\xa0break"),
        ("\U000e0041", r"\U000e0041"),
        ("\u3164", r"\u3164"),
        ("Grüße 東京", "Grüße 東京"),
        ("", ""),
    ],
)
def test_hidden_characters_are_escaped_and_others_are_not(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_line_ends_stay_where_they_are_wanted() -> None:
    assert [piece.text for piece in pieces("a\n\x07b", keep_lines=True)] == ["a\n", r"\x07", "b"]


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_nothing_shown_is_a_control_or_format_character(text: str) -> None:
    assert not [char for char in visible(text) if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


@given(st.text())
def test_text_that_is_not_hidden_is_kept(text: str) -> None:
    kept = "".join(piece.text for piece in pieces(text) if not piece.is_escape)

    assert len(kept) + sum(piece.is_escape for piece in pieces(text)) == len(text)


def row(name: str, value: Any, **options: Any) -> Any:
    return rows({name: value}, **options)[0]


@pytest.mark.parametrize(
    ("name", "value", "kind", "shown"),
    [
        ("mtime", 1760000000, Kind.TIME, datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)),
        ("parent.start_time", 1, Kind.TIME, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("exe_mode", "4755", Kind.MODE, "rwsr-xr-x"),
        ("size", 2048, Kind.SIZE, "2.0 KiB"),
        ("exe_deleted", True, Kind.FLAG, "yes"),
        ("login_uid", None, Kind.EMPTY, ""),
        ("argv", ["a", 1], Kind.LIST, ["a", "1"]),
        ("argv", [], Kind.EMPTY, ""),
        ("cmdline", "x" * 200, Kind.LONG, "x" * 200),
        ("pid", 7, Kind.TEXT, "7"),
        # Of another type than its name says: shown as it is.
        ("mtime", "yesterday", Kind.TEXT, "yesterday"),
        ("mtime", 10**30, Kind.TEXT, str(10**30)),
        ("mode", "9999", Kind.TEXT, "9999"),
    ],
)
def test_values_are_shown_as_what_they_are(name: str, value: Any, kind: Kind, shown: Any) -> None:
    found = row(name, value)

    assert (found.kind, found.value) == (kind, shown)


def test_identity_comes_first_and_unknown_and_cut_fields_are_marked() -> None:
    found = rows(
        {"argv": ["a"], "path": "/x"}, identity=["path"], truncated=["argv"], unknown={"environ": "needs_root"}
    )

    assert [(entry.name, entry.kind, entry.is_truncated) for entry in found] == [
        ("path", Kind.TEXT, False),
        ("argv", Kind.LIST, True),
        ("environ", Kind.UNKNOWN, False),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["mtime", "size", "mode", "pid", "x.file_mode", "é"]), JSON))
def test_any_record_becomes_rows(record: dict[str, Any]) -> None:
    assert len(rows(json.loads(json.dumps(record)))) == len(record)


@pytest.mark.parametrize(("text", "shown"), [("0644", "rw-r--r--"), ("1777", "rwxrwxrwt"), ("٧٥٥", ""), ("888", "")])
def test_modes_are_octal_text(text: str, shown: str) -> None:
    assert readable_mode(text) == shown


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1.0 MiB"), (1 << 50, "1024.0 TiB")]
)
def test_sizes_are_in_binary_units(size: int, shown: str) -> None:
    assert readable_size(size) == shown
