"""Takes workers' reports into the database: safe to run twice, and nothing in them is trusted.

Reports that wait together are stored together: the same few statements whether it is one report or fifty, so that what
a statement costs is shared.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.utils import timezone

from sandfly_web.findings.allowlist.matching import Entry
from sandfly_web.findings.allowlist.services import active_entries
from sandfly_web.findings.drift.ingest import Look as DriftLook
from sandfly_web.findings.drift.ingest import find_drift
from sandfly_web.findings.floods import cap_floods
from sandfly_web.findings.forensics import store_forensics
from sandfly_web.findings.hostkey import HOST_KEY_CHANGED, host_key_sightings
from sandfly_web.findings.interference.ingest import interference_sightings
from sandfly_web.findings.intervals import Look, retire_missing, store_observations
from sandfly_web.findings.sightings import Visit, store_sightings
from sandfly_web.findings.ssh_keys.ingest import Look as KeyLook
from sandfly_web.findings.ssh_keys.ingest import key_sightings
from sandfly_web.inventory.facts import (
    HOST_COLUMNS,
    Shown,
    learn_jump_keys,
    store_credentials_used,
    store_facts,
    store_keys,
)
from sandfly_web.inventory.facts import Seen as HostSeen
from sandfly_web.inventory.models import Host, JumpHost
from sandfly_web.rules.indicators.services import look_up
from sandfly_web.rules.indicators.verify import verify_report
from sandfly_web.scans.cleaning import clean_struct, clean_text, clean_value
from sandfly_web.scans.jobs import JobError, load_jumps, walk_jumps
from sandfly_web.scans.models import Scan
from sandfly_web.scans.observed import Matches, RuleFacts, read_matches, rules_completed, subjects_collected
from sandfly_web.scans.services import RETRY_FACTOR
from scanners.contract import Outcome, RuleState, ScanReport, decode_report

log = logging.getLogger(__name__)

Document = bytes | str | Mapping[str, Any]

# Above what the limits of a visit let through; a report with more is no work of our worker.
MAX_MATCHES = 200_000
MAX_PATHS = 1000
MAX_WHYS = 16


class ReportError(Exception):
    """A report that cannot be stored, with the code that its scan fails with."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def ingest_report(data: Document, now: datetime | None = None) -> bool:
    """Store a `ScanReport`, as JSON text or decoded; returns whether it was the one its scan waits for.

    Reports of unknown or finished scans and of earlier attempts are dropped. What cannot be read or stored fails its
    scan, so that it never comes back. Database errors that may pass (see `is_away`) go to the caller.
    """
    now = now or timezone.now()
    try:
        report = _decode(data)
        with transaction.atomic():
            return bool(_store([report], now, waits=True))
    except ReportError as error:
        _fail_scan(data, error, now)
    except (DataError, IntegrityError) as error:
        # Cleaning missed something; the text of the error quotes the report.
        log.error("a report does not fit the database: %s", clean_text(str(error), 500))  # noqa: TRY400
        _fail_scan(data, ReportError("internal", "the report could not be stored"), now)
    return False


def ingest_reports(documents: Iterable[Document], now: datetime | None = None) -> None:
    """Store several reports as `ingest_report` does each: in one transaction, and where that cannot be, one by one.

    A report that cannot be stored harms no other. Only errors of a database that is away go to the caller; what was
    stored until then is dropped when it comes again.
    """
    now = now or timezone.now()
    documents = list(documents)
    stored = _store_together(documents, now)
    for number, document in enumerate(documents):
        if number in stored:
            continue
        try:
            ingest_report(document, now)
        except Exception as error:
            if is_away(error):
                raise
            log.exception("a report is lost by a fault of this program")


def is_away(error: Exception) -> bool:
    """Whether the database ended, starts, or has no room; psycopg2 knows no class for a connection that is cut."""
    return isinstance(error, OperationalError) or type(error) in {InterfaceError, DatabaseError}


def _store_together(documents: Sequence[Document], now: datetime) -> set[int]:
    """Places of those that were stored: not what is wrong, comes twice, or whose scan somebody else has locked."""
    reports: dict[str, tuple[int, ScanReport]] = {}
    for number, document in enumerate(documents):
        try:
            report = _decode(document)
        except ReportError:
            continue
        reports.setdefault(report.scan_id, (number, report))
    if not reports:
        return set()
    try:
        with transaction.atomic():
            done = _store([report for _, report in reports.values()], now, waits=False)
    except Exception as error:  # noqa: BLE001 - whichever report it is, alone it harms only itself
        log.warning("%d reports are stored one by one: %s", len(reports), type(error).__name__)
        return set()
    return {reports[scan_id][0] for scan_id in done}


