"""What the hosts of the simulator are like. All of it is told by the address alone, so every run meets the same fleet.

127.K.x.y is a host of the kind whose octet is K; 127.99.x.y is any kind, drawn by the address.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from scanners.contract import HostKeyPin

MIXED = 99


@dataclass(frozen=True)
class Kind:
    """One sort of host. Times are those of the whole way there and back; bounds count what the client sent.

    `command` is what its sshd runs instead of what it is told; `says` is what it says instead of being an sshd.
    """

    octet: int
    name: str
    about: str
    share: int = 1
    round_trip_s: float = 0.0
    bytes_per_s: int = 0
    stalls_after: int | None = None
    cut_after: int | None = None
    is_cut_once: bool = False
    has_wrong_key: bool = False
    command: str = ""
    says: str = ""

    @property
    def is_relayed(self) -> bool:
        """Bytes pass through the simulator; else the kernel hands the connection to sshd itself."""
        return (
            bool(self.round_trip_s or self.bytes_per_s) or self.stalls_after is not None or self.cut_after is not None
        )


_RUN = '/bin/sh -c "$SSH_ORIGINAL_COMMAND"'
# The one command that starts the probe: what it prints is the report.
_CUT = f"{_RUN} | dd bs=1 count=60 2>/dev/null"
_ON_START = "case $SSH_ORIGINAL_COMMAND in *exec???2*) {start} ;; *) " + _RUN + " ;; esac"

# Waiting for a lock costs nothing, however many do. The first line is the mark that the start waits for.
_HELD = _ON_START.format(start=f'{_RUN} | {{ IFS= read -r mark; echo "$mark"; flock -s /run/fleet/hold cat; }}')

KINDS = (
    Kind(20, "plain", "a healthy host at no distance", share=60),
    Kind(21, "near", "20 ms away", share=10, round_trip_s=0.02),
    Kind(22, "far", "200 ms away", share=5, round_trip_s=0.2),
    Kind(23, "thin", "a line of 256 KiB a second", share=3, round_trip_s=0.05, bytes_per_s=256 << 10),
    Kind(24, "sluggish", "every command begins half a second late", share=5, command=f"sleep 0.5; {_RUN}"),
    Kind(25, "held", "200 ms away, its report waits for Fleet.held to end", share=0, round_trip_s=0.2, command=_HELD),
    Kind(40, "reset", "takes the connection and drops it at once", says="reset"),
    Kind(41, "silent", "takes the connection and never says a word", says="nothing"),
    Kind(42, "stalled", "falls silent in the middle of the upload", stalls_after=400_000),
    Kind(43, "cut", "breaks off in the middle of the upload, always", share=2, cut_after=400_000),
    Kind(44, "flaky", "breaks off once, the second time it works", share=4, cut_after=400_000, is_cut_once=True),
    Kind(60, "garbage", "greets with random bytes", says="garbage"),
    Kind(61, "chatter", "greets without end", says="chatter"),
    Kind(62, "wrong_key", "shows another host key than its own", has_wrong_key=True),
    Kind(63, "flood", "answers every command with endless zeros", command="cat /dev/zero"),
    Kind(64, "noise", "answers every command with random bytes", command="head -c 300000 /dev/urandom"),
    Kind(65, "hanging", "answers no command", command="exec sleep 100000"),
    Kind(66, "truncated", "its report breaks off", command=_ON_START.format(start=_CUT)),
    Kind(67, "endless", "its report never ends", command=_ON_START.format(start=f"{_RUN}; exec yes '{{}}'")),
)  # fmt: skip
BY_OCTET = {kind.octet: kind for kind in KINDS}
BY_NAME = {kind.name: kind for kind in KINDS}
_DRAWN = [kind for kind in KINDS for _ in range(kind.share)]


def kind_of(address: str) -> Kind:
    """Plain for what is no address of the fleet."""
    octet = int(address.split(".")[1])
    if octet == MIXED:
        return _DRAWN[int.from_bytes(_digest("kind", address)[:4]) % len(_DRAWN)]
    return BY_OCTET.get(octet, BY_NAME["plain"])


def addresses(kind: str, count: int) -> Iterator[str]:
    """The first `count` addresses (at most 65,000) of a kind, or of "mixed"."""
    octet = MIXED if kind == "mixed" else BY_NAME[kind].octet
    first = int(ipaddress.IPv4Address(f"127.{octet}.0.1"))
    for number in range(count):
        yield str(ipaddress.IPv4Address(first + number))


def host_name(address: str) -> str:
    return "host-" + address.replace(".", "-")


def machine_id(address: str) -> str:
    """32 hexadecimal digits, machine-id(5)."""
    return _digest("machine", address).hex()[:32]


def pin_of(address: str) -> HostKeyPin:
    """The host key that is the host's own."""
    layout = serialization.PublicFormat.OpenSSH
    text = _key(address).public_key().public_bytes(serialization.Encoding.OpenSSH, layout).decode()
    key_type, blob = text.split()[:2]
    base64.b64decode(blob, validate=True)
    return HostKeyPin(key_type=key_type, public_key=blob)


def served_key(address: str) -> bytes:
    """The private key, as sshd reads it, that the host shows: its own, or not."""
    key = _key(f"not {address}" if kind_of(address).has_wrong_key else address)
    layout = serialization.PrivateFormat.OpenSSH
    return key.private_bytes(serialization.Encoding.PEM, layout, serialization.NoEncryption())


def _key(address: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(_digest("key", address))


def _digest(what: str, address: str) -> bytes:
    return hashlib.sha256(f"simulated {what} {address}".encode()).digest()
