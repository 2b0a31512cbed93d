"""The life of baselines: gather, enforce, pause, accept a difference, export, import. Every step is a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Max, Min
from django.db.models.fields.json import KeyTextTransform

from sandfly_web.findings import services
from sandfly_web.findings.drift.compare import Strictness, near_key, same_key, stable
from sandfly_web.findings.fingerprint import content_digest
from sandfly_web.findings.models import Baseline, BaselineEntry, BaselineVersion, Finding, Record
from sandfly_web.rules.fields import registry
from sandfly_web.scans.cleaning import clean_mapping, clean_text

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAX_ENTRIES = 50_000
MAX_NAME_CHARS = 127
MAX_ENTRY_FIELDS = 256
MAX_DIFFERENCES = 200
FORMAT = "sandfly-baseline-1"
RULE_NAME = "drift"

# What such hosts hardly change; moderate where a changed command line is news.
TEMPLATES: Mapping[str, dict[str, str]] = {
    "server": {
        "process": "loose",
        "socket": "loose",
        "user": "moderate",
        "systemd_unit": "moderate",
        "cron_job": "moderate",
        "kernel_module": "moderate",
        "authorized_key": "moderate",
        "sudo_rule": "moderate",
    },
    "embedded": {
        "process": "moderate",
        "socket": "moderate",
        "user": "strict",
        "init_script": "strict",
        "cron_job": "strict",
        "kernel_module": "moderate",
        "mount": "moderate",
    },
    "container host": {"process": "loose", "socket": "loose", "systemd_unit": "moderate", "kernel_module": "moderate"},
}


class Thing(NamedTuple):
    """What is to be right."""

    subject: str
    identity: dict[str, Any]
    data: dict[str, Any]
    rule_ids: list[str]


def check_subjects(subjects: object) -> None:
    """Raises ValidationError unless it is {subject: strictness} of known words."""
    if not isinstance(subjects, dict) or not subjects:
        raise ValidationError({"subjects": "name at least one subject"})
    for name, strictness in subjects.items():
        if name not in registry():
            raise ValidationError({"subjects": f"no subject {str(name)[:64]}"})
        if strictness not in list(Strictness):
            raise ValidationError({"subjects": f"{name}: use {', '.join(Strictness)}"})


def gather(baseline: Baseline, actor: User | None) -> int:
    """Replace its entries by what the model hosts have now; returns how many. ValidationError when there is nothing."""
    check_subjects(baseline.subjects)
    records = Record.objects.filter(
        host__in=baseline.model_hosts.all(), subject__in=list(baseline.subjects), is_current=True
    ).order_by("id")
    rows = list(records.values_list("subject", "identity", "data", "rule_ids")[: MAX_ENTRIES + 1])
    if not rows:
        raise ValidationError("the model hosts have no records of these subjects: scan them with recon rules first")
    if len(rows) > MAX_ENTRIES:
        raise ValidationError(f"more than {MAX_ENTRIES} records: choose fewer subjects or model hosts")
    things = [Thing(*row) for row in rows]
    with transaction.atomic():
        return append(baseline, things, "gather", "", actor, replace=True)


def append(
    baseline: Baseline, things: Iterable[Thing], action: str, comment: str, actor: User | None, *, replace: bool = False
) -> int:
    """Make these right; returns how many entries are new. Call it in a transaction."""
    locked = Baseline.objects.select_for_update(no_key=True).get(pk=baseline.pk)
    number = locked.version + 1
    current = BaselineEntry.objects.filter(baseline=locked, removed_in__isnull=True)
    removed = current.update(removed_in=number) if replace else 0
    present = set(current.values_list("subject", "key", "digest"))
    new: dict[tuple[str, str, str], BaselineEntry] = {}
    for thing in things:
        entry = _entry(locked, thing, number)
        place = (entry.subject, entry.key, entry.digest)
        if place not in present:
            new.setdefault(place, entry)
    if len(present) + len(new) > MAX_ENTRIES:
        raise ValidationError(f"a baseline holds at most {MAX_ENTRIES} entries")
    if not (new or removed):
        return 0
    BaselineEntry.objects.bulk_create(new.values(), batch_size=2000)
    _write_version(locked, number, action, comment, actor, added=len(new), removed=removed)
    baseline.version = number
    return len(new)


def _entry(baseline: Baseline, thing: Thing, number: int) -> BaselineEntry:
    strictness = baseline.subjects.get(thing.subject, Strictness.MODERATE)
    key = same_key(thing.subject, strictness, thing.identity)
    # Only strict baselines have several entries of one thing.
    facts = stable(thing.subject, thing.data) if strictness == Strictness.STRICT else {"key": key}
    return BaselineEntry(
        baseline=baseline,
        subject=thing.subject,
        key=key,
        near=near_key(thing.subject, thing.identity),
        digest=content_digest(thing.subject, facts),
        identity=thing.identity,
        data=thing.data,
        rule_ids=thing.rule_ids,
        added_in=number,
    )


def _write_version(
    baseline: Baseline, number: int, action: str, comment: str, actor: User | None, *, added: int = 0, removed: int = 0
) -> None:
    Baseline.objects.filter(pk=baseline.pk).update(version=number)
    BaselineVersion.objects.create(
        baseline=baseline, number=number, action=action, comment=comment, actor=actor, added=added, removed=removed
    )


def enforce(baseline: Baseline) -> Baseline:
    """From the next visit on, drift is found. Raises ValidationError without entries or covered hosts."""
    if not baseline.entries.filter(removed_in__isnull=True).exists():
        raise ValidationError("it is empty, so that everything would be drift: gather it first")
    if not baseline.tags.exists():
        raise ValidationError("it covers no host: name a tag")
    return _set_state(baseline, Baseline.State.ENFORCED)


def pause(baseline: Baseline) -> Baseline:
    """No drift is found until it is enforced again."""
    return _set_state(baseline, Baseline.State.PAUSED)


def _set_state(baseline: Baseline, state: Baseline.State) -> Baseline:
    baseline.state = state
    baseline.save(update_fields=["state"])
    return baseline


def delete(baseline: Baseline, actor: User | None) -> None:
    """The baseline goes, and with it what drifted from it: nothing would ever see that again, nor end it."""
    with transaction.atomic():
        # Before its findings, as ingest that adds to it does.
        Baseline.objects.select_for_update().get(pk=baseline.pk)
        while found := list(_unresolved(baseline).order_by("pk")[: services.MAX_BULK]):
            services.close(found, actor, f"baseline {baseline} was deleted")
        baseline.delete()


def differences(baseline: Baseline) -> list[dict[str, Any]]:
    """Unresolved drift, the same on many hosts as one row, on most hosts first; at most MAX_DIFFERENCES, one query."""
    drift = _unresolved(baseline).annotate(
        key=KeyTextTransform("drift_key", "evidence"), kind=KeyTextTransform("drift_kind", "evidence")
    )
    grouped = drift.order_by().values("key", "kind", "subject", "identity")
    counted = grouped.annotate(hosts=Count("host", distinct=True), first=Min("first_seen_at"), last=Max("last_seen_at"))
    return list(counted.order_by("-hosts", "subject", "key")[:MAX_DIFFERENCES])


def _unresolved(baseline: Baseline) -> Any:
    return Finding.objects.filter(
        rule_name=RULE_NAME, evidence__drift_baseline=str(baseline.pk), status__in=Finding.UNRESOLVED
    )


def accept(baseline: Baseline, key: str, actor: User | None, reason: str) -> int:
    """The difference is right on all hosts: into the baseline, or out of it for what is missing; closes its findings.

    Returns how many findings. Raises ValidationError without a reason or without such a difference.
    """
    if not reason.strip():
        raise ValidationError({"reason": "say why it is right"})
    found = list(_unresolved(baseline).filter(evidence__drift_key=key).exclude(subject="baseline").order_by("pk"))
    if not (key and found):
        raise ValidationError({"key": "there is no such difference any more"})
    with transaction.atomic():
        gone = [finding for finding in found if finding.evidence["drift_kind"] == "missing"]
        here = [finding for finding in found if finding.evidence["drift_kind"] != "missing"]
        append(baseline, [_thing(finding) for finding in here], "accept", reason.strip(), actor)
        if gone:
            _remove(baseline, key, reason.strip(), actor)
        for start in range(0, len(found), services.MAX_BULK):
            services.close(found[start : start + services.MAX_BULK], actor, f"accepted into {baseline}: {reason}")
    return len(found)


def _thing(finding: Finding) -> Thing:
    data = {name: value for name, value in finding.evidence.items() if not name.startswith("drift_")}
    return Thing(finding.subject, finding.identity, data, [])


def _remove(baseline: Baseline, key: str, reason: str, actor: User | None) -> None:
    number = Baseline.objects.select_for_update(no_key=True).get(pk=baseline.pk).version + 1
    removed = baseline.entries.filter(key=key, removed_in__isnull=True).update(removed_in=number)
    _write_version(baseline, number, "remove", reason, actor, removed=removed)


def export(baseline: Baseline) -> dict[str, Any]:
    """Everything but hosts and tags, which another server does not have."""
    entries = baseline.entries.filter(removed_in__isnull=True).order_by("id")
    return {
        "format": FORMAT,
        "name": baseline.name,
        "description": baseline.description,
        "subjects": baseline.subjects,
        "level": baseline.level,
        "ignore_containers": baseline.ignore_containers,
        "ignore_allowed": baseline.ignore_allowed,
        "report_missing": baseline.report_missing,
        "entries": list(entries.values("subject", "identity", "data", "rule_ids")),
    }


def load(document: Mapping[str, Any], actor: User | None) -> Baseline:
    """A draft from an export. Raises ValidationError that says what is wrong with the document."""
    if document.get("format") != FORMAT:
        raise ValidationError(f"not a baseline: its format is not {FORMAT}")
    check_subjects(document.get("subjects"))
    name, entries = document.get("name"), document.get("entries")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_NAME_CHARS:
        raise ValidationError({"name": f"1 to {MAX_NAME_CHARS} characters"})
    if Baseline.objects.filter(name=name.strip()).exists():
        raise ValidationError({"name": "there is a baseline of this name"})
    if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        raise ValidationError({"entries": f"a list of at most {MAX_ENTRIES}"})
    things = [_loaded(number, entry, document["subjects"]) for number, entry in enumerate(entries)]
    baseline = Baseline(
        name=name.strip(),
        description=str(document.get("description", ""))[:10_000],
        subjects=document["subjects"],
        level=document.get("level", "medium"),
        ignore_containers=document.get("ignore_containers", True),
        ignore_allowed=document.get("ignore_allowed", True),
        report_missing=document.get("report_missing", False),
    )
    baseline.full_clean(exclude=["model_hosts", "tags"])
    with transaction.atomic():
        baseline.save()
        append(baseline, things, "import", "", actor)
    return baseline


def _loaded(number: int, entry: object, subjects: Mapping[str, str]) -> Thing:
    fault = ValidationError({"entries": f"entry {number} is none: subject, identity, data and rule_ids are needed"})
    if not isinstance(entry, dict) or entry.get("subject") not in subjects:
        raise fault
    identity, data, rule_ids = entry.get("identity"), entry.get("data"), entry.get("rule_ids", [])
    if not (isinstance(identity, dict) and isinstance(data, dict) and isinstance(rule_ids, list)):
        raise fault
    is_bounded = len(identity) + len(data) <= MAX_ENTRY_FIELDS and len(rule_ids) <= MAX_ENTRY_FIELDS
    if not is_bounded or not all(isinstance(text, str) for text in rule_ids):
        raise fault
    # An export holds what ingest has cleaned: anything that cleaning would change comes from elsewhere.
    if (clean_mapping(identity), clean_mapping(data)) != (identity, data) or list(
        map(clean_text, rule_ids)
    ) != rule_ids:
        raise fault
    return Thing(entry["subject"], identity, data, rule_ids)
