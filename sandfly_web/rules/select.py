"""Chooses the rules of a scan by type and by name, tag or file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

from sandfly_web.rules.compiled import CompiledRule, RuleStatus, RuleType
from sandfly_web.rules.faults import did_you_mean


class UnknownRuleError(ValueError):
    """A name, tag or file that no rule has; the message suggests what is near."""

    code = "rule_unknown"


def select(
    rules: Sequence[CompiledRule], types: Iterable[RuleType | str] = (), names: Iterable[str] = ()
) -> list[CompiledRule]:
    """Rules in their order.

    Neither given: those enabled by default. Types: every rule of these types that is not deprecated or unsupported.
    Names (rule name, id, tag with or without its namespace, file name or path): exactly these, of the given types
    when there are any. Raises UnknownRuleError for a name that no rule has.
    """
    wanted_types = {RuleType(kind) for kind in types}
    wanted_names = list(names)
    for name in wanted_names:
        if not any(is_named(rule, name) for rule in rules):
            known = [rule.name for rule in rules] + sorted({tag for rule in rules for tag in rule.tags})
            raise UnknownRuleError(f'no rule, tag or file "{name}"{did_you_mean(name, known)}')
    return [rule for rule in rules if _is_selected(rule, wanted_types, wanted_names)]


def _is_selected(rule: CompiledRule, types: set[RuleType], names: list[str]) -> bool:
    if names:
        return (not types or rule.type in types) and any(is_named(rule, name) for name in names)
    if types:
        return rule.type in types and rule.status not in {RuleStatus.DEPRECATED, RuleStatus.UNSUPPORTED}
    return rule.is_default_enabled


def is_named(rule: CompiledRule, name: str) -> bool:
    """Whether `name` means the rule: its name, id, one of its tags, or its file."""
    if name in {rule.name, rule.id, rule.path}:
        return True
    if name.endswith((".yml", ".yaml")):
        parts = PurePath(name).parts
        return PurePath(rule.path).parts[-len(parts) :] == parts
    return any(name.lower() in {tag, tag.partition(".")[2]} for tag in rule.tags)
