"""Builds pySigma's detection objects from a rule's `detection`, entry by entry, so that each knows its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import re2  # type: ignore[import-untyped]  # the wheel brings no types
from sigma.conditions import ConditionAND, ConditionOR
from sigma.exceptions import SigmaError, SigmaRuleLocation
from sigma.modifiers import SigmaTimestampModifier, modifier_mapping
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RE2RegexEngine, RegexPattern
from sigma.rule.detection import SigmaDetection, SigmaDetectionItem, SigmaDetections

from sandfly_web.rules.document import Document
from sandfly_web.rules.document import Path as Place
from sandfly_web.rules.faults import Faults, did_you_mean

MODIFIERS = frozenset(name for name, kind in modifier_mapping.items() if not issubclass(kind, SigmaTimestampModifier))


class _QuietEngine(RE2RegexEngine):
    """RE2 as in the probe; does not print its complaints to stderr."""

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        options = re2.Options()
        options.log_errors = False
        prefix = "".join(letter for flag, letter in _FLAGS.items() if flags & flag)
        compiled: RegexPattern = re2.compile(f"(?{prefix}){pattern}" if prefix else pattern, options)
        return compiled


POLICY = SigmaPolicy(regex_engine=_QuietEngine())
_FLAGS = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}

Tree = Any
"""pySigma's condition tree: ConditionAND, ConditionOR, ConditionNOT over its two kinds of leaves."""


def parse_detection(document: Document, faults: Faults, key: str = "detection") -> Tree | None:
    """The condition tree of `detection` (or a Sigma filter's `filter`), None when there are faults (they are added)."""
    detection = document.values.get(key)
    place: Place = (key,)
    if not isinstance(detection, dict):
        faults.add(document.line(place), key, "expected a mapping of selections and a condition")
        return None
    builder = _Builder(document, faults)
    named = {
        name: builder.build(definition, (*place, name))
        for name, definition in detection.items()
        if name not in {"condition", "timeframe"} and not (key == "filter" and name == "rules")
    }
    if "timeframe" in detection:
        faults.add(
            document.line((*place, "timeframe")),
            f"{key}.timeframe",
            "a rule looks at one record; write a `correlation` with a timespan to look at several",
        )
    conditions = _conditions(document, detection, faults, key)
    return _join(named, conditions, document, faults, key) if conditions else None


def parse_items(document: Document, place: Place, faults: Faults) -> Tree | None:
    """The tree of one selection that stands alone, such as `sandfly.os`; all of its entries must hold."""
    value: Any = document.values
    for key in place:
        value = value[key]
    built = _Builder(document, faults).build(value, place)
    return built.postprocess(SigmaDetections({"it": built}, ["it"]))


def _conditions(document: Document, detection: dict[str, Any], faults: Faults, key: str) -> list[str]:
    place: Place = (key, "condition")
    raw = detection.get("condition")
    entries: list[Any] = raw if isinstance(raw, list) else [raw]
    conditions = [entry for entry in entries if isinstance(entry, str) and entry.strip()]
    if not conditions or len(conditions) < len(entries):
        faults.add(document.line(place), f"{key}.condition", "expected a condition such as `selection and not filter`")
        return []
    return conditions


def _join(
    named: dict[str, SigmaDetection], conditions: list[str], document: Document, faults: Faults, key: str
) -> Tree | None:
    line = document.line((key, "condition"))
    if not named:
        faults.add(document.line((key,)), key, "name at least one selection beside the condition")
        return None
    try:
        trees = [parsed.parsed for parsed in SigmaDetections(named, conditions).parsed_condition]
    except SigmaError as error:
        faults.add(line, f"{key}.condition", _condition_advice(_plain(error), list(named)))
        # The selections are still looked at, as if the condition had named each.
        return SigmaDetections(named, ["1 of them"]).parsed_condition[0].parsed if conditions != ["1 of them"] else None
    except RecursionError:
        faults.add(line, f"{key}.condition", "nested too deeply; name parts of it as selections of their own")
        return None
    return trees[0] if len(trees) == 1 else ConditionOR(trees)


_UNDEFINED = re.compile(r"Detection '([^']*)' not defined")
_PLACE = re.compile(r"\(at char (\d+)\)")


