"""Compiles rule files from disk: the catalogue that ships with the product, or any files and folders."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from sandfly_web.rules.compiled import CompiledRule, RuleError, RuleErrors
from sandfly_web.rules.faults import Faults
from sandfly_web.rules.files import CATALOG_PATH, find_files, location_of, read_text
from sandfly_web.rules.filters import Filter, read_filter
from sandfly_web.rules.sigma import Library, Source, parse_rules, read_source

_NAME = re.compile(r"[a-z0-9_-]+")


def load_catalog(paths: Iterable[Path | str] | None = None) -> list[CompiledRule]:
    """All rules below the paths (default: the shipped catalogue, see also `shipped`), compiled and sorted by name.

    Raises RuleErrors with the faults of all files, and OSError when a path cannot be read.
    """
    rules, errors = read_rules(paths)
    if errors:
        raise RuleErrors(errors)
    return rules


def read_rules(paths: Iterable[Path | str] | None = None) -> tuple[list[CompiledRule], list[RuleError]]:
    """The rules that compile and the faults of those that do not. Raises OSError when a path cannot be read."""
    sources: list[Source] = []
    rules: list[CompiledRule] = []
    errors: list[RuleError] = []
    for file in find_files(paths):
        try:
            sources.append(read_source(read_text(file), location_of(file)))
        except RuleErrors as found:
            errors.extend(found.errors)
    library = build_library(sources, errors)
    for source in sources:
        try:
            rules.extend(parse_rules(source, library))
        except RuleErrors as found:
            errors.extend(found.errors)
    errors.extend(_clashes(rules))
    return sorted(rules, key=lambda rule: (rule.name, rule.path)), list(dict.fromkeys(errors))


def build_library(sources: Iterable[Source] = (), errors: list[RuleError] | None = None) -> Library:
    """What the rules of these files may refer to: each other and the shipped catalogue; their filters narrow them all.

    What is wrong with a filter goes to `errors`.
    """
    known: dict[str, Source] = {}
    narrowing: list[Filter] = []
    for source in sources:
        faults = Faults(source.location)
        for document in source.documents:
            # A file with one filter alone narrows all others; beside a rule it is that file's own.
            if "filter" in document.values and len(source.documents) == 1:
                narrowing += [one for one in [read_filter(document, faults)] if one is not None]
            known.setdefault(PurePath(source.location).stem, source)
            for key in ("name", "id"):
                known.setdefault(str(document.values.get(key)), source)
        if errors is not None:
            errors.extend(faults.errors)
    return Library(tuple(narrowing), lambda reference: known.get(reference) or find_shipped(reference))


def find_shipped(name: str) -> Source | None:
    """The file of a shipped rule by its name."""
    if not _NAME.fullmatch(name):
        return None
    for file in sorted(CATALOG_PATH.glob(f"*/{name}.yml")):
        return read_source(read_text(file), location_of(file))
    return None


def _clashes(rules: list[CompiledRule]) -> list[RuleError]:
    """Ids and names must be unique: findings and allow-lists refer to rules by them."""
    errors = []
    for key in ("id", "name"):
        first: dict[str, CompiledRule] = {}
        for rule in rules:
            value = getattr(rule, key)
            if value in first:
                errors.append(
                    RuleError(f"{rule.path}:1", key, f"{value} is also used by {first[value].path}; change one")
                )
            first.setdefault(value, rule)
    return errors
