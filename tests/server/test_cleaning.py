"""Whatever JSON a host sends, what comes out fits the database and nothing is dropped unseen."""

from __future__ import annotations

import json

import msgspec
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from probes.reference import FIELDS
from sandfly_web.findings.fingerprint import (
    VOLATILE_EVERYWHERE,
    canonical,
    content_digest,
    fingerprint,
    identity_digest,
)
from sandfly_web.scans.cleaning import (
    MAX_DEPTH,
    MAX_RECORD_CHARS,
    clean_mapping,
    clean_record,
    clean_text,
    clean_value,
    is_clean,
)

# Any code point, surrogates too, as JSON escapes bring them in.
TEXT = st.text(st.characters())
NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.none())
VALUES = st.recursive(
    st.one_of(TEXT, NUMBERS), lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


@given(TEXT)
def test_cleaned_text_can_be_encoded_and_has_no_nul(text):
    cleaned = clean_text(text)

    cleaned.encode()
    assert "\x00" not in cleaned


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_ordinary_text_is_not_changed(text):
    assert clean_text(text) == text


@given(VALUES)
def test_any_value_becomes_json_that_postgresql_takes(value):
    cleaned = clean_value(value)

    text = json.dumps(cleaned, allow_nan=False)
    assert "\\u0000" not in text
    canonical(cleaned).decode()


@pytest.mark.django_db
@given(VALUES)
def test_any_value_is_taken_by_the_database(value):
    encoded = msgspec.json.encode(clean_value(value)).decode()

    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb", [encoded])


@given(VALUES)
def test_cleaning_twice_changes_nothing_more(value):
    once = clean_value(value)

    assert clean_value(once) == once


@given(st.dictionaries(TEXT, VALUES))
def test_digests_do_not_depend_on_the_order_of_fields(record):
    cleaned = clean_mapping(record)
    turned = dict(reversed(cleaned.items()))

    assert content_digest("file", cleaned) == content_digest("file", turned)
    assert identity_digest("file", cleaned) == identity_digest("file", turned)


FLAT = st.dictionaries(TEXT, st.one_of(TEXT, NUMBERS, st.lists(st.one_of(TEXT, NUMBERS), max_size=3)))


@given(st.one_of(FLAT, st.dictionaries(TEXT, VALUES)))
def test_the_short_way_gives_what_the_long_way_gives(record):
    if is_clean(record):
        assert clean_mapping(record) == record


def test_an_ordinary_record_takes_the_short_way():
    assert is_clean({"path": "/usr/bin/x", "uid": 0, "size": None, "argv": ["a", "b"], "entropy": 7.5})


def test_what_is_nested_too_deep_ends_visibly():
    value = "x"
    for _ in range(MAX_DEPTH + 3):
        value = [value]

    assert "…" in json.dumps(clean_value(value), ensure_ascii=False)


def test_a_record_that_is_too_large_loses_its_largest_fields_by_name():
    record = {"path": "/x", **{f"f{n}": ["y" * 60_000] * (10 + n) for n in range(4)}}

    cleaned, cut = clean_record(record)

    assert (cleaned["path"], cut) == ("/x", ["f3", "f2", "f1"])
    assert all(cleaned[name] is None for name in cut)
    assert len(json.dumps(cleaned)) <= MAX_RECORD_CHARS + 1000


def test_a_finding_is_named_by_rule_host_subject_and_identity():
    names = {
        fingerprint("r", "h", "s", {"a": 1}),
        fingerprint("r2", "h", "s", {"a": 1}),
        fingerprint("r", "h2", "s", {"a": 1}),
        fingerprint("r", "h", "s2", {"a": 1}),
        fingerprint("r", "h", "s", {"a": 2}),
    }

    assert len(names) == 5


def test_fingerprints_stay_the_same_between_versions():
    # Stored with every finding: a change here would find everything anew.
    assert fingerprint("rule", "host", "process", {"path": "/x", "uid": 0}) == (
        "46a8a4f7956e5cf091a32642ffa9f1bfc9ab883b5a249f130422c143945ec5fa"
    )


def test_an_age_is_no_change_of_what_is_seen():
    subjects = json.loads(FIELDS.read_text())["subjects"]
    ages = {field["name"] for subject in subjects for field in subject["fields"] if field["name"].endswith("age_s")}

    assert len(ages) > 5
    assert ages <= VOLATILE_EVERYWHERE