def _decode(data: Document) -> ScanReport:
    """Raises ReportError."""
    try:
        report = decode_report(data) if isinstance(data, bytes | str) else msgspec.convert(data, ScanReport)
    except msgspec.ValidationError as error:
        raise ReportError("report_wrong_schema", f"the worker's report is not understood: {error}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ReportError("report_not_json", f"the worker's report is not JSON: {error}") from None
    if len(report.matches) > MAX_MATCHES:
        raise ReportError("report_too_large", f"{len(report.matches)} matches; at most {MAX_MATCHES} are stored")
    return report


def _fail_scan(data: Document, error: ReportError, now: datetime) -> None:
    """Drop the report; if it says whose it is, that scan fails."""
    scan_id, attempt = _named_scan(data)
    log.error("scan %s: report dropped (%s): %s", scan_id, error.code, clean_text(error.message, 500))
    if scan_id is None:
        return
    scans = Scan.objects.filter(pk=scan_id, status__in=Scan.UNFINISHED, dispatched_at__isnull=False)
    if attempt is not None:
        scans = scans.filter(attempt=attempt)
    scans.update(
        status=Scan.Status.FAILED,
        finished_at=now,
        error_code=error.code,
        error_message=clean_text(error.message, 4096),
    )


def _named_scan(data: Document) -> tuple[uuid.UUID | None, int | None]:
    """Scan id and attempt of a report that is wrong otherwise, as far as they can be read."""
    if isinstance(data, bytes | str):
        try:
            data = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None, None
    if not isinstance(data, Mapping):
        return None, None
    attempt = data.get("attempt", 1)
    is_attempt = isinstance(attempt, int) and 0 < attempt < 2**15
    return parse_uuid(data.get("scan_id")), attempt if is_attempt else None


def parse_uuid(text: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


class _Taken(NamedTuple):
    """A report whose scan waits for it."""

    scan: Scan
    host: Host
    report: ScanReport
    visit: Visit
    rules: Mapping[str, RuleFacts]
    allowlist: Sequence[Entry]
    seen: Matches
    subjects: list[str]
    # Rules that collect and saw all there was.
    collecting: list[str]


def _store(reports: Sequence[ScanReport], now: datetime, *, waits: bool) -> set[str]:
    """Everything in the caller's transaction; returns the ids of the scans whose report was stored.

    The locked rows are the claim, so a second copy of a report finds nothing.
    """
    claimed = _claim(reports, waits=waits)
    if not claimed:
        return set()
    rules = _read_rules([report for _, _, report in claimed])
    taken = _read_all(claimed, rules, now)
    keys = store_keys([Shown(one.host, one.report.presented_host_keys, one.report.failure, one.visit.observed_at)
                       for one in taken])  # fmt: skip
    store_facts([HostSeen(one.host, one.report.profile, one.report.failure, one.visit.observed_at) for one in taken])
    store_credentials_used([(one.host, one.report.credential) for one in taken])
    _learn_jump_keys(taken)
    drift = find_drift(
        [
            DriftLook(
                one.host, one.seen.observations, one.subjects, one.collecting, one.visit.observed_at, one.allowlist
            )
            for one in taken
        ]
    )
    changed = store_observations([(one.visit, one.seen.observations) for one in taken])
    changed |= retire_missing(
        [Look(one.visit, one.subjects, one.collecting) for one in taken if one.report.outcome == Outcome.DONE]
    )
    held = key_sightings(
        [
            KeyLook(
                one.visit, one.seen.observations, {name for host, name in changed if host == one.host.pk}, one.allowlist
            )
            for one in taken
        ]
    )
    sightings = []
    for one, shown, drifted, kept in zip(taken, keys, drift.sightings, held, strict=True):
        found = cap_floods(str(one.host.pk), one.seen.sightings)
        if one.report.failure is not None and one.report.failure.code == HOST_KEY_CHANGED:
            found += host_key_sightings(one.host, shown)
        found += interference_sightings(one.host.pk, one.report)
        sightings.append((one.visit, [*found, *drifted, *kept]))
    store_sightings(sightings, drift.settled)
    store_forensics([(one.scan.pk, one.seen.forensics) for one in taken])
    _store_outcomes(taken)
    _finish(taken, now)
    return {one.report.scan_id for one in taken}


def _read_all(
    claimed: Sequence[tuple[Scan, Host, ScanReport]], rules: Mapping[str, RuleFacts], now: datetime
) -> list[_Taken]:
    conditions = {rule.id: rule.when for rule in rules.values()}
    verified = [(scan, host, verify_report(report, conditions, look_up)) for scan, host, report in claimed]
    subjects = {match.subject for _, _, report in verified for match in report.matches}
    allowlist = active_entries([host.pk for _, host, report in verified if report.matches], subjects, now)
    taken = []
    for scan, host, report in verified:
        visit = Visit(host.pk, scan.pk, _observed_at(scan, report, now))
        entries = allowlist.get(host.pk, [])
        seen = read_matches(str(host.pk), report.matches, rules, entries)
        is_done = report.outcome == Outcome.DONE
        collecting = [rule_id for rule_id in rules_completed(report) if is_done and not _alerts(rules, rule_id)]
        taken.append(_Taken(scan, host, report, visit, rules, entries, seen, subjects_collected(report), collecting))
    return taken


def _learn_jump_keys(taken: Sequence[_Taken]) -> None:
    """The way as it is now; a job of an older way brings keys of other jump hosts only if that was just changed."""
    shown = [one for one in taken if one.report.presented_jump_keys]
    if not shown:
        return
    accepting = JumpHost.objects.filter(zone__in={one.host.zone_id for one in shown}, accept_new_host_key=True)
    zones = set(accepting.values_list("zone", flat=True))
    for one in shown:
        if one.host.zone_id not in zones:
            continue
        try:
            jumps = walk_jumps(one.host.jump_host_id, load_jumps(one.host.zone_id))
        except JobError as error:
            log.info(
                "host %s: the way to it has changed, no key of a jump host is kept: %s", one.host.pk, error.message
            )
            continue
        if len(jumps) == len(one.report.presented_jump_keys):
            learn_jump_keys(jumps, one.report.presented_jump_keys)


# What ingest looks at, in the order of the model; evidence of earlier visits is not read back.
_SCAN_COLUMNS = ("id", "host_id", "attempt", "created_at", "dispatched_at", "expires_at", "cancel_requested_at")
_COLUMNS = [*(f"scan.{name}" for name in _SCAN_COLUMNS), *(f"host.{name}" for name in HOST_COLUMNS)]
# As SQL, like all that every report needs: Django would take longer to write this than PostgreSQL to answer it.
_CLAIM = f"""
    SELECT {", ".join(_COLUMNS)} FROM scans_scan AS scan JOIN inventory_host AS host ON host.id = scan.host_id
    WHERE scan.id = ANY(%s::uuid[]) AND scan.status IN ('queued', 'running')
    FOR NO KEY UPDATE OF scan, host
"""  # noqa: S608 - no value in it


def _claim(reports: Iterable[ScanReport], *, waits: bool) -> list[tuple[Scan, Host, ScanReport]]:
    """Scans and hosts, locked, that wait for these reports; of each host one. Serialises the reports of a host.

    With `waits` off, what is locked is left out: whoever holds several rows and waits for one more may wait for ever.
    """
    asked = {scan_id: report for report in reports if (scan_id := parse_uuid(report.scan_id))}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM if waits else f"{_CLAIM} SKIP LOCKED", [list(asked)])
        rows = cursor.fetchall()
    claimed: dict[uuid.UUID, tuple[Scan, Host, ScanReport]] = {}
    cut = len(_SCAN_COLUMNS)
    for row in rows:
        scan, host = Scan.from_db("default", _SCAN_COLUMNS, row[:cut]), Host.from_db("default", HOST_COLUMNS, row[cut:])
        report = asked[scan.pk]
        if scan.attempt == report.attempt:
            claimed.setdefault(host.pk, (scan, host, report))
    if waits and not claimed:
        for report in reports:
            log.info("scan %s: report of attempt %d dropped, nobody waits for it", report.scan_id, report.attempt)
    return list(claimed.values())


def _observed_at(scan: Scan, report: ScanReport, now: datetime) -> datetime:
    """When the visit ended by the worker's clock, kept within what is possible by ours."""
    return min(max(report.finished_at, scan.dispatched_at or scan.created_at), now)


_RULES = """
    SELECT id, name, type, title, level, tags, explain, plan_rule -> 'fields', plan_rule -> 'when'
    FROM rules_rule WHERE id = ANY(%s::uuid[])
"""


def _read_rules(reports: Iterable[ScanReport]) -> dict[str, RuleFacts]:
    """The rules that matched or alerted, by id; ids that are no rule of ours are logged and left out."""
    wanted = {rule_id for report in reports for match in report.matches for rule_id in match.rule_ids}
    wanted |= {status.rule_id for report in reports for status in report.rules if status.state is RuleState.ALERT}
    if not wanted:
        return {}
    rules = {}
    with connection.cursor() as cursor:
        cursor.execute(_RULES, [[rule_id for rule_id in wanted if parse_uuid(rule_id)]])
        for pk, name, kind, title, level, tags, explain, fields, when in cursor.fetchall():
            words, names = msgspec.json.decode(tags), msgspec.json.decode(fields or "[]")
            condition = msgspec.json.decode(when or "null")
            rules[str(pk)] = RuleFacts(str(pk), name, kind, title, level, words, explain, tuple(names), condition)
    if len(rules) < len(wanted):
        scans = ", ".join(sorted(report.scan_id for report in reports))
        log.warning("%d rules of the reports are not here; scans %s", len(wanted) - len(rules), clean_text(scans, 500))
    return rules


def _alerts(rules: Mapping[str, RuleFacts], rule_id: str) -> bool:
    return rule_id in rules and rules[rule_id].alerts


_OUTCOMES = """
    INSERT INTO scans_ruleoutcome (scan_id, rule_id, state, reason, matched, is_truncated, unknown)
    SELECT outcome.scan, rule.id, outcome.state, outcome.reason, outcome.matched, outcome.is_truncated, outcome.unknown
    FROM jsonb_to_recordset(%(outcomes)s::jsonb) AS outcome (
        scan uuid, rule_id uuid, state text, reason text, matched int, is_truncated boolean, unknown jsonb
    )
    JOIN rules_rule AS rule ON rule.id = outcome.rule_id
    ON CONFLICT (scan_id, rule_id) DO UPDATE SET
        state = excluded.state, reason = excluded.reason, matched = excluded.matched,
        is_truncated = excluded.is_truncated, unknown = excluded.unknown
"""


def _store_outcomes(taken: Iterable[_Taken]) -> None:
    """Rows for the rules that did not simply pass. For a rule that collects, a match is no alert unless it was cut."""
    outcomes = {
        (one.scan.pk, status.rule_id): {
            "scan": one.scan.pk,
            "rule_id": status.rule_id,
            "state": str(status.state),
            "reason": clean_text(status.reason, 64),
            "matched": _count(status.matched),
            "is_truncated": status.truncated,
            "unknown": {clean_text(why, 64): _count(number) for why, number in list(status.unknown.items())[:MAX_WHYS]},
        }
        for one in taken
        for status in one.report.rules
        if status.state is not RuleState.PASS
        and (status.state is not RuleState.ALERT or status.truncated or _alerts(one.rules, status.rule_id))
        and parse_uuid(status.rule_id)
    }
    if outcomes:
        encoded = msgspec.json.encode(list(outcomes.values())).decode()
        with connection.cursor() as cursor:
            cursor.execute(_OUTCOMES, {"outcomes": encoded})


def _count(number: int) -> int:
    """Within what a column of the database holds."""
    return max(0, min(number, 2**31 - 1))


# A scan with `retry_at` is queued again and looks as `heartbeats.QUEUED_AGAIN` says.
_FINISH = """
    UPDATE scans_scan AS scan SET
        status = CASE WHEN seen.retry_at IS NULL THEN seen.status ELSE 'queued' END,
        finished_at = CASE WHEN seen.retry_at IS NULL THEN %(now)s ELSE scan.finished_at END,
        attempt = CASE WHEN seen.retry_at IS NULL THEN scan.attempt ELSE scan.attempt + 1 END,
        not_before = coalesce(seen.retry_at, scan.not_before),
        dispatched_at = CASE WHEN seen.retry_at IS NULL THEN scan.dispatched_at END,
        heartbeat_at = CASE WHEN seen.retry_at IS NULL THEN scan.heartbeat_at END,
        started_at = CASE WHEN seen.retry_at IS NULL THEN seen.started_at END,
        worker = CASE WHEN seen.retry_at IS NULL THEN seen.worker ELSE '' END,
        phase = '', observed_at = seen.observed_at, error_code = seen.error_code, error_message = seen.error_message,
        is_root = seen.is_root, probe_digest = seen.probe_digest, architecture = seen.architecture,
        timings_s = seen.timings_s, cost = seen.cost, collectors = seen.collectors,
        created_paths = seen.created_paths, removed_paths = seen.removed_paths, cleanup_error = seen.cleanup_error,
        alert_count = seen.alert_count, pass_count = seen.pass_count, error_count = seen.error_count,
        skipped_count = seen.skipped_count
    FROM jsonb_to_recordset(%(scans)s::jsonb) AS seen (
        id uuid, retry_at timestamptz, status text, observed_at timestamptz, worker text, started_at timestamptz,
        error_code text, error_message text, is_root boolean, probe_digest text, architecture text, timings_s jsonb,
        cost jsonb, collectors jsonb, created_paths jsonb, removed_paths jsonb, cleanup_error text,
        alert_count int, pass_count int, error_count int, skipped_count int
    )
    WHERE scan.id = seen.id
"""


def _finish(taken: Iterable[_Taken], now: datetime) -> None:
    scans = [
        _described(one.report, one.rules)
        | {
            "id": one.scan.pk,
            "retry_at": _retry_at(one.scan, one.report, now),
            "status": str(one.report.outcome),
            "observed_at": one.visit.observed_at,
        }
        for one in taken
    ]
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, {"scans": msgspec.json.encode(scans).decode(), "now": now})


