"""What visits saw against the baselines that cover their hosts: called by ingest in its transaction, six queries at
most but for what model hosts add.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.core.exceptions import ValidationError
from django.db import connection

from sandfly_web.findings.allowlist.matching import Entry, Seen, find_entry
from sandfly_web.findings.drift.compare import Strictness, differing, is_contained, near_key, nearest, same_key
from sandfly_web.findings.drift.services import Thing, append
from sandfly_web.findings.fingerprint import content_digest, fingerprint
from sandfly_web.findings.intervals import Observation
from sandfly_web.findings.models import Baseline, BaselineEntry
from sandfly_web.findings.sightings import Settled, Sighting
from sandfly_web.inventory.models import Host

log = logging.getLogger(__name__)

RULE_NAME = "drift"
# Of one baseline on one host in one visit; more is told as one finding.
MAX_DIFFERENCES = 200
MAX_VALUE_CHARS = 500
# The subject of the finding that says that there are more.
FLOOD = "baseline"


class Look(NamedTuple):
    """What a visit saw of its host, and where it looked: `subjects` were collected without a fault and `rule_ids` ran
    to their end, only of these can something be missing.
    """

    host: Host
    observations: Sequence[Observation]
    subjects: Sequence[str]
    rule_ids: Sequence[str]
    observed_at: datetime
    # Entries that hold for the host.
    allowlist: Sequence[Entry] = ()


Near = tuple[uuid.UUID, str]
Known = dict[Near, list[tuple[str, dict[str, Any]]]]


class _Lists(NamedTuple):
    """What the visits are compared with: entries by baseline and nearness, what each (host, baseline) lacks, and the
    model hosts among (baseline, host).
    """

    known: Known
    lacking: dict[tuple[uuid.UUID, uuid.UUID], list[_Lacking]]
    models: frozenset[tuple[uuid.UUID, uuid.UUID]]


class _Lacking(NamedTuple):
    """An entry that a visit would have seen and did not see."""

    key: str
    subject: str
    identity: dict[str, Any]
    data: dict[str, Any]
    rule_ids: list[str]


class Drift(NamedTuple):
    """By visit, what to store as findings; and the findings that the visits showed to be over."""

    sightings: list[list[Sighting]]
    settled: list[Settled]


def find_drift(looks: Sequence[Look]) -> Drift:
    """What is not in the enforced baselines of each host, what is missing where a baseline asks for that, and what is
    as it should be again.

    The visits are of different hosts.
    """
    covering = _read_covering([look.host.pk for look in looks])
    if not covering:
        return Drift([[] for _ in looks], [])
    baselines = {baseline.pk: baseline for found in covering.values() for baseline in found}
    covered = [look for look in looks if look.host.pk in covering]
    nears = {near_key(seen.subject, seen.identity) for look in covered for seen in look.observations}
    lists = _Lists(
        known=_read_entries(baselines, nears),
        lacking=_read_lacking(covered, covering),
        models=_read_models(baselines, covering),
    )
    found = {(look.host.pk, one.pk): _compare(look, one, lists) for look in covered for one in covering[look.host.pk]}
    by_host: dict[uuid.UUID, list[Sighting]] = defaultdict(list)
    for (host, pk), differences in found.items():
        by_host[host] += _capped(host, baselines[pk], differences)
    return Drift([by_host[look.host.pk] for look in looks], _read_settled(covered, baselines, found))


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


# Asked of the database: a baseline has up to 50,000 entries, and a visit lacks few of them. Of each visit one more than
# is kept, which says that there are more.
_LACKING = f"""
    SELECT look.host, look.baseline, entry.key, entry.subject, entry.identity, entry.data, entry.rule_ids
    FROM jsonb_to_recordset(%s::jsonb) AS look (host uuid, baseline uuid, subjects jsonb, rules jsonb, keys jsonb),
    LATERAL (
        SELECT entry.* FROM findings_baselineentry AS entry
        WHERE entry.baseline_id = look.baseline AND entry.removed_in IS NULL AND look.subjects ? entry.subject
            AND entry.rule_ids <> '[]' AND entry.rule_ids <@ look.rules AND NOT look.keys ? entry.key
        ORDER BY entry.id LIMIT {MAX_DIFFERENCES + 1}
    ) AS entry
    ORDER BY look.host, entry.id
