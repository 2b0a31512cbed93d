"""SigmaHQ rules on log lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandfly_web.rules.compiled import CompiledRule, RuleErrors
from sandfly_web.rules.testing import match_records

Build = Callable[..., CompiledRule]


def linux(service: str = "", category: str = "") -> dict[str, str]:
    source = {"product": "linux", "service": service, "category": category}
    return {key: value for key, value in source.items() if value}


def test_fields_of_auditd_are_those_of_its_records(build: Build) -> None:
    selection = {"type": "SYSCALL", "SYSCALL": "execve", "exe|startswith": "/tmp/", "a1": 3, "euid": "0"}

    rule = build(selection, logsource=linux("auditd"))

    assert rule.subject == "log_line"
    assert rule.plan_rule.when is not None
    source, *leaves = rule.plan_rule.when["and"]
    assert {leaf["field"] for leaf in source["or"]} == {"log", "transport", "program"}
    fields = [leaf["field"] for leaf in leaves]
    assert fields == ["audit.type", "audit.syscall", "audit.exe", "audit.a1", "audit.euid"]


@pytest.mark.parametrize(
    ("service", "field", "value"),
    [("sshd", "program", "sshd"), ("sudo", "program", "sudo"), ("auth", "log", "auth"), ("syslog", "log", "syslog")],
)
def test_a_service_is_some_programs_or_some_logs(build: Build, service: str, field: str, value: str) -> None:
    rule = build(["bad thing"], logsource=linux(service))

    assert rule.plan_rule.when is not None
    first, keyword = rule.plan_rule.when["and"]
    assert first["field"] == field
    assert value in first["values"]
    assert keyword == {"field": "text", "op": "contains", "values": ["bad thing"]}


def test_a_product_alone_is_every_line(build: Build) -> None:
    rule = build(["*/dev/tcp/*sh*", "nc -e"], logsource=linux())

    assert rule.plan_rule.when == {
        "or": [
            {"field": "text", "op": "glob", "values": ["*/dev/tcp/*sh*"]},
            {"field": "text", "op": "contains", "values": ["nc -e"]},
        ]
    }


def test_web_servers_have_the_names_of_the_extended_log_format(build: Build) -> None:
    selection = {"cs-method": "GET", "cs-uri-query|contains": "cmd=", "sc-status": 200, "cs-user-agent": "x"}

    rule = build(selection, logsource={"category": "webserver"})

    assert rule.plan_rule.when == {
        "and": [
            {"field": "log", "op": "eq", "values": ["web"]},
            {"field": "web.method", "op": "eq", "values": ["GET"]},
            {"field": "web.query", "op": "contains", "values": ["cmd="]},
            {"field": "web.status", "op": "eq", "values": [200]},
            {"field": "web.user_agent", "op": "eq", "values": ["x"]},
        ]
    }


@pytest.mark.parametrize(
    ("logsource", "message"),
    [
        (linux("sshdd"), 'did you mean "sshd"'),
        (linux("mystery"), "known are"),
        (linux(category="image_load"), "unknown subject"),
        (linux("sshd", "process_creation"), "remove one of them"),
    ],
)
def test_logs_that_are_not_read_are_refused_with_what_is(build: Build, logsource: Any, message: str) -> None:
    with pytest.raises(RuleErrors) as caught:
        build(["x"], logsource=logsource)

    assert message in str(caught.value)


def test_a_header_that_no_access_log_keeps_is_unknown_and_the_rule_says_so(build: Build) -> None:
    rule = build({"cs-cookie|contains": "x", "c-uri|contains": "/a"}, logsource={"category": "webserver"})

    assert rule.plan_rule.when is not None
    assert {"field": "", "op": "unknown", "values": ["not_kept"]} in rule.plan_rule.when["and"]
    assert rule.notes == ("cs-cookie: access logs do not keep it; look at web.uri, web.referer or web.user_agent",)


def test_a_keyword_of_our_own_rules_looks_at_the_line_alone(build: Build) -> None:
    rule = build(["secret"], logsource=linux(category="log_line"))

    assert rule.plan_rule.when == {"field": "text", "op": "contains", "values": ["secret"]}


def test_lines_of_other_programs_are_not_meant(build: Build, probe: Path) -> None:
    rule = build(["Accepted password"], logsource=linux("sshd"))
    lines = [{"program": name, "text": "Accepted password for root"} for name in ("sshd", "SSHD-session", "fake")]

    verdicts = match_records([rule], [("log_line", line) for line in lines], probe)

    assert [bool(verdict.matched) for verdict in verdicts] == [True, True, False]
