"""Packs of rules: what a folder or checkout holds, where it is from, and whether it is what its lock says."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import nacl.signing
import pytest
from django.core.management import CommandError, call_command

from sandfly_web.rules import packs
from sandfly_web.rules.packs import PackError, read_pack
from tests.rules.conftest import rule_text

GOOD = {"a": {"uid": 0}, "condition": "a"}


def rule(number: int, **changes: object) -> str:
    values = {"id": f"5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a000{number}", "name": f"process_{number}"}
    return rule_text(changes.pop("detection", GOOD), **{**values, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "Our Rules"
    (top / "linux").mkdir(parents=True)
    (top / "linux" / "a.yml").write_text(rule(1))
    (top / "linux" / "b.yml").write_text(rule(2, logsource={"category": "process_creation", "product": "windows"}))
    (top / "LICENSE.md").write_text("\n# Example Licence 1.0\n\ntext\n")
    return top


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rules", *arguments, stdout=out)
    return out.getvalue()


def test_a_pack_is_its_rules_for_linux_with_name_and_licence(folder: Path) -> None:
    pack = read_pack(folder)

    assert [(packed.rule.name, packed.path) for packed in pack.rules] == [("process_1", "linux/a.yml")]
    assert (pack.name, pack.license, pack.elsewhere, pack.errors) == ("our-rules", "Example Licence 1.0", 1, ())


def test_faults_are_told_with_their_place_in_the_pack_and_the_rest_is_taken(folder: Path) -> None:
    (folder / "bad.yml").write_text(rule(3, detection={"a": {"uidd": 1}, "condition": "a"}))
    (folder / "worse.yml").write_text("title: [x")

    pack = read_pack(folder)

    assert len(pack.rules) == 1
    assert [error.location for error in pack.errors] == ["worse.yml:1", "bad.yml:10"]
    assert "5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0003" in pack.ids


def test_of_two_rules_with_one_name_the_first_is_taken_and_the_other_told(folder: Path) -> None:
    (folder / "linux" / "c.yml").write_text(rule(3, name="process_1"))

    pack = read_pack(folder)

    assert [packed.path for packed in pack.rules] == ["linux/a.yml"]
    assert "linux/a.yml" in pack.errors[0].message


def git(folder: Path, *words: str) -> str:
    """Runs git without the settings of this machine."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    environment = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_origin_of_a_checkout_is_told_without_the_password_in_its_address(folder: Path) -> None:
    git(folder, "init", "-q")
    git(folder, "remote", "add", "origin", "https://user:canary@example.org/some/Rule-Pack.git")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")

    pack = read_pack(folder / "linux")
    git(folder, "pack-refs", "--all")
    packed = read_pack(folder)

    assert pack.repository == "https://example.org/some/Rule-Pack.git"
    assert pack.commit == packed.commit == git(folder, "rev-parse", "HEAD")
    assert (pack.name, pack.license) == ("rule-pack", "Example Licence 1.0")


def test_rules_in_a_folder_of_the_product_itself_are_not_from_its_checkout(folder: Path) -> None:
    git(folder, "init", "-q")
    git(folder, "remote", "add", "origin", "https://example.org/product.git")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packs, "PRODUCT", folder.resolve())
        pack = read_pack(folder / "linux")

    assert (pack.name, pack.repository, pack.commit, pack.license) == ("linux", "", "", "")


def test_a_lock_holds_a_pack_to_its_texts(folder: Path) -> None:
    assert run("pack", str(folder)).startswith("locked 2 files")
    assert read_pack(folder).is_locked
    original = (folder / "linux" / "a.yml").read_text()

    (folder / "linux" / "a.yml").write_text(original + "# changed\n")
    with pytest.raises(PackError, match=r"linux/a.yml: changed since it was locked"):
        read_pack(folder)
    (folder / "linux" / "a.yml").write_text(original)
    (folder / "new.yml").write_text(rule(4))
    with pytest.raises(PackError, match=r"new.yml: not in the lock"):
        read_pack(folder)
    (folder / "new.yml").unlink()
    (folder / "linux" / "b.yml").unlink()
    (folder / "linux" / "c.yml").write_text(rule(5))
    with pytest.raises(PackError, match=r"linux/b.yml: locked and missing"):
        read_pack(folder)


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 1, "files": []}', '{"schema": 2, "files": {}}', "\xff"])
def test_what_is_no_lock_is_refused(folder: Path, text: str) -> None:
    (folder / packs.LOCK_NAME).write_text(text, encoding="latin-1")

    with pytest.raises(PackError, match="lock"):
        read_pack(folder)


@pytest.fixture
def signed(folder: Path, tmp_path: Path) -> Callable[[], str]:
    """Signs the folder with a new key and gives the public one."""

    def sign() -> str:
        key = tmp_path / "private.key"
        said = run("pack", str(folder), "--new-key", str(key))
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.read_text().strip() not in said
        return packs.public_key_of(packs.read_key(key))

    return sign


def test_a_signed_pack_is_taken_with_its_key_and_refused_with_another(folder: Path, signed: Callable[[], str]) -> None:
    public = signed()
    other = base64.b64encode(bytes(nacl.signing.SigningKey.generate().verify_key)).decode()

    assert read_pack(folder, public_key=public).signed_by == public
    for key, words in ((other, "not of this key"), ("!", "no base64"), ("AAAA", "no base64")):
        with pytest.raises(PackError, match=words):
            read_pack(folder, public_key=key)


def test_a_lock_that_was_changed_after_it_was_signed_is_refused(folder: Path, signed: Callable[[], str]) -> None:
    public = signed()
    (folder / "linux" / "a.yml").write_text(rule(1, level="low"))
    lock = json.loads((folder / packs.LOCK_NAME).read_text())
    lock["files"] = packs.digest_files(folder)
    (folder / packs.LOCK_NAME).write_text(json.dumps(lock))

    with pytest.raises(PackError, match="the pack was changed"):
        read_pack(folder, public_key=public)


def test_a_pack_without_a_signature_is_refused_where_a_key_is_given(folder: Path, signed: Callable[[], str]) -> None:
    public = signed()
    run("pack", str(folder))

    with pytest.raises(PackError, match="not signed"):
        read_pack(folder, public_key=public)


def test_check_tells_all_without_a_database(folder: Path) -> None:
    (folder / "bad.yml").write_text(rule(3, detection={"a": {"uidd": 1}, "condition": "a"}))
    (folder / "shipped.yml").write_text(rule(6, name="process_running_deleted_executable"))
    out = io.StringIO()

    with pytest.raises(CommandError, match="1 faults; the other 2 rules are in order") as caught:
        call_command("rules", "import", str(folder), "--check", stdout=out)

    said = out.getvalue()
    assert caught.value.returncode == 1
    assert 'bad.yml:10: uidd: subject process has no field "uidd"; did you mean "uid"' in said
    assert "pack our-rules, licence: Example Licence 1.0, not locked" in said
    assert "shipped.yml: its id or name is that of shipped rule process_running_deleted_executable" in said
    assert "2 rules, 1 for other systems left out; nothing was changed" in said
