"""Who a finding belongs to, and whether a behaviour raised what it must."""

from __future__ import annotations

from collections.abc import Sequence

from tests.behaviours.behaviour import Behaviour
from tests.behaviours.scan import Finding


def findings_of(behaviour: Behaviour, findings: Sequence[Finding]) -> list[Finding]:
    """Findings whose subject carries one of the behaviour's marks."""
    return [finding for finding in findings if _is_marked(finding, behaviour.marks)]


def difference(behaviour: Behaviour, findings: Sequence[Finding]) -> list[str]:
    """What was not raised, and what was raised beside it at medium level or above; empty when all is as it must be."""
    own = findings_of(behaviour, findings)
    raised = {finding.rule for finding in own}
    missing = [f"not raised: {rule}" for rule in behaviour.raises if rule not in raised]
    beside = [f"unexpected: {one}" for one in own if one.is_serious and one.rule not in behaviour.raises]
    seen = [f"(raised: {one})" for one in own if one.rule in behaviour.raises]
    return missing + beside + seen if missing or beside else []


def unclaimed(behaviours: Sequence[Behaviour], findings: Sequence[Finding], machine: Sequence[Finding]) -> list[str]:
    """Serious findings that belong to no behaviour and that the bare machine does not have."""
    known = {finding.fingerprint for finding in machine}
    return [
        str(finding)
        for finding in findings
        if finding.is_serious
        and finding.fingerprint not in known
        and not any(_is_marked(finding, behaviour.marks) for behaviour in behaviours)
    ]


def _is_marked(finding: Finding, marks: Sequence[str]) -> bool:
    return any(mark in text for mark in marks for text in finding.texts)
