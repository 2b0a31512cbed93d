"""First versions of allow-list entries, made from a finding. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import yaml
from django.db import models

from sandfly_web.findings.fingerprint import VOLATILE, VOLATILE_EVERYWHERE


class Draft(models.TextChoices):
    """How much an entry takes in; strictest first."""

    EXACT = "exact", "Exactly this: whatever identifies it, and its content"
    THING = "thing", "The same thing: whatever identifies it"
    RULE = "rule", "Everything this rule finds"


# What makes another thing of one with the same identity: what was replaced or given away is no longer what was allowed.
CONTENT = frozenset({"sha256", "exe_sha256", "target_sha256", "mode", "uid", "gid", "owner"})
MAX_VALUE_CHARS = 1024


def draft_detection(
    draft: str, subject: str, identity: Mapping[str, Any], evidence: Mapping[str, Any], carried: Collection[str]
) -> str:
    """YAML of `detection`; empty for the whole rule, and where the finding says nothing that lasts.

    `carried` are the fields that every finding of the rule brings (`matching.carried_fields`): others are no condition.
    """
    if draft == Draft.RULE:
        return ""
    volatile = VOLATILE.get(subject, frozenset()) | VOLATILE_EVERYWHERE
    names = [name for name in identity if name not in volatile]
    if draft == Draft.EXACT:
        names += sorted(name for name in CONTENT & set(carried) if name in evidence and name not in identity)
    facts = {**evidence, **identity}
    selection = dict(entry for name in names if (entry := _entry(name, facts.get(name))) is not None)
    if not selection:
        return ""
    detection = {"detection": {"selection": selection, "condition": "selection"}}
    text = yaml.safe_dump(detection, sort_keys=False, allow_unicode=True, width=1000)
    # YAML takes U+0085 and its like for line breaks, unless they are escaped.
    return text if yaml.safe_load(text) == detection else yaml.safe_dump(detection, sort_keys=False, width=1000)


def _entry(name: str, value: Any) -> tuple[str, Any] | None:
    """A Sigma entry that equals the value; None for what cannot be compared so."""
    if value is None:
        return name, None
    if isinstance(value, str):
        # Case matters in what is allowed, though not in what alarms.
        return (f"{name}|cased", literal(value)) if len(value) <= MAX_VALUE_CHARS else None
    if isinstance(value, bool | int | float):
        return name, value
    return None


def literal(text: str) -> str:
    """The text with Sigma's wildcards made literal; a backslash only means itself where no wildcard follows."""
    out = []
    for place, letter in enumerate(text):
        rest = text[place + 1 :]
        if letter in "*?" or (letter == "\\" and (not rest or rest[0] in "*?\\")):
            out.append("\\")
        out.append(letter)
    return "".join(out)
