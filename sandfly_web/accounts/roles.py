"""The five roles and the rights each adds to the one before. Pure; `accounts.services` writes the groups."""

from __future__ import annotations

from enum import StrEnum

from django.db import models


class Role(StrEnum):
    """Groups that every installation has."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    RESPONDER = "responder"
    OPERATOR = "operator"
    ADMIN = "admin"


class Description(models.TextChoices):
    """What a role is for, as the console says it."""

    VIEWER = Role.VIEWER.value, "Reads hosts, scans, findings and rules"
    ANALYST = Role.ANALYST.value, "Viewer who triages findings"
    RESPONDER = Role.RESPONDER.value, "Analyst who starts and cancels scans"
    OPERATOR = Role.OPERATOR.value, "Responder who manages hosts, credentials, schedules and rules"
    ADMIN = Role.ADMIN.value, "Operator who manages users, zones and reads the audit log"


READABLE = (
    "inventory.host",
    "inventory.hostkey",
    "inventory.tag",
    "inventory.zone",
    "inventory.discovery",
    "inventory.sweep",
    "rules.rule",
    "rules.rulerevision",
    "indicators.indicatorlist",
    "scans.schedule",
    "scans.scan",
    "scans.scanbatch",
    "scans.ruleoutcome",
    "findings.finding",
    "findings.findingevidence",
    "findings.widespreadfinding",
    "findings.riskday",
    "findings.findingevent",
    "findings.record",
    "findings.allowlistentry",
    "findings.forensicrecord",
    "findings.savedhunt",
    "findings.baseline",
    "ssh_keys.sshkey",
    "ssh_keys.sshaccount",
    "ssh_keys.sshkeyplace",
    "ssh_keys.keyzone",
    "ssh_keys.keytag",
    "ssh_keys.keyremoval",
)
MANAGED = (
    "inventory.host",
    "inventory.tag",
    "inventory.credential",
    "inventory.credentialset",
    "inventory.credentialsetentry",
    "inventory.jumphost",
    "inventory.discovery",
    "scans.schedule",
    "indicators.indicatorlist",
    "findings.baseline",
    "ssh_keys.sshkey",
    "ssh_keys.keyzone",
    "ssh_keys.keytag",
    "ssh_keys.keyremoval",
)


def rights(verbs: str, *labels: str) -> frozenset[str]:
    """`rights("view add", "scans.scan")` is scans.view_scan and scans.add_scan."""
    split = [label.split(".") for label in labels]
    return frozenset(f"{app}.{verb}_{model}" for app, model in split for verb in verbs.split())


# Everyone manages tokens of their own; the views show no others.
VIEWER = rights("view", *READABLE) | rights("view add delete", "accounts.apitoken")
ANALYST = (
    VIEWER
    | rights("change", "findings.finding", "ssh_keys.sshkey")
    | rights("add", "ssh_keys.keyremoval")
    | rights("add change", "findings.allowlistentry")
    | rights("add change delete", "findings.savedhunt")
)

RESPONDER = ANALYST | rights("add change", "scans.scan")
OPERATOR = (
    RESPONDER
    | rights("view add change delete", *MANAGED)
    | rights("add change", "rules.rule")
    | rights("change", "inventory.hostkey")
)
ADMIN = (
    OPERATOR
    | rights(
        "view add change delete", "auth.user", "accounts.hostlimit", "accounts.apitoken", "inventory.zone", "rules.rule"
    )
    | rights("view", "auth.group", "auditlog.logentry")
)

# What somebody may at most who knows only of some hosts: what concerns them, and nothing that others' hosts share.
# Schedules, rules, credentials, tags and the allow-list act on hosts that they may not even know of.
LIMITED = (
    RESPONDER
    - rights("add change", "findings.allowlistentry")
    - rights("change", "ssh_keys.sshkey")
    - rights("view add", "ssh_keys.keyremoval")
    - rights("view", "inventory.discovery", "inventory.sweep", "findings.widespreadfinding", "findings.baseline")
)

ROLE_RIGHTS = {
    Role.VIEWER: VIEWER,
    Role.ANALYST: ANALYST,
    Role.RESPONDER: RESPONDER,
    Role.OPERATOR: OPERATOR,
    Role.ADMIN: ADMIN,
}
