"""The table of faults names every test here, and only tests that are here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent
PROMISES = 4


def names_here() -> set[str]:
    """Names of all tests of the folder but those of this file."""
    found = set()
    for path in FOLDER.glob("test_*.py"):
        if path.name != Path(__file__).name:
            tree = ast.parse(path.read_text())
            found |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return {name for name in found if name.startswith("test_")}


def rows() -> list[list[str]]:
    """Cells of the fault table, without its head."""
    lines = [line for line in (FOLDER / "README.md").read_text().splitlines() if line.count("|") == PROMISES + 2]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_test_is_named_and_every_name_is_a_test() -> None:
    named = set(re.findall(r"`(test_\w+)`", (FOLDER / "README.md").read_text()))

    assert named == names_here()


def test_every_cell_names_its_test() -> None:
    assert len(rows()) > 20
    for _, first, *others in rows():
        assert re.fullmatch(r"`test_\w+`", first)
        assert len(others) == PROMISES - 1
        assert all(cell == "same" or re.fullmatch(r"`test_\w+`", cell) for cell in others)
