"""Where rule files are and how their text is read: bounded, UTF-8, named from the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sandfly_web.rules.compiled import RuleError, RuleErrors

CATALOG_PATH = Path(__file__).resolve().parent / "catalog"
MAX_FILE_BYTES = 1024 * 1024
_SUFFIXES = frozenset({".yml", ".yaml"})


def find_files(paths: Iterable[Path | str] | None = None) -> list[Path]:
    """Rule files at or below the paths, each once, sorted. Raises FileNotFoundError for a path that is not there."""
    found: set[Path] = set()
    for path in [CATALOG_PATH] if paths is None else [Path(path) for path in paths]:
        if path.is_dir():
            found.update(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        elif path.is_file():
            found.add(path)
        else:
            raise FileNotFoundError(f"{path}: no such file or folder")
    return sorted(found)


def location_of(file: Path) -> str:
    """Shipped rules are named from the catalogue, so that the same rule has the same path everywhere."""
    return str(file.relative_to(CATALOG_PATH)) if file.is_relative_to(CATALOG_PATH) else str(file)


def read_text(file: Path) -> str:
    """At most one byte more than a rule file may have. Raises RuleErrors when it is not UTF-8, OSError."""
    with file.open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RuleErrors([RuleError(f"{location_of(file)}:{line}", "", "not UTF-8; save the file as UTF-8")]) from error
    return text
