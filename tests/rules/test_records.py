"""`./manage.py rules test RULE --records FILE`: a rule on the records of scans, before it is enabled."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from sandfly_web.rules.fields import registry
from sandfly_web.rules.told import OWN_KIND, read_subject, tell_subject
from tests.rules.conftest import rule_text

SHELL = rule_text(
    {"a": {"name": "bash", "cwd|startswith": "/tmp/"}, "condition": "a"}, sandfly={"explain": "{name} runs in {cwd}"}
)


def record(host: str, subject: str, **values: Any) -> str:
    return json.dumps({"type": "record", "host": host, "rules": ["r"], "subject": tell_subject(subject, values)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [
        json.dumps({"type": "host", "host": "web1", "outcome": "done"}),
        record("web1", "process", name="bash", cwd="/tmp/x", pid=5, new_fact=1),
        record("web1", "process", name="bash", cwd="/root", pid=6),
        record("web1", "host", hostname="web1", os_id="debian"),
        "",
        record("web2", "process", name="bash", cwd="/tmp/y"),
        record("web2", "host", hostname="web2", os_id="alpine"),
        record("web3", "user", username="root"),
        json.dumps({"type": "summary", "hosts": 3}),
    ]
    (tmp_path / "records.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(folder: Path, text: str, *more: str) -> str:
    (folder / "process_example.yml").write_text(text)
    out = io.StringIO()
    records = str(folder / "records.jsonl")
    call_command("rules", "test", str(folder / "process_example.yml"), "--records", records, *more, stdout=out)
    return out.getvalue()


def test_matching_records_are_shown_with_their_sentence_and_host(folder: Path) -> None:
    said = run(folder, SHELL).splitlines()

    assert said == [
        "process_example: 2 of 3 process records match",
        "  web1: bash runs in /tmp/x",
        "  web2: bash runs in /tmp/y",
        "left out, since this version has no such field: process.new_fact (1)",
    ]


def test_matches_are_json_for_scripts(folder: Path) -> None:
    lines = [json.loads(line) for line in run(folder, SHELL, "--format", "json").splitlines()]

    assert [(line["rule"], line["host"], line["record"]["cwd"]) for line in lines] == [
        ("process_example", "web1", "/tmp/x"),
        ("process_example", "web2", "/tmp/y"),
    ]


def test_facts_of_the_host_are_those_of_the_records_host(folder: Path) -> None:
    said = run(folder, SHELL + "  os: {os_id: debian}\n")

    assert "1 of 3 process records match" in said
    assert "web2" not in said


def test_fields_that_no_record_has_make_the_answer_unsure(folder: Path) -> None:
    said = run(folder, rule_text({"a": {"name": "bash", "exe_deleted": False}, "condition": "a"}))

    assert "0 of 3 process records match" in said
    assert "not sure: no record has exe_deleted, which the rule looks at" in said


def test_an_absence_is_asked_only_of_hosts_whose_records_are_there(folder: Path) -> None:
    said = run(folder, rule_text({"a": {"name": "auditd"}, "condition": "a"}, sandfly={"alert_on": "absence"}))

    assert said.splitlines()[:2] == [
        "process_example: alerts on 2 of 2 hosts",
        "  not sure: other hosts have no process records at all",
    ]


def test_a_correlation_looks_at_the_records_of_each_host_together(folder: Path) -> None:
    text = """\
title: Two shells
id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001
name: process_example
level: low
correlation: {type: event_count, rules: shell, group-by: name, timespan: 1d, condition: {gte: 2}}
---
name: shell
logsource: {category: process}
detection: {a: {name: bash}, condition: a}
sandfly: {time: none}
"""
    assert run(folder, text).splitlines()[:2] == ["process_example: alerts on 1 of 3 hosts", "  web1: alert"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "records.jsonl:1: not a line of `scan --format jsonl`"),
        ('{"type": "record"}', "records.jsonl:1: not a line"),
        ("[1]", "records.jsonl:1: not a line"),
        ('{"type": "summary"}', "no records; `./manage.py scan"),
    ],
)
def test_what_are_no_records_is_refused_with_the_line(folder: Path, line: str, words: str) -> None:
    (folder / "records.jsonl").write_text(line + "\n")

    with pytest.raises(CommandError) as caught:
        run(folder, SHELL)

    assert words in str(caught.value)


def test_values_that_could_not_be_looked_at_stay_so(folder: Path) -> None:
    line = {
        "type": "finding",
        "host": "a",
        "subject": {"name": "bash", "kind": "process"},
        "unknown": {"cwd": "denied"},
    }
    (folder / "records.jsonl").write_text(json.dumps(line) + "\n")

    assert "0 of 1 process records match" in run(folder, SHELL)


def test_a_field_named_kind_of_a_record_is_told_beside_the_kind_of_its_subject() -> None:
    record = {"kind": "module", "name": "dark"}

    told = tell_subject("hidden", record)

    assert told == {"kind": "hidden", "record_kind": "module", "name": "dark"}
    assert read_subject(told) == ("hidden", record)
    assert read_subject(tell_subject("process", {"pid": 1})) == ("process", {"pid": 1})


def test_no_subject_has_a_field_of_the_name_that_stands_for_kind() -> None:
    assert [name for name, subject in registry().items() if OWN_KIND in subject.fields] == []


def test_rules_on_a_records_own_kind_match_what_scans_have_written(folder: Path) -> None:
    lines = [
        record("web1", "hidden", kind="module", name="dark"),
        record("web1", "hidden", kind="method", name="taint"),
    ]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
    rule = rule_text(
        {"a": {"kind": "module"}, "condition": "a"},
        logsource={"category": "hidden", "product": "linux"},
        sandfly={"explain": "{kind} {name}"},
    )

    assert "  web1: module dark" in run(folder, rule).splitlines()
