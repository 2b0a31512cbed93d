"""Takes a worker's report into the database: one transaction, safe to run twice, and nothing in it is trusted."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from sandfly_web.findings.allowlist.services import active_entries
from sandfly_web.findings.drift.ingest import drift_sightings
from sandfly_web.findings.floods import cap_floods
from sandfly_web.findings.forensics import store_forensics
from sandfly_web.findings.hostkey import HOST_KEY_CHANGED, host_key_sightings
from sandfly_web.findings.intervals import retire_missing, store_observations
from sandfly_web.findings.sightings import Visit, store_sightings
from sandfly_web.findings.ssh_keys.ingest import key_sightings
from sandfly_web.inventory.facts import HOST_COLUMNS, learn_jump_keys, store_credential_used, store_facts, store_keys
from sandfly_web.inventory.models import Host, JumpHost
from sandfly_web.rules.indicators.services import look_up
from sandfly_web.rules.indicators.verify import verify_report
from sandfly_web.scans.cleaning import clean_text, clean_value
from sandfly_web.scans.heartbeats import QUEUED_AGAIN
from sandfly_web.scans.jobs import JobError, load_jumps, walk_jumps
from sandfly_web.scans.models import Scan
from sandfly_web.scans.observed import RuleFacts, read_matches, rules_completed, subjects_collected
from sandfly_web.scans.services import RETRY_FACTOR
from scanners.contract import Outcome, RuleState, ScanReport, decode_report

log = logging.getLogger(__name__)

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


def ingest_report(data: bytes | str | Mapping[str, Any], now: datetime | None = None) -> bool:
    """Store a `ScanReport`, as JSON text or decoded; returns whether it was the one its scan waits for.

    Reports of unknown or finished scans and of earlier attempts are dropped. What cannot be read or stored fails its
    scan, so that it never comes back. Database errors that may pass (OperationalError) go to the caller.
    """
    now = now or timezone.now()
    try:
        report = _decode(data)
        with transaction.atomic():
            return _store(report, now)
    except ReportError as error:
        _fail_scan(data, error, now)
    except (DataError, IntegrityError) as error:
        # Cleaning missed something; the text of the error quotes the report.
        log.error("a report does not fit the database: %s", clean_text(str(error), 500))  # noqa: TRY400
        _fail_scan(data, ReportError("internal", "the report could not be stored"), now)
    return False


def _decode(data: bytes | str | Mapping[str, Any]) -> ScanReport:
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


def _fail_scan(data: bytes | str | Mapping[str, Any], error: ReportError, now: datetime) -> None:
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


def _named_scan(data: bytes | str | Mapping[str, Any]) -> tuple[uuid.UUID | None, int | None]:
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


def _store(report: ScanReport, now: datetime) -> bool:
    """Everything in one transaction; the locked row is the claim, so a second copy of the report finds nothing."""
    scan = _claim(report)
    if scan is None:
        log.info("scan %s: report of attempt %d dropped, nobody waits for it", report.scan_id, report.attempt)
        return False
    visit = Visit(scan.host_id, scan.pk, _observed_at(scan, report, now))
    rules = _read_rules(report)
    report = verify_report(report, {rule.id: rule.when for rule in rules.values()}, look_up)
    subjects = {match.subject for match in report.matches}
    allowlist = active_entries(scan.host, subjects, now) if subjects else []
    seen = read_matches(str(scan.host_id), report.matches, rules, allowlist)
    sightings = cap_floods(str(scan.host_id), seen.sightings)
    keys = store_keys(scan.host, report.presented_host_keys, report.failure, visit.observed_at)
    store_facts(scan.host, report.profile, report.failure, visit.observed_at)
    store_credential_used(scan.host, report.credential)
    _learn_jump_keys(scan.host, report)
    if report.failure is not None and report.failure.code == HOST_KEY_CHANGED:
        sightings += host_key_sightings(scan.host, keys)
    is_done = report.outcome == Outcome.DONE
    collecting = [rule_id for rule_id in rules_completed(report) if is_done and not _alerts(rules, rule_id)]
    sightings += drift_sightings(scan.host, seen.observations, subjects_collected(report), collecting)
    changed = store_observations(visit, seen.observations)
    if is_done:
        changed |= retire_missing(visit, subjects_collected(report), collecting)
    sightings += key_sightings(visit, seen.observations, changed, allowlist)
    store_sightings(visit, sightings)
    store_forensics(scan.pk, seen.forensics)
    _store_outcomes(scan, report, rules)
    _finish(scan, report, rules, visit.observed_at, now)
    return True


def _learn_jump_keys(host: Host, report: ScanReport) -> None:
    """The way as it is now; a job of an older way brings keys of other jump hosts only if that was just changed."""
    if (
        not report.presented_jump_keys
        or not JumpHost.objects.filter(zone=host.zone_id, accept_new_host_key=True).exists()
    ):
        return
    try:
        jumps = walk_jumps(host, load_jumps(host.zone_id))
    except JobError as error:
        log.info("host %s: the way to it has changed, no key of a jump host is kept: %s", host.pk, error.message)
        return
    if len(jumps) == len(report.presented_jump_keys):
        learn_jump_keys(jumps, report.presented_jump_keys)


# What ingest looks at; evidence of earlier visits is not read back.
_SCAN_COLUMNS = ("attempt", "created_at", "dispatched_at", "expires_at", "cancel_requested_at")


def _claim(report: ScanReport) -> Scan | None:
    """The scan and its host, locked, if it waits for this report. Serialises the reports of a host."""
    scan_id = parse_uuid(report.scan_id)
    if scan_id is None:
        return None
    scans = (
        Scan.objects.select_for_update(no_key=True, of=("self", "host"))
        .select_related("host")
        .filter(pk=scan_id, attempt=report.attempt, status__in=Scan.UNFINISHED)
        .only(*_SCAN_COLUMNS, *(f"host__{name}" for name in HOST_COLUMNS))
        .order_by()
    )
    return next(iter(scans), None)


def _observed_at(scan: Scan, report: ScanReport, now: datetime) -> datetime:
    """When the visit ended by the worker's clock, kept within what is possible by ours."""
    return min(max(report.finished_at, scan.dispatched_at or scan.created_at), now)


