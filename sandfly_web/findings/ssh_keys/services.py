"""What people say of keys: names and tags, banned and protected ones, keys that no host has shown yet."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from sandfly_web.findings.ssh_keys.models import KeyTag, SshKey
from sandfly_web.inventory.hostkeys import fingerprint, parse_host_keys

MAX_BULK = 500
MAX_TAGS = 64
TAG = re.compile(r"[-a-zA-Z0-9_]{1,63}")
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
FIXED_BITS = {
    "ssh-ed25519": 256,
    "ssh-ed448": 456,
    "ecdsa-sha2-nistp256": 256,
    "ecdsa-sha2-nistp384": 384,
    "ecdsa-sha2-nistp521": 521,
    "sk-ssh-ed25519@openssh.com": 256,
    "sk-ecdsa-sha2-nistp256@openssh.com": 256,
}
# Which of the blob's fields is the modulus or prime (RFC 4253, section 6.6).
NUMBERS = {"ssh-rsa": 2, "ssh-dss": 1}


def add_key(text: str, *, name: str = "", notes: str = "") -> SshKey:
    """A key that no host has shown yet, from `type base64 comment` or its fingerprint. Raises ValidationError."""
    key = parse_key(text.strip())
    if SshKey.objects.filter(fingerprint=key.fingerprint).exists():
        raise ValidationError("this key is known already")
    key.name, key.notes = name.strip(), notes
    key.full_clean()
    key.save()
    return key


def parse_key(text: str) -> SshKey:
    """The key of such a text, not stored. Raises ValidationError."""
    if FINGERPRINT.fullmatch(text):
        return SshKey(fingerprint=text)
    try:
        (pin,) = parse_host_keys(text)
    except ValueError:
        raise ValidationError(
            "one public key as a line of authorized_keys has it, or its SHA256: fingerprint"
        ) from None
    behind = text.partition(pin.public_key)[2]
    return SshKey(
        fingerprint=fingerprint(pin.public_key),
        algorithm=pin.key_type,
        bits=_bits(pin.key_type, base64.b64decode(pin.public_key)),
        public_key=pin.public_key,
        comment=behind.strip()[:255],
    )


def _bits(key_type: str, blob: bytes) -> int | None:
    """Length of the key; None where its type does not tell."""
    if key_type not in NUMBERS:
        return FIXED_BITS.get(key_type)
    fields, at = [], 0
    while at + 4 <= len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        fields.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    place = NUMBERS[key_type]
    return int.from_bytes(fields[place], "big").bit_length() if len(fields) > place else None


def hashes(key: SshKey) -> dict[str, str]:
    """The key's four hashes as ssh-keygen -E prints them; the fingerprint alone where the key itself is not known."""
    try:
        blob = base64.b64decode(key.public_key, validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if not blob:
        return {"SHA256": key.fingerprint}
    return {
        "MD5": "MD5:" + hashlib.md5(blob, usedforsecurity=False).digest().hex(":"),
        **{name: f"{name}:{_base64(hashlib.new(name, blob).digest())}" for name in ("SHA1", "SHA256", "SHA512")},
    }


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode().rstrip("=")


def set_standing(key: SshKey, standing: str, reason: str, now: datetime | None = None) -> SshKey:
    """Ban or protect a key, or take that back. Raises ValidationError without a reason."""
    if standing not in SshKey.Standing.values:
        raise ValidationError({"standing": "no such standing"})
    if standing and not reason.strip():
        raise ValidationError({"reason": "say why"})
    key.standing, key.standing_reason = standing, reason.strip()
    key.standing_at = (now or timezone.now()) if standing else None
    key.save(update_fields=["standing", "standing_reason", "standing_at"])
    return key


def tags_of(names: Iterable[str]) -> list[KeyTag]:
    """The tags of these names, made where they are new. Raises ValidationError."""
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    wrong = [name for name in wanted if not TAG.fullmatch(name)]
    if wrong or len(wanted) > MAX_TAGS:
        raise ValidationError({"tags": "letters, digits, - and _, at most 63 of them; at most 64 tags"})
    KeyTag.objects.bulk_create([KeyTag(name=name) for name in wanted], ignore_conflicts=True)
    return list(KeyTag.objects.filter(name__in=wanted))


def tag_keys(keys: Iterable[SshKey], add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
    """Give and take tags of many keys at once; returns how many keys. Raises ValidationError."""
    chosen = list(keys)
    if len(chosen) > MAX_BULK:
        raise ValidationError(f"at most {MAX_BULK} keys at once")
    adding, names = tags_of(add), list(remove)
    removing = list(KeyTag.objects.filter(name__in=names))
    with transaction.atomic():
        # Key by key: the audit log has what happened to each.
        for key in chosen:
            key.tags.add(*adding)
            key.tags.remove(*removing)
    return len(chosen)


def forget_key(key: SshKey) -> None:
    """Only one that was added by hand and never seen. Raises ValidationError."""
    if key.places.exists():
        raise ValidationError("visits saw this key: it is remembered")
    key.delete()
