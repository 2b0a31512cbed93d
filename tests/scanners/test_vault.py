"""Sealing credentials to a zone and opening them there."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanners.contract import Become, CredentialSecret, SealedCredential
from scanners.errors import AuthError
from scanners.vault import generate_keypair, parse_private_key, read_zone_key, seal, unseal, write_private_key

SECRET = CredentialSecret(username="root", password="canary", private_key="KEY", become=Become.SUDO)


def test_what_is_sealed_opens_with_the_private_key() -> None:
    private_key, public_key = generate_keypair()

    assert unseal(seal(SECRET, public_key), private_key) == SECRET


def test_web_side_seals_in_the_same_form() -> None:
    from sandfly_web.inventory import sealing

    private_key, public_key = generate_keypair()

    assert unseal(sealing.seal(SECRET, public_key), private_key) == SECRET


def test_sealed_text_holds_nothing_readable() -> None:
    _, public_key = generate_keypair()

    first, second = seal(SECRET, public_key), seal(SECRET, public_key)

    assert b"canary" not in base64.b64decode(first.sealed)
    assert first != second


def test_key_of_another_zone_opens_nothing() -> None:
    with pytest.raises(AuthError) as raised:
        unseal(seal(SECRET, generate_keypair()[1]), generate_keypair()[0])

    assert raised.value.code == "credential_unsealable"


@given(st.text(max_size=200))
def test_any_sealed_text_opens_or_is_unsealable(text: str) -> None:
    with pytest.raises(AuthError):
        unseal(SealedCredential(sealed=text), generate_keypair()[0])


def test_content_that_is_no_credential_is_not_repeated() -> None:
    from nacl.public import PublicKey, SealedBox

    private_key, public_key = generate_keypair()
    box = SealedBox(PublicKey(base64.b64decode(public_key)))
    sealed = base64.b64encode(box.encrypt(b'{"username": 7, "password": "canary"}')).decode()

    with pytest.raises(AuthError) as raised:
        unseal(SealedCredential(sealed=sealed), private_key)

    assert "canary" not in str(raised.value)


def test_key_never_shows_itself() -> None:
    private_key, _ = generate_keypair()

    assert private_key not in repr(parse_private_key(private_key))


def test_key_file_open_to_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "zone.key"
    write_private_key(path, generate_keypair()[0])
    path.chmod(0o640)

    with pytest.raises(AuthError, match="chmod 600"):
        read_zone_key(path)


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA", "A" * 5000])
def test_damaged_key_file_is_told_without_its_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / "zone.key"
    write_private_key(path, text)

    with pytest.raises(AuthError, match="is damaged") as raised:
        read_zone_key(path)

    assert text == "" or text not in str(raised.value)


def test_missing_key_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuthError, match="cannot be read"):
        read_zone_key(tmp_path / "none")


def test_keygen_writes_a_closed_file_once_and_prints_the_public_key(tmp_path: Path) -> None:
    path = tmp_path / "zone.key"
    argv = [sys.executable, "-m", "scanners.vault"]

    made = subprocess.run([*argv, "keygen", path], capture_output=True, text=True, check=True)
    again = subprocess.run([*argv, "keygen", path], capture_output=True, text=True, check=False)
    shown = subprocess.run([*argv, "public", path], capture_output=True, text=True, check=True)

    assert path.stat().st_mode & 0o777 == 0o600
    assert made.stdout == shown.stdout
    assert read_zone_key(path).unseal(seal(SECRET, made.stdout)) == SECRET
    assert again.returncode == 1
