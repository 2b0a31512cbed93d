"""Networks as numbers: counted, cut into parts, never written out. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# The whole of IPv4; more could not be looked at within a life.
MAX_ADDRESSES = 2**32
MAX_LINES = 4096

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RangeError(ValueError):
    """A line that is no network; the message says which and why."""


@dataclass(frozen=True, order=True)
class Span:
    """Addresses from `first` to `last`, both included, of one version of IP."""

    version: int
    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    def address(self, place: int) -> Address:
        return _address(self.version, self.first + place)


def _address(version: int, number: int) -> Address:
    return ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number)


def parse_ranges(text: str, excluded: str = "") -> list[Span]:
    """What the lines name less what is excluded, in order, each address once.

    A line is `10.0.0.0/8`, `10.0.0.1`, `10.0.0.1-10.0.0.9` or their like in IPv6; `#` begins a comment. Network and
    broadcast addresses of IPv4 networks are left out. Raises RangeError.
    """
    spans = _merge(_parse(text))
    for hole in _merge(_parse(excluded, is_whole=True)):
        spans = [piece for span in spans for piece in _cut(span, hole)]
    total = sum(span.count for span in spans)
    if total > MAX_ADDRESSES:
        raise RangeError(f"{total} addresses; at most {MAX_ADDRESSES} can be looked at")
    return spans


def _parse(text: str, *, is_whole: bool = False) -> Iterator[Span]:
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise RangeError(f"{len(lines)} lines; at most {MAX_LINES}")
    for number, line in enumerate(lines, 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        try:
            yield _span(word, is_whole=is_whole)
        except ValueError as error:
            raise RangeError(f"line {number}: {error}") from None


def _span(word: str, *, is_whole: bool) -> Span:
    first_text, dash, last_text = word.partition("-")
    if dash:
        first, last = ipaddress.ip_address(first_text.strip()), ipaddress.ip_address(last_text.strip())
        if first.version != last.version or int(first) > int(last):
            raise ValueError(f"{word!r} does not go from a lower address to a higher one")
        return Span(first.version, int(first), int(last))
    network = ipaddress.ip_network(word, strict=False)
    low, high = int(network.network_address), int(network.broadcast_address)
    if network.version == 4 and network.prefixlen < 31 and not is_whole:
        low, high = low + 1, high - 1
    return Span(network.version, low, high)


def _merge(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans):
        before = merged[-1] if merged else None
        if before and before.version == span.version and span.first <= before.last + 1:
            merged[-1] = Span(span.version, before.first, max(before.last, span.last))
        else:
            merged.append(span)
    return merged


def _cut(span: Span, hole: Span) -> Iterator[Span]:
    if span.version != hole.version or hole.last < span.first or hole.first > span.last:
        yield span
        return
    if span.first < hole.first:
        yield Span(span.version, span.first, hole.first - 1)
    if hole.last < span.last:
        yield Span(span.version, hole.last + 1, span.last)


def take(spans: Iterable[Span], position: int, count: int) -> list[str]:
    """The addresses from `position` on, at most `count`; nothing else of the networks is written out."""
    taken: list[str] = []
    for span in spans:
        if position >= span.count:
            position -= span.count
            continue
        room = min(span.count - position, count - len(taken))
        taken += [str(span.address(position + place)) for place in range(room)]
        position = 0
        if len(taken) == count:
            break
    return taken
