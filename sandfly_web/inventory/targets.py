"""Hosts as people list them: one `host[:port]`, `user@host` or network a line. Pure.

The grammar is that of `manage.py scan`; here the list is bounded, since every entry becomes a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from sandfly_web.scans.oneshot.targets import Target, TargetError, parse_target

MAX_HOSTS = 65_536

__all__ = ["MAX_HOSTS", "Target", "TargetError", "parse_lines"]


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
