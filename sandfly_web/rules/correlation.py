"""Compiles Sigma correlation rules: conditions on the records of one visit taken together. Pure.

The parts are compiled as rules are, each over its own subject; the probe counts their matches, so that only the alert
goes home. Time is that of the records where they have a moment (`TIME_FIELDS`), else of the visit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionNOT,
    CorrelationConditionOR,
    SigmaCorrelationCondition,
    SigmaCorrelationTimespan,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.exceptions import SigmaError

from sandfly_web.rules.document import Document
from sandfly_web.rules.faults import Faults, did_you_mean
from sandfly_web.rules.fields import Subject
from sandfly_web.rules.mapping import LogSource, MappingError
from scanners.contract import Correlation, CorrelationPart, Expr, Scope

COUNTS = ("event_count", "value_count", "value_sum", "value_avg", "value_median", "value_percentile")
TEMPORAL = ("temporal", "temporal_ordered")
TYPES = (*COUNTS, *TEMPORAL)
KEYS = frozenset({"type", "rules", "generate", "group-by", "timespan", "condition", "aliases"})
MAX_PARTS = 32
MAX_NESTING = 4

# What an alert of a correlation has beside its group and an example: name → what it means.
FACTS: Mapping[str, str] = {
    "correlation.count": "records in the stretch of time that alerts",
    "correlation.value": "what was compared: their number, sum …",
    "correlation.first_time": "moment of the first of them",
    "correlation.last_time": "moment of the last of them",
    "correlation.examples": "an example of each other part",
}

# Where the records of a subject say when; the others are state, which is of the visit's moment.
TIME_FIELDS: Mapping[str, str] = {
    "log_line": "time", "login": "time", "shell_history": "timestamp", "process": "start_time", "file": "mtime",
    "directory": "mtime", "package": "install_time", "container": "created", "ebpf": "loaded_at",
}  # fmt: skip


@dataclass(frozen=True)
class Base:
    """A rule that a correlation refers to, compiled as far as a part needs it. `time` is a field, "" for state."""

    source: LogSource
    when: Expr | None
    scope: Scope | None
    time: str


@dataclass(frozen=True)
class Compiled:
    """A correlation for the plan; `subject` is that of its first part, `references` the rules it names."""

    subject: Subject
    plan: Correlation
    references: tuple[str, ...]


Find = Callable[[str], "tuple[Document, Faults] | None"]
CompileBase = Callable[[Document, Faults], Base | None]


@dataclass(frozen=True)
class Context:
    """How other rules are found by name or id, and compiled."""

    find: Find
    compile_base: CompileBase


def compile_correlation(document: Document, faults: Faults, context: Context, depth: int = 1) -> Compiled | None:
    """None when something is wrong with it, which is added to `faults`."""
    before = len(faults)
    raw = document.values.get("correlation")
    if not isinstance(raw, dict):
        faults.add(document.line(("correlation",)), "correlation", "expected a mapping with type, rules and timespan")
        return None
    if depth > MAX_NESTING:
        faults.add(document.line(("correlation",)), "correlation", f"nested deeper than {MAX_NESTING} correlations")
        return None
    compiled = _Compiler(document, raw, faults, context, depth).compile()
    return compiled if len(faults) == before else None


class _Compiler:
    def __init__(self, document: Document, raw: dict[str, Any], faults: Faults, context: Context, depth: int) -> None:
        self.document = document
        self.raw = raw
        self.faults = faults
        self.context = context
        self.depth = depth

    def fault(self, key: str, message: str) -> None:
        self.faults.add(
            self.document.line(("correlation", key)), f"correlation.{key}" if key else "correlation", message
        )

    def compile(self) -> Compiled | None:
        for key in sorted(set(self.raw) - KEYS):
            self.fault(key, f"unknown key{did_you_mean(key, KEYS)}")
        kind = self.raw.get("type")
        if kind not in TYPES:
            self.fault("type", f"expected one of {', '.join(TYPES)}{did_you_mean(str(kind), TYPES)}")
            return None
        condition, tree = self._condition(str(kind))
        names = self._references(tree)
        groups = self._texts("group-by")
        if not names or condition is None:
            return None
        parts = [self._part(name, groups, self._counted(str(kind), condition)) for name in names]
        subjects = [subject for part in parts if part for subject in [part[1]]]
        if len(subjects) < len(parts):
            return None
        return Compiled(
            subjects[0],
            Correlation(
                type=str(kind),
                parts=[part[0] for part in parts if part],
                group_by=groups,
                timespan_s=self._timespan(),
                op=condition.op.name.lower(),
                count=condition.count,
                percentile=condition.percentile or 0,
                presence=self._presence(str(kind), tree, names),
            ),
            tuple(names),
        )

    def _texts(self, key: str) -> list[str]:
        value = self.raw.get(key, [])
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and all(isinstance(one, str) and one for one in values):
            return list(dict.fromkeys(values))
        self.fault(key, "expected a name or a list of names")
        return []

    def _timespan(self) -> int:
        try:
            return int(SigmaCorrelationTimespan(self.raw.get("timespan", "")).seconds)
        except SigmaError:
            self.fault("timespan", "expected a number with s, m, h, d, w, M or y, such as 10m")
            return 1

    def _condition(self, kind: str) -> tuple[SigmaCorrelationCondition | None, Any]:
        """The condition on a number, and the tree of one on the parts (of type temporal), if there is one."""
        raw = self.raw.get("condition")
        rules = self.raw.get("rules")
        count = len(rules) if isinstance(rules, list) else 1
        try:
            if raw is None and kind in TEMPORAL:
                return SigmaCorrelationCondition.from_dict({"gte": count}), None
            if isinstance(raw, str) and kind in TEMPORAL:
                tree = SigmaExtendedCorrelationCondition(raw).parsed
                return SigmaCorrelationCondition.from_dict({"gte": count}), tree
            if isinstance(raw, dict):
                return self._checked(kind, SigmaCorrelationCondition.from_dict(raw)), None
        except SigmaError as error:
            self.fault("condition", str(error.args[0]))
            return None, None
        self.fault(
            "condition", "expected a comparison such as {gte: 10}, with `field` for a type that begins with value_"
        )
        return None, None

    def _checked(self, kind: str, condition: SigmaCorrelationCondition) -> SigmaCorrelationCondition | None:
        if kind in COUNTS[1:] and not condition.fieldref:
            self.fault("condition", f"{kind} needs `field`: the field whose values are counted, summed …")
            return None
        if (
            kind == "value_percentile"
            and not 0 <= (condition.percentile if condition.percentile is not None else -1) <= 100
        ):
            self.fault("condition", "value_percentile needs `percentile`, a number from 0 to 100")
            return None
        return condition

    def _counted(self, kind: str, condition: SigmaCorrelationCondition) -> list[str]:
        if kind not in COUNTS[1:]:
            return []
        fields = condition.fieldref
        return [fields] if isinstance(fields, str) else list(fields or [])

    def _references(self, tree: Any) -> list[str]:
        named = list(dict.fromkeys(_named(tree)))
        names = self._texts("rules") or named
        if not names:
            self.fault("rules", "name the rules whose matches are counted, by name or id")
        elif named and set(named) != set(names):
            self.fault("condition", "names " + ", ".join(named) + " and `rules` has " + ", ".join(names))
        elif len(names) > MAX_PARTS:
            self.fault("rules", f"more than {MAX_PARTS} rules")
        return names

    def _presence(self, kind: str, tree: Any, names: list[str]) -> Expr | None:
        if tree is None:
            return None
        if kind == "temporal":
            return _presence(tree, names)
        parts = tree.args if isinstance(tree, CorrelationConditionAND) else [tree]
        if not all(isinstance(part, SigmaRuleReference) for part in parts):
            self.fault("condition", "temporal_ordered takes `first and second and …` only; use temporal for or and not")
        return None

    def _part(self, name: str, groups: list[str], counted: list[str]) -> tuple[CorrelationPart, Subject] | None:
        found = self.context.find(name)
        if found is None:
            self.fault("rules", f'no rule has the name or id "{name}"; it may be in the same file, behind ---')
            return None
        document, faults = found
        if "correlation" in document.values:
            return self._nested(name, document, faults, groups, counted)
        base = self.context.compile_base(document, faults)
        if base is None:
            return None
        fields = [self._field(name, group, base.source, "group-by") for group in groups]
        values = [self._field(name, field, base.source, "condition") for field in counted]
        kind = self.raw["type"]
        for field in values:
            known = base.source.subject.fields.get(field)
            if kind in COUNTS[2:] and known is not None and not known.is_number:
                self.fault("condition", f"{kind} needs numbers, and {field} is {known.type}")
        part = CorrelationPart(
            name=name,
            subject=base.source.subject.name,
            when=base.when,
            scope=base.scope,
            fields=[*base.source.subject.identity],
            time=base.time,
            group_by=fields,
            values=values,
        )
        return part, base.source.subject

    def _nested(
        self, name: str, document: Document, faults: Faults, groups: list[str], counted: list[str]
    ) -> tuple[CorrelationPart, Subject] | None:
        if counted:
            self.fault("condition", f"{name} is a correlation: its alerts can be counted, and have no field to look at")
            return None
        inner = compile_correlation(document, faults, self.context, self.depth + 1)
        if inner is None:
            # Faults of another file are told there; this one must not be silent.
            self.fault("rules", f"{name} does not compile")
            return None
        mapped = [self._alias(group, name) for group in groups]
        for group in mapped:
            if group not in inner.plan.group_by:
                self.fault("group-by", f'{name} is not grouped by "{group}"{did_you_mean(group, inner.plan.group_by)}')
        return CorrelationPart(name=name, group_by=mapped, correlation=inner.plan), inner.subject

    def _alias(self, name: str, rule: str) -> str:
        aliases = self.raw.get("aliases")
        if aliases is None:
            return name
        if not isinstance(aliases, dict) or not all(isinstance(one, dict) for one in aliases.values()):
            self.fault("aliases", "expected a mapping of names to {rule: field}")
            return name
        return str(aliases[name].get(rule, name)) if name in aliases else name

    def _field(self, rule: str, name: str, source: LogSource, key: str) -> str:
        """Our name of a field that the rule calls by its own, or by an alias."""
        theirs = self._alias(name, rule)
        try:
            return source.resolve(theirs)[0].name
        except MappingError as problem:
            self.fault(key, f"{rule}: {problem}; `aliases` can name another field for this rule")
            return source.subject.identity[0]


def _named(tree: Any) -> list[str]:
    if isinstance(tree, SigmaRuleReference):
        return [tree.reference]
    return [name for child in getattr(tree, "args", []) for name in _named(child)]


def _presence(tree: Any, names: list[str]) -> Expr:
    if isinstance(tree, CorrelationConditionNOT):
        return {"not": _presence(tree.args[0], names)}
    if isinstance(tree, CorrelationConditionAND | CorrelationConditionOR):
        word = "and" if isinstance(tree, CorrelationConditionAND) else "or"
        return {word: [_presence(child, names) for child in tree.args]}
    return {"part": names.index(tree.reference)}
