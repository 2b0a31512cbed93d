"""SigmaHQ rules on the state of a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandfly_web.rules.compiled import CompiledRule, RuleErrors

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
        ("file_event", "Image", "who wrote a file is not known"),
        ("process_creation", "ParentUser", "does not keep it"),
        ("process_creation", "Hashes", "use sha256"),
        ("network_connection", "DestinationHostname", "names are not looked up"),
        ("process_creation", "Imge", 'did you mean "Image"'),
    ],
)
def test_facts_that_only_an_event_has_are_refused_with_the_reason(
    build: Build, category: str, field: str, words: str
) -> None:
    with pytest.raises(RuleErrors) as caught:
        build({field: "x"}, logsource=source(category))

    assert words in str(caught.value)


def test_our_own_field_names_work_in_their_categories_too(build: Build) -> None:
    rule = build({"exe_deleted": True}, logsource=source("process_creation"))

    assert rule.plan_rule.when == {"field": "exe_deleted", "op": "eq", "values": [True]}
