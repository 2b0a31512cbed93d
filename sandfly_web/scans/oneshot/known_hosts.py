"""Host keys as known_hosts files keep them (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). Pure.

Certificate authorities are not used for host keys; revoked keys are never returned.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from scanners.contract import HostKeyPin

DEFAULT_PORT = 22


@dataclass(frozen=True)
class Entry:
    """One line: the names it is for, and the key."""

    patterns: tuple[str, ...]
    key: HostKeyPin
    is_revoked: bool = False


def host_name(address: str, port: int) -> str:
    """How a host is written: bare on port 22, else `[address]:port`."""
    return address if port == DEFAULT_PORT else f"[{address}]:{port}"


def parse_known_hosts(lines: Iterable[str]) -> list[Entry]:
    """Entries of a file; comments, certificate authorities and lines that are no entry are left out, as ssh does."""
    entries = []
    for line in lines:
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker == "@cert-authority":
            continue
        if is_key_blob(words[1], words[2]):
            key = HostKeyPin(key_type=words[1], public_key=words[2])
            entries.append(Entry(tuple(words[0].split(",")), key, marker == "@revoked"))
    return entries


def is_key_blob(key_type: str, text: str) -> bool:
    """Whether base64 text holds a key that names this type first (RFC 4253, 6.6)."""
    try:
        blob = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length] == key_type.encode()


def matches_pattern(pattern: str, name: str) -> bool:
    """Whether one pattern, hashed (`|1|salt|hash`) or with `*` and `?`, is for this name."""
    if not pattern.startswith("|1|"):
        return fnmatch.fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))
    parts = pattern.split("|")
    if len(parts) != 4:
        return False
    try:
        salt, digest = base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)


def is_for(entry: Entry, name: str) -> bool:
    """Whether an entry is for a name: some pattern matches and no `!pattern` does."""
    if any(matches_pattern(p[1:], name) for p in entry.patterns if p.startswith("!")):
        return False
    return any(matches_pattern(p, name) for p in entry.patterns if not p.startswith("!"))


def find_keys(entries: list[Entry], address: str, port: int) -> list[HostKeyPin]:
    """The keys a host may show."""
    name = host_name(address, port)
    revoked = {entry.key.public_key for entry in entries if entry.is_revoked and is_for(entry, name)}
    found = [entry.key for entry in entries if not entry.is_revoked and is_for(entry, name)]
    return [key for key in found if key.public_key not in revoked]


def format_entry(address: str, port: int, key: HostKeyPin) -> str:
    """The line that remembers a key."""
    return f"{host_name(address, port)} {key.key_type} {key.public_key}"
