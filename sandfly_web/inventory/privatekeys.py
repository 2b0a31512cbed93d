"""Reads private keys while they are typed in: whether they can be used, and which public key they belong to. Pure."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from sandfly_web.inventory.hostkeys import fingerprint

MIN_RSA_BITS = 2048
UsableKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey


def load_private_key(text: str, passphrase: str) -> UsableKey:
    """An OpenSSH or PEM key. Raises ValueError whose message says what to do and never quotes the key."""
    data = text.strip().encode() + b"\n"
    if data.startswith((b"ssh-", b"ecdsa-")) or b"PUBLIC KEY" in data:
        raise ValueError("this is a public key; give the private one")
    if data.startswith(b"PuTTY-"):
        raise ValueError("PuTTY keys are not read; export it with: puttygen KEY -O private-openssh")
    key = _load(data, passphrase.encode())
    if isinstance(key, RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise ValueError(f"an RSA key of {key.key_size} bits; servers refuse less than {MIN_RSA_BITS}")
    if not isinstance(key, UsableKey):
        raise ValueError("this kind of key cannot sign in; use Ed25519, ECDSA or RSA")  # noqa: TRY004 - of the text
    return key


def _load(data: bytes, passphrase: bytes) -> object:
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
    # `from None` throughout: the library's errors may carry what it was reading.
    try:
        return load(data, passphrase or None)
    except TypeError:
        if not passphrase:
            raise ValueError("the private key is encrypted; give its passphrase") from None
        # A passphrase for a key that has none does no harm.
        return _load(data, b"")
    except UnsupportedAlgorithm:
        raise ValueError("this kind of key, or its encryption, is not supported") from None
    except ValueError as error:
        if not passphrase and "password" in str(error).lower():
            raise ValueError("the private key is encrypted; give its passphrase") from None
        wrong = "wrong passphrase, or " if passphrase else ""
        raise ValueError(f"{wrong}not a private key in OpenSSH or PEM format") from None


def public_fingerprint(key: UsableKey) -> str:
    """`SHA256:…` of the public half."""
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return fingerprint(line.split()[1].decode())


def openssh_text(key: UsableKey) -> str:
    """The key without passphrase in the one format that every worker reads; only ever put into a seal."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
