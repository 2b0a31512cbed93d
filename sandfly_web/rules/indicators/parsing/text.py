"""One value a line, as most lists are: comments, `sha256sum` output, hosts files and public keys are understood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sandfly_web.rules.indicators.kinds import HASH_LENGTHS, Fault, Indicator, Kind
from sandfly_web.rules.indicators.parsing.lines import Line, read_value

# Behind a space only: # may be part of a path.
_COMMENT = re.compile(r"\s+(?:#|;|//)\s*(.*)$")
_SUM_LINE = re.compile(r"([0-9A-Fa-f]+)\s+[ *]?(\S.*)")
# What hosts files that block domains map them to.
_SINKS = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1"})  # noqa: S104 - text of such files
_HOSTS_OWN = _SINKS | {"localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback"}


def parse_lines(lines: Iterable[Line], kind: Kind | None) -> Iterator[Indicator | Fault]:
    """What follows a value behind `#`, and the file name of a checksum line, is its description."""
    for number, line, why in lines:
        place = f"line {number}"
        if line is None:
            yield Fault(place, why)
            continue
        text = line.strip()
        if not text or text.startswith(("#", ";", "//")):
            continue
        yield from _read(place, text, kind)


def _read(place: str, text: str, kind: Kind | None) -> Iterator[Indicator | Fault]:
    comment = _COMMENT.search(text)
    value, description = (text[: comment.start()], comment.group(1)) if comment else (text, "")
    words = value.split()
    if len(words) > 1 and words[0] in _SINKS and kind in {None, Kind.DOMAIN}:
        yield from (
            read_value(place, name, Kind.DOMAIN, description) for name in words[1:] if name.lower() not in _HOSTS_OWN
        )
        return
    summed = _SUM_LINE.fullmatch(value)
    if summed and len(summed.group(1)) in HASH_LENGTHS:
        value, description = summed.group(1), description or summed.group(2)
    yield read_value(place, value, kind, description)
