"""Reads the YAML of a rule into plain values that still know their lines. No I/O; bounded in size, depth and nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from sandfly_web.rules.faults import Faults

MAX_CHARS = 256 * 1024
MAX_DEPTH = 24
# Aliases are counted each time they are used, so a few lines of YAML cannot unfold into gigabytes.
MAX_NODES = 20_000

Path = tuple[str | int, ...]


@dataclass
class Document:
    """A YAML mapping and the line (from 1) of each key and list entry, by its path of keys and places."""

    values: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """Line of the entry, or of the nearest entry around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _DocumentError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def parse_document(text: str, faults: Faults) -> Document | None:
    """Read one YAML document that is a mapping; adds to `faults` and returns None when it is anything else."""
    try:
        return _parse(text)
    except _DocumentError as problem:
        faults.add(problem.line, "", problem.message)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "not YAML"
        faults.add(
            mark.line + 1 if mark else 1, "", f"not valid YAML: {what}; correct the syntax on or above this line"
        )
    except yaml.YAMLError as error:
        faults.add(1, "", f"not valid YAML: {str(error).splitlines()[0]}")
    except (ValueError, OverflowError) as error:
        # The constructors of dates and numbers raise these for values such as 2026-13-41.
        faults.add(1, "", f"a date or number is out of range ({error}); quote it when it is meant as text")
    return None


def _parse(text: str) -> Document:
    if len(text) > MAX_CHARS:
        raise _DocumentError(1, f"longer than {MAX_CHARS // 1024} KiB; a rule must be smaller")
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise _DocumentError(1, "not a rule: expected a mapping that begins with `title:`")
        document = Document({})
        _Indexer(document.lines).index(node, ())
        document.values = loader.construct_document(node)
        return document
    finally:
        loader.dispose()


class _Indexer:
    def __init__(self, lines: dict[Path, int]) -> None:
        self.lines = lines
        self.nodes = 0

    def index(self, node: yaml.Node, path: Path) -> None:
        line = node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise _DocumentError(line, "too many or too deeply nested values; a rule must be smaller")
        if isinstance(node, yaml.MappingNode):
            self._index_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for place, child in enumerate(node.value):
                self.lines[(*path, place)] = child.start_mark.line + 1
                self.index(child, (*path, place))

    def _index_mapping(self, node: yaml.MappingNode, path: Path) -> None:
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _DocumentError(line, "keys must be text; quote this key")
            if (*path, key.value) in self.lines:
                raise _DocumentError(line, f'"{key.value}" appears twice in the same mapping; join the two entries')
            self.lines[(*path, key.value)] = line
            self.index(child, (*path, key.value))
