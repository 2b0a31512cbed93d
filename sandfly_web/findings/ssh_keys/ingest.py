"""What a visit saw of SSH keys: places are brought up to date, and what policies forbid becomes findings.

Called by ingest in its transaction, after the records. Without key records it asks nothing; with them four queries
however many reports are stored together, and a few more for each host whose keys changed or where a removal waits.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Exists, F, OuterRef, Q

from sandfly_web.console.visible import visible
from sandfly_web.findings.allowlist.matching import Entry, Seen, carried_fields, find_entry
from sandfly_web.findings.fingerprint import content_digest, fingerprint
from sandfly_web.findings.intervals import Observation
from sandfly_web.findings.sightings import Sighting, Visit
from sandfly_web.findings.ssh_keys.derive import SUBJECTS, derive_keys
from sandfly_web.findings.ssh_keys.models import KeyZone, SshKey, SshKeyPlace
from sandfly_web.findings.ssh_keys.policies import Fault, Placed, Verdict, Zone, verdicts
from sandfly_web.findings.ssh_keys.removals import finish_steps
from sandfly_web.inventory.models import Host
from sandfly_web.rules.models import Severity

# On one host in one visit; a zone that does not fit would otherwise bury everything else.
MAX_FAULTS = 200
MAX_SHOWN_CHARS = 300

TITLES = {
    Fault.BANNED: "Banned SSH key",
    Fault.OUT_OF_ZONE: "SSH key out of its zone",
    Fault.STRANGER: "SSH key of no zone may sign in",
    Fault.MISSING: "Protected SSH key is gone",
}
LEVELS = {Fault.BANNED: Severity.CRITICAL, Fault.MISSING: Severity.HIGH}
TAGS = {
    "authorized_key": ["attack.persistence", "attack.t1098.004"],
    "private_key": ["attack.credential-access", "attack.t1552.004"],
    "known_host": ["attack.discovery", "attack.t1018"],
}
WORDS = {"authorized_key": "may sign in as", "private_key": "is held by", "known_host": "is known to"}
EVIDENCE = (
    *("username", "path", "line_number", "fingerprint", "key_type", "bits", "comment", "options", "key_name"),
    *("key_zone", "key_reason"),
)


class Look(NamedTuple):
    """A visit, what it saw, and the subjects of which it brought something new or ended something."""

    visit: Visit
    observations: Iterable[Observation]
    changed: Collection[str]
    allowlist: Sequence[Entry]

    @property
    def is_changed(self) -> bool:
        return bool(set(self.changed) & set(SUBJECTS))

    @property
    def is_about_keys(self) -> bool:
        return self.is_changed or any(seen.subject in SUBJECTS for seen in self.observations)


def key_sightings(looks: Sequence[Look]) -> list[list[Sighting]]:
    """Bring keys of the visited hosts up to date; returns, by visit, what policies say of those that it saw.

    The visits are of different hosts.
    """
    asked = [look for look in looks if look.is_about_keys]
    found: dict[uuid.UUID, list[Sighting]] = {}
    if asked:
        _bring_up_to_date(asked)
        found = _faults(asked)
    return [_capped(look.visit.host_id, found.get(look.visit.host_id, [])) for look in looks]


def _bring_up_to_date(looks: Sequence[Look]) -> None:
    """Those whose keys changed, or were never derived."""
    same = [look.visit.host_id for look in looks if not look.is_changed]
    current = SshKeyPlace.objects.filter(host=OuterRef("pk"), is_current=True)
    known = set(Host.objects.filter(Exists(current), pk__in=same).values_list("pk", flat=True)) if same else set()
    for look in looks:
        if look.visit.host_id not in known:
            derive_keys(look.visit.host_id, look.visit.observed_at)
            finish_steps(look.visit.host_id, look.visit.observed_at)


def read_zones() -> list[Zone]:
    """The enabled ones, by name."""
    rows = (
        KeyZone.objects.filter(is_enabled=True)
        .annotate(hosts=ArrayAgg("host_tags", distinct=True), keys=ArrayAgg("key_tags", distinct=True))
        .order_by("name")
        .values_list("id", "name", "level", "hosts", "keys", "confines_keys", "refuses_strangers")
    )
    return [
        Zone(pk, name, level, _ids(hosts), _ids(keys), confines, refuses)
        for pk, name, level, hosts, keys, confines, refuses in rows
    ]


def _ids(values: Iterable[int | None]) -> frozenset[int]:
    return frozenset(value for value in values if value is not None)


def _faults(looks: Sequence[Look]) -> dict[uuid.UUID, list[Sighting]]:
    """By host."""
    zones = read_zones()
    places = list(_places([look.visit for look in looks], is_everything=bool(zones)))
    if not places:
        return {}
    allowlists = {look.visit.host_id: look.allowlist for look in looks}
    tags: dict[uuid.UUID, set[int]] = defaultdict(set)
    hosts = {place.host_id for place in places}
    for host, tag in Host.tags.through.objects.filter(host__in=hosts).values_list("host_id", "tag_id"):
        tags[host].add(tag)
    found: dict[uuid.UUID, dict[str, Sighting]] = defaultdict(dict)
    for place in places:
        placed = Placed(
            _ids(place.key_tags), place.key.standing, place.kind == SshKeyPlace.Kind.AUTHORIZED, place.is_current
        )
        for verdict in verdicts(placed, frozenset(tags[place.host_id]), zones):
            sighting = _sighting(place.host_id, place, verdict, allowlists[place.host_id])
            found[place.host_id].setdefault(sighting.fingerprint, sighting)
    return {host: list(sightings.values()) for host, sightings in found.items()}


def _places(visits: Sequence[Visit], *, is_everything: bool) -> Any:
    """Those that the visits saw and that a policy may be about, and those where a protected key was and is not."""
    seen = Q(is_current=True, record__last_scan__in=[visit.scan_id for visit in visits])
    if is_everything:
        # What identifies a host or a TLS server lives where it serves.
        seen &= Q(key__use=SshKey.Use.USER) | Q(key__standing=SshKey.Standing.BANNED)
    else:
        seen &= Q(key__standing=SshKey.Standing.BANNED)
    again = SshKeyPlace.objects.filter(
        host=OuterRef("host"), key=OuterRef("key"), account=OuterRef("account"), kind=OuterRef("kind"), is_current=True
    )
    gone = Q(
        ~Exists(again),
        is_current=False,
        kind=SshKeyPlace.Kind.AUTHORIZED,
        key__standing=SshKey.Standing.PROTECTED,
        ended_at__gte=F("key__standing_at"),
    )
    hosts = [visit.host_id for visit in visits]
    places = SshKeyPlace.objects.filter(seen | gone, host__in=hosts, key__isnull=False)
    return (
        places.select_related("key", "account").annotate(key_tags=ArrayAgg("key__tags", distinct=True)).order_by("pk")
    )


def _sighting(host_id: uuid.UUID, place: Any, verdict: Verdict, allowlist: Sequence[Entry]) -> Sighting:
    """`place` has a key."""
    key, zone = place.key, verdict.zone
    username = place.account.username if place.account else None
    identity = {"username": username, "fingerprint": key.fingerprint, "path": place.path}
    evidence = {
        **identity,
        "line_number": place.line_number,
        "key_type": key.algorithm,
        "bits": key.bits,
        "comment": place.comment,
        "options": place.options,
        "key_name": key.name,
        "key_zone": zone.name if zone else "",
        "key_reason": key.standing_reason if verdict.fault in LEVELS else "",
    }
    facts = Seen(str(verdict.fault), place.kind, identity, evidence, frozenset())
    entry = find_entry(allowlist, facts, carried_fields(place.kind, {"fields": EVIDENCE}))
    named = {"username": username, "fingerprint": key.fingerprint, "path": place.path, "zone": zone.id if zone else 0}
    return Sighting(
        fingerprint=fingerprint(verdict.fault, str(host_id), place.kind, named),
        rule_id=None,
        rule_name=verdict.fault,
        subject=place.kind,
        title=TITLES[verdict.fault] + (f": {zone.name}" if zone else ""),
        level=zone.level if zone else LEVELS[verdict.fault],
        tags=TAGS[place.kind],
        explanation=_explanation(place, key, verdict),
        identity=identity,
        evidence=evidence,
        # A line that moved, or another name for the key, is no news.
        evidence_digest=content_digest(place.kind, {**identity, "options": place.options}),
        allowed_by=str(entry.id) if entry else None,
    )


def _explanation(place: SshKeyPlace, key: SshKey, verdict: Verdict) -> str:
    who = _shown(place.account.username) if place.account else "everybody"
    where = f"{_shown(place.path)}" + (f" line {place.line_number}" if place.line_number else "")
    what = f"Key {_shown(key.name or place.comment or key.fingerprint)}"
    if verdict.fault == Fault.MISSING:
        reason = f" ({_shown(key.standing_reason)})" if key.standing_reason else ""
        return f"{what} is protected{reason}, and {who} no longer has it in {where}: somebody may be locked out."
    what += f" {WORDS[place.kind]} {who} in {where}"
    if verdict.fault == Fault.BANNED:
        return f"{what}, and it is banned: {_shown(key.standing_reason).rstrip('.') or 'no reason was given'}."
    zone = verdict.zone.name if verdict.zone else ""
    if verdict.fault == Fault.OUT_OF_ZONE:
        return f"{what}, but belongs to zone {zone}, which this host is not in."
    return f"{what}, but this host is in zone {zone}, which lets only its own keys in."


def _shown(text: str) -> str:
    return visible(text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…")


def _capped(host_id: uuid.UUID, found: list[Sighting]) -> list[Sighting]:
    """The same ones visit after visit, and one finding that says how many there are."""
    if len(found) <= MAX_FAULTS:
        return found
    kept = sorted(found, key=lambda sighting: sighting.fingerprint)[:MAX_FAULTS]
    evidence = {"rule": "ssh_key_policy", "matched": len(found), "kept": MAX_FAULTS}
    flood = Sighting(
        fingerprint=fingerprint("ssh_key_policy", str(host_id), "rule_flood", {"rule": "ssh_key_policy"}),
        rule_id=None,
        rule_name="rule_flood",
        subject="rule_flood",
        title="SSH key policies flood this host",
        level=Severity.LOW,
        tags=[],
        explanation=(
            f"{len(found)} places of keys on this host are against a policy; {MAX_FAULTS} are kept as findings. "
            "Either a zone does not fit this host, or its keys have no tags yet."
        ),
        identity={"rule": "ssh_key_policy"},
        evidence=evidence,
        evidence_digest=content_digest("rule_flood", {"rule": "ssh_key_policy"}),
    )
    return [*kept, flood]
