"""Private keys as people paste them: OpenSSH, PEM or PKCS#8 text, with or without a passphrase. Pure."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from scanners.contract import CredentialSecret
from scanners.errors import AuthError

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def parse_private_key(secret: CredentialSecret) -> PrivateKey:
    """The key of a credential. Raises AuthError `key_unreadable`, whose message never quotes the key or a parser."""
    data = secret.private_key.strip().encode() + b"\n"
    try:
        key = _parse(data, secret.passphrase.encode() or None)
    except TypeError:
        wrong = "a needless passphrase" if secret.passphrase else "an encrypted key without its passphrase"
        raise AuthError("key_unreadable", wrong) from None
    except Exception:  # noqa: BLE001 - whatever the parsers say may hold parts of the key
        raise AuthError("key_unreadable", "a key that cannot be read (damaged, or a wrong passphrase)") from None
    if not isinstance(key, PrivateKey):
        raise AuthError("key_unreadable", "a key of a type that is not accepted (use ed25519, ECDSA or RSA)")
    return key


def _parse(data: bytes, passphrase: bytes | None) -> object:
    if b"BEGIN OPENSSH PRIVATE KEY" in data:
        return serialization.load_ssh_private_key(data, passphrase)
    return serialization.load_pem_private_key(data, passphrase)


def openssh_text(key: PrivateKey) -> str:
    """The key as unencrypted OpenSSH text, to be handed on in memory only."""
    encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
    return key.private_bytes(encoding, layout, serialization.NoEncryption()).decode()


def check_certificate(text: str, key: PrivateKey, now: float | None = None) -> None:
    """Whether a user certificate fits the key and holds now. Raises AuthError `certificate_expired`, `key_unreadable`.

    See PROTOCOL.certkeys of OpenSSH: validity is in epoch seconds, the end excluded.
    """
    now = time.time() if now is None else now
    try:
        certificate = serialization.load_ssh_public_identity(text.strip().encode())
    except Exception:  # noqa: BLE001 - whatever the parser says is about text that people pasted
        raise AuthError("key_unreadable", "a certificate that cannot be read") from None
    if not isinstance(certificate, serialization.SSHCertificate):
        raise AuthError("key_unreadable", "a public key in the place of a certificate")
    if certificate.type is not serialization.SSHCertificateType.USER:
        raise AuthError("key_unreadable", "a certificate of a host and not of a user")
    if certificate.public_key() != key.public_key():
        raise AuthError("key_unreadable", "a certificate of another key")
    if now >= certificate.valid_before:
        raise AuthError("certificate_expired", f"a certificate that expired {_moment(certificate.valid_before)}")
    if now < certificate.valid_after:
        raise AuthError("certificate_expired", f"a certificate that holds only from {_moment(certificate.valid_after)}")


def _moment(seconds: int) -> str:
    # Far ends are written as 2^64 - 1.
    return datetime.fromtimestamp(min(seconds, 2**33), UTC).strftime("%Y-%m-%d %H:%M UTC")
