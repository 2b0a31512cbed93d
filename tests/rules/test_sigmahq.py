"""The public SigmaHQ rules, where SIGMAHQ_PATH names a checkout of them; none of it is part of this project.

SIGMAHQ_PATH=~/sigma python -m pytest tests/rules/test_sigmahq.py
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from sandfly_web.rules.answerable import Answer, how_answerable
from sandfly_web.rules.catalog import read_rules
from sandfly_web.rules.compiled import CompiledRule
from sandfly_web.rules.sigma import parse_rule
from sandfly_web.rules.testing import match_records
from tests.rules.conftest import rule_text

FOLDERS = ("rules", "rules-threat-hunting", "rules-emerging-threats")

# Rules of theirs by file name, and a record of a live host that each must alert on, and one that it must not.
RECORDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "proc_creation_lnx_susp_network_utilities_execution": (
        "process", {"path": "/usr/bin/nmap"}, {"path": "/usr/bin/vim"},
    ),
    "proc_creation_lnx_nohup": ("process", {"path": "/usr/bin/nohup"}, {"path": "/usr/bin/nice"}),
    "file_event_lnx_susp_cron_file_created": ("file", {"path": "/etc/cron.d/x"}, {"path": "/etc/passwd"}),
    "file_event_lnx_wget_download_file_in_tmp_dir": (
        "file", {"path": "/tmp/x", "open_by": ["/usr/bin/wget"]}, {"path": "/tmp/x", "open_by": ["/usr/bin/vim"]},
    ),
    "net_connection_lnx_crypto_mining_indicators": (
        "socket", {"process.cmdline": "miner -o pool.minexmr.com:443"}, {"remote_address": "192.0.2.1"},
    ),
    "lnx_sshd_susp_ssh": (
        "log_line",
        {"program": "sshd", "text": "fatal: buffer_get_string: bad string length 1"},
        {"program": "sshd", "text": "Accepted password"},
    ),
    "lnx_auditd_find_cred_in_files": (
        "log_line",
        {"log": "audit", "audit.type": "EXECVE", "text": 'type=EXECVE a0="grep" a1="password"'},
        {"log": "audit", "audit.type": "EXECVE", "text": 'type=EXECVE a0="ls" a1="-l"'},
    ),
}  # fmt: skip


def is_linux(path: Path) -> bool:
    return "product: linux" in path.read_text(encoding="utf-8")


def linux_rules(checkout: Path) -> list[CompiledRule]:
    """Every rule for Linux below the three folders; fails with the faults of those that do not compile."""
    files = [file for folder in FOLDERS for file in sorted((checkout / folder).rglob("*.yml")) if is_linux(file)]
    assert len(files) > 200, f"no checkout of SigmaHQ/sigma: {checkout}"
    rules, errors = read_rules(files)
    assert errors == []
    assert len(rules) == len(files)
    return rules


def test_a_rule_is_answered_fully_partly_or_never() -> None:
    def answer(selection: dict[str, Any], condition: str = "a") -> Answer:
        detection = {"a": selection, "b": {"TargetFilename|startswith": "/tmp/"}, "condition": condition}
        source = {"category": "file_event", "product": "linux"}
        return how_answerable(parse_rule(rule_text(detection, logsource=source), "r.yml"))

    assert answer({"TargetFilename": "/a"}) == Answer.FULLY
    assert answer({"Image|endswith": "/wget"}) == Answer.PARTLY
    assert answer({"CommandLine": "x"}, "b or a") == Answer.PARTLY
    assert answer({"CommandLine": "x"}, "b and not a") == Answer.NEVER


# Only where a checkout is named is there something to test.
if checkout_path := os.environ.get("SIGMAHQ_PATH"):

    def test_every_linux_rule_of_sigmahq_compiles_and_is_taken_by_the_probe(probe: Path) -> None:
        rules = linux_rules(Path(checkout_path or ""))

        match_records(rules, [("process", {"path": "/bin/true"})], probe)

        counted = Counter(how_answerable(rule) for rule in rules)
        assert counted[Answer.NEVER] <= len(rules) // 100

    def test_rules_of_sigmahq_alert_on_facts_of_a_live_host(probe: Path) -> None:
        rules = {Path(rule.path).stem: rule for rule in linux_rules(Path(checkout_path or ""))}

        for name, (subject, alerts, passes) in RECORDS.items():
            verdicts = match_records([rules[name]], [(subject, alerts), (subject, passes)], probe)
            assert [bool(verdict.matched) for verdict in verdicts] == [True, False], name
