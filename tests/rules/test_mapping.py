"""SigmaHQ rules on the state of a host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandfly_web.rules import simplify
from sandfly_web.rules.backend import UNKNOWN
from sandfly_web.rules.compiled import CompiledRule, RuleErrors
from sandfly_web.rules.sigma import parse_rule
from sandfly_web.rules.testing import match_records
from tests.rules.conftest import rule_text

Build = Callable[..., CompiledRule]


def source(category: str) -> dict[str, str]:
    return {"category": category, "product": "linux"}


def test_process_creation_looks_at_running_processes(build: Build) -> None:
    selection = {
        "Image|endswith": "/nc",
        "CommandLine|contains|all": ["-l", "-p"],
        "ParentImage|endswith": "/apache2",
        "ParentCommandLine|contains": "-k",
        "User": "www-data",
        "CurrentDirectory|startswith": "/tmp/",
        "ProcessId|gt": 1,
    }

    rule = build(selection, logsource=source("process_creation"))

    assert rule.subject == "process"
    assert rule.plan_rule.when is not None
    fields = [leaf["field"] for leaf in rule.plan_rule.when["and"]]
    assert fields == ["path", "cmdline", "parent.path", "parent.cmdline", "username", "cwd", "pid"]


def test_file_event_looks_at_files_that_exist_where_the_rule_says(build: Build) -> None:
    rule = build({"TargetFilename|startswith": "/etc/cron.d/"}, logsource=source("file_event"))

    assert rule.subject == "file"
    assert rule.plan_rule.scope is not None
    assert rule.plan_rule.scope.paths == ["/etc/cron.d"]


def test_a_file_event_that_may_be_anywhere_is_looked_for_where_the_probe_looks_by_default(build: Build) -> None:
    rule = build({"TargetFilename|endswith": "/.ssh/authorized_keys"}, logsource=source("file_event"))

    assert rule.plan_rule.scope is None


def test_network_connection_looks_at_open_sockets(build: Build) -> None:
    selection = {"Image|endswith": "/sh", "DestinationPort": "4444", "DestinationIp|cidr": "10.0.0.0/8"}

    rule = build(selection, logsource=source("network_connection"))

    assert rule.subject == "socket"
    assert rule.plan_rule.when == {
        "and": [
            {"field": "process.path", "op": "endswith", "values": ["/sh"]},
            {"field": "remote_port", "op": "eq", "values": [4444]},
            {"field": "remote_address", "op": "cidr", "values": ["10.0.0.0/8"]},
        ]
    }


@pytest.mark.parametrize(("initiated", "listening"), [("true", False), ("false", True), (True, False)])
def test_a_connection_opened_from_here_is_one_that_does_not_listen(
    build: Build, initiated: Any, listening: bool
) -> None:
    rule = build({"Initiated": initiated}, logsource=source("network_connection"))

    assert rule.plan_rule.when == {"field": "is_listening", "op": "eq", "values": [listening]}


def test_values_of_events_may_be_numbers_where_ours_are_text(build: Build) -> None:
    rule = build({"CommandLine": 5}, logsource=source("process_creation"))

    assert rule.plan_rule.when == {"field": "cmdline", "op": "eq", "values": ["5"]}


@pytest.mark.parametrize(
    ("category", "field", "words"),
    [
        ("file_event", "Image", "who wrote a file is not kept"),
        ("file_event", "ProcessId", "the kernel does not keep it"),
        ("process_creation", "Hashes", "use sha256"),
        ("network_connection", "DestinationHostname", "names are not looked up"),
    ],
)
def test_facts_that_only_an_event_has_are_unknown_and_the_rule_says_so(
    build: Build, category: str, field: str, words: str
) -> None:
    rule = build({field: "x"}, logsource=source(category))

    assert [words in note for note in rule.notes] == [True]
    assert UNKNOWN in list(simplify.walk_leaves(rule.plan_rule.when))


def test_a_misspelled_field_of_theirs_is_refused(build: Build) -> None:
    with pytest.raises(RuleErrors, match='did you mean "Image"'):
        build({"Imge": "x"}, logsource=source("process_creation"))


HELD = {"path": "/tmp/x", "open_by": ["/usr/bin/wget"]}


@pytest.mark.parametrize(
    ("condition", "record", "matches", "unknown"),
    [
        ("writer", HELD, True, ""),
        ("writer", {"path": "/tmp/x", "open_by": ["/usr/bin/vim"]}, False, ""),
        ("writer", {"path": "/tmp/x"}, False, "not_kept"),
        ("not writer", {"path": "/tmp/x"}, False, "not_kept"),
        ("not writer", HELD, False, ""),
    ],
)
def test_who_wrote_a_file_is_told_by_who_holds_it_open_and_else_unknown(
    probe: Path, condition: str, record: dict[str, Any], matches: bool, unknown: str
) -> None:
    detection = {"writer": {"Image|endswith": "/wget"}, "condition": condition}
    rule = parse_rule(rule_text(detection, logsource=source("file_event")), "r.yml")

    (verdict,) = match_records([rule], [("file", record)], probe)

    assert (rule.id in verdict.matched, verdict.unknown.get(rule.id, "")) == (matches, unknown)


@pytest.mark.parametrize(
    ("category", "selection", "text", "matches"),
    [
        ("antivirus", {"Signature|contains": "Mimikatz"}, "/tmp/a: Win.Tool.Mimikatz-1 FOUND", True),
        ("antivirus", {"Signature|startswith": "PHP."}, "/tmp/a: PHP.Shell-1 FOUND", True),
        ("antivirus", {"Signature|startswith": "Shell"}, "/tmp/a: PHP.Shell-1 FOUND", False),
        ("antivirus", {"Signature|contains": "Mimikatz"}, "loaded Mimikatz signatures", False),
        ("antivirus", {"Filename|startswith": "/tmp/"}, "Tue Nov 24 08:00:00 2026 -> /tmp/a: PHP.Shell-1 FOUND", True),
        ("antivirus", {"Filename|endswith": ".jsp"}, "/srv/a.jsp: X FOUND", True),
        ("antivirus", {"Filename|endswith": ".jsp"}, "/srv/a.txt: X FOUND", False),
    ],
)
def test_what_stands_inside_a_line_is_found_there(
    probe: Path, category: str, selection: Any, text: str, matches: bool
) -> None:
    detection = {"a": selection, "condition": "a"}
    rule = parse_rule(rule_text(detection, logsource={"category": category}), "r.yml")

    (verdict,) = match_records([rule], [("log_line", {"log": "antivirus", "text": text})], probe)

    assert (rule.id in verdict.matched) is matches


@pytest.mark.parametrize(
    ("selection", "program", "text", "matches"),
    [
        ({"query|endswith": ".ngrok.io"}, "dnsmasq", "query[A] a.ngrok.io from 127.0.0.1", True),
        (
            {"query": "evil.example"},
            "named",
            "client 127.0.0.1#5 (evil.example): query: evil.example IN A + (::1)",
            True,
        ),
        ({"query": "evil.example"}, "unbound", "info: 127.0.0.1 evil.example. A IN", True),
        ({"query": "evil.example"}, "dnsmasq", "query[A] not-evil.example from 127.0.0.1", False),
        ({"record_type": "TXT"}, "dnsmasq", "query[TXT] a.example from 127.0.0.1", True),
    ],
)
def test_queries_are_read_from_the_logs_of_resolvers(
    probe: Path, selection: Any, program: str, text: str, matches: bool
) -> None:
    rule = parse_rule(rule_text({"a": selection, "condition": "a"}, logsource={"category": "dns"}), "r.yml")

    (verdict,) = match_records([rule], [("log_line", {"program": program, "text": text})], probe)

    assert (rule.id in verdict.matched) is matches


def test_packets_are_read_from_the_lines_of_netfilter(probe: Path) -> None:
    detection = {"a": {"dst_port": [23, 80], "dst_ip": "192.0.2.7"}, "condition": "a"}
    rule = parse_rule(rule_text(detection, logsource={"category": "firewall"}), "r.yml")
    line = "IN=eth0 OUT= SRC=10.0.0.1 DST=192.0.2.7 LEN=40 PROTO=TCP SPT=23 DPT={} WINDOW=1"
    records = [("log_line", {"program": "kernel", "text": line.format(port)}) for port in (80, 8080)]

    verdicts = match_records([rule], records, probe)

    assert [rule.id in verdict.matched for verdict in verdicts] == [True, False]


def test_our_own_field_names_work_in_their_categories_too(build: Build) -> None:
    rule = build({"exe_deleted": True}, logsource=source("process_creation"))

    assert rule.plan_rule.when == {"field": "exe_deleted", "op": "eq", "values": [True]}
