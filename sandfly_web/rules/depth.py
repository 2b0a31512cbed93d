"""Which rules are deep: what they read grows with all that is installed, so they run only when a scan asks for them or
names them. Pure.

Measured on a host with 43,000 packaged files, in seconds of CPU: all other detections 1.5, among them packaged
programs, units and libraries against the disk and what is hidden; every file of every package 0.3, every file below
/usr against the index of packaged paths 0.5, every possible process id (4,194,304) 0.9; a usual scan stops at 65,536
where the kernel counts no thread more than are listed. Guessing passwords takes all it is given (20) where hashes are
dear.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from scanners.contract import CorrelationPart, PlanRule, Scope

EVERY_PROCESS_ID = frozenset({"beyond_allocated"})
PACKAGE_INDEX = frozenset({"package_owned"})
PASSWORD_AUDIT = frozenset(
    {
        "password_audit",
        "password_audit_reason",
        "password_same_as",
        "password_weak",
        "password_words_left",
        "password_words_tried",
    }
)
# Programs, units, libraries of an architecture, boot files and their like do not lie deeper below what rules name.
SHALLOW_DEPTH = 3


def is_deep(rule: PlanRule) -> bool:
    if audits_passwords(rule):
        return True
    if rule.subject == "hidden":
        return _asks(rule.when, EVERY_PROCESS_ID)
    if rule.subject == "package_file":
        return _is_wide(rule.scope)
    return rule.subject == "file" and _is_wide(rule.scope) and _asks(rule.when, PACKAGE_INDEX)


def audits_passwords(rule: PlanRule | CorrelationPart) -> bool:
    """Whether the rule starts the audit, by its conditions or by what it sends home."""
    if rule.correlation is not None and any(audits_passwords(part) for part in rule.correlation.parts):
        return True
    named = {*rule.fields, *(rule.values + rule.group_by if isinstance(rule, CorrelationPart) else [])}
    return rule.subject == "user" and (not PASSWORD_AUDIT.isdisjoint(named) or _asks(rule.when, PASSWORD_AUDIT))


def _is_wide(scope: Scope | None) -> bool:
    """Whether it is about all that lies below its paths. Without a scope the probe's own stands, which is."""
    if scope is None or not scope.paths or scope.max_depth is None:
        return True
    return scope.max_depth > SHALLOW_DEPTH


def _asks(expression: Any, fields: Collection[str]) -> bool:
    """Whether a condition anywhere in the tree is on one of the fields."""
    if isinstance(expression, dict):
        return expression.get("field") in fields or any(_asks(value, fields) for value in expression.values())
    return isinstance(expression, list) and any(_asks(entry, fields) for entry in expression)
