"""What visits saw against the baselines that cover their hosts: called by ingest in its transaction, five queries at
most but for what model hosts add.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Q

from sandfly_web.findings.drift.compare import Strictness, differing, is_contained, near_key, nearest, same_key
from sandfly_web.findings.drift.services import Thing, append
from sandfly_web.findings.fingerprint import content_digest, fingerprint
from sandfly_web.findings.intervals import Observation
from sandfly_web.findings.models import Baseline, BaselineEntry
from sandfly_web.findings.sightings import Sighting
from sandfly_web.inventory.models import Host

log = logging.getLogger(__name__)

RULE_NAME = "drift"
# Of one baseline on one host in one visit; more is told as one finding.
MAX_DIFFERENCES = 200
MAX_VALUE_CHARS = 500


class Look(NamedTuple):
    """What a visit saw of its host, and where it looked: `subjects` were collected without a fault and `rule_ids` ran
    to their end, only of these can something be missing.
    """

    host: Host
    observations: Sequence[Observation]
    subjects: Sequence[str]
    rule_ids: Sequence[str]


Near = tuple[uuid.UUID, str]
Known = dict[Near, list[tuple[str, dict[str, Any]]]]


class _Lists(NamedTuple):
    """What the visits are compared with: entries by baseline and nearness, those that may be missing by baseline, and
    the model hosts among (baseline, host).
    """

    known: Known
    missing: dict[uuid.UUID, list[BaselineEntry]]
    models: frozenset[tuple[uuid.UUID, uuid.UUID]]


def drift_sightings(looks: Sequence[Look]) -> list[list[Sighting]]:
    """By visit, what is not in the enforced baselines of its host, and what is missing where a baseline asks for that.

    The visits are of different hosts.
    """
    covering = _read_covering([look.host.pk for look in looks])
    if not covering:
        return [[] for _ in looks]
    baselines = {baseline.pk: baseline for found in covering.values() for baseline in found}
    covered = [look for look in looks if look.host.pk in covering]
    nears = {near_key(seen.subject, seen.identity) for look in covered for seen in look.observations}
    lists = _Lists(
        known=_read_entries(baselines, nears),
        missing=_read_missing(list(baselines.values()), covered),
        models=_read_models(baselines, covering),
    )
    return [[found for one in covering.get(look.host.pk, ()) for found in _compare(look, one, lists)] for look in looks]


_COVERING = """
    SELECT DISTINCT tagged.host_id, baseline.id
    FROM findings_baseline AS baseline
    JOIN findings_baseline_tags AS named ON named.baseline_id = baseline.id
    JOIN inventory_host_tags AS tagged ON tagged.tag_id = named.tag_id
    WHERE baseline.state = 'enforced' AND tagged.host_id = ANY(%s)
    ORDER BY baseline.id
