"""The report reader: whole reports, broken ones, and arbitrary bytes."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanners.contract import RuleState, RuleStatus
from scanners.errors import ReportError
from scanners.report import MAX_LINE_BYTES, Report, ReportReader

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "report.ndjson"
HEADER: dict[str, Any] = {
    "type": "header", "schema": 1, "probe_version": "1", "arch": "amd64", "uid": 0, "started_at": 1.5
}  # fmt: skip
FOOTER: dict[str, Any] = {
    "type": "footer", "complete": True, "passed": [], "matches": 0, "wall_s": 1, "cpu_s": 1, "max_rss_bytes": 1
}  # fmt: skip
MATCH: dict[str, Any] = {"type": "match", "subject": "file", "rules": [0], "identity": {"path": "/x"}, "record": {}}


def read(*lines: dict[str, Any] | bytes, rules: int = 2, max_bytes: int = 10 << 20) -> Report:
    reader = ReportReader([f"rule-{place}" for place in range(rules)], max_bytes)
    for line in lines:
        reader.feed(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
    return reader.finish()


def code_of(*lines: dict[str, Any] | bytes, **bounds: int) -> str:
    with pytest.raises(ReportError) as raised:
        read(*lines, **bounds)
    return raised.value.code


def test_golden_report_of_the_probe_is_read() -> None:
    report = read(GOLDEN.read_bytes(), rules=4)

    assert [rule.state for rule in report.rules] == [
        RuleState.ALERT, RuleState.PASS, RuleState.SKIPPED, RuleState.ALERT
    ]  # fmt: skip
    assert report.matches[0].rule_ids == ["rule-0", "rule-3"]


def test_lines_may_be_cut_anywhere() -> None:
    data = GOLDEN.read_bytes()

    assert read(*(data[place : place + 7] for place in range(0, len(data), 7)), rules=4) == read(data, rules=4)


def packed(data: bytes) -> bytes:
    """As the probe does it: the end of gzip is left away."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_packed_report_is_the_same_however_it_is_cut(size: int) -> None:
    plain = GOLDEN.read_bytes()
    data = packed(plain)

    assert read(*(data[place : place + size] for place in range(0, len(data), size)), rules=4) == read(plain, rules=4)


def test_few_packed_bytes_cannot_stand_for_more_than_a_report_may_have() -> None:
    bomb = packed(b"\n" * (256 << 20))
    reader = ReportReader(["rule-0"], max_bytes=1 << 20)

    with pytest.raises(ReportError) as raised:
        reader.feed(bomb)

    assert raised.value.code == "report_too_large"
    assert reader.size_bytes < 2 << 20


@pytest.mark.parametrize("tail", [b"nonsense", b"\x08\x00\x00\x00\x00\x00\x00\xff\xff\xff"])
def test_what_only_begins_as_a_packed_report_is_refused(tail: bytes) -> None:
    assert code_of(b"\x1f\x8b" + tail) == "report_not_json"


def test_packed_report_that_ends_itself_is_refused() -> None:
    assert code_of(gzip.compress(GOLDEN.read_bytes()), rules=4) == "report_not_json"


@given(st.binary(max_size=300), st.integers(0, 200))
def test_any_bytes_in_a_packed_report_are_a_value_or_an_error(noise: bytes, place: int) -> None:
    data = bytearray(packed(GOLDEN.read_bytes()))
    data[place : place + len(noise)] = noise
    reader = ReportReader(["rule-0"] * 4, max_bytes=1 << 20)

    with contextlib.suppress(ReportError):
        reader.feed(bytes(data))
        reader.finish()


def test_last_line_needs_no_newline() -> None:
    assert read(HEADER, json.dumps(FOOTER).encode()).footer.complete


def test_rule_without_a_word_is_an_error() -> None:
    report = read(HEADER, {**FOOTER, "passed": [1]})

    assert report.rules == [
        RuleStatus(rule_id="rule-0", state=RuleState.ERROR, reason="no_status"),
        RuleStatus(rule_id="rule-1", state=RuleState.PASS),
    ]


