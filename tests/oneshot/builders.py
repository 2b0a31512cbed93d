"""Small reports and rules for tests of the one-shot scan."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sandfly_web.rules.compiled import CompiledRule
from sandfly_web.rules.sigma import parse_rule
from scanners.contract import Failure, HostKeyPin, Outcome, Profile, RuleMatch, RuleState, RuleStatus, ScanReport

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

RULE = """\
title: Program in a temporary directory
id: 11111111-1111-4111-8111-111111111111
name: process_test
status: stable
description: Finds and misses.
author: sandfly
date: 2026-01-01
tags: [attack.execution, attack.t1059.004]
logsource: {category: process, product: linux}
detection:
  selection: {path|startswith: /tmp/}
  condition: selection
level: high
sandfly:
  type: TYPE
  explain: "{path} runs as {username}"
  fields: [pid, path, cmdline, username, parent.path]
  tests:
    - {name: a, record: {path: /tmp/x}, expect: alert}
    - {name: b, record: {path: /bin/x}, expect: pass}
"""


def make_rule(rule_type: str = "detection") -> CompiledRule:
    return parse_rule(RULE.replace("TYPE", rule_type), "process_test.yml")


def make_match(**record: Any) -> RuleMatch:
    fields = {"path": "/tmp/x", "name": "x", "pid": 7, "username": "root", "cmdline": "/tmp/x -d", **record}
    return RuleMatch(
        subject="process", rule_ids=[make_rule().id], identity={"path": fields["path"], "name": "x"}, record=fields
    )


def make_report(*matches: RuleMatch, **changes: Any) -> ScanReport:
    state = RuleState.ALERT if matches else RuleState.PASS
    fields: dict[str, Any] = {
        "scan_id": "s",
        "outcome": Outcome.DONE,
        "started_at": NOW,
        "finished_at": NOW,
        "profile": Profile(hostname="web1", machine="x86_64", kernel="6.1.0", os_name="Debian 12"),
        "matches": list(matches),
        "rules": [RuleStatus(rule_id=make_rule().id, state=state, matched=len(matches))],
        "timings_s": {"total": 1.23},
        **changes,
    }
    return ScanReport(**fields)


def failed_report(code: str, message: str) -> ScanReport:
    return make_report(
        outcome=Outcome.FAILED,
        failure=Failure(code=code, message=message),
        rules=[],
        presented_host_keys=[HostKeyPin(key_type="ssh-ed25519", public_key="AAAA")],
    )
