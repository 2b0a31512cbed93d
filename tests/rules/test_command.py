"""`./manage.py rules`, as somebody at a terminal sees it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.rules.conftest import rule_text

GOOD = rule_text({"a": {"uid": 0}, "condition": "a"})
FAULTY = rule_text({"a": {"uidd": 0}, "condition": "a"})


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rules", *arguments, stdout=out)
    return out.getvalue()


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_the_shipped_catalogue_is_in_order() -> None:
    assert "rules are in order" in run("check")


def test_check_names_file_line_field_and_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, "bad.yml", FAULTY)
    out = io.StringIO()

    with pytest.raises(CommandError, match="1 faults; 0 rules are in order") as caught:
        call_command("rules", "check", path, stdout=out)

    assert out.getvalue() == f'{path}:10: uidd: subject process has no field "uidd"; did you mean "uid" or "suid"?\n'
    assert caught.value.returncode == 1


def test_check_looks_through_folders_and_tells_clashes(tmp_path: Path) -> None:
    write(tmp_path, "a.yml", GOOD)
    write(tmp_path, "b.yml", GOOD)
    out = io.StringIO()

    with pytest.raises(CommandError):
        call_command("rules", "check", str(tmp_path), stdout=out)

    assert "is also used by" in out.getvalue()


def test_check_escapes_what_a_terminal_would_obey(tmp_path: Path) -> None:
    path = write(tmp_path, "bad.yml", GOOD + '"\\e[31mred": 1\n')
    out = io.StringIO()

    with pytest.raises(CommandError):
        call_command("rules", "check", path, stdout=out)

    assert "\x1b" not in out.getvalue()
    assert "\\x1b[31mred" in out.getvalue()


def test_a_missing_path_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no such file or folder"):
        run("check", str(tmp_path / "nothing.yml"))


def test_a_file_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"title: x\nauthor: \xff\n")
    out = io.StringIO()

    with pytest.raises(CommandError):
        call_command("rules", "check", str(tmp_path), stdout=out)

    assert f"{tmp_path}/a.yml:2: not UTF-8" in out.getvalue()


def test_list_as_json_has_one_object_a_rule() -> None:
    facts = json.loads(run("list", "--format", "json", "--rule", "process_running_memory_file"))

    assert [fact["name"] for fact in facts] == ["process_running_memory_file"]
    assert facts[0]["techniques"] == ["T1620"]
    assert facts[0]["is_default_enabled"] is True


def test_list_by_type_fits_a_hundred_columns() -> None:
    text = run("list", "--type", "recon")

    assert "process_inventory" in text
    assert "process_running_memory_file" not in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_list_refuses_a_type_that_is_not_one() -> None:
    with pytest.raises(CommandError, match="unknown type detections"):
        run("list", "--type", "detections")


def test_show_prints_the_rule_and_what_the_probe_evaluates() -> None:
    text = run("show", "process_traced")

    assert "title: Process under a tracer" in text
    assert '"op": "gt"' in text


def test_show_suggests_a_name() -> None:
    with pytest.raises(CommandError, match='did you mean "process_traced"'):
        run("show", "process_trace")


@pytest.mark.parametrize("subject", ["process", "file", "socket", "host", "cron_job", "kernel_module"])
def test_a_new_rule_compiles_and_its_tests_hold(tmp_path: Path, probe: Path, subject: str) -> None:
    run("new", f"{subject}_example", "--subject", subject, "--output", str(tmp_path))

    assert "2 tests of 1 rules, 0 failed" in run("test", str(tmp_path))


def test_new_never_overwrites(tmp_path: Path) -> None:
    run("new", "process_example", "--output", str(tmp_path))

    with pytest.raises(CommandError, match="File exists"):
        run("new", "process_example", "--output", str(tmp_path))


def test_a_rule_test_that_fails_is_told_with_its_line(tmp_path: Path, probe: Path) -> None:
    text = GOOD + "sandfly:\n  tests:\n  - name: nobody\n    record: {uid: 5}\n    expect: alert\n"
    path = write(tmp_path, "process_example.yml", text)
    out = io.StringIO()

    with pytest.raises(CommandError, match="1 tests of 1 rules, 1 failed"):
        call_command("rules", "test", path, stdout=out)

    assert out.getvalue() == f'{path}:14: process_example: test "nobody": expected alert, the rule passes\n'


def test_fields_lists_subjects_and_what_each_has() -> None:
    assert "kernel_module" in run("fields")
    assert "cmdline" in run("fields", "process")
    with pytest.raises(CommandError, match='did you mean "process"'):
        run("fields", "proces")


def test_check_warns_of_a_technique_that_linux_does_not_have(tmp_path: Path) -> None:
    path = write(tmp_path, "good.yml", GOOD + "tags: [attack.t1059.001]\n")

    said = run("check", path)

    assert f"{path}: warning: T1059.001 is no technique of ATT&CK on Linux" in said
    assert "1 rules are in order" in said


def test_a_new_rule_goes_into_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    run("new", "process_does_something", "--output", str(tmp_path / "my" / "rules"))

    assert "1 rules are in order" in run("check", str(tmp_path / "my" / "rules" / "process_does_something.yml"))
