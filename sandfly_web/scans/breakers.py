"""Stops what costs hosts too much: a schedule or batch whose visits are dear on average, or whose probes fail, pauses.

Looks at the last visits of each; what it says when it pauses one names the build or the rules that the trouble comes
with. Somebody looks, and resumes it: what was seen until then does not count again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from sandfly_web.rules.models import Rule
from sandfly_web.scans.models import Plan, Scan, ScanBatch, Schedule
from sandfly_web.scans.reasons import plural
from sandfly_web.scans.services import pause, scans_of

log = logging.getLogger(__name__)

# How far back visits count, in time and number.
WINDOW = timedelta(days=1)
LAST_VISITS = 200
# Averages over fewer say nothing.
MIN_VISITS = 5
# Of the last visits this share may fail with their probe, whatever their number.
CRASH_SHARE = 0.02
# What a visit cost is its host's own word: none counts for more than so many times the limit, or a single host that
# lies would stop the visits to all others.
MOST_TIMES_LIMIT = 4
PROBE_FAILED = ["probe_crashed", "probe_killed", "probe_timed_out", "visit_deadline", "report_truncated"]
NAMED_RULES = 3

_LAST = """
    SELECT watched.id, watched.max_cpu_s, watched.max_memory_mib, watched.max_wall_s, watched.max_crashes, seen.*
    FROM {table} AS watched CROSS JOIN LATERAL (
        SELECT count(*) AS visits, count(*) FILTER (WHERE error_code = ANY(%(failed)s)) AS crashes,
            count(DISTINCT host_id) AS hosts,
            count(DISTINCT host_id) FILTER (WHERE error_code = ANY(%(failed)s)) AS crash_hosts,
            count(*) FILTER (WHERE wall_s > 0) AS probes,
            coalesce(avg(least(cpu_s, %(most)s * watched.max_cpu_s)) FILTER (WHERE wall_s > 0), 0) AS cpu_s,
            coalesce(avg(least(memory / 1048576, %(most)s * watched.max_memory_mib)) FILTER (WHERE wall_s > 0), 0)
                AS memory_mib,
            coalesce(avg(least(wall_s, %(most)s * watched.max_wall_s)) FILTER (WHERE wall_s > 0), 0) AS wall_s
        FROM (
            SELECT host_id, error_code, (cost ->> 'probe_cpu_s')::float AS cpu_s,
                (cost ->> 'probe_wall_s')::float AS wall_s, (cost ->> 'probe_max_rss_bytes')::float AS memory
            FROM scans_scan AS scan WHERE scan.{column} = watched.id AND scan.observed_at > %(since)s
                AND scan.observed_at >= watched.watched_from
            ORDER BY scan.observed_at DESC LIMIT %(last)s
        ) AS last
    ) AS seen
    WHERE watched.paused_at IS NULL AND {active}