def _retry_at(scan: Scan, report: ScanReport, now: datetime) -> datetime | None:
    """When a failed visit is tried again, or None: it cannot help, was tried enough, or would come too late."""
    can_help = report.outcome == Outcome.FAILED and report.failure is not None and report.failure.retryable
    if not can_help or scan.attempt >= settings.SCAN_MAX_ATTEMPTS or scan.cancel_requested_at is not None:
        return None
    backoff_s = settings.SCAN_RETRY_S * RETRY_FACTOR ** (scan.attempt - 1)
    # Spread by the scan's own random id: hosts that failed together do not come back together.
    retry_at = now + timedelta(seconds=backoff_s + scan.pk.int % settings.SCAN_RETRY_S)
    return retry_at if retry_at < scan.expires_at else None


def _described(report: ScanReport, rules: Mapping[str, RuleFacts]) -> dict[str, Any]:
    """The columns of a scan that its report tells."""
    failure, cleanup = report.failure, report.cleanup
    return {
        "worker": clean_text(report.worker, 255),
        "started_at": report.started_at,
        "error_code": clean_text(failure.code, 64) if failure else "",
        "error_message": clean_text(failure.message, 4096) if failure else "",
        "is_root": report.profile.is_root if report.profile else None,
        "probe_digest": clean_text(report.probe_digest, 64),
        "architecture": clean_text(report.profile.arch, 32) if report.profile else "",
        "timings_s": clean_value(report.timings_s),
        "cost": clean_struct(report.cost),
        "collectors": [clean_struct(status) for status in report.collectors],
        "created_paths": clean_value(report.created[:MAX_PATHS]),
        "removed_paths": clean_value(report.removed[:MAX_PATHS]),
        "cleanup_error": clean_text(cleanup.message, 4096) if cleanup else "",
        **_counts(report, rules),
    }


def _counts(report: ScanReport, rules: Mapping[str, RuleFacts]) -> dict[str, int]:
    """Rules by what they say; a rule that collects and found something did what it should: it passed."""
    counts = Counter(status.state for status in report.rules)
    collected = sum(status.state is RuleState.ALERT and not _alerts(rules, status.rule_id) for status in report.rules)
    return {
        "alert_count": counts[RuleState.ALERT] - collected,
        "pass_count": counts[RuleState.PASS] + collected,
        "error_count": counts[RuleState.ERROR],
        "skipped_count": counts[RuleState.SKIPPED],
    }
