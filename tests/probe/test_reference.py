"""What the probe says of its fields is what fields.json and the README say."""

from __future__ import annotations

import json

import pytest

from probes import reference
from probes.build import Build, BuildError


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
