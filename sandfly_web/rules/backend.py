"""From pySigma's condition tree to the plan's expression tree (grammar: `probes/README.md`, "Expressions")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sigma.types as st
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError

from sandfly_web.rules import simplify
from sandfly_web.rules.faults import Faults, did_you_mean
from sandfly_web.rules.fields import Field
from sandfly_web.rules.indicators import sets as indicators
from sandfly_web.rules.indicators.kinds import Kind
from sandfly_web.rules.indicators.naming import ListError, kind_of
from sandfly_web.rules.mapping import Alias, LogSource, MappingError
from sandfly_web.rules.placeholders import PLACEHOLDERS
from scanners.contract import Expr

MAX_DEPTH = 48
MAX_LEAVES = 5000
MAX_PATTERN = 4096

_MULTI = st.SpecialChars.WILDCARD_MULTI
_FLAGS = {
    st.SigmaRegularExpressionFlag.IGNORECASE: "i",
    st.SigmaRegularExpressionFlag.MULTILINE: "m",
    st.SigmaRegularExpressionFlag.DOTALL: "s",
}


class CompileError(ValueError):
    """A leaf cannot be compiled; the message says what to do."""


def compile_tree(
    tree: Any, source: LogSource, faults: Faults, placeholders: Mapping[str, tuple[str, ...]] = PLACEHOLDERS
) -> Expr | None:
    """The simplified expression, or None when the tree is the keyword `*` alone, which every record satisfies.

    What cannot be compiled is added to `faults`; the returned expression is then of no use.
    """
    if isinstance(tree, ConditionValueExpression) and _parts(tree.value) == [_MULTI]:
        return None
    compiler = _Compiler(source, faults, placeholders)
    return simplify.simplify(compiler.node(tree, 0))


UNKNOWN: Expr = {"field": "", "op": "unknown", "values": ["not_kept"]}
"""A condition on what no live host remembers."""


class _Compiler:
    def __init__(self, source: LogSource, faults: Faults, placeholders: Mapping[str, tuple[str, ...]]) -> None:
        self.source = source
        self.faults = faults
        self.placeholders = placeholders
        self.leaves = 0

    def node(self, node: Any, depth: int) -> Expr:
        if depth > MAX_DEPTH:
            self._fault(node, "nested too deeply; name parts of it as selections of their own")
        elif isinstance(node, ConditionAND):
            return {"and": [self.node(child, depth + 1) for child in node.args]}
        elif isinstance(node, ConditionOR):
            return {"or": [self.node(child, depth + 1) for child in node.args]}
        elif isinstance(node, ConditionNOT):
            return {"not": self.node(node.args[0], depth + 1)}
        else:
            return self._leaf(node)
        return simplify.NEVER

    def _leaf(self, node: Any) -> Expr:
        name = node.field if isinstance(node, ConditionFieldEqualsValueExpression) else ""
        self.leaves += 1
        if self.leaves > MAX_LEAVES:
            self._fault(node, f"more than {MAX_LEAVES} values; split the rule")
            return simplify.NEVER
        try:
            if isinstance(node, ConditionValueExpression):
                return self._any(node.value, self._keyword)
            if not self.source.is_kept(name):
                return UNKNOWN
            return self._field_leaf(name, node.value)
        except (CompileError, MappingError, SigmaError, ListError) as problem:
            self._fault(node, str(problem.args[0]), name)
        return simplify.NEVER

    def _field_leaf(self, name: str, value: Any) -> Expr:
        field, inverted = self.source.resolve(name)
        if (kind := kind_of(value)) is not None:
            return _in_set(field, kind)
        alias = self.source.alias(name)
        if alias is not None and (alias.pattern or alias.mentioned or alias.partly):
            return self._any(value, lambda one: self._translate(field, alias, one))
        return self._any(value, lambda one: self._compare(field, one, inverted=inverted))

    def _any(self, value: Any, make: Callable[[Any], Expr]) -> Expr:
        """The leaf of a value, or an `or` of the leaves it stands for (expand, base64offset, windash)."""
        made = [make(one) for one in self._expanded(value)]
        return made[0] if len(made) == 1 else {"or": made}

    def _expanded(self, value: Any) -> Iterator[Any]:
        if isinstance(value, st.SigmaExpansion):
            for one in value.values:
                yield from self._expanded(one)
        elif isinstance(value, st.SigmaString | st.SigmaRegularExpression) and value.contains_placeholder():
            for one in value.replace_placeholders(self._placeholder):
                # pySigma builds plain strings while it replaces; the case flag is ours to keep.
                if isinstance(value, st.SigmaCasedString) and isinstance(one, st.SigmaString):
                    yield st.SigmaCasedString.from_sigma_string(one)
                else:
                    yield one
        else:
            yield value

    def _placeholder(self, placeholder: st.Placeholder) -> Iterator[str]:
        if placeholder.name not in self.placeholders:
            hint = did_you_mean(placeholder.name, self.placeholders)
            raise CompileError(f"unknown list %{placeholder.name}%{hint or '; known: ' + ', '.join(self.placeholders)}")
        yield from self.placeholders[placeholder.name]

    def _keyword(self, value: Any) -> Expr:
        if isinstance(value, st.SigmaNumber | st.SigmaBool):
            value = st.SigmaString(str(value).lower())
        if isinstance(value, st.SigmaRegularExpression):
            return self._keyword_regex(value)
        if not isinstance(value, st.SigmaString):
            raise CompileError(
                "a keyword is text with wildcards or a regular expression; name a field for anything else"
            )
        parts = _parts(value)
        while parts and parts[0] == _MULTI:
            parts = parts[1:]
        while parts and parts[-1] == _MULTI:
            parts = parts[:-1]
        if not parts:
            raise CompileError("a keyword without text matches everything; give it text")
        if self.source.keyword_field:
            return _parts_leaf(self.source.keyword_field, [_MULTI, *parts, _MULTI], value)
        return _string_leaf("", "keyword", _pattern(parts), value)

    def _keyword_regex(self, value: st.SigmaRegularExpression) -> Expr:
        """A keyword `|re`: in the field that keywords look at, or in any text of the record."""
        subject = self.source.subject
        names = [self.source.keyword_field] if self.source.keyword_field else list(subject.fields)
        return {"or": [_regex(subject.fields[name], value) for name in names if subject.fields[name].is_text]}

    def _translate(self, field: Field, alias: Alias, value: Any) -> Expr:
        """A condition on a field that a live host knows only in part, or only inside a text."""
        if alias.pattern:
            inner, flags = _embedded(value)
            pattern = alias.pattern.replace("{}", inner)
            return {"field": field.name, "op": "re", "values": [f"(?{flags}){pattern}" if flags else pattern]}
        if isinstance(value, st.SigmaNull | st.SigmaExists):
            return UNKNOWN
        if alias.partly:
            empty: Expr = {"field": field.name, "op": "null", "values": []}
            return {"or": [self._compare(field, value, inverted=False), {"and": [empty, UNKNOWN]}]}
        text = "".join(part for part in _parts(value) if isinstance(part, str)).strip(".")
        return {"or": [_string_leaf(field.name, "contains", text, value), UNKNOWN]} if text else UNKNOWN

    def _compare(self, field: Field, value: Any, *, inverted: bool) -> Expr:
        if isinstance(value, st.SigmaFieldReference):
            return self._reference(field, value)
        for kind, make in _LEAVES.items():
            if isinstance(value, kind):
                return make(field, value)
        if isinstance(value, st.SigmaString) and value.s == [_MULTI]:
            return {"field": field.name, "op": "exists", "values": [True]}
        return _equal(field, value, inverted=inverted, lenient=not self.source.is_native)

    def _reference(self, field: Field, value: st.SigmaFieldReference) -> Expr:
        other, inverted = self.source.resolve(value.field)
        modes = {(False, False): "", (True, False): "startswith", (False, True): "endswith", (True, True): "contains"}
        mode = modes[value.starts_with, value.ends_with]
        kinds = [(one.is_text, one.is_number) for one in (field, other)]
        if inverted or kinds[0] != kinds[1] or (mode and not field.is_text):
            raise CompileError(
                f"{field.name} ({field.type}) cannot be compared with {other.name} ({other.type}) like this"
            )
        leaf: Expr = {"field": field.name, "op": "fieldref", "values": [other.name]}
        return leaf | {"mode": mode} if mode else leaf

    def _fault(self, node: Any, message: str, name: str = "condition") -> None:
        source = getattr(node, "source", None)
        line = source.line if source is not None and source.line else 1
        self.faults.add(line, name or "keyword", message)


def _embedded(value: Any) -> tuple[str, str]:
    """RE2 for a value that stands inside a text, and its flags."""
    if isinstance(value, st.SigmaRegularExpression):
        return f"(?:{value.regexp.to_plain().removeprefix('^').removesuffix('$')})", ""
    if isinstance(value, st.SigmaNumber):
        return re.escape(str(value.number)), ""
    if not isinstance(value, st.SigmaString):
        raise CompileError("only text, numbers and regular expressions can be looked for inside a line")
    wild = {_MULTI: ".*", st.SpecialChars.WILDCARD_SINGLE: "."}
    parts = (re.escape(part) if isinstance(part, str) else wild[part] for part in _parts(value))
    return "".join(parts), "" if isinstance(value, st.SigmaCasedString) else "i"


def _in_set(field: Field, kind: Kind) -> Expr:
    _need_text(field, "a list of indicators")
    if field.name.startswith("host."):
        raise CompileError("lists of indicators are compared with fields of the record, not of the host")
    return indicators.leaf(field.name, kind)


def _null(field: Field, value: st.SigmaNull) -> Expr:
    return {"field": field.name, "op": "null", "values": []}


def _exists(field: Field, value: st.SigmaExists) -> Expr:
    return {"field": field.name, "op": "exists", "values": [value.exists]}


def _cidr(field: Field, value: st.SigmaCIDRExpression) -> Expr:
    _need_text(field, "cidr")
    return {"field": field.name, "op": "cidr", "values": [str(value.network)]}


def _parts(value: Any) -> list[Any]:
    return list(value.s) if isinstance(value, st.SigmaString) else []


def _need_text(field: Field, what: str) -> None:
    if not field.is_text:
        raise CompileError(
            f"{what} needs text and {field.name} is {field.type}; compare with a value, gt, gte, lt or lte"
        )


def _order(field: Field, value: st.SigmaCompareExpression) -> Expr:
    if not field.is_number:
        raise CompileError(
            f"{value.op.name.lower()} needs a number and {field.name} is {field.type}; compare it as text"
        )
    return {"field": field.name, "op": value.op.name.lower(), "values": [value.number.number]}


def _regex(field: Field, value: st.SigmaRegularExpression) -> Expr:
    _need_text(field, "re")
    pattern = value.regexp.to_plain()
    if len(pattern) > MAX_PATTERN:
        raise CompileError(f"a regular expression longer than {MAX_PATTERN} characters; split it")
    if "\\C" in pattern.replace("\\\\", ""):
        raise CompileError(r"\C (a single byte) is not understood by the probe; use . instead")
    flags = "".join(sorted(_FLAGS[flag] for flag in value.flags))
    return {"field": field.name, "op": "re", "values": [f"(?{flags}){pattern}" if flags else pattern]}


_LEAVES: dict[type, Callable[[Field, Any], Expr]] = {
    st.SigmaNull: _null,
    st.SigmaExists: _exists,
    st.SigmaCompareExpression: _order,
    st.SigmaRegularExpression: _regex,
    st.SigmaCIDRExpression: _cidr,
}


def _equal(field: Field, value: Any, *, inverted: bool, lenient: bool) -> Expr:
    if field.type == "bool":
        return {"field": field.name, "op": "eq", "values": [_boolean(field, value) != inverted]}
    if field.is_number:
        return {"field": field.name, "op": "eq", "values": [_number(field, value, lenient=lenient)]}
    if isinstance(value, st.SigmaNumber | st.SigmaBool):
        if not lenient:
            # YAML reads 0755 as 493 and `on` as true: silent conversion would compare with something else.
            raise CompileError(f"{field.name} is text and the value {value} is not; put the value in quotes")
        value = st.SigmaString(str(value))
    return _text(field, value)


def _boolean(field: Field, value: Any) -> bool:
    if isinstance(value, st.SigmaBool):
        return value.boolean
    word = str(value).lower()
    if word not in {"true", "false"}:
        raise CompileError(f"{field.name} is true or false, not {value}")
    return word == "true"


def _number(field: Field, value: Any, *, lenient: bool) -> int | float:
    """SigmaHQ's rules look for `*200*` where a log has the number as text."""
    if isinstance(value, st.SigmaNumber):
        return value.number
    try:
        return st.SigmaNumber(str(value).strip("*" if lenient else "")).number
    except (SigmaError, ValueError) as error:
        raise CompileError(
            f"{field.name} is {field.type} and {value} is no number; use a number, gt, gte, lt or lte"
        ) from error


