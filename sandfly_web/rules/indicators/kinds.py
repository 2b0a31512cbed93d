"""Kinds of indicators and the one spelling in which a value of each is kept and compared. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MAX_VALUE_CHARS = 4096
MAX_TEXT_CHARS = 500
PLACEHOLDER = "indicators."
"""How the names of lists begin in rules: `sha256|expand: '%indicators.sha256%'`."""


class Kind(StrEnum):
    """What an indicator is a value of; also the name of the set that a plan refers to."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"
    IP = "ip"
    DOMAIN = "domain"
    PATH = "path"
    FILENAME = "filename"
    KEY_FINGERPRINT = "key_fingerprint"


class BadValue(ValueError):  # noqa: N818 - it is said of a value
    """A value that cannot be an indicator; the message says why."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """One known bad value in its canonical spelling, and what its source says of it."""

    kind: Kind
    value: str
    description: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A line or object that is not used: where (`line 7`, `objects[3]`), why, and the beginning of its text."""

    place: str
    reason: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" + (f": {self.text}" if self.text else "")


HASH_LENGTHS = {32: Kind.MD5, 40: Kind.SHA1, 64: Kind.SHA256, 128: Kind.SHA512}
_HEX = re.compile(r"[0-9a-fA-F]+")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LAST_LABEL = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_KEY_LINE = re.compile(r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+)\s+([A-Za-z0-9+/]{32,}={0,2})(?:\s+(.*))?")
# Every host has empty files: their digests in a list are an accident that would alert everywhere.
_EMPTY = frozenset(
    hashlib.new(name, b"", usedforsecurity=False).hexdigest() for name in ("md5", "sha1", "sha256", "sha512")
)
# A network that holds a good part of the internet is no indicator.
LEAST_PREFIX = {4: 8, 6: 19}


def normalize(kind: Kind, text: str) -> str:
    """The canonical spelling. Raises BadValue, which says why `text` is no usable value of this kind."""
    if len(text) > MAX_VALUE_CHARS:
        raise BadValue(f"longer than {MAX_VALUE_CHARS} characters")
    if not text.isprintable():
        raise BadValue("has control characters")
    return _NORMALIZERS[kind](text.strip())


def detect(text: str) -> Kind:
    """What a bare value is by its form. File names are never guessed: they look like domains. Raises BadValue."""
    text = text.strip()
    if _HEX.fullmatch(text) and len(text) in HASH_LENGTHS:
        return HASH_LENGTHS[len(text)]
    if text.startswith("/"):
        return Kind.PATH
    if text.startswith(("SHA256:", "MD5:")) or _KEY_LINE.fullmatch(text):
        return Kind.KEY_FINGERPRINT
    if re.fullmatch(r"[0-9.]+(/\d+)?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/\d+)?", text):
        return Kind.IP
    if "://" in text:
        raise BadValue("a URL is not compared with anything; give its domain or address alone")
    if re.match(r"[A-Za-z]:\\", text) or "\\" in text:
        raise BadValue("a Windows path; hosts here run Linux")
    if "@" in text:
        raise BadValue("a mail address is not compared with anything")
    if "." in text and " " not in text:
        return Kind.DOMAIN
    raise BadValue("is no hash, address, network, domain, absolute path or key fingerprint")


def refang(text: str) -> str:
    """Undoes how reports keep values from being clicked: `evil[.]example`, `hxxp://`."""
    if "[" not in text and "(" not in text and "hxxp" not in text:
        return text
    for written, meant in (("[.]", "."), ("(.)", "."), ("[dot]", "."), ("(dot)", "."), ("[:]", ":"), ("hxxp", "http")):
        text = text.replace(written, meant)
    return text


def key_of(value: str) -> int:
    """64 bits that stand for a canonical value: the first eight bytes of the SHA-256 of its UTF-8 text."""
    return int.from_bytes(hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def _hash(kind: Kind) -> Callable[[str], str]:
    length = next(length for length, one in HASH_LENGTHS.items() if one is kind)

    def normalize_hash(text: str) -> str:
        digest = text.lower()
        if len(digest) != length or not _HEX.fullmatch(digest):
            raise BadValue(f"is no {kind.upper()}: {length} hexadecimal digits are needed")
        if digest in _EMPTY:
            raise BadValue("the digest of an empty file, which every host has")
        return digest

    return normalize_hash


def _ip(text: str) -> str:
    """An address, or a network as address/bits with the host bits cleared."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValue("is no address or network") from None
    if network.version == 6 and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        network = ipaddress.ip_network(f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}")
    first = network.network_address
    if first.is_loopback or first.is_unspecified or first.is_multicast or str(first) == "255.255.255.255":
        raise BadValue("an address that every host uses (loopback, unspecified, multicast, broadcast)")
    if network.prefixlen < LEAST_PREFIX[network.version]:
        raise BadValue(f"a network this large is no indicator; at least /{LEAST_PREFIX[network.version]} is needed")
    return str(first) if network.num_addresses == 1 else str(network)


def _domain(text: str) -> str:
    """Lower case, in ASCII (IDNA); a leading `*.` or dot is dropped, since what lies below a domain matches anyway."""
    name = text.lower().rstrip(".").removeprefix("*").lstrip(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise BadValue("is no domain: it cannot be written in ASCII (IDNA)") from None
    labels = name.split(".")
    if len(labels) < 2:
        raise BadValue("is no domain: a name without a dot would match ordinary words")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or not _LAST_LABEL.fullmatch(labels[-1]):
        raise BadValue("is no domain")
    if labels[-1] in {"localhost", "localdomain", "arpa"}:
        raise BadValue("a name that every host uses")
    return name


def _path(text: str) -> str:
    if not text.startswith("/") or text.strip("/") == "":
        raise BadValue("is no absolute path")
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise BadValue("a path with .. in it")
    if text.endswith("/") and len(parts) < 2:
        raise BadValue("a directory that every host has")
    return "/" + "/".join(parts)


def _filename(text: str) -> str:
    if "/" in text or "\\" in text or text in {"", ".", ".."}:
        raise BadValue("is no file name")
    return text


def _key_fingerprint(text: str) -> str:
    """`SHA256:…` as `ssh-keygen -l` prints it; a public key line is turned into it."""
    if line := _KEY_LINE.fullmatch(text):
        return _fingerprint_of(line.group(1), line.group(2))
    if text.upper().startswith("MD5:") or re.fullmatch(r"([0-9a-fA-F]{2}:){15}[0-9a-fA-F]{2}", text):
        raise BadValue("an MD5 fingerprint cannot be compared; give SHA256:… or the public key")
    text = text.rstrip("=")
    if not _FINGERPRINT.fullmatch(text):
        raise BadValue("is no key fingerprint: SHA256: and 43 characters of base64 are needed")
    return text


def _fingerprint_of(key_type: str, encoded: str) -> str:
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise BadValue("is no public key: its base64 is broken") from None
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != key_type.encode():
        raise BadValue("is no public key: the key does not name its type")
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


_NORMALIZERS: dict[Kind, Callable[[str], str]] = {
    **{kind: _hash(kind) for kind in HASH_LENGTHS.values()},
    Kind.IP: _ip,
    Kind.DOMAIN: _domain,
    Kind.PATH: _path,
    Kind.FILENAME: _filename,
    Kind.KEY_FINGERPRINT: _key_fingerprint,
}