"""
SCHEDULES = _LAST.format(table="scans_schedule", column="schedule_id", active="watched.is_enabled")
# A batch with nothing left to begin has nothing to pause.
BATCHES = _LAST.format(
    table="scans_scanbatch",
    column="batch",
    active="""watched.id IN (
        SELECT batch FROM scans_scan WHERE status = 'queued' AND dispatched_at IS NULL AND batch IS NOT NULL
    )""",
)


class Last(NamedTuple):
    """The limits of a schedule or batch, and its last visits: those that were reported, of which `probes` ran one."""

    id: Any
    max_cpu_s: int
    max_memory_mib: int
    max_wall_s: int
    max_crashes: int
    visits: int
    crashes: int
    hosts: int
    crash_hosts: int
    probes: int
    cpu_s: float
    memory_mib: float
    wall_s: float


@dataclass(frozen=True)
class Trip:
    """A limit that was passed: what is said of it, and what to look for as its cause."""

    sentence: str
    kind: str


def watch(now: datetime) -> int:
    """Pause what passed its limits; returns how many. A query for schedules and one for batches."""
    tripped = 0
    parameters: dict[str, Any] = {
        "failed": PROBE_FAILED, "since": now - WINDOW, "last": LAST_VISITS, "most": MOST_TIMES_LIMIT,
    }  # fmt: skip
    for model, query in ((Schedule, SCHEDULES), (ScanBatch, BATCHES)):
        with connection.cursor() as cursor:
            cursor.execute(query, parameters)
            rows = [Last(*row) for row in cursor.fetchall()]
        for last in rows:
            trip = judge(last)
            if trip is not None:
                tripped += _stop(model, last.id, trip, now)
    return tripped


def judge(last: Last) -> Trip | None:
    """The limit that these visits pass, if any. Pure."""
    # On a few of many hosts it is theirs: who kills the probe on one of them must not stop the visits to the others.
    is_common = last.crash_hosts > min(last.max_crashes, last.hosts // 2)
    if is_common and last.crashes > max(last.max_crashes, last.visits * CRASH_SHARE):
        return Trip(f"{last.crashes} of the last {last.visits} probes crashed or ran out of time", "crash")
    if last.probes < MIN_VISITS:
        return None
    measured = (
        (last.cpu_s, last.max_cpu_s, "s of CPU", "cpu"),
        (last.memory_mib, last.max_memory_mib, "MiB of memory", "memory"),
        (last.wall_s, last.max_wall_s, "s of run time", "cpu"),
    )
    for value, most, unit, kind in measured:
        if value > most:
            return Trip(f"the last {last.probes} visits took {value:.0f} {unit} on average, more than {most}", kind)
    return None


def _stop(model: type[Schedule | ScanBatch], key: Any, trip: Trip, now: datetime) -> bool:
    with transaction.atomic():
        watched = model._default_manager.select_for_update(no_key=True, of=("self",)).get(pk=key)
        reason = f"{trip.sentence}. {name_cause(_visits(watched, now), trip.kind)}"
        try:
            pause(watched, reason, is_tripped=True)
        except ValidationError:
            # Somebody was faster.
            return False
    log.warning("%s %s is paused: %s", model._meta.verbose_name, watched, reason)
    return True


@dataclass(frozen=True)
class Visit:
    """What of a visit may tell the cause. `cpu_s` is by subject."""

    failed: bool
    build: str
    rule_ids: frozenset[str]
    cpu_s: dict[str, float]


def _visits(watched: Schedule | ScanBatch, now: datetime) -> list[Visit]:
    since = max(watched.watched_from, now - WINDOW)
    scans = scans_of(watched).filter(observed_at__gte=since).order_by("-observed_at").defer("timings_s")[:LAST_VISITS]
    rows = list(scans)
    rules = dict(Plan.objects.filter(pk__in={row.plan_id for row in rows}).values_list("pk", "rule_ids"))
    sets = {digest: frozenset(ids) for digest, ids in rules.items()}
    return [Visit(row.error_code in PROBE_FAILED, _build(row), sets[row.plan_id], _cpu(row.collectors)) for row in rows]


def _build(scan: Scan) -> str:
    return f"{scan.architecture or 'of unknown architecture'} ({scan.probe_digest[:12] or 'not sent'})"


def _cpu(collectors: Iterable[dict[str, Any]]) -> dict[str, float]:
    spent: dict[str, float] = {}
    for one in collectors:
        subject = str(one.get("subject"))
        spent[subject] = spent.get(subject, 0.0) + float(one.get("cpu_s") or 0.0)
    return spent


def name_cause(visits: Sequence[Visit], kind: str) -> str:
    """A sentence that names the build or the rules to look at first."""
    if kind == "crash":
        return _odd_build(visits) or _odd_rules(visits) or _newest(visits)
    if kind == "cpu":
        return _dearest(visits)
    return _newest(visits)


def _odd_build(visits: Sequence[Visit]) -> str:
    """The build that nearly all failures and few of the others come with."""
    failed = Counter(visit.build for visit in visits if visit.failed)
    total = Counter(visit.build for visit in visits)
    build, count = failed.most_common(1)[0]
    others = len(visits) - total[build]
    elsewhere = sum(failed.values()) - count
    if not others or elsewhere * total[build] > 0.2 * count * others:
        return ""
    return (
        f"It is the probe build {build}: {count} of its {total[build]} failed, {elsewhere} of {others} of the others."
    )


def _odd_rules(visits: Sequence[Visit]) -> str:
    """Rules that all failures had and few other visits: where each visit runs a part of the rules, that tells."""
    bad = [visit.rule_ids for visit in visits if visit.failed]
    good = [visit.rule_ids for visit in visits if not visit.failed]
    shared = frozenset.intersection(*bad)
    odd = {rule: sum(rule in rules for rules in good) for rule in shared}
    suspects = sorted((count, rule) for rule, count in odd.items() if good and count * 4 <= len(good))
    names = _names([rule for _, rule in suspects[:NAMED_RULES]])
    return f"All of them ran {names}, few of the others did." if names else ""


def _dearest(visits: Sequence[Visit]) -> str:
    """The subject most time went into, with the rules on it that changed last."""
    spent: dict[str, float] = {}
    for visit in visits:
        for subject, cpu_s in visit.cpu_s.items():
            spent[subject] = spent.get(subject, 0.0) + cpu_s
    whole = sum(spent.values())
    if not whole:
        return _newest(visits)
    subject, most = max(spent.items(), key=lambda entry: entry[1])
    share = f"{100 * most / whole:.0f} % of it went into collecting {plural(subject)}"
    ids = frozenset().union(*(visit.rule_ids for visit in visits))
    rules = Rule.objects.filter(pk__in=ids, subject=subject).order_by("-updated_at", "name")
    names = ", ".join(rules.values_list("name", flat=True)[:NAMED_RULES])
    return f"{share}; of the rules on them, {names} changed last." if names else f"{share}."


def _newest(visits: Sequence[Visit]) -> str:
    ids = frozenset().union(*(visit.rule_ids for visit in visits))
    rules = Rule.objects.filter(pk__in=ids).order_by("-updated_at", "name")
    names = ", ".join(rules.values_list("name", flat=True)[:NAMED_RULES])
    return f"Of the rules it runs, {names} changed last." if names else "Its rules are no longer there."


def _names(ids: Sequence[str]) -> str:
    return ", ".join(Rule.objects.filter(pk__in=ids).order_by("name").values_list("name", flat=True))