"""  # noqa: S608 - no value in it


def _read_lacking(
    looks: Iterable[Look], covering: Mapping[uuid.UUID, list[Baseline]]
) -> dict[tuple[uuid.UUID, uuid.UUID], list[_Lacking]]:
    """Entries of which a visit ran every rule that ever saw them, and which it did not see."""
    asked = [
        {
            "host": look.host.pk,
            "baseline": one.pk,
            "subjects": look.subjects,
            "rules": look.rule_ids,
            "keys": [same_key(seen.subject, one.subjects.get(seen.subject, ""), seen.identity)
                     for seen in look.observations],
        }
        for look in looks
        for one in covering[look.host.pk]
        if one.report_missing and look.subjects and look.rule_ids
    ]  # fmt: skip
    lacking: dict[tuple[uuid.UUID, uuid.UUID], list[_Lacking]] = defaultdict(list)
    if asked:
        with connection.cursor() as cursor:
            cursor.execute(_LACKING, [msgspec.json.encode(asked).decode()])
            for host, baseline, key, subject, *facts in cursor.fetchall():
                identity, data, rule_ids = (json.loads(text) for text in facts)
                lacking[host, baseline].append(_Lacking(key, subject, identity, data, rule_ids))
    return lacking


_UNRESOLVED = """
    SELECT id, host_id, fingerprint, subject, evidence -> 'drift_rules', evidence ->> 'drift_baseline', last_seen_at
    FROM findings_finding
    WHERE rule_name = 'drift' AND status IN ('open', 'acknowledged') AND host_id = ANY(%s)
    ORDER BY id
