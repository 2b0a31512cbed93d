"""The secrets of a one-shot scan: read from a key file or typed in, kept in memory only."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec.structs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from scanners.contract import Become, CredentialSecret

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
MAX_KEY_BYTES = 65536


class IdentityError(Exception):
    """A key or password cannot be used; the message says what to do and holds no secret."""


@dataclass(frozen=True)
class IdentityOptions:
    """What the command line says about signing in."""

    identity: Path | None = None
    ask_password: bool = False
    ask_become_password: bool = False
    become: Become = Become.AUTO


def read_secret(prompt: str) -> str:
    """Typed without echo on a terminal, else one line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline().rstrip("\n")


def read_key(path: Path) -> str:
    """Raises IdentityError."""
    try:
        with path.open(encoding="ascii") as file:
            text = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise IdentityError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise IdentityError(f"{path} is no private key in PEM or OpenSSH format") from None
    if len(text) > MAX_KEY_BYTES:
        raise IdentityError(f"{path} is larger than any private key")
    return text


def needs_passphrase(path: Path, text: str) -> bool:
    """Whether the key is encrypted. Raises IdentityError for what is no private key."""
    load = load_ssh_private_key if "OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        load(text.encode(), password=None)
    except (TypeError, ValueError) as error:
        if "encrypted" in str(error) or "assword" in str(error):
            return True
        hint = " (this is the public half)" if path.suffix == ".pub" else ""
        raise IdentityError(f"{path} is no private key that can be read{hint}") from None
    except UnsupportedAlgorithm as error:
        raise IdentityError(f"{path}: {error}") from None
    return False


def find_default_key() -> Path | None:
    """The first of ssh's usual keys that exists."""
    candidates = (Path.home() / ".ssh" / name for name in DEFAULT_KEYS)
    return next((path for path in candidates if path.is_file()), None)


def collect_secrets(options: IdentityOptions) -> dict[str, str]:
    """The fields of a CredentialSecret but for the user name. Raises IdentityError.

    A password that was asked for also serves sudo; a key is offered beside it only when one was named.
    """
    path = options.identity or (None if options.ask_password else find_default_key())
    if path is None and not options.ask_password:
        raise IdentityError("no way to sign in: name a key with --identity FILE or use --ask-password")
    secrets = {}
    if path is not None:
        secrets["private_key"] = read_key(path)
        if needs_passphrase(path, secrets["private_key"]):
            secrets["passphrase"] = read_secret(f"Passphrase of {path}: ")
    if options.ask_password:
        secrets["password"] = read_secret("Password: ")
    if options.ask_become_password:
        secrets["become_password"] = read_secret("Password for becoming root: ")
    return secrets


def credential_for(username: str, secrets: dict[str, str], become: Become) -> CredentialSecret:
    """The credential for one host; without a user name, that of the user who runs this."""
    # The name makes wrong passwords count over all hosts of the run.
    secret = CredentialSecret(username=username or getpass.getuser(), become=become, id="one-time")
    return msgspec.structs.replace(secret, **secrets)
