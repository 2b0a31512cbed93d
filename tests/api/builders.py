"""Builders for tests of the API and the console, on top of the server's."""

from __future__ import annotations

import hashlib
import itertools
from datetime import timedelta
from typing import Any

from rest_framework.test import APIClient

from tests.server.builders import NOW, Make

RANKS = {"informational": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}


class WebMake(Make):
    """Rows that pages and answers show."""

    def __init__(self) -> None:
        super().__init__()
        self._places = itertools.count(1)

    def finding(self, host: Any = None, *, level: str = "high", **fields: Any) -> Any:
        from sandfly_web.findings.models import Finding, FindingEvent
        from sandfly_web.findings.risk import weigh

        place = next(self._places)
        rule = fields.pop("rule", None)
        digest = hashlib.sha256(str(place).encode()).hexdigest()
        defaults: dict[str, Any] = {
            "rule": rule,
            "rule_name": rule.name if rule else "host_key_changed",
            "fingerprint": digest,
            "subject": "process",
            "title": f"Finding {place}",
            "level": level,
            "level_rank": RANKS[level],
            "tags": ["attack.execution", "attack.t1059.004"],
            "explanation": f"Explanation {place}",
            "identity": {"path": "/tmp/x"},
            "evidence": {"path": "/tmp/x", "pid": place},
            "evidence_digest": digest,
            "first_seen_at": NOW - timedelta(hours=place),
            "last_seen_at": NOW - timedelta(minutes=place),
        }
        finding = Finding.objects.create(host=host or self.host(), **{**defaults, **fields})
        FindingEvent.objects.create(finding=finding, kind=FindingEvent.Kind.CREATED)
        weigh([finding.host_id])
        return finding

    def allowed(self, rule: Any, **changes: Any) -> Any:
        """An allow-list entry for what the rule finds on the given hosts, or everywhere."""
        from sandfly_web.findings.allowlist.services import Proposal, create

        scope = "hosts" if changes.get("hosts") else "all"
        return create(
            Proposal(**{"title": "Ours", "reason": "harmless", "rule": rule, "scope": scope, **changes}), None
        )

    def record(self, host: Any, subject: str = "user", **identity: Any) -> Any:
        from sandfly_web.findings.models import Record

        digest = hashlib.sha256(str(next(self._places)).encode()).hexdigest()
        identity = identity or {"username": digest[:8]}
        return Record.objects.create(
            host=host,
            subject=subject,
            identity_digest=digest,
            digest=digest,
            identity=identity,
            data={**identity, "uid": 0},
            first_seen_at=NOW - timedelta(days=1),
            last_seen_at=NOW,
        )

    def outcome(self, scan: Any, rule: Any, state: str = "skipped", reason: str = "needs_root", **fields: Any) -> Any:
        from sandfly_web.scans.models import RuleOutcome

        return RuleOutcome.objects.create(scan=scan, rule=rule, state=state, reason=reason, **fields)

    def person(self, role: str = "", **fields: Any) -> Any:
        """A user in the console with one role; without one a user who may do nothing."""
        from django.contrib.auth.models import Group

        user = self.user()
        user.is_staff = True
        for name, value in fields.items():
            setattr(user, name, value)
        user.save()
        if role:
            user.groups.add(Group.objects.get(name=role))
        return user

    def api(self, role: str = "admin", user: Any = None) -> APIClient:
        """A client with a token of a user of that role."""
        from sandfly_web.accounts.services import create_token

        _row, token = create_token(user or self.person(role), "test")
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return client
