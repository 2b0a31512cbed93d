"""Seals secrets to a zone: what is sealed here can be opened only with the private key on that zone's workers."""

from __future__ import annotations

import base64
import binascii

from nacl.public import PublicKey, SealedBox

from scanners.contract import CredentialSecret, SealedCredential, encode


def parse_public_key(text: str) -> PublicKey:
    """Base64 of 32 bytes (X25519). Raises ValueError on anything else."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a zone's public key is base64") from None
    if len(raw) != PublicKey.SIZE:
        raise ValueError(f"a zone's public key has {PublicKey.SIZE} bytes, this has {len(raw)}")
    return PublicKey(raw)


def seal(secret: CredentialSecret, public_key: str) -> SealedCredential:
    """A libsodium sealed box over the secret's JSON, as base64. Raises ValueError for a key that is none."""
    return SealedCredential(sealed=seal_bytes(encode(secret), public_key))


def seal_bytes(content: bytes, public_key: str) -> str:
    """The same over any bytes."""
    return base64.b64encode(SealedBox(parse_public_key(public_key)).encrypt(content)).decode("ascii")
