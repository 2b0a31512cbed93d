"""Compiles one rule file: Sigma YAML in, `CompiledRule` out. Pure; pySigma parses, `backend` compiles."""

from __future__ import annotations

import hashlib
from pathlib import PurePath

from sandfly_web.rules import attack, explain, fields, metadata, scope, simplify
from sandfly_web.rules.backend import compile_tree
from sandfly_web.rules.compiled import (
    CompiledRule,
    Expectation,
    Level,
    RuleError,
    RuleErrors,
    RuleStatus,
    RuleTest,
    RuleType,
)
from sandfly_web.rules.detection import parse_detection, parse_items
from sandfly_web.rules.document import Document, parse_document
from sandfly_web.rules.faults import Faults
from sandfly_web.rules.mapping import LogSource, MappingError, find_log_source
from sandfly_web.rules.metadata import Metadata
from scanners.contract import Expr, PlanRule

__all__ = [
    "CompiledRule", "Expectation", "Level", "RuleError", "RuleErrors", "RuleStatus", "RuleTest", "RuleType",
    "parse_rule",
]  # fmt: skip

# An inventory must be whole: a cut list of processes would read as processes that ended.
RECON_MATCHES = 50_000

# Bulky or secret: such fields go home only when a rule asks for them by name.
_KEPT_HOME = frozenset({"content", "environ", "script_content"})


def parse_rule(text: str, location: str) -> CompiledRule:
    """Compile the text of a rule; `location` is its path, which errors name.

    Raises RuleErrors with every fault that was found.
    """
    faults = Faults(location)
    document = parse_document(text, faults)
    faults.raise_if_any()
    if document is None:
        raise RuleErrors([RuleError(f"{location}:1", "", "not a rule")])
    meta = metadata.parse_metadata(document, PurePath(location).stem, faults)
    source = _log_source(document, faults)
    if source is None:
        faults.raise_if_any()
        raise RuleErrors([RuleError(f"{location}:1", "logsource", "missing")])
    rule = _compile(text, location, document, meta, source, faults)
    faults.raise_if_any()
    return rule


def _log_source(document: Document, faults: Faults) -> LogSource | None:
    raw = document.values.get("logsource")
    line = document.line(("logsource",))
    if "correlation" in document.values:
        faults.add(
            document.line(("correlation",)),
            "correlation",
            "correlation rules are not supported yet; use one visit's records",
        )
    elif not isinstance(raw, dict):
        faults.add(line, "logsource", "expected a mapping such as {category: process, product: linux}")
    else:
        try:
            return find_log_source(raw, fields.registry())
        except MappingError as problem:
            faults.add(document.line(("logsource", "category")), "logsource", str(problem))
    return None


def _compile(
    text: str, location: str, document: Document, meta: Metadata, source: LogSource, faults: Faults
) -> CompiledRule:
    when = _when(document, meta, source, faults)
    bounds = scope.parse_scope(document, source, when, faults) if not faults else None
    wanted = _wanted_fields(document, meta, source, when, faults)
    return CompiledRule(
        id=meta.id,
        name=meta.name,
        title=meta.title,
        type=meta.type,
        subject=source.subject.name,
        level=meta.level,
        status=meta.status,
        description=meta.description,
        references=meta.references,
        author=meta.author,
        date=meta.date,
        modified=meta.modified,
        tags=meta.tags,
        techniques=attack.techniques_of(meta.tags),
        tactics=attack.tactics_of(meta.tags),
        falsepositives=meta.falsepositives,
        explain=meta.explain,
        fields=wanted,
        os=_os(document, faults),
        tests=metadata.parse_tests(document, source.subject, faults),
        plan_rule=PlanRule(
            id=meta.id,
            subject=source.subject.name,
            when=when,
            scope=bounds,
            fields=list(wanted),
            max_matches=RECON_MATCHES if meta.type == RuleType.RECON else None,
        ),
        source=text,
        digest=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        path=location,
    )


def _when(document: Document, meta: Metadata, source: LogSource, faults: Faults) -> Expr | None:
    tree = parse_detection(document, faults)
    if tree is None:
        return None
    when = compile_tree(tree, source, faults)
    if source.condition is not None:
        when = source.condition if when is None else simplify.simplify({"and": [source.condition, when]})
    if when is None and meta.type not in {RuleType.RECON, RuleType.INCIDENT}:
        line = document.line(("detection",))
        faults.add(
            line, "detection", "every record would match; only recon and incident rules may use the keyword '*' alone"
        )
    return when


def _os(document: Document, faults: Faults) -> Expr | None:
    """Conditions on the host, written as a selection over the fields of subject host."""
    sandfly = document.values.get("sandfly")
    if not isinstance(sandfly, dict) or "os" not in sandfly:
        return None
    if not isinstance(sandfly["os"], dict):
        faults.add(
            document.line(("sandfly", "os")), "sandfly.os", "expected a mapping such as {os_id: [debian, ubuntu]}"
        )
        return None
    tree = parse_items(document, ("sandfly", "os"), faults)
    return compile_tree(tree, LogSource(fields.registry()["host"]), faults) if tree is not None else None


def _wanted_fields(
    document: Document, meta: Metadata, source: LogSource, when: Expr | None, faults: Faults
) -> tuple[str, ...]:
    """What goes home with a match: the fields the rule names, those its sentence shows, else those it looks at."""
    try:
        places = explain.find_places(meta.explain)
    except ValueError as error:
        faults.add(document.line(("sandfly", "explain")), "sandfly.explain", str(error))
        places = []
    asked = [("fields", name) for name in meta.fields] + [("explain", name) for name in places]
    known = []
    for key, name in asked:
        try:
            known.append(source.resolve(name)[0].name)
        except MappingError as problem:
            faults.add(document.line(("sandfly", key)), f"sandfly.{key}", str(problem))
    if not meta.fields:
        known.extend(name for name in simplify.field_names(when) if name not in _KEPT_HOME)
    if not known and when is not None:
        # Keywords name no field.
        known.extend(source.subject.identity)
    if not known and not faults:
        faults.add(document.line(("sandfly",)), "sandfly.fields", "name the fields that are wanted of each record")
    return tuple(dict.fromkeys(known))
