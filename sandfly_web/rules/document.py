"""Reads the YAML of rules into plain values that still know their lines. No I/O; bounded in size, depth and nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from sandfly_web.rules.faults import Faults

MAX_CHARS = 256 * 1024
MAX_DEPTH = 24
# Aliases are counted each time they are used, so a few lines of YAML cannot unfold into gigabytes.
MAX_NODES = 20_000
MAX_DOCUMENTS = 100

Path = tuple[str | int, ...]


@dataclass
class Document:
    """A YAML mapping and the line (from 1) of each key and list entry, by its path of keys and places."""

    values: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)
    text: str = ""
    first_line: int = 1

    def line(self, path: Path) -> int:
        """Line of the entry, or of the nearest entry around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.first_line)


class _DocumentError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def parse_document(text: str, faults: Faults) -> Document | None:
    """The document that a file is about: its correlation, else its first; None when there is none."""
    documents = parse_documents(text, faults)
    return next((one for one in documents if "correlation" in one.values), documents[0] if documents else None)


_SEPARATOR = re.compile(r"^---(?:[ \t]+#.*|[ \t]*)$", re.MULTILINE)


def parse_documents(text: str, faults: Faults) -> list[Document]:
    """Read the YAML documents of a file, each a mapping; adds to `faults` what is anything else."""
    if len(text) > MAX_CHARS:
        faults.add(1, "", f"longer than {MAX_CHARS // 1024} KiB; a file of rules must be smaller")
        return []
    documents = []
    parts = list(_split(text))
    if len(parts) > MAX_DOCUMENTS:
        faults.add(1, "", f"more than {MAX_DOCUMENTS} documents; split the file")
        return []
    for first_line, part in parts or [(1, "")]:
        document = _read(part, first_line, faults)
        if document is not None:
            documents.append(document)
    return documents


def _split(text: str) -> list[tuple[int, str]]:
    """The documents and their first lines. At the start of a line `---` always divides, in block scalars too."""
    places = [(match.start(), match.end()) for match in _SEPARATOR.finditer(text)]
    starts, ends = [0, *(end for _, end in places)], [*(start for start, _ in places), len(text)]
    parts = [(text.count("\n", 0, start) + 1, text[start:end]) for start, end in zip(starts, ends, strict=True)]
    return [(line, part) for line, part in parts if not _is_blank(part)]


def _is_blank(text: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.split("\n"))


def _read(text: str, first_line: int, faults: Faults) -> Document | None:
    try:
        return _parse(text, first_line)
    except _DocumentError as problem:
        faults.add(problem.line, "", problem.message)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "not YAML"
        # An error at the end of the text is on its last line.
        last = first_line + text.rstrip("\n").count("\n")
        line = min(mark.line + first_line, last) if mark else first_line
        has_tab = "\t" in text.split("\n")[line - first_line].partition("#")[0]
        advice = "indent with blanks, not with tabs" if has_tab else "correct the syntax on or above this line"
        faults.add(line, "", f"not valid YAML: {what}; {advice}")
    except yaml.YAMLError as error:
        faults.add(first_line, "", f"not valid YAML: {str(error).splitlines()[0]}")
    except (ValueError, OverflowError) as error:
        # The constructors of dates and numbers raise these for values such as 2026-13-41.
        faults.add(first_line, "", f"a date or number is out of range ({error}); quote it when it is meant as text")
    return None


def _parse(text: str, first_line: int) -> Document:
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise _DocumentError(first_line, "not a rule: expected a mapping that begins with `title:`")
        document = Document({}, text=text.strip("\n") + "\n", first_line=first_line)
        _Indexer(document.lines, first_line).index(node, ())
        document.values = loader.construct_document(node)
        return document
    finally:
        loader.dispose()


class _Indexer:
    def __init__(self, lines: dict[Path, int], first_line: int) -> None:
        self.lines = lines
        self.first_line = first_line
        self.nodes = 0

    def index(self, node: yaml.Node, path: Path) -> None:
        line = node.start_mark.line + self.first_line
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise _DocumentError(line, "too many or too deeply nested values; a rule must be smaller")
        if isinstance(node, yaml.MappingNode):
            self._index_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for place, child in enumerate(node.value):
                self.lines[(*path, place)] = child.start_mark.line + self.first_line
                self.index(child, (*path, place))

    def _index_mapping(self, node: yaml.MappingNode, path: Path) -> None:
        for key, child in node.value:
            line = key.start_mark.line + self.first_line
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _DocumentError(line, "keys must be text; quote this key")
            if (*path, key.value) in self.lines:
                raise _DocumentError(line, f'"{key.value}" appears twice in the same mapping; join the two entries')
            self.lines[(*path, key.value)] = line
            self.index(child, (*path, key.value))