def _text(field: Field, value: st.SigmaString) -> Expr:
    """The cheapest test that says the same: equality, a part of the text, or a pattern."""
    return _parts_leaf(field.name, _parts(value), value)


def _parts_leaf(name: str, parts: list[Any], value: st.SigmaString) -> Expr:
    begins = len(parts) > 1 and parts[0] == _MULTI
    ends = len(parts) > 1 and parts[-1] == _MULTI
    inner = parts[begins : len(parts) - ends]
    if all(isinstance(part, str) for part in inner) and len(inner) <= 1:
        text = "".join(inner)
        op = {(False, False): "eq", (True, True): "contains", (False, True): "startswith", (True, False): "endswith"}
        return _string_leaf(name, op[begins, ends], text, value)
    return _string_leaf(name, "glob", _pattern(parts), value)


def _string_leaf(name: str, op: str, text: str, value: st.SigmaString) -> Expr:
    leaf: Expr = {"field": name, "op": op, "values": [text]}
    return leaf | {"cased": True} if isinstance(value, st.SigmaCasedString) else leaf


def _pattern(parts: list[Any]) -> str:
    """A glob of the probe: `*`, `?`, and a backslash before a literal one of these."""
    wildcards = {_MULTI: "*", st.SpecialChars.WILDCARD_SINGLE: "?"}
    return "".join(
        part.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?") if isinstance(part, str) else wildcards[part]
        for part in parts
    )
