"""Reads private keys while they are typed in: whether they can be used, and which public key they belong to. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_identity,
)

from sandfly_web.inventory.hostkeys import fingerprint

MIN_RSA_BITS = 2048
# "Always" is written as 2^64 - 1; a date past the year 9000 means the same.
NEVER = 2**37
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


class KeyType(StrEnum):
    """Of pairs that are made here."""

    ED25519 = "ed25519"
    RSA4096 = "rsa4096"


def generate_key(kind: KeyType) -> UsableKey:
    """A fresh pair; RSA takes some seconds and is for servers without Ed25519 (OpenSSH before 6.5)."""
    return Ed25519PrivateKey.generate() if kind is KeyType.ED25519 else generate_private_key(65537, 4096)


def public_line(key: UsableKey, comment: str) -> str:
    """The public half as a line of authorized_keys."""
    words = "".join(c if c.isalnum() or c in "._@-" else "-" for c in comment)
    return f"{key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {words}"


def certificate_end(text: str, key: UsableKey) -> datetime | None:
    """When a user certificate of this key ends, None for never. Raises ValueError that says what is wrong with it."""
    try:
        certificate = load_ssh_public_identity(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a certificate as ssh-keygen -s writes it (…-cert.pub)") from None
    if not isinstance(certificate, SSHCertificate):
        raise ValueError("this is a public key; give the certificate (…-cert.pub)")  # noqa: TRY004 - of the text
    if certificate.type is not SSHCertificateType.USER:
        raise ValueError("this is the certificate of a host, not of a user")
    if certificate.public_key() != key.public_key():
        raise ValueError("this certificate belongs to another key")
    end = certificate.valid_before
    if end <= datetime.now(UTC).timestamp():
        raise ValueError(f"this certificate expired {datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC")
    return None if end >= NEVER else datetime.fromtimestamp(end, UTC)
