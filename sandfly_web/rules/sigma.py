"""Compiles rule files: Sigma YAML in, `CompiledRule` out. Pure; pySigma parses, `backend` compiles.

A file holds one rule, or several documents: rules, correlations over them, and filters that narrow them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from sandfly_web.rules import attack, correlation, explain, fields, filters, metadata, scope, simplify
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
from sandfly_web.rules.correlation import Base, Context
from sandfly_web.rules.detection import parse_detection, parse_items
from sandfly_web.rules.document import Document, parse_documents
from sandfly_web.rules.faults import Faults
from sandfly_web.rules.indicators import sets as indicators
from sandfly_web.rules.mapping import HOST_PREFIX, LogSource, MappingError, find_log_source
from sandfly_web.rules.metadata import AlertOn, Metadata
from sandfly_web.rules.placeholders import PLACEHOLDERS
from scanners.contract import Expr, PlanRule

__all__ = [
    "CompiledRule", "Expectation", "Level", "Library", "RuleError", "RuleErrors", "RuleStatus", "RuleTest", "RuleType",
    "Source", "parse_rule", "parse_rules", "read_source",
]  # fmt: skip

# An inventory must be whole: a cut list of processes would read as processes that ended.
RECON_MATCHES = 50_000
# What one question of forensics may bring home: at 500 bytes a record, 5 MB of the report's 32.
INCIDENT_MATCHES = 10_000
# Of a rule on lists of indicators, most of which are cleared when they are looked up.
LIST_MATCHES = 10_000
MAX_MATCHES = {RuleType.RECON: RECON_MATCHES, RuleType.INCIDENT: INCIDENT_MATCHES}

# Bulky or secret: such fields go home only when a rule asks for them by name.
_KEPT_HOME = frozenset({"content", "environ", "parent.environ", "script_content"})


@dataclass(frozen=True)
class Source:
    """A rule file, read but not compiled; `location` is its path, which errors name."""

    location: str
    text: str
    documents: tuple[Document, ...]


def _nothing(_reference: str) -> Source | None:
    return None


@dataclass(frozen=True)
class Library:
    """What a rule may refer to beside its own file: filters that narrow it, and rules that a correlation counts.

    `find` gives the file of a rule by its name or id.
    """

    filters: Sequence[filters.Filter] = ()
    find: Callable[[str], Source | None] = field(default=_nothing)


def read_source(text: str, location: str) -> Source:
    """Raises RuleErrors when the text is not YAML mappings."""
    faults = Faults(location)
    documents = parse_documents(text, faults)
    faults.raise_if_any()
    return Source(location, text, tuple(documents))


def parse_rule(text: str, location: str, library: Library | None = None) -> CompiledRule:
    """Compile a file that holds one rule, be it a correlation with its parts; `location` is its path.

    Raises RuleErrors with every fault that was found.
    """
    rules = parse_rules(read_source(text, location), library)
    if len(rules) != 1:
        problem = f"expected one rule, found {len(rules)}"
        raise RuleErrors([RuleError(f"{location}:1", "", f"{problem}; put each into a file of its own")])
    return rules[0]


def parse_rules(source: Source, library: Library | None = None) -> list[CompiledRule]:
    """Compile a file. Rules that its correlations count are rules of their own only with `generate: true`.

    Raises RuleErrors with every fault that was found.
    """
    return _File(source, library or Library()).compile()


class _File:
    """Compiles the documents of one file with what they refer to."""

    def __init__(self, source: Source, library: Library) -> None:
        self.source = source
        self.library = library
        self.faults = Faults(source.location)
        found = (filters.read_filter(one, self.faults) for one in source.documents if "filter" in one.values)
        self.filters = (*library.filters, *(one for one in found if one is not None))
        self.by_name = {
            str(document.values[key]): document
            for document in source.documents
            for key in ("id", "name")
            if isinstance(document.values.get(key), str)
        }

    def compile(self) -> list[CompiledRule]:
        correlations = [one for one in self.source.documents if "correlation" in one.values]
        rules = [one for one in self.source.documents if not {"correlation", "filter"} & set(one.values)]
        quiet = self._counted(correlations)
        if correlations and all(id(one) in quiet for one in correlations):
            # They refer to each other in a circle, which compiling one of them says.
            quiet.discard(id(correlations[0]))
        compiled = [self._correlation(one) for one in correlations if id(one) not in quiet]
        for one in rules:
            if id(one) not in quiet:
                compiled.append(self._rule(one, alone=len(self.source.documents) == 1))
        self.faults.raise_if_any()
        return [rule for rule in compiled if rule is not None]

    def _counted(self, correlations: Iterable[Document]) -> set[int]:
        """Documents that only feed a correlation, by identity."""
        quiet: set[int] = set()
        loud: set[int] = set()
        for document in correlations:
            raw = document.values["correlation"]
            if not isinstance(raw, dict):
                continue
            rules = raw.get("rules", str(raw.get("condition", "")).split())
            names = rules if isinstance(rules, list) else [rules]
            named = [self.by_name[name] for name in names if isinstance(name, str) and name in self.by_name]
            (loud if raw.get("generate") is True else quiet).update(id(one) for one in named)
        return quiet - loud

    def _find(self, reference: str) -> tuple[Document, Faults] | None:
        if reference in self.by_name:
            return self.by_name[reference], self.faults
        found = self.library.find(reference)
        if found is None:
            return None
        stem = PurePath(found.location).stem
        for document in found.documents:
            if reference in {document.values.get("name", stem), document.values.get("id")}:
                return document, Faults(found.location)
        return None

    def _base(self, document: Document, faults: Faults) -> Base | None:
        """A part of a correlation."""
        before = len(faults)
        source = _log_source(document, faults)
        if source is None:
            return None
        when = self._when(document, source, faults)
        if indicators.find_kinds(when):
            faults.add(document.line(("detection",)), "detection", f"a correlation {indicators.NO_COUNTING}")
        bounds = scope.parse_scope(document, source, when, faults) if len(faults) == before else None
        moment = self._time(document, source, faults)
        if len(faults) > before:
            if faults is not self.faults:
                self.faults.add(1, "correlation.rules", f"{faults.location} does not compile; see its own faults")
            return None
        return Base(source, when, bounds, moment)

    def _time(self, document: Document, source: LogSource, faults: Faults) -> str:
        sandfly = document.values.get("sandfly")
        usual = correlation.TIME_FIELDS.get(source.subject.name, "")
        name = sandfly.get("time", usual) if isinstance(sandfly, dict) else usual
        if name in {"", "none"}:
            return ""
        found = source.subject.fields.get(str(name))
        if found is None or found.unit != "epoch seconds":
            moments = [one.name for one in source.subject.fields.values() if one.unit == "epoch seconds"]
            known = ", ".join(["none", *moments])
            faults.add(document.line(("sandfly", "time")), "sandfly.time", f"expected a moment of the record: {known}")
        return str(name)

    def _correlation(self, document: Document) -> CompiledRule | None:
        meta = metadata.parse_metadata(document, PurePath(self.source.location).stem, self.faults)
        made = correlation.compile_correlation(document, self.faults, Context(self._find, self._base))
        if meta.alert_on is AlertOn.ABSENCE:
            self._fault(document, ("sandfly", "alert_on"), "a correlation alerts on what is there; use `lt` or `not`")
        if made is None:
            return None
        groups = made.plan.group_by
        asked = self._places(document, meta, LogSource(made.subject), {*groups, *correlation.FACTS})
        host = _os(document, self.faults)
        plan = PlanRule(
            id=meta.id,
            subject=made.subject.name,
            # What makes one alert differ from the same alert a day later; the number of records would.
            fields=[*groups, *(name for name in asked if name not in groups and name not in correlation.FACTS)]
            or ["correlation.value"],
            max_matches=None,
            host=host,
            correlation=made.plan,
        )
        # Its parts belong to it, wherever they are.
        return self._finish(document, meta, LogSource(made.subject), plan, self.source.text, is_joint=True)

    def _rule(self, document: Document, *, alone: bool) -> CompiledRule | None:
        stem = PurePath(self.source.location).stem
        name = stem if alone else str(document.values.get("name") or document.values.get("id") or stem)
        meta = metadata.parse_metadata(document, name, self.faults)
        source = _log_source(document, self.faults)
        if source is None:
            return None
        before = len(self.faults)
        when = self._when(document, source, self.faults)
        self._check_reach(document, meta, when, is_faulty=len(self.faults) > before)
        bounds = scope.parse_scope(document, source, when, self.faults) if not self.faults else None
        absent = meta.alert_on is AlertOn.ABSENCE
        wanted = self._absent_fields(document, meta, source) if absent else self._fields(document, meta, source, when)
        plan = PlanRule(
            id=meta.id,
            subject=source.subject.name,
            when=when,
            scope=bounds,
            fields=list(wanted),
            max_matches=MAX_MATCHES.get(meta.type, LIST_MATCHES if indicators.find_kinds(when) else None),
            host=_os(document, self.faults),
            absent=absent,
        )
        text = self.source.text if alone else document.text
        return self._finish(document, meta, source, plan, text, is_joint=absent)

    def _finish(
        self, document: Document, meta: Metadata, source: LogSource, plan: PlanRule, text: str, *, is_joint: bool
    ) -> CompiledRule:
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
            fields=tuple(plan.fields),
            os=plan.host,
            tests=metadata.parse_tests(document, source.subject, fields.registry(), self.faults, is_joint=is_joint),
            plan_rule=plan,
            source=text,
            digest=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
            path=self.source.location,
            license=meta.license,
            notes=_notes(document, source) if "detection" in document.values else (),
        )

    def _when(self, document: Document, source: LogSource, faults: Faults) -> Expr | None:
        """The condition with that of the log source and of all filters that are for this rule; None for any record."""
        tree = parse_detection(document, faults)
        if tree is None:
            return None
        lists = {**PLACEHOLDERS, **metadata.parse_placeholders(document, faults)}
        sides = [source.condition, compile_tree(tree, source, faults, lists)]
        for one in self.filters:
            if one.is_for(document):
                narrowing = parse_detection(one.document, one.faults, "filter")
                sides.append(compile_tree(narrowing, source, one.faults, lists) if narrowing is not None else None)
                if one.faults:
                    faults.add(
                        document.first_line, "filter", f"{one.faults.location} does not fit this rule: {one.faults}"
                    )
        found = [side for side in sides if side is not None]
        when = simplify.simplify({"and": found}) if len(found) > 1 else found[0] if found else None
        if problem := indicators.find_problem(when):
            faults.add(document.line(("detection", "condition")), "detection.condition", problem)
        return when

    def _check_reach(self, document: Document, meta: Metadata, when: Expr | None, *, is_faulty: bool) -> None:
        if meta.alert_on is AlertOn.ABSENCE and meta.type not in {RuleType.DETECTION, RuleType.POLICY}:
            self._fault(document, ("sandfly", "alert_on"), "only detection and policy rules alert on absence")
        if meta.alert_on is AlertOn.ABSENCE and indicators.find_kinds(when):
            self._fault(document, ("sandfly", "alert_on"), f"an alert on absence {indicators.NO_COUNTING}")
        if when is None and not is_faulty and meta.type not in {RuleType.RECON, RuleType.INCIDENT}:
            self._fault(
                document,
                ("detection",),
                "every record would match; only recon and incident rules may use the keyword '*' alone",
            )

    def _fault(self, document: Document, place: tuple[str | int, ...], message: str) -> None:
        self.faults.add(document.line(place), ".".join(str(part) for part in place), message)

    def _places(self, document: Document, meta: Metadata, source: LogSource, also: Iterable[str]) -> list[str]:
        """Our names of the fields that `fields` and the places of `explain` name; `also` are no fields and allowed."""
        try:
            places = explain.find_places(meta.explain)
        except ValueError as error:
            self._fault(document, ("sandfly", "explain"), str(error))
            places = []
        known = []
        for key, name in [("fields", name) for name in meta.fields] + [("explain", name) for name in places]:
            try:
                known.append(name if name in also else source.resolve(name)[0].name)
            except MappingError as problem:
                self._fault(document, ("sandfly", key), str(problem))
        return list(dict.fromkeys(known))

    def _absent_fields(self, document: Document, meta: Metadata, source: LogSource) -> tuple[str, ...]:
        """Of what is not there only facts of the host can be told."""
        known = self._places(document, meta, source, ())
        for name in known:
            if not _is_of_host(name, source):
                self._fault(
                    document,
                    ("sandfly", "explain"),
                    f"{name} has no value where nothing was found; only host. fields do",
                )
        return tuple(known)

    def _fields(self, document: Document, meta: Metadata, source: LogSource, when: Expr | None) -> tuple[str, ...]:
        """What goes home with a match: the fields the rule names, those its sentence shows, else those it looks at."""
        told = indicators.FIELDS if indicators.find_kinds(when) else ()
        known = [name for name in self._places(document, meta, source, told) if name not in told]
        if not meta.fields:
            known.extend(name for name in simplify.field_names(when) if name not in _KEPT_HOME)
        if not known and when is not None:
            # Keywords name no field.
            known.extend(source.subject.identity)
        if not known and not self.faults:
            self._fault(document, ("sandfly",), "name the fields that are wanted of each record in `sandfly.fields`")
        return tuple(dict.fromkeys(known))


def _is_of_host(name: str, source: LogSource) -> bool:
    return name.startswith(HOST_PREFIX) and name not in source.subject.fields


def _log_source(document: Document, faults: Faults) -> LogSource | None:
    raw = document.values.get("logsource")
    if not isinstance(raw, dict):
        line = document.line(("logsource",))
        faults.add(line, "logsource", "expected a mapping such as {category: process, product: linux}")
        return None
    try:
        return find_log_source(raw, fields.registry())
    except MappingError as problem:
        faults.add(document.line(("logsource", "category")), "logsource", str(problem))
    return None


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
    expr = compile_tree(tree, LogSource(fields.registry()["host"]), faults) if tree is not None else None
    if indicators.find_kinds(expr):
        faults.add(
            document.line(("sandfly", "os")), "sandfly.os", "a list of indicators says nothing about a host's kind"
        )
    return expr


def _notes(document: Document, source: LogSource) -> tuple[str, ...]:
    """What a live host can answer of the rule's fields only in part, or not at all."""
    names: dict[str, None] = {}
    _collect_names(document.values.get("detection"), names)
    return tuple(note for name in names if (note := source.note(name)))


def _collect_names(value: object, names: dict[str, None]) -> None:
    for child in (
        value.items()
        if isinstance(value, Mapping)
        else ((None, one) for one in value)
        if isinstance(value, list)
        else ()
    ):
        key, inner = child
        if isinstance(key, str):
            names[key.partition("|")[0]] = None
        _collect_names(inner, names)