# As SQL: Django would take longer to write this query than PostgreSQL to answer it.
_RULES = """
    SELECT id, name, type, title, level, tags, explain, plan_rule -> 'fields', plan_rule -> 'when'
    FROM rules_rule WHERE id = ANY(%s::uuid[])
"""


def _read_rules(report: ScanReport) -> dict[str, RuleFacts]:
    """The rules that matched or alerted, by id; ids that are no rule of ours are logged and left out."""
    wanted = {rule_id for match in report.matches for rule_id in match.rule_ids}
    wanted |= {status.rule_id for status in report.rules if status.state == RuleState.ALERT}
    rules = {}
    with connection.cursor() as cursor:
        cursor.execute(_RULES, [[rule_id for rule_id in wanted if parse_uuid(rule_id)]])
        for pk, name, kind, title, level, tags, explain, fields, when in cursor.fetchall():
            words, names = msgspec.json.decode(tags), msgspec.json.decode(fields or "[]")
            condition = msgspec.json.decode(when or "null")
            rules[str(pk)] = RuleFacts(str(pk), name, kind, title, level, words, explain, tuple(names), condition)
    if len(rules) < len(wanted):
        log.warning("scan %s: %d rules of the report are not here", report.scan_id, len(wanted) - len(rules))
    return rules


def _alerts(rules: Mapping[str, RuleFacts], rule_id: str) -> bool:
    return rule_id in rules and rules[rule_id].alerts


_OUTCOMES = """
    INSERT INTO scans_ruleoutcome (scan_id, rule_id, state, reason, matched, is_truncated, unknown)
    SELECT %(scan)s, rule.id, outcome.state, outcome.reason, outcome.matched, outcome.is_truncated, outcome.unknown
    FROM jsonb_to_recordset(%(outcomes)s::jsonb)
        AS outcome (rule_id uuid, state text, reason text, matched int, is_truncated boolean, unknown jsonb)
    JOIN rules_rule AS rule ON rule.id = outcome.rule_id
    ON CONFLICT (scan_id, rule_id) DO UPDATE SET
        state = excluded.state, reason = excluded.reason, matched = excluded.matched,
        is_truncated = excluded.is_truncated, unknown = excluded.unknown
"""


def _store_outcomes(scan: Scan, report: ScanReport, rules: Mapping[str, RuleFacts]) -> None:
    """Rows for the rules that did not simply pass. For a rule that collects, a match is no alert unless it was cut."""
    outcomes = {
        status.rule_id: {
            "rule_id": status.rule_id,
            "state": str(status.state),
            "reason": clean_text(status.reason, 64),
            "matched": _count(status.matched),
            "is_truncated": status.truncated,
            "unknown": {clean_text(why, 64): _count(number) for why, number in list(status.unknown.items())[:MAX_WHYS]},
        }
        for status in report.rules
        if status.state != RuleState.PASS
        and (status.state != RuleState.ALERT or status.truncated or _alerts(rules, status.rule_id))
        and parse_uuid(status.rule_id)
    }
    if outcomes:
        encoded = msgspec.json.encode(list(outcomes.values())).decode()
        with connection.cursor() as cursor:
            cursor.execute(_OUTCOMES, {"scan": scan.pk, "outcomes": encoded})


def _count(number: int) -> int:
    """Within what a column of the database holds."""
    return max(0, min(number, 2**31 - 1))


def _finish(
    scan: Scan, report: ScanReport, rules: Mapping[str, RuleFacts], observed_at: datetime, now: datetime
) -> None:
    changes = _described(report, rules) | {"observed_at": observed_at}
    retry_at = _retry_at(scan, report, now)
    if retry_at is not None:
        changes |= {**QUEUED_AGAIN, "attempt": scan.attempt + 1, "not_before": retry_at}
    else:
        changes |= {"status": str(report.outcome), "finished_at": now, "phase": ""}
    Scan.objects.filter(pk=scan.pk).update(**changes)


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
        "cost": clean_value(msgspec.structs.asdict(report.cost)),
        "collectors": [clean_value(msgspec.structs.asdict(status)) for status in report.collectors],
        "created_paths": clean_value(report.created[:MAX_PATHS]),
        "removed_paths": clean_value(report.removed[:MAX_PATHS]),
        "cleanup_error": clean_text(cleanup.message, 4096) if cleanup else "",
        **_counts(report, rules),
    }


def _counts(report: ScanReport, rules: Mapping[str, RuleFacts]) -> dict[str, int]:
    """Rules by what they say; a rule that collects and found something did what it should: it passed."""
    counts = dict.fromkeys(("alert_count", "pass_count", "error_count", "skipped_count"), 0)
    for status in report.rules:
        collected = status.state == RuleState.ALERT and not _alerts(rules, status.rule_id)
        counts[f"{RuleState.PASS if collected else status.state}_count"] += 1
    return counts
