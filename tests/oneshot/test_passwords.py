"""An operator's list of passwords: read strictly, never repeated in a message."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandfly_web.rules.plan import build_plan
from sandfly_web.scans.oneshot.passwords import PasswordListError, read_password_list
from sandfly_web.scans.oneshot.session import SessionError, choose_rules, password_audit
from scanners.contract import Limits, PasswordAudit, decode_plan
from scanners.visit import prepare_plan


def write(directory: Path, data: bytes) -> Path:
    path = directory / "words.txt"
    path.write_bytes(data)
    return path


def test_each_line_is_a_password_with_its_blanks_and_only_once(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfone\r\n two \n\n#three\none\nZ\xc3\xbcrich")

    assert read_password_list(path) == ["one", " two ", "#three", "Zürich"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no password in it"),
        (b"fine\nCanary\xff", ":2: not UTF-8"),
        (b"Canary" * 30, ":1: longer than 128 bytes"),
        (b"Canary\0", ":1: longer than 128 bytes, or with a NUL byte"),
        (b"\n".join(b"Canary%d" % n for n in range(10_001)), "more than 10000 passwords"),
        (b"Canary\n" * 200_000, "larger than"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_without_repeating_a_word(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(PasswordListError) as caught:
        read_password_list(write(tmp_path, data))

    assert said in str(caught.value)
    assert "Canary" not in str(caught.value)


def test_a_list_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PasswordListError, match="No such file"):
        read_password_list(tmp_path / "none.txt")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp(), data)

    try:
        words = read_password_list(path)
    except PasswordListError:
        return
    assert all(0 < len(word.encode()) <= 128 and "\0" not in word for word in words)


def test_options_of_the_audit_need_a_rule_that_asks_for_it() -> None:
    options = {"password_list": None, "password_seconds": 60}

    assert password_audit(choose_rules("", ["user_password_weak"]), options) == PasswordAudit(cpu_s=60)
    with pytest.raises(SessionError, match="--deep"):
        password_audit(choose_rules("", ["user_password_empty"]), options)
    with pytest.raises(SessionError, match="--password-seconds"):
        password_audit(choose_rules("", ["user_password_weak"]), {**options, "password_seconds": 3601})


def test_words_reach_the_probe_and_nothing_that_prints_a_plan(tmp_path: Path) -> None:
    rules = choose_rules("", ["user_password_weak"])
    plan = build_plan(rules, Limits(), passwords=PasswordAudit(words=["Canary"]))

    packed, _ = prepare_plan(plan.body, (), Limits())

    assert decode_plan(gzip.decompress(packed.removesuffix(b"\n"))).passwords.words == ["Canary"]
    assert "Canary" not in repr(plan) + repr(plan.plan) + str(plan.plan.passwords)
