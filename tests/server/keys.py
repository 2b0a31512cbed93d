"""Hosts with SSH keys, as visits see them."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

from scanners.contract import CollectorState, CollectorStatus, RuleMatch, RuleState, RuleStatus, ScanReport
from tests.server.builders import NOW, Make, report

SUBJECTS = ("authorized_key", "private_key", "known_host")
FIELDS = {
    "authorized_key": ["uid", "line_number", "key_type", "bits", "public_key", "copies", "comment", "options"],
    "private_key": [
        *("place", "username", "format", "key_type", "bits", "is_encrypted", "file_mode", "file_uid", "home_user"),
    ],
    "known_host": ["line_number", "username", "names", "marker", "key_type", "is_hashed"],
}


def public_key(name: str) -> str:
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + hashlib.sha256(name.encode()).digest()
    return base64.b64encode(blob).decode()


def mark(name: str) -> str:
    """Fingerprint of the key of that name."""
    digest = hashlib.sha256(base64.b64decode(public_key(name))).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class Keys:
    """Recon of the three subjects; visits follow each other a minute apart."""

    def __init__(self, make: Make, ingest: Any) -> None:
        self.make, self.ingest = make, ingest
        self.rules = {subject: make.rule("recon", subject=subject, fields=FIELDS[subject]) for subject in SUBJECTS}
        self.now: datetime = NOW

    def authorized(self, user: str, key: str, **record: Any) -> RuleMatch:
        home = "/root" if user == "root" else f"/home/{user}"
        identity = {"username": user, "fingerprint": mark(key), "path": f"{home}/.ssh/authorized_keys"}
        facts = {"uid": 0 if user == "root" else 1000, "line_number": 1, "key_type": "ssh-ed25519", "bits": 256}
        facts |= {"public_key": public_key(key), "copies": 1, "comment": key, "options": []}
        return self._match("authorized_key", {**identity, **_part(record, "path")}, {**facts, **record})

    def private(self, user: str, key: str | None, **record: Any) -> RuleMatch:
        home = "/root" if user == "root" else f"/home/{user}"
        identity = {"path": f"{home}/.ssh/id_{key}", "fingerprint": mark(key) if key else None}
        facts = {"place": "home", "username": user, "home_user": user, "format": "openssh", "key_type": "ssh-ed25519"}
        facts |= {"bits": 256, "is_encrypted": False, "file_mode": "0600", "file_uid": 0 if user == "root" else 1000}
        return self._match("private_key", {**identity, **_part(record, "path")}, {**facts, **record})

    def known(self, user: str, key: str, *names: str, **record: Any) -> RuleMatch:
        identity = {"path": f"/home/{user}/.ssh/known_hosts", "fingerprint": mark(key), "name": next(iter(names), None)}
        facts = {"username": user, "names": list(names), "key_type": "ssh-ed25519", "is_hashed": not names}
        return self._match("known_host", identity, {**facts, **record})

    def _match(self, subject: str, identity: dict[str, Any], record: dict[str, Any]) -> RuleMatch:
        return RuleMatch(
            subject=subject, rule_ids=[str(self.rules[subject].pk)], identity=identity, record={**identity, **record}
        )

    def visit(self, host: Any, *matches: RuleMatch, is_complete: bool = True) -> None:
        sent = self.report(host, *matches, is_complete=is_complete)
        assert self.ingest(sent, self.now)

    def report(self, host: Any, *matches: RuleMatch, is_complete: bool = True) -> ScanReport:
        """Of a visit a minute after the one before."""
        self.now += timedelta(minutes=1)
        scan = self.make.scan(host, status="running", in_flight=True, expires_at=self.now + timedelta(hours=1))
        state = CollectorState.OK if is_complete else CollectorState.PARTIAL
        collectors = [CollectorStatus(subject=subject, state=state) for subject in SUBJECTS]
        states = [RuleStatus(rule_id=str(rule.pk), state=RuleState.PASS) for rule in self.rules.values()]
        return report(scan, *matches, rules=states, collectors=collectors, finished_at=self.now)


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {name: record[name]} if name in record else {}