def _condition_advice(message: str, known: list[str]) -> str:
    """pySigma's complaint about a condition in the words of somebody who writes rules."""
    listed = f"known selections are {', '.join(known)}"
    if undefined := _UNDEFINED.search(message):
        return f'no selection is named "{undefined.group(1)}"{did_you_mean(undefined.group(1), known)}; {listed}'
    if "pipe syntax" in message:
        return "`| count()` is no part of Sigma any more; write a `correlation` that counts this rule (rules/README.md)"
    if place := _PLACE.search(message):
        expected = "expected a selection, `1 of name*`, `all of them`, `not` or (…), joined by `and` and `or`"
        return f"not understood from character {int(place.group(1)) + 1} on: {expected}; {listed}"
    return f"{message}; {listed}"


def _plain(error: SigmaError) -> str:
    """The message alone: pySigma's `str` adds a path that would be read as a file of this machine."""
    return str(error.args[0]) if error.args else "not valid Sigma"


class _Builder:
    """Builds selections. What is faulty becomes a stand-in, so that the rest of the rule is still looked at."""

    def __init__(self, document: Document, faults: Faults) -> None:
        self.document = document
        self.faults = faults

    def build(self, definition: Any, place: Place) -> SigmaDetection:
        """A mapping (all must hold), a list (any must), or a keyword.

        Only entries have a line: pySigma would put that of a selection in the place of theirs.
        """
        if isinstance(definition, dict) and definition:
            items = [self._item(key, value, (*place, key)) for key, value in definition.items()]
            return SigmaDetection([*items], item_linking=ConditionAND)
        if isinstance(definition, list) and any(isinstance(entry, (dict, list)) for entry in definition):
            parts = [self.build(entry, (*place, index)) for index, entry in enumerate(definition)]
            return SigmaDetection([*parts], item_linking=ConditionOR)
        return SigmaDetection([self._item(None, definition, place)])

    def _item(self, key: str | None, value: Any, place: Place) -> SigmaDetectionItem:
        values = value if isinstance(value, list) else [value]
        modifiers = key.split("|")[1:] if key else []
        if self._modifiers_are_known(modifiers, place) and self._values_fit(values, modifiers, place):
            try:
                return SigmaDetectionItem.from_mapping(key, value, self._source(place), POLICY)
            except SigmaError as error:
                self._fault(place, _advice(_plain(error), key or ""))
            except (TypeError, ValueError, AttributeError) as error:
                # pySigma trusts the types of values in a few modifiers.
                self._fault(place, f"the modifiers do not fit the values ({error})")
        return SigmaDetectionItem.from_mapping(None, "faulty", self._source(place), POLICY)

    def _modifiers_are_known(self, modifiers: list[str], place: Place) -> bool:
        unknown = [name for name in modifiers if name not in MODIFIERS]
        for name in unknown:
            if name in modifier_mapping:
                self._fault(
                    place, f'modifier "{name}" takes a time apart, which is not supported; compare epoch seconds'
                )
            else:
                self._fault(place, f'unknown modifier "{name}"{did_you_mean(name, MODIFIERS)}')
        return not unknown

    def _values_fit(self, values: list[Any], modifiers: list[str], place: Place) -> bool:
        if not values:
            self._fault(place, "an empty list never matches; give a value, or `null` for a field without value")
            return False
        for value in values:
            if isinstance(value, dict):
                self._fault(
                    place, "a field has a value or a list of values; modifiers follow its name: `path|contains`"
                )
                return False
            if not isinstance(value, str | int | float | bool | None):
                self._fault(place, f"{value!r} is not text, a number, a boolean or null; quote it when it is text")
                return False
            if "re" in modifiers and not isinstance(value, str):
                self._fault(place, f"the regular expression {value!r} must be text; quote it")
                return False
        return True

    def _source(self, place: Place) -> SigmaRuleLocation:
        return SigmaRuleLocation(Path(), self.document.line(place))

    def _fault(self, place: Place, message: str) -> None:
        self.faults.add(self.document.line(place), ".".join(str(part) for part in place), message)


_MISFIT = re.compile(r"value type of '(.*)'", re.DOTALL)


def _advice(message: str, key: str) -> str:
    if misfit := _MISFIT.search(message):
        modifiers = ", ".join(key.split("|")[1:])
        return (
            f"{modifiers} does not fit the value {misfit.group(1)}: text modifiers take text (in quotes), gt, gte, lt "
            "and lte take numbers, exists takes true or false; without a modifier values are equal"
        )
    if "CIDR" in message:
        return f"{message}; write an address and the length of its prefix, such as 10.0.0.0/8"
    if "Regular expression" in message:
        message = re.sub(r"b'(.*)'$", r"\1", message)
        return f"{message}; expressions are RE2: no look-around and no back-references"
    return message
