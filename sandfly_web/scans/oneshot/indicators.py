"""Indicator files of a one-shot scan: held in memory, so that what hosts find is compared with them right away."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from sandfly_web.rules.compiled import Level
from sandfly_web.rules.indicators.compact import CompactSet
from sandfly_web.rules.indicators.kinds import Fault, Indicator, Kind
from sandfly_web.rules.indicators.parsing import MAX_ENTRIES, ParseError, parse_indicators
from sandfly_web.rules.indicators.sets import build_sets
from sandfly_web.rules.indicators.verify import Listed, Value

LEVEL = str(Level.HIGH)
SHOWN_FAULTS = 10


class IndicatorFileError(Exception):
    """A file cannot be read, or is no list of indicators; the message says why."""


@dataclass
class IndicatorFiles:
    """The entries of all files, and the sets that stand for them."""

    entries: dict[Value, list[tuple[str, Indicator]]] = field(default_factory=dict)
    sets: Mapping[Kind, CompactSet] = field(default_factory=dict)

    def look_up(self, values: Collection[Value]) -> Mapping[Value, list[Listed]]:
        return {
            value: [Listed(name, LEVEL, one.description, one.reference) for name, one in self.entries[value]]
            for value in values
            if value in self.entries
        }


def read_indicator_files(paths: Sequence[Path], tell: TextIO) -> IndicatorFiles:
    """Lines that are not used are told, the first of each file in full. Raises IndicatorFileError."""
    files = IndicatorFiles()
    for path in paths:
        used, faults = _read(path, files)
        for fault in faults[:SHOWN_FAULTS]:
            tell.write(f"{path}: {fault}\n")
        if len(faults) > SHOWN_FAULTS:
            tell.write(f"{path}: {len(faults) - SHOWN_FAULTS} more entries are not used\n")
        if not used:
            raise IndicatorFileError(f"{path}: no line can be used")
    if len(files.entries) > MAX_ENTRIES:
        raise IndicatorFileError(f"{len(files.entries)} indicators; a probe holds at most {MAX_ENTRIES}")
    files.sets = build_sets(one for entries in files.entries.values() for _, one in entries)
    return files


def _read(path: Path, files: IndicatorFiles) -> tuple[int, list[Fault]]:
    used, faults = 0, []
    try:
        with path.open("rb") as stream:
            _, found = parse_indicators(stream, datetime.now(UTC))
            for entry in found:
                if isinstance(entry, Fault):
                    faults.append(entry)
                    continue
                used += 1
                files.entries.setdefault((entry.kind.value, entry.value), []).append((path.name, entry))
    except OSError as error:
        raise IndicatorFileError(f"{path}: {error.strerror}") from None
    except ParseError as error:
        raise IndicatorFileError(f"{path}: {error}") from None
    return used, faults
