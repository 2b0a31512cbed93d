"""Collects the faults of one rule file, so that an author sees all of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sandfly_web.rules.compiled import RuleError, RuleErrors


class Faults:
    """Faults of the file at `location`; `add` takes the 1-based line they are on."""

    def __init__(self, location: str) -> None:
        self.location = location
        self._found: list[tuple[int, RuleError]] = []

    def add(self, line: int, field: str, message: str) -> None:
        if not any(place == line and error.message == message for place, error in self._found):
            self._found.append((line, RuleError(f"{self.location}:{line}", field, message)))

    def raise_if_any(self) -> None:
        """Raises RuleErrors when anything was added."""
        if self._found:
            raise RuleErrors(self.errors)

    @property
    def errors(self) -> list[RuleError]:
        """In the order of the file."""
        return [error for _, error in sorted(self._found, key=lambda pair: pair[0])]

    def __str__(self) -> str:
        return "; ".join(error.message for _, error in self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A tail for a message: `; did you mean "path"?`, or "" when nothing known is near."""
    near = difflib.get_close_matches(word.lower(), list(known), n=2, cutoff=0.6)
    return "; did you mean " + " or ".join(f'"{name}"' for name in near) + "?" if near else ""