def test_nul_is_escaped_so_that_the_database_takes_the_report() -> None:
    report = read(HEADER, {**MATCH, "record": {"cmdline": "a\0b", "argv": ["\0"]}}, FOOTER)

    assert report.matches[0].record == {"cmdline": "a\\x00b", "argv": ["\\x00"]}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "report_truncated"),
        ([HEADER], "report_truncated"),
        ([FOOTER], "report_wrong_schema"),
        ([MATCH, HEADER, FOOTER], "report_wrong_schema"),
        ([HEADER, HEADER, FOOTER], "report_wrong_schema"),
        ([HEADER, FOOTER, MATCH], "report_wrong_schema"),
        ([HEADER, FOOTER, FOOTER], "report_wrong_schema"),
        ([{**HEADER, "schema": 2}, FOOTER], "report_wrong_schema"),
        ([HEADER, {**MATCH, "rules": [2]}, FOOTER], "report_wrong_schema"),
        ([HEADER, {**MATCH, "rules": [-1]}, FOOTER], "report_wrong_schema"),
        ([HEADER, {**FOOTER, "passed": [2]}], "report_wrong_schema"),
        ([HEADER, {**MATCH, "record": {"a": {"b": 1}}}, FOOTER], "report_wrong_schema"),
        ([HEADER, {**MATCH, "record": {"a": [[1]]}}, FOOTER], "report_wrong_schema"),
        ([HEADER, {**MATCH, "record": {"a": 10**400}}, FOOTER], "report_wrong_schema"),
        ([HEADER, {**MATCH, "record": {"a" * 300: 1}}, FOOTER], "report_wrong_schema"),
        ([HEADER, {"type": "rule", "rule": 5, "state": "alert"}, FOOTER], "report_wrong_schema"),
        ([HEADER, {"type": "rule", "rule": 0, "state": "maybe"}, FOOTER], "report_wrong_schema"),
        ([HEADER, *[{"type": "rule", "rule": 0, "state": "alert"}] * 2, FOOTER], "report_wrong_schema"),
        ([HEADER, {"type": "rule", "rule": 0, "state": "alert"}, {**FOOTER, "passed": [0]}], "report_wrong_schema"),
        ([HEADER, b"[" * 100_000 + b"\n", FOOTER], "report_wrong_schema"),
        ([HEADER, b'{"type":"match","record":' + b'{"a":' * 100_000 + b"\n", FOOTER], "report_wrong_schema"),
        ([b'{"type":"header","unknown":' + b"[" * 100_000 + b"\n", FOOTER], "report_not_json"),
        ([b"\xff\xfe\n"], "report_not_json"),
        ([b"Welcome!\n", HEADER, FOOTER], "report_not_json"),
    ],
)
def test_broken_report_is_refused(lines: list[Any], code: str) -> None:
    assert code_of(*lines) == code


def test_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    assert code_of(HEADER, b"x" * (MAX_LINE_BYTES + 1)) == "report_too_large"


def test_total_size_is_bounded() -> None:
    assert code_of(HEADER, *[MATCH] * 100, max_bytes=1000) == "report_too_large"


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
documents = st.recursive(
    values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
)


@given(st.binary(max_size=4000))
def test_any_bytes_give_a_report_or_a_report_error(data: bytes) -> None:
    try:
        read(data)
    except ReportError as error:
        assert error.message


@given(
    st.sampled_from([HEADER, MATCH, FOOTER, {"type": "rule", "rule": 0, "state": "alert"}]),
    st.dictionaries(
        st.sampled_from(["type", "rules", "record", "identity", "passed", "rule", "unknown", "schema", "host"]),
        documents,
    ),
)
def test_any_change_of_a_line_gives_a_report_or_a_report_error(line: dict[str, Any], changes: dict[str, Any]) -> None:
    changed = json.dumps({**line, **changes}).encode() + b"\n"
    try:
        read(HEADER, changed, FOOTER)
    except ReportError as error:
        assert error.message
