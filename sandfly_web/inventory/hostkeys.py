"""SSH host keys as text and their fingerprints. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from scanners.contract import HostKeyPin

MAX_KEYS = 32
MAX_KEY_BYTES = 8192
_KEY_TYPE = re.compile(r"[a-z0-9][a-z0-9@.-]{0,63}")


def parse_host_keys(text: str) -> list[HostKeyPin]:
    """Read `type base64` lines, with or without the host patterns of known_hosts(5) before and a comment behind.

    Raises ValueError that names the line. Marked lines (`@revoked`, `@cert-authority`) are refused.
    """
    pins = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            pins.append(_parse_line(words, number))
    if len(pins) > MAX_KEYS:
        raise ValueError(f"{len(pins)} host keys; at most {MAX_KEYS} are kept for a host")
    return list(dict.fromkeys(pins))


def _parse_line(words: list[str], number: int) -> HostKeyPin:
    if words[0].startswith("@"):
        raise ValueError(f"line {number}: {words[0]} lines are not supported; give the host's own key")
    for index in (0, 1):
        if len(words) > index + 1 and _is_key(words[index], words[index + 1]):
            return HostKeyPin(key_type=words[index], public_key=words[index + 1])
    raise ValueError(f'line {number}: no host key; expected "ssh-ed25519 AAAA…" as ssh-keyscan prints it')


def _is_key(key_type: str, public_key: str) -> bool:
    """Whether the blob is base64 and names the same type inside (RFC 4253, section 6.6)."""
    if not _KEY_TYPE.fullmatch(key_type):
        return False
    try:
        blob = base64.b64decode(public_key, validate=True)
    except (binascii.Error, ValueError):
        return False
    name = key_type.encode()
    return len(blob) <= MAX_KEY_BYTES and blob[:4] == len(name).to_bytes(4, "big") and blob[4 : 4 + len(name)] == name


def fingerprint(public_key: str) -> str:
    """`SHA256:…` as ssh-keygen -l prints it. Raises ValueError when the key is not base64."""
    digest = hashlib.sha256(base64.b64decode(public_key, validate=True)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
