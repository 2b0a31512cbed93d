"""What an import reads: hosts that may be added, and what could not be read. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sandfly_web.inventory.targets import MAX_HOSTS, Target, TargetError, parse_target
from scanners.contract import DIRECTORY_PATTERN

MAX_FAULTS = 200
MAX_NAME_CHARS = 255
_TAG_LETTERS = re.compile(r"[^a-zA-Z0-9_-]+")


@dataclass(frozen=True)
class Candidate:
    """A host with its name and tags. `username` is what the source says; the credential decides."""

    target: Target
    name: str
    tags: tuple[str, ...] = ()
    staging_directory: str = ""


@dataclass(frozen=True)
class Fault:
    """An entry that is left out: the line (from 1) and what to do about it."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass
class Parsed:
    """What was read. Each endpoint is there once, with the tags of all its entries; `notes` say what was not used."""

    candidates: dict[tuple[str, int], Candidate] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, target: Target, name: str, tags: tuple[str, ...], line: int, directory: str = "") -> bool:
        """Returns False when no more fit, which is then a fault, as is a `directory` for the probe that is none."""
        if directory and not is_directory(directory):
            self.fault(line, f"{directory!r} is no absolute path for the probe")
            return True
        key = (target.address.lower(), target.port)
        known = self.candidates.get(key)
        if known is None and len(self.candidates) >= MAX_HOSTS:
            self.fault(line, f"more than {MAX_HOSTS} hosts; import them in parts")
            return False
        first = known or Candidate(target, name[:MAX_NAME_CHARS] or target.label)
        self.candidates[key] = Candidate(
            first.target, first.name, tuple(dict.fromkeys([*first.tags, *tags])), first.staging_directory or directory
        )
        return True

    def add_text(
        self, text: str, name: str, tags: tuple[str, ...], line: int, port: int | None = None, directory: str = ""
    ) -> bool:
        """The hosts that an address or network means; returns False when no more fit."""
        try:
            for target in parse_target(text):
                with_port = Target(target.address, port or target.port)
                if not self.add(with_port, name, tags, line, directory):
                    return False
        except TargetError as error:
            self.fault(line, str(error))
        return True

    def fault(self, line: int, message: str) -> None:
        """All are counted, the first are kept."""
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(line, message))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def is_directory(text: str) -> bool:
    """Whether it can be a host's `staging_directory`."""
    return len(text) <= MAX_NAME_CHARS and re.fullmatch(DIRECTORY_PATTERN, text) is not None


def tag_of(text: str) -> str:
    """A group's name as a tag: other letters become dashes; "" when nothing is left."""
    return _TAG_LETTERS.sub("-", text.strip()).strip("-")[:63]


def port_of(text: str) -> int | None:
    """A port number, or None for what is none."""
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and 0 < int(digits[:6]) <= 65535 else None
