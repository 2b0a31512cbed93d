"""What the probe says of its fields is what fields.json and the README say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from probes import reference
from probes.build import Build, BuildError, run_go
from tests.probe.trees import FIXTURES


def test_fields_json_is_what_the_probe_says(probe: Build) -> None:
    assert reference.FIELDS.read_text() == reference.describe(probe)


def test_the_readme_has_the_probes_tables(probe: Build) -> None:
    text = reference.README.read_text()

    assert text == reference.with_tables(text, reference.describe(probe))


def test_every_subject_of_the_first_version_is_there() -> None:
    subjects = {subject["name"] for subject in json.loads(reference.FIELDS.read_text())["subjects"]}

    assert subjects >= {
        "authorized_key",
        "cron_job",
        "directory",
        "file",
        "group",
        "host",
        "kernel_module",
        "mount",
        "process",
        "socket",
        "systemd_unit",
        "user",
    }


def test_a_readme_without_the_heading_is_refused() -> None:
    with pytest.raises(BuildError, match="has lost its heading"):
        reference.with_tables("# The probe\n", '{"subjects": []}')


def test_text_cannot_break_out_of_its_cell() -> None:
    field = {"name": "a", "type": "int", "unit": "bytes", "cost": "free", "doc": "x | y", "source": "z"}
    subject = {"name": "s", "doc": "thing", "identity": ["a"], "evidence": [], "fields": [field]}

    table = reference.render_tables(json.dumps({"subjects": [subject]}))

    assert "| `a` | int, bytes | free | x \\| y | z |" in table


def fields_of_golden_reports() -> set[str]:
    """subject.field of every field that has a value in the committed reports of small hosts."""
    seen = set()
    for path in FIXTURES.glob("*.golden.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            record = json.loads(line)
            seen |= {f"{record['subject']}.{name}" for name, value in record.items() if value not in ("", [], None)}
    return seen


@pytest.mark.integration
def test_every_field_is_seen_with_a_value_in_some_test(tmp_path: Path) -> None:
    """By the Go tests of the collectors, which note each field they read, or in the report of a small host."""
    noted = tmp_path / "seen"
    flags = ["-trimpath", "-vet=off", "-count=1", "-tags=seen"]  # -trimpath: the library as other builds compiled it
    run_go(["test", *flags, "./internal/collect/..."], {"SANDFLY_SEEN": str(noted)})
    seen = set(noted.read_text().split()) | fields_of_golden_reports()
    subjects = json.loads(reference.FIELDS.read_text())["subjects"]
    all_fields = {f"{subject['name']}.{field['name']}" for subject in subjects for field in subject["fields"]}

    assert sorted(all_fields - seen) == [], "give each a test or a place in tests/probe/fixtures"
    assert len(subjects) >= 30
    assert len(all_fields) >= 600
