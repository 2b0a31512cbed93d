"""Hosts as people write them: `[user@]host[:port]`, networks, files of them. Pure.

`manage.py scan` streams them, so that a /8 is never held in memory; in the inventory every one becomes a row, so there
the list is bounded.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

LOCAL = "local"
MAX_PORT = 65535
MAX_HOSTS = 65_536
# RFC 1123 names, plus "_" that people use inside; IPv6 is matched apart.
HOST_NAME = re.compile(r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?$")


class TargetError(ValueError):
    """A target that cannot be understood; the message says what would be."""


@dataclass(frozen=True)
class Target:
    """One host to visit; `username` "" means the user who runs the command."""

    address: str
    port: int = 22
    username: str = ""

    @property
    def is_local(self) -> bool:
        return self.address == LOCAL

    @property
    def label(self) -> str:
        """How output names the host: the address, with the port when it is not 22."""
        if self.is_local or self.port == 22:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def parse_target(text: str) -> Iterator[Target]:
    """`local`, `[user@]host[:port]`, `[user@][v6][:port]` or `[user@]network/bits[:port]`.

    Raises TargetError.
    """
    if text == LOCAL:
        yield Target(LOCAL)
        return
    username, _, rest = text.rpartition("@")
    if text.startswith("@") or (not username and "@" in text):
        raise TargetError(f"{text!r}: there is no user name before '@'")
    address, port = split_port(rest, text)
    if "/" in address:
        yield from expand_network(address, port, username)
        return
    if not is_address(address) and not HOST_NAME.match(address):
        raise TargetError(f"{text!r} is no host: use local, [user@]host[:port], a network such as 10.0.0.0/24 or @FILE")
    yield Target(address, port, username)


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def split_port(text: str, whole: str) -> tuple[str, int]:
    """Address and port of `host:port`, `[v6]:port`, or either without a port (22)."""
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::(.*))?", text)
    if bracketed:
        address, port = bracketed.group(1), bracketed.group(2)
    elif text.count(":") == 1:
        address, port = text.split(":")
    else:
        address, port = text, None
    if port is None:
        return address, 22
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= MAX_PORT):
        raise TargetError(f"{whole!r}: {port!r} is no port (1 to {MAX_PORT})")
    return address, int(port)


def expand_network(text: str, port: int, username: str) -> Iterator[Target]:
    """Host addresses of a network, without its network and broadcast address."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise TargetError(f"{text!r} is no network: {error}") from None
    for address in network.hosts():
        yield Target(str(address), port, username)


def expand_targets(texts: Iterable[str], read_lines: Callable[[str], Iterable[str]]) -> Iterator[Target]:
    """All hosts the arguments name; `@FILE` holds one target a line, `#` begins a comment.

    `read_lines` opens the file, so that this stays free of I/O. Raises TargetError with file and line.
    """
    for text in texts:
        if not text.startswith("@"):
            yield from parse_target(text)
            continue
        path = text[1:]
        for number, line in enumerate(read_lines(path), start=1):
            word = line.partition("#")[0].strip()
            if not word:
                continue
            try:
                yield from parse_target(word)
            except TargetError as error:
                raise TargetError(f"{path}:{number}: {error}") from None


def parse_lines(lines: Iterable[str]) -> list[Target]:
    """Every host the lines name, each endpoint once; `#` begins a comment.

    Raises TargetError with the line's number, or when more than MAX_HOSTS are named.
    """
    found: dict[tuple[str, int], Target] = {}
    for number, line in enumerate(lines, start=1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        try:
            # One more than fits, so that a /8 is refused without being walked.
            for target in islice(parse_target(word), MAX_HOSTS + 1):
                found.setdefault((target.address.lower(), target.port), target)
        except TargetError as error:
            raise TargetError(f"line {number}: {error}") from None
        if len(found) > MAX_HOSTS:
            raise TargetError(f"line {number}: more than {MAX_HOSTS} hosts; add them in parts")
    return list(found.values())
