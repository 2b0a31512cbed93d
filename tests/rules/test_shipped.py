"""The compiled catalogue that is kept: the same rules, for as long as this code makes them of these files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandfly_web.rules import shipped
from sandfly_web.rules.files import find_files
from sandfly_web.rules.shipped import ingredients, keep, key_of, load_shipped, read_kept

KEY = b"a" * 64
LOADED = """
import sys
from sandfly_web.rules.catalog import load_catalog
from sandfly_web.rules.files import find_files
load_catalog(find_files()[:1])
print("\\n".join(m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)))
"""
CHOOSING = """
import sys
from sandfly_web.scans.oneshot.session import choose_rules
assert choose_rules("detection", [])
print({"sigma", "yaml"} & set(sys.modules))
"""


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "cache" / "catalog.json"


@pytest.fixture
def kept(place, catalog) -> Path:
    keep(place, KEY, catalog)
    return place


def test_what_is_kept_are_the_rules_that_were_compiled(kept, catalog):
    assert read_kept(kept, KEY) == catalog


def test_a_second_load_compiles_nothing(place, catalog, monkeypatch):
    monkeypatch.setattr("sandfly_web.rules.catalog.load_catalog", lambda paths: catalog)
    assert load_shipped(place) == catalog

    monkeypatch.setattr("sandfly_web.rules.catalog.load_catalog", None)
    assert load_shipped(place) == catalog


def test_rules_that_change_while_they_are_compiled_are_not_kept(place, tmp_path, catalog, monkeypatch):
    rule = tmp_path / "rule.yml"
    rule.write_text("before")
    monkeypatch.setattr(shipped, "ingredients", lambda: [rule])
    monkeypatch.setattr("sandfly_web.rules.catalog.load_catalog", lambda paths: rule.write_text("after") and catalog)

    assert load_shipped(place) == catalog
    assert not place.exists()


def test_everything_of_the_project_that_compiles_rules_is_in_the_key():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = {Path(line) for line in done.stdout.splitlines() if Path(line).is_relative_to(shipped.PROJECT)}
    ours = {file for file in loaded if ".venv" not in file.parts and file.name != "__init__.py"}

    assert len(ours) > 20
    assert ours <= set(ingredients())


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text("changed"),
        lambda file: file.rename(file.with_name("b.yml")),
        lambda file: file.with_name("more.yml").write_text("text"),
    ],
)
def test_a_change_of_any_file_changes_the_key(tmp_path, change):
    (tmp_path / "a.yml").write_text("text")
    before = key_of(find_files([tmp_path]))

    change(tmp_path / "a.yml")

    assert key_of(find_files([tmp_path])) != before


def test_another_version_of_what_compiles_changes_the_key():
    assert key_of([], ["pysigma"]) != key_of([], ["pysigma", "pyyaml"])


def test_rules_of_another_key_are_not_used(kept):
    assert read_kept(kept, b"b" * 64) is None


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write_is_not_used(kept, mode):
    kept.chmod(mode)

    assert read_kept(kept, KEY) is None


def test_a_file_of_another_user_is_not_used(kept):
    os.chown(kept, 65534, 65534)

    assert read_kept(kept, KEY) is None


def test_a_link_is_not_followed_and_a_pipe_not_waited_for(kept):
    link, pipe = kept.with_name("link"), kept.with_name("pipe")
    link.symlink_to(kept)
    os.mkfifo(pipe)

    assert read_kept(link, KEY) is None
    assert read_kept(pipe, KEY) is None


@pytest.mark.parametrize("size", [0, 10, len(KEY) + 1, -1])
def test_a_damaged_file_is_made_anew(place, kept, size, catalog, monkeypatch):
    whole = kept.read_bytes()
    kept.write_bytes(whole[:size])
    monkeypatch.setattr("sandfly_web.rules.catalog.load_catalog", lambda paths: catalog)
    monkeypatch.setattr(shipped, "key_of", lambda files: KEY)

    assert load_shipped(place) == catalog
    assert place.read_bytes() == whole


def test_where_nothing_can_be_written_rules_are_compiled(tmp_path, catalog, monkeypatch):
    monkeypatch.setattr("sandfly_web.rules.catalog.load_catalog", lambda paths: catalog)
    (tmp_path / "file").touch()

    assert load_shipped(tmp_path / "file" / "catalog.json") == catalog


def test_what_was_written_can_be_read_by_others_and_leaves_nothing_beside_it(kept):
    assert kept.stat().st_mode & 0o777 == 0o644
    assert list(kept.parent.iterdir()) == [kept]


def test_a_scan_that_finds_its_rules_kept_does_not_load_the_compiler():
    load_shipped()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "sandfly_web.settings"}
    command = [sys.executable, "-c", CHOOSING]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)

    assert done.stdout.strip() == "set()"
