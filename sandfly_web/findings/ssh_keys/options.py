"""Options of authorized keys, see sshd(8). Pure."""

from __future__ import annotations

from collections.abc import Iterable

# With one of them a key does not simply open a shell from anywhere.
RESTRICTING = frozenset({"command", "from"})


def option_name(option: str) -> str:
    """`command` of `command="id"`."""
    return option.partition("=")[0].strip().lower()


def is_restricting(options: Iterable[str]) -> bool:
    """Whether the key runs one command only or is good from some addresses only."""
    return any(option_name(option) in RESTRICTING for option in options)


def shown_options(options: Iterable[str]) -> str:
    return ", ".join(options)
