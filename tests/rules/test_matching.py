"""Compiled rules in the real matcher: what a rule author writes against what the probe answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandfly_web.rules.compiled import CompiledRule
from sandfly_web.rules.testing import MatcherError, match_records, run_tests

Build = Callable[..., CompiledRule]

CASES: list[tuple[Any, dict[str, Any], bool]] = [
    ({"path": "/bin/SH"}, {"path": "/bin/sh"}, True),
    ({"path|cased": "/bin/SH"}, {"path": "/bin/sh"}, False),
    ({"path": "/tmp/*/x"}, {"path": "/tmp/a/b/x"}, True),
    ({"path": "/t?p"}, {"path": "/tmp"}, True),
    ({"path": r"/a\*b"}, {"path": "/a*b"}, True),
    ({"path": r"/a\*b"}, {"path": "/axb"}, False),
    ({"path": r"C:\dir\*"}, {"path": r"C:\dir*"}, True),
    ({"cmdline|contains|all": ["-l", "-p"]}, {"cmdline": "nc -l -p 1"}, True),
    ({"cmdline|contains|all": ["-l", "-p"]}, {"cmdline": "nc -l 1"}, False),
    ({"argv|contains": "evil"}, {"argv": ["good", "EVIL!"]}, True),
    ({"cmdline|re": "^a.c$"}, {"cmdline": "abc"}, True),
    ({"cmdline|re": "^A"}, {"cmdline": "abc"}, False),
    ({"cmdline|re|i": "^A"}, {"cmdline": "abc"}, True),
    ({"cmdline|re": "a.b"}, {"cmdline": "a\nb"}, False),
    ({"cmdline|re|s": "a.b"}, {"cmdline": "a\nb"}, True),
    ({"cmdline|re|m": "^b$"}, {"cmdline": "a\nb\nc"}, True),
    ({"remote_addresses|cidr": "10.0.0.0/8"}, {"remote_addresses": ["192.0.2.1", "10.9.8.7"]}, True),
    ({"remote_addresses|cidr": "10.0.0.0/8"}, {"remote_addresses": ["11.0.0.1"]}, False),
    ({"remote_addresses|cidr": "2001:db8::/32"}, {"remote_addresses": ["2001:db8::1"]}, True),
    ({"uid": "0"}, {"uid": 0}, True),
    ({"uid|gte": 1000, "uid|lt": 2000}, {"uid": 1500}, True),
    ({"uid|gte": 1000, "uid|lt": 2000}, {"uid": 2000}, False),
    ({"uid|fieldref": "euid"}, {"uid": 5, "euid": 5}, True),
    ({"uid|fieldref": "euid"}, {"uid": 5, "euid": 0}, False),
    ({"path|fieldref|startswith": "cwd"}, {"path": "/srv/x", "cwd": "/srv"}, True),
    ({"path|fieldref|endswith": "name"}, {"path": "/bin/sh", "name": "sh"}, True),
    ({"path": None}, {}, True),
    ({"path": None}, {"path": "/x"}, False),
    ({"path": ""}, {"path": ""}, True),
    ({"path": ""}, {}, False),
    ({"path|exists": True}, {}, False),
    ({"path|exists": False}, {}, True),
    ({"path": "*"}, {"path": "/x"}, True),
    ({"exe_deleted": True}, {"exe_deleted": True}, True),
    ({"cmdline|base64offset|contains": "/bin/sh"}, {"cmdline": "x ICAvYmluL3NoIA=="}, True),
    ({"cmdline|base64|contains": "echo"}, {"cmdline": "x ZWNobw== y"}, True),
    ({"cmdline|wide|base64offset|contains": "iex"}, {"cmdline": "aQBlAHgA"}, True),
    ({"cmdline|windash|contains": " -enc"}, {"cmdline": "x /enc"}, True),
    ({"path|expand|startswith": "%temporary_directories%"}, {"path": "/dev/shm/x"}, True),
    ({"path|neq": "/bin/sh"}, {"path": "/bin/ls"}, True),
    (["evil*word"], {"cmdline": "an EVIL long word here"}, True),
    (["evil"], {"argv": ["x", "evil"]}, True),
    ({"|all": ["one", "two"]}, {"cmdline": "one", "path": "/two"}, True),
    ({"|all": ["one", "two"]}, {"cmdline": "one"}, False),
    ([{"path": "/a"}, {"uid": 0}], {"path": "/b", "uid": 0}, True),
]


def test_the_probe_decides_as_sigma_says(build: Build, probe: Path) -> None:
    rules = []
    for number, (selection, _, _) in enumerate(CASES):
        rule = build(selection, id=f"00000000-0000-4000-8000-{number:012}")
        rules.append(dataclasses.replace(rule, name=str(number)))

    verdicts = match_records(rules, [("process", record) for _, record, _ in CASES], probe)

    wrong = [
        f"{selection} on {record}: expected {expected}"
        for rule, verdict, (selection, record, expected) in zip(rules, verdicts, CASES, strict=True)
        if (rule.id in verdict.matched) is not expected
    ]
    assert wrong == []


def test_a_rule_test_that_does_not_hold_is_told(build: Build, probe: Path) -> None:
    tests = [
        {"name": "root", "record": {"uid": 0}, "expect": "pass"},
        {"name": "nobody", "record": {"uid": 5}, "expect": "pass"},
    ]

    results = run_tests([build({"uid": 0}, sandfly={"tests": tests})], probe)

    assert [result.is_ok for result in results] == [False, True]
    assert results[0].problem == 'test "root": expected pass, the rule alerts'


def test_a_matcher_that_cannot_be_run_is_an_error(build: Build, tmp_path: Path) -> None:
    with pytest.raises(MatcherError, match="could not be run"):
        match_records([build({"uid": 0})], [("process", {"uid": 0})], tmp_path / "missing")


@pytest.mark.parametrize(
    "answer", ["", "not json", '{"rules": [7]}', '{"rules": [0], "unknown": {"9": "error"}}', "{}"]
)
def test_a_matcher_that_answers_otherwise_is_an_error(build: Build, tmp_path: Path, answer: str) -> None:
    liar = tmp_path / "probe"
    liar.write_text(f"#!/bin/sh\ncat >/dev/null\nprintf '%s' '{answer}'\n")
    liar.chmod(0o755)

    with pytest.raises(MatcherError):
        match_records([build({"uid": 0})], [("process", {"uid": 0})], liar)
