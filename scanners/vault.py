"""The zone's key pair: credentials arrive sealed to it and are opened only here, on the zone's workers.

A sealed credential is the base64 of a libsodium sealed box over the JSON of a `CredentialSecret`. The web side seals
with the public key and cannot open; the private key is a file of base64 lines, mode 0600, that stays on the workers.

    python -m scanners.vault keygen FILE     # writes the private key, prints the public one
    python -m scanners.vault public FILE     # prints the public key again
    python -m scanners.vault rotate FILE     # puts a new key before those that are there, prints its public one

A key file may hold several lines: the first is the zone's key, the others are earlier ones that still open what was
sealed to them. A zone gets its new key by `manage.py zone rotate-key`, which has a worker seal everything anew.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import fcntl
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from scanners.contract import CredentialSecret, SealedCredential, encode
from scanners.errors import AuthError

KEY_FILE_VARIABLE = "SANDFLY_ZONE_KEY_FILE"
MAX_KEY_FILE_BYTES = 65536


class ZoneKey:
    """A zone's private key; opens what was sealed to it and never shows itself."""

    def __init__(self, private_key: PrivateKey, earlier: Sequence[PrivateKey] = ()) -> None:
        self._private_key = private_key
        self._earlier = tuple(earlier)

    def __repr__(self) -> str:
        return "ZoneKey(***)"

    @property
    def public_key(self) -> str:
        """Base64 of the 32 bytes that the web side seals to."""
        return base64.b64encode(bytes(self._private_key.public_key)).decode()

    @property
    def public_keys(self) -> list[str]:
        """The zone's and earlier ones."""
        keys = (self._private_key, *self._earlier)
        return [base64.b64encode(bytes(key.public_key)).decode() for key in keys]

    def unseal(self, credential: SealedCredential) -> CredentialSecret:
        """Raises AuthError `credential_unsealable`, whose message tells nothing of the content."""
        try:
            return msgspec.json.decode(self._open(credential.sealed), type=CredentialSecret)
        except (binascii.Error, ValueError, CryptoError, msgspec.MsgspecError, TypeError):
            message = "a credential was sealed to another key than this worker's zone has: enter it again"
            raise AuthError("credential_unsealable", message) from None

    def open_challenge(self, sealed: str) -> bytes:
        """Raises AuthError `credential_unsealable`."""
        try:
            return self._open(sealed)
        except (binascii.Error, ValueError, CryptoError, TypeError):
            message = "the challenge was sealed to another key than this worker's zone has"
            raise AuthError("credential_unsealable", message) from None

    def _open(self, text: str) -> bytes:
        sealed = base64.b64decode(text, validate=True)
        for key in self._earlier:
            with contextlib.suppress(CryptoError):
                return bytes(SealedBox(key).decrypt(sealed))
        return bytes(SealedBox(self._private_key).decrypt(sealed))


def generate_keypair() -> tuple[str, str]:
    """A fresh private and public key, both base64."""
    key = PrivateKey.generate()
    return base64.b64encode(bytes(key)).decode(), base64.b64encode(bytes(key.public_key)).decode()


def seal(secret: CredentialSecret, public_key: str) -> SealedCredential:
    """Seals to a zone. Raises ValueError when `public_key` is no key."""
    box = SealedBox(PublicKey(_decode_key(public_key)))
    return SealedCredential(sealed=base64.b64encode(box.encrypt(encode(secret))).decode())


def unseal(credential: SealedCredential, private_key: str) -> CredentialSecret:
    """Opens with a base64 private key. Raises AuthError `credential_unsealable`."""
    return parse_private_key(private_key).unseal(credential)


def parse_private_key(text: str) -> ZoneKey:
    """One key a line, the zone's first. Raises ValueError when the text is no key; the message does not repeat it."""
    keys = [PrivateKey(_decode_key(line)) for line in text.strip().splitlines() or [""]]
    return ZoneKey(keys[0], keys[1:])


def _decode_key(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a zone key is base64") from None
    if len(raw) != PrivateKey.SIZE:
        raise ValueError(f"a zone key has {PrivateKey.SIZE} bytes")
    return raw


def read_zone_key(path: Path) -> ZoneKey:
    """The private key of a file that only its owner may read. Raises AuthError `credential_unsealable`."""
    try:
        with path.open() as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise AuthError("credential_unsealable", f"the zone key {path} cannot be read: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise AuthError("credential_unsealable", f"the zone key {path} is open to others: chmod 600 it")
    try:
        return parse_private_key(text)
    except ValueError as error:
        raise AuthError("credential_unsealable", f"the zone key {path} is damaged: {error}") from None


def write_private_key(path: Path, private_key: str) -> None:
    """Writes a new file, mode 0600. Raises FileExistsError rather than losing a key that credentials are sealed to."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(private_key + "\n")


def rotate_key_file(path: Path, public_key: str = "") -> ZoneKey:
    """Puts a new key first, unless one that is newer than `public_key` is there already from a try that was cut short.

    The new file is on the disk before anything is sealed to its key. Whoever asks at the same time waits. Raises
    AuthError when the file is not the zone's.
    """
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        return _rotate_locked(path, public_key, directory)
    finally:
        os.close(directory)


def _rotate_locked(path: Path, public_key: str, directory: int) -> ZoneKey:
    there = read_zone_key(path)
    if public_key and public_key not in there.public_keys:
        raise AuthError("credential_unsealable", f"{path} does not hold the zone's key")
    if public_key and there.public_key != public_key:
        return there
    private_key, _ = generate_keypair()
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{private_key}\n{path.read_text()}")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    os.fsync(directory)
    return read_zone_key(path)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scanners.vault", description="The key pair of a zone.")
    parser.add_argument("action", choices=("keygen", "public", "rotate"))
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.action == "keygen":
            private_key, public_key = generate_keypair()
            write_private_key(options.file, private_key)
        elif options.action == "rotate":
            public_key = rotate_key_file(options.file).public_key
        else:
            public_key = read_zone_key(options.file).public_key
    except (OSError, AuthError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(public_key + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
