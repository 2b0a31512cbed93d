"""The data directory: closed to others, never somebody else's, one installation at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sandfly_web.embedded.datadir import ensure_secret_key, locked, prepare, take_lock, write_private
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.paths import DataDir, default_data_dir


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_others_can_neither_list_nor_read_anything(fresh):
    prepare(fresh)
    ensure_secret_key(fresh)

    assert {path.name: oct(mode(path) & 0o007) for path in (fresh.root, *fresh.root.rglob("*"))} == {
        path.name: "0o0" for path in (fresh.root, *fresh.root.rglob("*"))
    }
    assert mode(fresh.secret_key) == 0o600
    assert mode(fresh.zone_key("x").parent) == mode(fresh.logs) == mode(fresh.run) == 0o700


def test_wide_modes_are_narrowed_again(fresh):
    prepare(fresh)
    fresh.logs.chmod(0o755)

    prepare(fresh)

    assert mode(fresh.logs) == 0o700


def test_a_directory_with_other_things_is_refused_and_keeps_its_mode(scratch):
    (scratch / "thesis.tex").touch()

    with pytest.raises(EmbeddedError, match="holds something else"):
        prepare(DataDir(scratch))
    assert mode(scratch) == 0o711


@pytest.mark.parametrize("path", ["/", "/tmp", "/etc"])
def test_a_directory_of_the_system_is_never_taken(path):
    before = mode(Path(path))

    with pytest.raises(EmbeddedError, match=r"holds something else|belongs to another user"):
        prepare(DataDir(Path(path)))
    assert mode(Path(path)) == before


@pytest.mark.integration
def test_somebody_else_s_directory_is_refused(fresh):
    fresh.root.mkdir()
    os.chown(fresh.root, 65534, 65534)

    with pytest.raises(EmbeddedError, match="belongs to another user"):
        prepare(fresh)


def test_a_directory_of_another_layout_is_refused(fresh):
    prepare(fresh)
    fresh.layout.write_text("2\n")

    with pytest.raises(EmbeddedError, match=r"another version .layout 2."):
        prepare(fresh)


def test_a_path_too_deep_for_a_unix_socket_is_refused_with_its_excess(scratch):
    fits = scratch / ("x" * (107 - len(f"{scratch}//run/.s.PGSQL.5432")))
    prepare(DataDir(fits))

    with pytest.raises(EmbeddedError, match="2 bytes too deep for a Unix socket"):
        prepare(DataDir(fits.with_name(fits.name + "ää"[:1])))


def test_a_relative_path_is_refused():
    with pytest.raises(EmbeddedError, match="absolute path"):
        prepare(DataDir(Path("some/where")))


def test_a_file_in_the_way_is_named(scratch):
    (scratch / "file").touch()

    with pytest.raises(EmbeddedError, match=r"cannot use .*file.* .Not a directory."):
        prepare(DataDir(scratch / "file" / "d"))


def test_the_secret_key_is_made_once(fresh):
    prepare(fresh)

    assert ensure_secret_key(fresh)
    key = fresh.secret_key.read_text()
    assert not ensure_secret_key(fresh)
    assert fresh.secret_key.read_text() == key
    assert len(key) > 50


def test_a_second_lock_is_refused_and_names_the_holder(fresh):
    prepare(fresh)

    with locked(fresh, "up"), pytest.raises(EmbeddedError, match=f"up already runs on .* .process {os.getpid()}."):
        take_lock(fresh, "up")


def test_a_lock_is_free_again_after_its_holder(fresh):
    prepare(fresh)
    with locked(fresh, "up"):
        pass

    with locked(fresh, "up"):
        pass


def test_a_private_file_replaces_a_link_and_does_not_follow_it(scratch):
    outside = scratch / "outside"
    outside.write_text("kept")
    (scratch / "file").symlink_to(outside)

    write_private(scratch / "file", "secret")

    assert outside.read_text() == "kept"
    assert not (scratch / "file").is_symlink()
    assert mode(scratch / "file") == 0o600


def test_the_default_directory_follows_the_user(monkeypatch):
    monkeypatch.delenv("SANDFLY_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/ada/.data")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/sandfly")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_data_dir() == Path("/home/ada/.data/sandfly")
    monkeypatch.setenv("SANDFLY_DATA_DIR", "/srv/sandfly")
    assert default_data_dir() == Path("/srv/sandfly")
