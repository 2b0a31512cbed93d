"""The report of one host: what it is, what is wrong with it, what is on it, and what its visits cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count

from sandfly_web.console.reports.report import Report, Table
from sandfly_web.findings.models import Finding, Record
from sandfly_web.findings.risk import risk_of
from sandfly_web.findings.thing import thing
from sandfly_web.scans.models import Scan

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import AnonymousUser, User

    from sandfly_web.console.reports.report import Value
    from sandfly_web.inventory.models import Host

LISTED_FINDINGS = 1000
LISTED_SCANS = 30
MIB = 1 << 20


def host_report(host: Host, user: User | AnonymousUser, now: datetime) -> Report:
    """Parts that the user may not see are left out."""
    tables = [keys_table(host)]
    facts = facts_of(host)
    if user.has_perm("findings.view_finding"):
        facts.append(("Risk", risk_of(host.pk).risk))
        tables.append(findings_table(host))
    if user.has_perm("findings.view_record"):
        tables.append(inventory_table(host))
    if user.has_perm("scans.view_scan"):
        tables += [scans_table(host), *unanswered_tables(host)]
    return Report(f"Host {host.name}", now, facts, tables)


def facts_of(host: Host) -> list[tuple[str, Value]]:
    is_local = host.transport == host.Transport.LOCAL
    return [
        ("Name", host.name),
        ("Address", "this machine" if is_local else f"{host.address}:{host.port}"),
        ("Zone", host.zone.name),
        ("Tags", ", ".join(tag.name for tag in host.tags.all())),
        ("State", str(host.get_state_display())),
        ("Reason", host.state_reason),
        ("Host name", host.hostname),
        ("System", host.os_name),
        ("Kernel", host.kernel),
        ("Architecture", host.architecture),
        ("Machine id", host.machine_id),
        ("Last seen", host.last_seen_at),
    ]


def keys_table(host: Host) -> Table:
    rows = [(key.key_type, key.fingerprint, key.get_status_display(), key.last_seen_at) for key in host.host_keys.all()]
    return Table("host_keys", "Host keys", ("Type", "Fingerprint", "Status", "Last seen"), rows, "None was seen yet.")


def findings_table(host: Host) -> Table:
    unresolved = Finding.objects.filter(host=host, status__in=Finding.UNRESOLVED)
    listed = unresolved.select_related("assignee").defer("evidence").order_by("-level_rank", "-last_seen_at", "id")
    rows = [
        (
            *(finding.level, finding.title, thing(finding.subject, finding.identity), finding.explanation),
            *(finding.get_status_display(), str(finding.assignee or ""), finding.first_seen_at, finding.last_seen_at),
        )
        for finding in listed[:LISTED_FINDINGS]
    ]
    columns = ("Severity", "Title", "Thing", "Explanation", "Status", "Assignee", "First seen", "Last seen")
    empty = "None." if host.last_seen_at else "Not known: no scan has finished yet."
    return Table("findings", "Unresolved findings", columns, rows, empty, unresolved.count())


def inventory_table(host: Host) -> Table:
    current = Record.objects.filter(host=host, is_current=True).order_by("subject")
    rows = list(current.values_list("subject").annotate(rows=Count("*")))
    empty = "Nothing: recon has not run on this host."
    return Table("inventory", "Inventory", ("Subject", "Records"), [(s.replace("_", " "), n) for s, n in rows], empty)


def scans_table(host: Host) -> Table:
    recent = Scan.objects.filter(host=host).order_by("-created_at").defer("collectors", "created_paths")
    rows = [
        (
            *(scan.created_at, scan.get_status_display(), scan.error_code, scan.alert_count, scan.error_count),
            *(scan.skipped_count, scan.cost.get("probe_cpu_s"), scan.cost.get("probe_wall_s")),
            mebibytes(scan.cost.get("probe_max_rss_bytes")),
        )
        for scan in recent[:LISTED_SCANS]
    ]
    columns = ("Asked for", "Status", "Error", "Alerts", "Errors", "Skipped", "CPU s", "Wall s", "Memory MiB")
    return Table("scans", f"Scans, the last {LISTED_SCANS}", columns, rows)


def unanswered_tables(host: Host) -> list[Table]:
    """What the last whole visit could not look at: that is not "nothing there"."""
    last = Scan.objects.filter(host=host, status=Scan.Status.DONE).order_by("-created_at").first()
    if last is None:
        return []
    outcomes = last.rule_outcomes.filter(state__in=["error", "skipped"]).select_related("rule")
    rows = [(row.rule.title, row.state, row.reason) for row in outcomes.order_by("state", "rule__name")]
    empty = "Every rule had an answer."
    return [Table("unanswered", "Rules without an answer at the last scan", ("Rule", "State", "Reason"), rows, empty)]


def mebibytes(value: object) -> float | None:
    return value / MIB if isinstance(value, int | float) else None
