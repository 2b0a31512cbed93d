"""Builders for the server's tests; the clock, randomness and ids are given."""

from __future__ import annotations

import base64
import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from nacl.public import PrivateKey

from scanners.contract import (
    CollectorState,
    CollectorStatus,
    Failure,
    HostKeyPin,
    Outcome,
    PlanRule,
    Profile,
    RuleMatch,
    RuleState,
    RuleStatus,
    ScanReport,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Make:
    """Rows with everything they need, each call a new one."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def zone(self, name: str = "") -> Any:
        from sandfly_web.inventory.services import create_zone

        key = base64.b64encode(bytes(PrivateKey.generate().public_key)).decode()
        return create_zone(name or f"zone-{next(self._numbers)}", key)

    def credential(self, zone: Any) -> Any:
        from sandfly_web.inventory.services import PlainSecrets, store_credential

        return store_credential(
            name=f"credential-{next(self._numbers)}", zone=zone, username="root", secrets=PlainSecrets(password="pw")
        )

    def host(self, zone: Any = None, **fields: Any) -> Any:
        from sandfly_web.inventory.models import Host

        zone = zone or self.zone()
        number = next(self._numbers)
        fields.setdefault("address", f"10.1.{number // 256}.{number % 256}")
        fields.setdefault("name", fields["address"])
        if "credential" not in fields and fields.get("transport") != "local":
            fields["credential"] = zone.credentials.first() or self.credential(zone)
        return Host.objects.create(zone=zone, **fields)

    def rule(self, type: str = "detection", **fields: Any) -> Any:
        from sandfly_web.rules.models import Rule

        number = next(self._numbers)
        rule_id = uuid.uuid5(uuid.NAMESPACE_OID, str(number))
        wanted = fields.pop("fields", ["pid", "path", "cmdline"])
        subject = fields.setdefault("subject", "process")
        plan_rule = PlanRule(id=str(rule_id), subject=subject, fields=wanted)
        defaults = {
            "name": f"process_rule_{number}",
            "title": f"Rule {number}",
            "level": "high",
            "status": "stable",
            "explain": "Process {path} runs as {cmdline}",
            "tags": ["attack.t1059"],
            "source": "title: x",
            "digest": "0" * 64,
            "origin": "catalog",
            "plan_rule": msgspec.to_builtins(plan_rule),
        }
        return Rule.objects.create(id=rule_id, type=type, **{**defaults, **fields})

    def plan(self, *rules: Any) -> Any:
        from sandfly_web.scans.services import ensure_plan

        return ensure_plan(list(rules) or [self.rule()])

    def scan(self, host: Any = None, *, in_flight: bool = False, **fields: Any) -> Any:
        from sandfly_web.scans.models import Scan

        fields.setdefault("expires_at", NOW + timedelta(hours=1))
        if in_flight or fields.get("status") == "running":
            fields.setdefault("dispatched_at", NOW - timedelta(minutes=2))
        plan = fields.pop("plan", None) or self.plan()
        scan = Scan.objects.create(host=host or self.host(), plan=plan, **fields)
        # auto_now_add takes the wall clock.
        created_at = NOW - timedelta(minutes=5) + timedelta(microseconds=next(self._numbers))
        Scan.objects.filter(pk=scan.pk).update(created_at=created_at)
        scan.refresh_from_db()
        return scan

    def schedule(self, **fields: Any) -> Any:
        from sandfly_web.scans.models import Schedule

        defaults = {"name": f"schedule-{next(self._numbers)}", "rule_types": ["detection"]}
        return Schedule.objects.create(**{**defaults, **fields})

    def user(self, name: str = "") -> Any:
        from django.contrib.auth import get_user_model

        return get_user_model().objects.create_user(name or f"user-{next(self._numbers)}")


def match(*rules: Any, path: str = "/tmp/x", subject: str = "process", **record: Any) -> RuleMatch:
    """A match of the rules; its identity is what a process has."""
    identity = {"path": path, "cmdline": record.get("cmdline", path), "uid": record.get("uid", 0)}
    full = {**identity, "pid": 100, **record}
    return RuleMatch(subject=subject, rule_ids=[str(rule.pk) for rule in rules], identity=identity, record=full)


def report(scan: Any, *matches: RuleMatch, **fields: Any) -> ScanReport:
    """A report as a worker sends it after a visit that went well, a minute after the scan was sent."""
    finished_at = fields.pop("finished_at", NOW)
    rule_ids = dict.fromkeys(rule_id for seen in matches for rule_id in seen.rule_ids)
    defaults: dict[str, Any] = {
        "attempt": scan.attempt,
        "worker": "worker-1",
        "outcome": Outcome.DONE,
        "started_at": finished_at - timedelta(seconds=3),
        "profile": Profile(hostname="web1", os_name="Debian GNU/Linux 12", kernel="6.1.0", arch="amd64", is_root=True),
        "rules": [RuleStatus(rule_id=rule_id, state=RuleState.ALERT, matched=1) for rule_id in rule_ids],
        "collectors": [CollectorStatus(subject="process", state=CollectorState.OK, records=9)],
    }
    return ScanReport(scan_id=str(scan.pk), finished_at=finished_at, matches=list(matches), **{**defaults, **fields})


def failed(scan: Any, code: str, *, retryable: bool = False, **fields: Any) -> ScanReport:
    """A report of a visit that did not get in."""
    failure = Failure(code=code, message=f"it went wrong: {code}", retryable=retryable)
    defaults: dict[str, Any] = {"outcome": Outcome.FAILED, "failure": failure, "profile": None, "collectors": []}
    return report(scan, **{**defaults, **fields})


def host_key_pin(name: str = "a") -> HostKeyPin:
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + name.encode().ljust(32, b"k")
    return HostKeyPin(key_type="ssh-ed25519", public_key=base64.b64encode(blob).decode())
