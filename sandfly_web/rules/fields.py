"""Subjects and their fields as the probe describes them (`probes/fields.json`, written by `probe --describe`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FIELDS_PATH = Path(__file__).resolve().parents[2] / "probes" / "fields.json"

TEXT_TYPES = frozenset({"string", "strings"})
NUMBER_TYPES = frozenset({"int", "float", "ints"})
LIST_TYPES = frozenset({"strings", "ints"})


@dataclass(frozen=True)
class Field:
    """One fact of a subject. `type` is string, int, float, bool, strings or ints; `cost` free, cheap or costly."""

    name: str
    type: str
    unit: str
    cost: str
    doc: str
    source: str

    @property
    def is_text(self) -> bool:
        return self.type in TEXT_TYPES

    @property
    def is_number(self) -> bool:
        return self.type in NUMBER_TYPES


@dataclass(frozen=True)
class Subject:
    """A kind of fact. `identity` tells one thing from another across visits; `evidence` goes with every alert."""

    name: str
    doc: str
    identity: tuple[str, ...]
    evidence: tuple[str, ...]
    fields: Mapping[str, Field]


Registry = Mapping[str, Subject]


def parse_registry(text: str) -> Registry:
    """Read the JSON of `probe --describe`. Raises ValueError or KeyError when it is not that."""
    return {entry["name"]: _subject(entry) for entry in json.loads(text)["subjects"]}


def _subject(entry: dict[str, object]) -> Subject:
    raw = entry["fields"]
    if not isinstance(raw, list):
        raise ValueError(f"subject {entry['name']}: fields is not a list")  # noqa: TRY004 - one error for bad text
    fields = {
        item["name"]: Field(
            item["name"], item["type"], item.get("unit", ""), item["cost"], item.get("doc", ""), item.get("source", "")
        )
        for item in raw
    }
    return Subject(
        str(entry["name"]), str(entry.get("doc", "")), _names(entry["identity"]), _names(entry["evidence"]), fields
    )


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(name) for name in value) if isinstance(value, list) else ()


@cache
def registry() -> Registry:
    """The subjects of the probe that ships with this version; read once."""
    return parse_registry(FIELDS_PATH.read_text(encoding="utf-8"))