"""


def _read_covering(hosts: list[uuid.UUID]) -> dict[uuid.UUID, list[Baseline]]:
    """The enforced baselines of each host that has any; most fleets have none, so they are read only then."""
    with connection.cursor() as cursor:
        cursor.execute(_COVERING, [hosts])
        pairs = cursor.fetchall()
    baselines = Baseline.objects.in_bulk({pk for _, pk in pairs}) if pairs else {}
    covering: dict[uuid.UUID, list[Baseline]] = {}
    for host, pk in pairs:
        covering.setdefault(host, []).append(baselines[pk])
    return covering


def _read_models(baselines: Iterable[uuid.UUID], hosts: Iterable[uuid.UUID]) -> frozenset[tuple[uuid.UUID, uuid.UUID]]:
    models = Baseline.model_hosts.through.objects.filter(baseline__in=list(baselines), host__in=list(hosts))
    return frozenset(models.values_list("baseline_id", "host_id"))


def _read_entries(baselines: Iterable[uuid.UUID], nears: Collection[str]) -> Known:
    """(baseline, near) → key and facts of its entries."""
    rows = BaselineEntry.objects.filter(baseline__in=list(baselines), near__in=nears, removed_in__isnull=True).order_by(
        "id"
    )
    known: Known = defaultdict(list)
    for baseline, near, key, identity, data in rows.values_list("baseline_id", "near", "key", "identity", "data"):
        known[baseline, near].append((key, {**identity, **data}))
    return known


def _read_missing(baselines: Iterable[Baseline], looks: Iterable[Look]) -> dict[uuid.UUID, list[BaselineEntry]]:
    """Entries that a visit may have seen; which of them it would have seen, and saw, is decided by `_lacking`."""
    asking = [baseline.pk for baseline in baselines if baseline.report_missing]
    subjects = {subject for look in looks if look.rule_ids for subject in look.subjects}
    missing: dict[uuid.UUID, list[BaselineEntry]] = defaultdict(list)
    if asking and subjects:
        entries = BaselineEntry.objects.filter(
            ~Q(rule_ids=[]), baseline__in=asking, subject__in=subjects, removed_in__isnull=True
        )
        for entry in entries.order_by("id"):
            missing[entry.baseline_id].append(entry)
    return missing


def _compare(look: Look, baseline: Baseline, lists: _Lists) -> list[Sighting]:
    differences: list[Sighting] = []
    new: list[Thing] = []
    host = look.host
    for seen in look.observations:
        strictness = baseline.subjects.get(seen.subject)
        if strictness is None or (baseline.ignore_containers and is_contained(seen.data)):
            continue
        alike = lists.known[baseline.pk, near_key(seen.subject, seen.identity)]
        if _fits(seen, strictness, alike):
            continue
        new.append(Thing(seen.subject, seen.identity, seen.data, seen.rule_ids))
        differences.append(_present(host, baseline, seen, strictness, [facts for _, facts in alike]))
    is_model = baseline.auto_append and (baseline.pk, host.pk) in lists.models
    if is_model and _take_in(baseline, new, host):
        # For the visits that are stored after this one in the same transaction.
        _learn(baseline, new, lists.known)
        return []
    differences += [_missing(host, baseline, entry) for entry in _lacking(look, baseline, lists.missing[baseline.pk])]
    return _capped(host, baseline, list({one.fingerprint: one for one in differences}.values()))


def _take_in(baseline: Baseline, new: list[Thing], host: Host) -> bool:
    """What a model host adds is right; False where the baseline is full, so that it is told as drift."""
    if not new:
        return True
    try:
        append(baseline, new, "auto-append", f"seen on {host.name}", None)
    except ValidationError as error:
        log.warning(
            "baseline %s takes in nothing that host %s adds: %s", baseline.pk, host.pk, "; ".join(error.messages)
        )
        return False
    return True


def _learn(baseline: Baseline, things: Iterable[Thing], known: Known) -> None:
    for thing in things:
        key = same_key(thing.subject, baseline.subjects.get(thing.subject, ""), thing.identity)
        near = near_key(thing.subject, thing.identity)
        known[baseline.pk, near].append((key, {**thing.identity, **thing.data}))


def _lacking(look: Look, baseline: Baseline, entries: Sequence[BaselineEntry]) -> list[BaselineEntry]:
    """Entries of which the visit ran every rule that ever saw them, and which it did not see."""
    if not entries:
        return []
    subjects, rule_ids = set(look.subjects), set(look.rule_ids)
    asked = [entry for entry in entries if entry.subject in subjects and rule_ids.issuperset(entry.rule_ids)]
    keys = {
        same_key(seen.subject, baseline.subjects.get(seen.subject, ""), seen.identity) for seen in look.observations
    }
    return [entry for entry in asked if entry.key not in keys]


def _fits(seen: Observation, strictness: str, alike: list[tuple[str, dict[str, Any]]]) -> bool:
    key = same_key(seen.subject, strictness, seen.identity)
    same = [facts for other, facts in alike if other == key]
    if strictness != Strictness.STRICT:
        return bool(same)
    return any(not differing(seen.subject, facts, {**seen.identity, **seen.data}) for facts in same)


def _present(
    host: Host, baseline: Baseline, seen: Observation, strictness: str, alike: list[dict[str, Any]]
) -> Sighting:
    facts = {**seen.identity, **seen.data}
    closest = nearest(seen.subject, alike, facts)
    names = differing(seen.subject, closest, facts) if closest is not None else []
    differs = [f"{name}: expected {_short(closest[name])}, seen {_short(facts[name])}" for name in names if closest]
    kind = "changed" if names else "new"
    words = seen.subject.replace("_", " ")
    said = "; ".join(differs[:5]) if differs else "nothing like it is in the baseline"
    # Strictly, other facts of the same thing are one finding whose evidence changes.
    key = same_key(seen.subject, strictness, seen.identity)
    explanation = f"A {words} is not as baseline {baseline.name} has it: {said}."
    evidence = facts | {"drift_differs": differs}
    return _sighting(host, baseline, _Difference(kind, key, seen.subject, seen.identity, evidence, explanation))


def _missing(host: Host, baseline: Baseline, entry: BaselineEntry) -> Sighting:
    words = entry.subject.replace("_", " ")
    explanation = f"A {words} that baseline {baseline.name} has is missing here."
    evidence = {**entry.identity, **entry.data, "drift_differs": []}
    return _sighting(
        host, baseline, _Difference("missing", entry.key, entry.subject, entry.identity, evidence, explanation)
    )


class _Difference(NamedTuple):
    """One thing that is not as its baseline has it."""

    kind: str
    key: str
    subject: str
    identity: dict[str, Any]
    evidence: dict[str, Any]
    explanation: str


def _sighting(host: Host, baseline: Baseline, found: _Difference) -> Sighting:
    told = {"drift_baseline": str(baseline.pk), "drift_kind": found.kind, "drift_key": found.key}
    named = {"baseline": str(baseline.pk), "key": found.key, "missing": found.kind == "missing"}
    return Sighting(
        fingerprint=fingerprint(RULE_NAME, str(host.pk), found.subject, named),
        rule_id=None,
        rule_name=RULE_NAME,
        subject=found.subject,
        title=f"Drift from {baseline.name}: {found.kind} {found.subject.replace('_', ' ')}",
        level=baseline.level,
        tags=[],
        explanation=found.explanation,
        identity=found.identity,
        evidence=found.evidence | told,
        evidence_digest=content_digest(found.subject, found.evidence),
    )


def _capped(host: Host, baseline: Baseline, found: list[Sighting]) -> list[Sighting]:
    """The same ones visit after visit, and one finding that says how many there are."""
    if len(found) <= MAX_DIFFERENCES:
        return found
    kept = sorted(found, key=lambda sighting: sighting.fingerprint)[:MAX_DIFFERENCES]
    explanation = (
        f"{len(found)} things differ from baseline {baseline.name} on this host; {MAX_DIFFERENCES} are kept."
        " Either the baseline does not fit this host, or the host was rebuilt: gather it anew, or cover other hosts."
    )
    identity = {"baseline": baseline.name}
    flood = _Difference("flood", "", "baseline", identity, dict(identity), explanation)
    return [*kept, _sighting(host, baseline, flood)]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "…"