"""


def _read_settled(
    looks: Iterable[Look],
    baselines: Mapping[uuid.UUID, Baseline],
    found: Mapping[tuple[uuid.UUID, uuid.UUID], list[Sighting]],
) -> list[Settled]:
    """Unresolved drift that these visits would have seen again and did not."""
    by_host = {look.host.pk: look for look in looks if look.rule_ids}
    if not by_host:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_UNRESOLVED, [list(by_host)])
        rows = cursor.fetchall()
    settled = []
    for pk, host, mark, subject, rules, named, seen_at in rows:
        look, baseline = by_host[host], baselines.get(uuid.UUID(named)) if named else None
        differences = found.get((host, baseline.pk)) if baseline else None
        if baseline is None or differences is None or seen_at >= look.observed_at:
            continue
        if _is_over(look, baseline, differences, mark, subject, json.loads(rules or "[]")):
            settled.append(Settled(host, pk, f"the host agrees with baseline {baseline.name} again", look.observed_at))
    return settled


def _is_over(
    look: Look, baseline: Baseline, differences: list[Sighting], mark: str, subject: str, rules: list[str]
) -> bool:
    """Whether the visit ran every rule that showed the difference, to its end, and there is none any more."""
    if len(differences) > MAX_DIFFERENCES:
        # Not all of what is missing is known.
        return False
    if subject == FLOOD:
        return set(baseline.subjects) <= set(look.subjects)
    was_asked = bool(rules) and subject in look.subjects and set(rules) <= set(look.rule_ids)
    return was_asked and all(mark != one.fingerprint for one in differences)


def _compare(look: Look, baseline: Baseline, lists: _Lists) -> list[Sighting]:
    """All that differs; more is missing than is told here where that is more than is kept."""
    differences: list[Sighting] = []
    new: list[Thing] = []
    host = look.host
    for seen in look.observations:
        strictness = baseline.subjects.get(seen.subject)
        if strictness is None or (baseline.ignore_containers and is_contained(seen.data)):
            continue
        alike = lists.known[baseline.pk, near_key(seen.subject, seen.identity)]
        if _fits(seen, strictness, alike) or (baseline.ignore_allowed and _is_allowed(seen, look.allowlist)):
            continue
        new.append(Thing(seen.subject, seen.identity, seen.data, seen.rule_ids))
        differences.append(_present(host, baseline, seen, strictness, [facts for _, facts in alike]))
    is_model = baseline.auto_append and (baseline.pk, host.pk) in lists.models
    if is_model and _take_in(baseline, new, host):
        # For the visits that are stored after this one in the same transaction.
        _learn(baseline, new, lists.known)
        return []
    differences += [_missing(host, baseline, entry) for entry in lists.lacking.get((host.pk, baseline.pk), ())]
    return list({one.fingerprint: one for one in differences}.values())


def _is_allowed(seen: Observation, entries: Sequence[Entry]) -> bool:
    """An entry of one rule says nothing of what the thing is otherwise."""
    about = [entry for entry in entries if entry.rule_id is None and entry.subject == seen.subject]
    if not about:
        return False
    facts = Seen(RULE_NAME, seen.subject, seen.identity, seen.data, frozenset())
    return find_entry(about, facts, frozenset([*seen.identity, *seen.data])) is not None


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
    found = _Difference(kind, key, seen.subject, seen.identity, evidence, explanation, seen.rule_ids)
    return _sighting(host.pk, baseline, found)


def _missing(host: Host, baseline: Baseline, entry: _Lacking) -> Sighting:
    words = entry.subject.replace("_", " ")
    explanation = f"A {words} that baseline {baseline.name} has is missing here."
    evidence = {**entry.identity, **entry.data, "drift_differs": []}
    return _sighting(
        host.pk,
        baseline,
        _Difference("missing", entry.key, entry.subject, entry.identity, evidence, explanation, entry.rule_ids),
    )


class _Difference(NamedTuple):
    """One thing that is not as its baseline has it."""

    kind: str
    key: str
    subject: str
    identity: dict[str, Any]
    evidence: dict[str, Any]
    explanation: str
    # The recon rules that show it: only a visit that ran them all can say that it is over.
    rule_ids: list[str]


def _sighting(host: uuid.UUID, baseline: Baseline, found: _Difference) -> Sighting:
    told = {"drift_baseline": str(baseline.pk), "drift_kind": found.kind, "drift_key": found.key}
    shown_by = {"drift_rules": found.rule_ids}
    named = {"baseline": str(baseline.pk), "key": found.key, "missing": found.kind == "missing"}
    return Sighting(
        fingerprint=fingerprint(RULE_NAME, str(host), found.subject, named),
        rule_id=None,
        rule_name=RULE_NAME,
        subject=found.subject,
        title=f"Drift from {baseline.name}: {found.kind} {found.subject.replace('_', ' ')}",
        level=baseline.level,
        tags=[],
        explanation=found.explanation,
        identity=found.identity,
        evidence=found.evidence | told | shown_by,
        evidence_digest=content_digest(found.subject, found.evidence),
    )


def _capped(host: uuid.UUID, baseline: Baseline, found: list[Sighting]) -> list[Sighting]:
    """The same ones visit after visit, and one finding that says how many there are."""
    if len(found) <= MAX_DIFFERENCES:
        return found
    kept = sorted(found, key=lambda sighting: sighting.fingerprint)[:MAX_DIFFERENCES]
    explanation = (
        f"More than {MAX_DIFFERENCES} things differ from baseline {baseline.name} on this host; so many are kept."
        " Either the baseline does not fit this host, or the host was rebuilt: gather it anew, or cover other hosts."
    )
    identity = {"baseline": baseline.name}
    flood = _Difference("flood", "", FLOOD, identity, dict(identity), explanation, [])
    return [*kept, _sighting(host, baseline, flood)]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "…"
