"""Machine-readable outputs of a one-shot scan: JSON lines, JSON, SARIF 2.1.0 and Elastic Common Schema events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol, TextIO

from sandfly_web.scans.oneshot.results import HostResult, Summary

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
SARIF_LEVEL = {"informational": "note", "low": "note", "medium": "warning", "high": "error", "critical": "error"}
# GitHub's scale for `security-severity`.
SARIF_SEVERITY = {"informational": "0.0", "low": "3.0", "medium": "5.5", "high": "8.0", "critical": "9.5"}
ECS_VERSION = "8.17.0"
# ECS event.severity is free; this is the scale Elastic's own rules use for risk scores.
ECS_SEVERITY = {"informational": 1, "low": 21, "medium": 47, "high": 73, "critical": 99}


class Writer(Protocol):
    """Takes results as they come; `finish` ends the document."""

    def add(self, result: HostResult) -> None: ...

    def finish(self, summary: Summary) -> None: ...


def objects_of(result: HostResult) -> Iterator[dict[str, Any]]:
    """Everything a host's result says, in the order it is written. Rules that passed are only counted."""
    yield {**result.host, "rules": count_states(result)}
    yield from result.findings
    yield from result.records
    yield from (rule for rule in result.rules if rule["status"] != "pass")
    yield from result.errors


def count_states(result: HostResult) -> dict[str, int]:
    counts = dict.fromkeys(("alert", "pass", "error", "skipped"), 0)
    for rule in result.rules:
        counts[rule["status"]] += 1
    return counts


def dump(value: Any) -> str:
    """One line of ASCII JSON, so that nothing from a host reaches a terminal unescaped."""
    return json.dumps(value, sort_keys=False, separators=(",", ":"), ensure_ascii=True)


class JsonLines:
    """One object a line, at once."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def add(self, result: HostResult) -> None:
        for entry in objects_of(result):
            self.out.write(dump(entry) + "\n")
        self.out.flush()

    def finish(self, summary: Summary) -> None:
        self.out.write(dump(summary.as_object()) + "\n")


class JsonDocument:
    """One document: the same objects in one list."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.started = False

    def write(self, entry: dict[str, Any]) -> None:
        self.out.write(("," if self.started else "[") + "\n" + dump(entry))
        self.started = True

    def add(self, result: HostResult) -> None:
        for entry in objects_of(result):
            self.write(entry)

    def finish(self, summary: Summary) -> None:
        self.write(summary.as_object())
        self.out.write("\n]\n")


