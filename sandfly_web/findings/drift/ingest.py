"""What a visit saw against the baselines that cover its host: called by ingest in its transaction, four queries at most
but for what a model host adds.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
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


def drift_sightings(
    host: Host, observations: Iterable[Observation], subjects: Collection[str], rule_ids: Collection[str]
) -> list[Sighting]:
    """What is not in the enforced baselines of the host, and what is missing where a baseline asks for that.

    `subjects` were collected without a fault and `rule_ids` ran to their end: only of these can something be missing.
    """
    baselines = list(Baseline.objects.filter(state=Baseline.State.ENFORCED, tags__hosts=host).distinct())
    if not baselines:
        return []
    things = [(seen, near_key(seen.subject, seen.identity)) for seen in observations]
    known = _read_entries(baselines, {near for _, near in things})
    models = set(host.models_baselines.values_list("pk", flat=True))
    missing = _read_missing(baselines, subjects, rule_ids)
    found: list[Sighting] = []
    for baseline in baselines:
        differences: list[Sighting] = []
        new: list[Thing] = []
        for seen, near in things:
            strictness = baseline.subjects.get(seen.subject)
            if strictness is None or (baseline.ignore_containers and is_contained(seen.data)):
                continue
            alike = known[baseline.pk, near]
            if _fits(seen, strictness, alike):
                continue
            new.append(Thing(seen.subject, seen.identity, seen.data, seen.rule_ids))
            differences.append(_present(host, baseline, seen, strictness, [facts for _, facts in alike]))
        if baseline.auto_append and baseline.pk in models and _take_in(baseline, new, host):
            continue
        keys = {same_key(seen.subject, baseline.subjects.get(seen.subject, ""), seen.identity) for seen, _ in things}
        lacking = (entry for entry in missing if entry.baseline_id == baseline.pk and entry.key not in keys)
        differences += [_missing(host, baseline, entry) for entry in lacking]
        found += _capped(host, baseline, list({one.fingerprint: one for one in differences}.values()))
    return found


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


def _read_entries(baselines: list[Baseline], nears: Collection[str]) -> dict[Any, list[tuple[str, dict[str, Any]]]]:
    """(baseline, near) → key and facts of its entries."""
    rows = BaselineEntry.objects.filter(baseline__in=baselines, near__in=nears, removed_in__isnull=True).order_by("id")
    known: dict[Any, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for baseline, near, key, identity, data in rows.values_list("baseline_id", "near", "key", "identity", "data"):
        known[baseline, near].append((key, {**identity, **data}))
    return known


def _read_missing(
    baselines: list[Baseline], subjects: Collection[str], rule_ids: Collection[str]
) -> list[BaselineEntry]:
    """Entries that the visit would have seen; which of them it saw is decided by the caller."""
    asking = [baseline for baseline in baselines if baseline.report_missing]
    if not (asking and subjects and rule_ids):
        return []
    entries = BaselineEntry.objects.filter(
        ~Q(rule_ids=[]), baseline__in=asking, subject__in=subjects, rule_ids__contained_by=sorted(rule_ids)
    )
    return list(entries.filter(removed_in__isnull=True).order_by("id"))


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
