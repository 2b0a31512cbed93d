"""The sentence an analyst reads; records are hostile."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandfly_web.rules.explain import MAX_CHARS, find_places, render


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/bin/sh", "/bin/sh"),
        (5, "5"),
        (1.5, "1.5"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (None, "(none)"),
        ("", "(none)"),
        ([], "(none)"),
        (["a", "b"], "a, b"),
        ([1, 2], "1, 2"),
        ("a\nb\x1b[31m", "a\\x0ab\\x1b[31m"),
        ("\u202egpj", "\\u202egpj"),
        ("\udc80", "\\udc80"),
        ("{path}", "{path}"),
    ],
)
def test_values_are_shown_readably(value: Any, shown: str) -> None:
    assert render("seen {x}.", {"x": value, "path": "no"}) == f"seen {shown}."


def test_absent_fields_are_none() -> None:
    assert render("{parent.name} and {parent.pid}", {"parent.name": "sh"}) == "sh and (none)"


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        ({"username": "daemon", "uid": 1}, "daemon"),
        ({"username": "", "uid": 62700}, "uid 62700"),
        ({"uid": 0}, "uid 0"),
        ({"uid": "0"}, "(none)"),
        ({"uid": True}, "(none)"),
    ],
)
def test_a_user_without_a_name_is_its_number(record: dict[str, Any], shown: str) -> None:
    assert render("{username} runs", record) == f"{shown} runs"


def test_the_number_of_another_thing_is_not_taken() -> None:
    record = {"uid": 0, "parent.uid": 7, "gid": 5}

    assert render("{parent.username}, {groupname}, {process.username}", record) == "uid 7, gid 5, (none)"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("mtime", 1764000000, "2025-11-24 16:00:00 UTC"),
        ("parent.start_time", 1764000000.5, "2025-11-24 16:00:00 UTC"),
        ("mtime", 0, "0"),
        ("mtime", 10**30, str(10**30)),
        ("mtime", "yesterday", "yesterday"),
        ("cpu_time", 1764000000, "1764000000"),
        ("pid", 1764000000, "1764000000"),
    ],
)
def test_moments_are_written_in_utc(name: str, value: Any, shown: str) -> None:
    assert render(f"{{{name}}}", {name: value}) == shown


def test_long_values_leave_room_for_the_rest() -> None:
    text = render("{a} ran {b}", {"a": "x" * 5000, "b": "sh"})

    assert text.endswith("… ran sh")


def test_long_lists_are_cut() -> None:
    assert render("{a}", {"a": list(range(100))}).endswith("19, …")


def test_places_are_found_once_in_order() -> None:
    assert find_places("{b} {a.c} {b}") == ["b", "a.c"]


VALUES = st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.text(), max_size=30))


@given(st.text(), st.dictionaries(st.sampled_from(["a", "b", "c.d"]), VALUES))
def test_whatever_a_host_says_is_bounded_and_free_of_control_characters(template: str, record: dict[str, Any]) -> None:
    text = render("{a} {b} {c.d}" * 3, record)

    assert len(text) <= MAX_CHARS
    assert not any(unicodedata.category(char)[0] == "C" for char in text)


def test_a_process_without_a_parent_was_started_by_the_kernel() -> None:
    record = {"parent": 0, "parent.name": None}

    assert render("started by {parent.name} ({parent.path})", record) == "started by kernel (parent 0) ((none))"
    assert render("started by {parent.name}", {"parent": 7}) == "started by (none)"