class Ecs:
    """One ECS event a finding, and one of kind `pipeline_error` a host that could not be scanned."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def add(self, result: HostResult) -> None:
        for finding in result.findings:
            self.out.write(dump(ecs_event(result, finding)) + "\n")
        for error in result.errors:
            self.out.write(dump(ecs_error(error)) + "\n")
        self.out.flush()

    def finish(self, summary: Summary) -> None:
        """Nothing follows the events."""


def ecs_host(result: HostResult) -> dict[str, Any]:
    profile = result.host["profile"] or {}
    fields = {
        "name": profile.get("hostname") or result.label,
        "id": profile.get("machine_id"),
        "architecture": profile.get("machine"),
        "os": {"type": "linux", "full": profile.get("os_name"), "kernel": profile.get("kernel")},
    }
    return {name: value for name, value in fields.items() if value}


def ecs_subject(subject: dict[str, Any]) -> dict[str, Any]:
    """The ECS field sets that have a place for the subject; everything is under `sandfly.subject` as well."""
    value = subject.get
    if subject["kind"] == "process":
        parent = {"pid": value("parent"), "executable": value("parent.path"), "name": value("parent.name")}
        names = {"pid": "pid", "name": "name", "executable": "path", "command_line": "cmdline", "args": "argv"}
        process = {ecs: value(ours) for ecs, ours in names.items()}
        return {
            "process": drop_none({**process, "parent": drop_none(parent)}),
            "user": drop_none({"name": value("username")}),
        }
    if subject["kind"] in {"file", "directory"}:
        names = {"path": "path", "name": "name", "size": "size", "owner": "username", "mode": "mode"}
        file = {ecs: value(ours) for ecs, ours in names.items()}
        return {"file": drop_none({**file, "hash": drop_none({"sha256": value("sha256")})})}
    if subject["kind"] in {"user", "authorized_key"}:
        return {"user": drop_none({"name": value("username")})}
    return {}


def drop_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, {}, [])}


def techniques_of(tags: list[str]) -> list[str]:
    """ATT&CK technique ids of Sigma tags: `attack.t1059.004` is T1059.004."""
    names = (tag.partition(".")[2] for tag in tags if tag.startswith("attack.t"))
    return [name.upper() for name in names if name[1:2].isdigit()]


def ecs_event(result: HostResult, finding: dict[str, Any]) -> dict[str, Any]:
    rule = finding["rule"]
    event = {
        "@timestamp": finding["observed_at"],
        "ecs": {"version": ECS_VERSION},
        "event": {
            "kind": "alert",
            "category": ["intrusion_detection"],
            "type": ["info"],
            "module": "sandfly",
            "severity": ECS_SEVERITY[rule["level"]],
            "id": finding["fingerprint"],
        },
        "message": finding["explanation"],
        "host": ecs_host(result),
        "rule": {"uuid": rule["id"], "name": rule["title"], "ruleset": "sandfly"},
        "threat": drop_none(
            {"framework": "MITRE ATT&CK", "technique": [{"id": t} for t in techniques_of(rule["tags"])]}
        ),
        "tags": rule["tags"],
        "sandfly": {"rule": rule["name"], "level": rule["level"], "subject": finding["subject"]},
    }
    return {**event, **ecs_subject(finding["subject"])}


def ecs_error(error: dict[str, Any]) -> dict[str, Any]:
    return {
        "ecs": {"version": ECS_VERSION},
        "event": {"kind": "pipeline_error", "module": "sandfly", "outcome": "failure"},
        "error": {"code": error["code"], "message": error["message"]},
        "host": {"name": error["host"]},
    }


class Sarif:
    """One SARIF run; for code-scanning views and the CI of golden images."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.rules: dict[str, dict[str, Any]] = {}
        self.results: list[dict[str, Any]] = []
        self.notices: list[dict[str, Any]] = []

    def add(self, result: HostResult) -> None:
        for finding in result.findings:
            rule = finding["rule"]
            self.rules.setdefault(rule["name"], sarif_rule(rule))
            self.results.append(sarif_result(finding))
        self.notices += [sarif_notice(error) for error in result.errors]

    def finish(self, summary: Summary) -> None:
        driver = {"name": "sandfly", "rules": list(self.rules.values())}
        invocation = {"executionSuccessful": not summary.failed, "toolExecutionNotifications": self.notices}
        run = {"tool": {"driver": driver}, "invocations": [invocation], "results": self.results}
        json.dump({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, self.out, indent=2)
        self.out.write("\n")


def sarif_rule(rule: dict[str, Any]) -> dict[str, Any]:
    properties = {"tags": rule["tags"], "security-severity": SARIF_SEVERITY[rule["level"]]}
    return {
        "id": rule["name"],
        "guid": rule["id"],
        "shortDescription": {"text": rule["title"]},
        "properties": properties,
    }


def sarif_result(finding: dict[str, Any]) -> dict[str, Any]:
    rule, subject = finding["rule"], finding["subject"]
    path = subject.get("path") or subject.get("name") or subject["kind"]
    location = {
        "physicalLocation": {"artifactLocation": {"uri": str(path).lstrip("/") or "/"}},
        "logicalLocations": [{"fullyQualifiedName": f"{finding['host']}:{path}", "kind": subject["kind"]}],
    }
    return {
        "ruleId": rule["name"],
        "level": SARIF_LEVEL[rule["level"]],
        "message": {"text": finding["explanation"]},
        "locations": [location],
        "partialFingerprints": {"sandfly/v1": finding["fingerprint"]},
        "properties": {"host": finding["host"], "subject": subject},
    }


def sarif_notice(error: dict[str, Any]) -> dict[str, Any]:
    text = f"{error['host']}: {error['message']}"
    return {"level": "error", "message": {"text": text}, "descriptor": {"id": error["code"]}}
