"""Where a file or directory rule has to look: read from its own conditions, else from `sandfly.scope`.

A bound is a pattern as `probes/internal/collect/scope.go` has it: an absolute path whose components may hold `*` and
`?`, covering itself and what is below. Bounds are taken from conditions as written: they do not follow a text test's
freedom of case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandfly_web.rules.document import Document
from sandfly_web.rules.faults import Faults, did_you_mean
from sandfly_web.rules.mapping import LogSource
from scanners.contract import Expr, Scope

WALKED_SUBJECTS = frozenset({"file", "directory", "package_file"})
MAX_PATTERN = 4096
_KEYS = frozenset({"paths", "exclude", "max_depth", "cross_mounts"})


@dataclass(frozen=True)
class Bound:
    """A pattern and how many levels below it can match (0: directly in it, None: any)."""

    pattern: str
    depth: int | None


def parse_scope(document: Document, source: LogSource, when: Expr | None, faults: Faults) -> Scope | None:
    """The scope of a rule; None where nothing is walked or the probe's default holds. Faults say what is missing.

    Our own rules must say where they look. SigmaHQ's cannot, so the probe's default scope stands in for them.
    """
    subject = source.subject.name
    sandfly = document.values.get("sandfly")
    raw = sandfly.get("scope") if isinstance(sandfly, dict) else None
    line = document.line(("sandfly", "scope"))
    if subject not in WALKED_SUBJECTS:
        if raw is not None:
            problem = f"only file, directory and package_file rules have a scope, not {subject}; remove it"
            faults.add(line, "sandfly.scope", problem)
        return None
    written = _read(raw, line, faults) if raw is not None else Scope()
    if written is None or written.paths:
        return written
    bounds = find_bounds(when) if when is not None else None
    if not bounds or not all(_is_pattern(bound.pattern) for bound in bounds):
        if source.is_native or raw is not None:
            message = "where to look is not known: begin with a `path|startswith` or `directory` that every match has"
            faults.add(line, "sandfly.scope", f"{message}, or give `sandfly.scope.paths`")
        return None
    return _from_bounds(bounds, written)


def _from_bounds(bounds: list[Bound], written: Scope) -> Scope:
    depths = [bound.depth for bound in bounds]
    derived = None if None in depths else max(depth for depth in depths if depth is not None)
    return Scope(
        paths=list(dict.fromkeys(bound.pattern for bound in bounds)),
        exclude=written.exclude,
        max_depth=derived if written.max_depth is None else written.max_depth,
        cross_mounts=written.cross_mounts,
    )


def find_bounds(expr: Expr) -> list[Bound] | None:
    """Bounds that hold every possible match, or None when the conditions do not say."""
    if "and" in expr:
        found = [bounds for child in expr["and"] if (bounds := find_bounds(child))]
        # The narrowest wins: the one whose widest pattern is longest.
        return max(found, key=lambda bounds: min(len(bound.pattern) for bound in bounds)) if found else None
    if "or" in expr:
        parts = [find_bounds(child) for child in expr["or"]]
        return None if not parts or None in parts else [bound for part in parts if part for bound in part]
    if expr.get("field") in {"path", "directory"}:
        return _leaf_bounds(expr)
    return None


def _leaf_bounds(leaf: Expr) -> list[Bound] | None:
    make = {"eq": _exact, "startswith": _prefix, "glob": _glob}.get(leaf["op"])
    if make is None:
        return None
    bounds = [make(value, is_directory=leaf["field"] == "directory") for value in leaf["values"]]
    if leaf.get("all"):
        known = [bound for bound in bounds if bound]
        return [max(known, key=lambda bound: len(bound.pattern))] if known else None
    return None if None in bounds else [bound for bound in bounds if bound]


def _exact(value: str, *, is_directory: bool) -> Bound | None:
    return (
        Bound(_escape(value.rstrip("/") or "/"), 0 if is_directory or value != "/" else None)
        if value.startswith("/")
        else None
    )


def _prefix(value: str, *, is_directory: bool) -> Bound | None:
    if not value.startswith("/"):
        return None
    pattern = _escape(value.rstrip("/")) if value.endswith("/") else _escape(value) + "*"
    # `directory|startswith: /etc/x` also means entries of /etc/x itself, which the pattern covers.
    return Bound(pattern or "/", None)


def _glob(value: str, *, is_directory: bool) -> Bound | None:
    """Whole components of a path pattern can be kept up to the first `*` that may stand for several of them."""
    if not value.startswith("/"):
        return None
    # In a field's pattern `*` crosses slashes, in a scope it does not, so the components before it are the bound.
    literal = re.match(r"(?:\\.|[^*?\\])*", value)
    head = literal.group(0) if literal else ""
    directory = head.rpartition("/")[0]
    return Bound(directory or "/", None)


def _escape(path: str) -> str:
    return re.sub(r"([*?\\])", r"\\\1", path)


def _read(raw: Any, line: int, faults: Faults) -> Scope | None:
    before = bool(faults)
    if not isinstance(raw, dict):
        faults.add(line, "sandfly.scope", "expected a mapping with paths, exclude, max_depth, cross_mounts")
        return None
    for key in sorted(set(raw) - _KEYS):
        faults.add(line, f"sandfly.scope.{key}", f"unknown{did_you_mean(key, _KEYS)}")
    lists = {key: _paths(raw.get(key, []), key, line, faults) for key in ("paths", "exclude")}
    depth, cross = raw.get("max_depth"), raw.get("cross_mounts", False)
    if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or not 0 <= depth <= 64):
        faults.add(line, "sandfly.scope.max_depth", "expected a number from 0 (only what is directly there) to 64")
    if not isinstance(cross, bool):
        faults.add(line, "sandfly.scope.cross_mounts", "expected true or false")
    if bool(faults) and not before:
        return None
    return Scope(paths=lists["paths"], exclude=lists["exclude"], max_depth=depth, cross_mounts=bool(cross))


def _paths(value: Any, key: str, line: int, faults: Faults) -> list[str]:
    if isinstance(value, list) and all(isinstance(path, str) and _is_pattern(path) for path in value):
        return value
    message = "expected a list of absolute paths without . and .. in them; names may hold * and ?"
    faults.add(line, f"sandfly.scope.{key}", message)
    return []


def _is_pattern(path: str) -> bool:
    return path.startswith("/") and len(path) <= MAX_PATTERN and not {".", ".."} & set(path.split("/"))
