"""The commands that take a key out of an account's file give the account nothing that it has not."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandfly_web.findings.ssh_keys.removals import edit_script

KEY, OTHER = "AAAAC3NzaC1lZDI1NTE5AAAAIKey", "AAAAC3NzaC1lZDI1NTE5AAAAIOther"
USER = "nobody"


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the account; those of pytest are closed to it."""
    with tempfile.TemporaryDirectory() as name:
        account = pwd.getpwnam(USER)
        os.chown(name, account.pw_uid, account.pw_gid)
        yield Path(name)


def write(path: Path, owner: str) -> Path:
    path.write_text(f"ssh-ed25519 {OTHER} stays\nssh-ed25519 {KEY} goes\n")
    path.chmod(0o600)
    account = pwd.getpwnam(owner)
    os.chown(path, account.pw_uid, account.pw_gid)
    return path


def run(path: Path) -> str:
    script = edit_script(str(path), KEY, keep=0, username=USER)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def test_a_file_of_the_account_loses_the_key(home: Path) -> None:
    path = write(home / "authorized_keys", USER)

    assert run(path).startswith("done")
    assert path.read_text() == f"ssh-ed25519 {OTHER} stays\n"
    assert path.stat().st_uid == pwd.getpwnam(USER).pw_uid


def test_a_link_on_the_way_does_not_lead_root_to_what_the_account_may_not_write(home: Path, tmp_path: Path) -> None:
    target = write(tmp_path / "authorized_keys", "root")
    before = target.read_text()
    (home / ".ssh").symlink_to(tmp_path)

    assert run(home / ".ssh" / "authorized_keys") == ""
    assert target.read_text() == before


def test_a_name_of_an_account_is_no_option(home: Path) -> None:
    path = write(home / "authorized_keys", USER)

    script = edit_script(str(path), KEY, keep=0, username="-c id")

    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode != 0, "uid=" in done.stdout, KEY in path.read_text()) == (True, False, True)
