"""Writes of rules: the shipped catalogue, rules written here, and which rules a scan runs."""

from __future__ import annotations

import uuid
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from sandfly_web.rules import catalog
from sandfly_web.rules.compiled import CompiledRule, RuleErrors, RuleStatus
from sandfly_web.rules.depth import is_deep
from sandfly_web.rules.indicators.services import active_kinds
from sandfly_web.rules.indicators.sets import has_lists
from sandfly_web.rules.models import PackedRule, Rule, RulePack, RuleRevision
from sandfly_web.rules.packs import Pack
from sandfly_web.rules.packs import PackedRule as PackRule
from sandfly_web.rules.shipped import load_shipped
from sandfly_web.rules.sigma import parse_rule
from scanners.contract import PlanRule

if TYPE_CHECKING:
    from pathlib import Path

BATCH_ROWS = 500
# What runs when nobody says what: DESIGN 6, the other types run on request.
DEFAULT_TYPES = (Rule.Type.DETECTION, Rule.Type.RECON)
LOCAL_RULE_FILE = "local_rule.yml"

_COMPILED_COLUMNS = [
    "name", "title", "type", "subject", "level", "status", "description", "tags", "explain", "plan_rule", "source",
    "digest", "origin",
]  # fmt: skip


@dataclass(frozen=True)
class LoadedRules:
    """What `load_catalog` changed."""

    created: int
    updated: int
    disabled: int


@dataclass(frozen=True)
class StoredRule:
    """A rule as plans need it, decoded from its row."""

    id: str
    plan_rule: PlanRule


def load_catalog(paths: Iterable[Path | str] | None = None) -> LoadedRules:
    """Bring the shipped rules into the database; running it again changes nothing.

    What people enabled or disabled stays so. Rules that are no longer shipped are disabled and kept for their findings.
    Raises RuleErrors when a file does not compile, ValidationError when a rule written here has a shipped rule's name.
    """
    compiled = {uuid.UUID(rule.id): rule for rule in (catalog.load_catalog(paths) if paths else load_shipped())}
    with transaction.atomic():
        rows = Rule.objects.select_for_update(no_key=True).in_bulk()
        _check_names(compiled, list(rows.values()))
        created = [_fill(Rule(id=key), rule) for key, rule in compiled.items() if key not in rows]
        changed = [
            _fill(rows[key], rule) for key, rule in compiled.items() if key in rows and _differs(rows[key], rule)
        ]
        gone = [key for key, row in rows.items() if row.origin == Rule.Origin.CATALOG and key not in compiled]
        Rule.objects.bulk_create(created, batch_size=BATCH_ROWS)
        if changed:
            Rule.objects.bulk_update(changed, [*_COMPILED_COLUMNS, "is_enabled"], batch_size=BATCH_ROWS)
        _keep_revisions([*created, *changed])
        disabled = Rule.objects.filter(pk__in=gone, is_enabled=True).update(is_enabled=False)
    return LoadedRules(len(created), len(changed), disabled)


def _check_names(compiled: dict[uuid.UUID, CompiledRule], rows: Iterable[Rule]) -> None:
    """An imported rule gives way; one that was written here is for its author to rename."""
    names = {rule.name for rule in compiled.values()}
    taken = names | {row.name for row in rows}
    for row in rows:
        if row.name not in names or row.pk in compiled:
            continue
        if row.origin == Rule.Origin.PACK:
            row.name = free_name(row.name, taken)
            row.save(update_fields=["name", "updated_at"])
        else:
            raise ValidationError(f"rule {row.name} ({row.pk}) has the name of a shipped rule: rename or delete it")


def _fill(row: Rule, rule: CompiledRule, origin: str = Rule.Origin.CATALOG) -> Rule:
    """Set the columns that are read from the source; `is_enabled` follows the rule unless people set it otherwise."""
    was_default = row._state.adding or row.is_enabled == is_enabled_by_default(row.status)
    row.name, row.title, row.subject = rule.name, rule.title, rule.subject
    row.type, row.level, row.status = str(rule.type), str(rule.level), str(rule.status)
    row.description, row.tags, row.explain = rule.description, list(rule.tags), rule.explain
    row.plan_rule = msgspec.to_builtins(rule.plan_rule)
    row.source, row.digest, row.origin = rule.source, rule.digest, origin
    if was_default:
        row.is_enabled = is_enabled_by_default(row.status)
    return row


def is_enabled_by_default(status: str) -> bool:
    """Only rules that can be trusted run unasked; policy and incident rules also wait for a request of their type."""
    return status == RuleStatus.STABLE


def _differs(row: Rule, rule: CompiledRule, origin: str = Rule.Origin.CATALOG) -> bool:
    """Whether the source changed, or this version compiles it differently."""
    return row.digest != rule.digest or row.origin != origin or row.plan_rule != msgspec.to_builtins(rule.plan_rule)


def _keep_revisions(rules: Sequence[Rule]) -> None:
    revisions = [RuleRevision(rule=rule, digest=rule.digest, source=rule.source) for rule in rules]
    RuleRevision.objects.bulk_create(revisions, batch_size=BATCH_ROWS, ignore_conflicts=True)


def save_local_rule(text: str) -> Rule:
    """Compile and keep a rule written here; the same id again makes a new revision.

    Raises ValidationError with every fault and its line, or when the id or name belongs to a shipped rule.
    """
    try:
        rule = parse_rule(text, LOCAL_RULE_FILE, catalog.build_library())
    except RuleErrors as found:
        raise ValidationError({"source": [str(error) for error in found.errors]}) from None
    with transaction.atomic():
        row = Rule.objects.select_for_update(no_key=True).filter(pk=rule.id).first()
        if row is not None and row.origin == Rule.Origin.CATALOG:
            raise ValidationError({"source": f"{rule.id} is the id of shipped rule {row.name}; give yours a new one"})
        if Rule.objects.filter(name=rule.name).exclude(pk=rule.id).exists():
            raise ValidationError({"source": f"there is another rule named {rule.name}"})
        # An imported rule stays of its pack, which then knows that it was edited here.
        origin = Rule.Origin.PACK if row is not None and row.origin == Rule.Origin.PACK else Rule.Origin.LOCAL
        saved = _fill(row or Rule(id=uuid.UUID(rule.id)), rule, origin)
        saved.save()
        _keep_revisions([saved])
    return saved


class ImportState(StrEnum):
    """What an import made of a rule."""

    NEW = "new"
    UPGRADED = "upgraded"
    UNCHANGED = "unchanged"
    KEPT_LOCAL = "kept local"
    REMOVED_UPSTREAM = "removed upstream"
    REFUSED = "refused"


@dataclass(frozen=True)
class Imported:
    """One rule of an import, and what somebody should know of it."""

    name: str
    path: str
    state: ImportState
    detail: str = ""


def import_pack(pack: Pack, now: datetime) -> list[Imported]:
    """Bring the rules of a pack into the database; running it again changes nothing.

    Rules that were edited here are left as they are. What is no longer in the pack is disabled, unless it was edited,
    and kept for its findings. Only stable rules are enabled when they come. Shipped rules are never touched.
    """
    with transaction.atomic():
        row, _ = RulePack.objects.update_or_create(
            name=pack.name,
            defaults={
                "repository": pack.repository, "commit": pack.commit, "license": pack.license,
                "signed_by": pack.signed_by, "imported_at": now,
            },
        )  # fmt: skip
        return _Import(row, pack).run()


class _Import:
    """One import, within a transaction."""

    def __init__(self, row: RulePack, pack: Pack) -> None:
        self.row = row
        self.pack = pack
        self.rules = Rule.objects.select_for_update(no_key=True, of=("self",)).select_related("packed").in_bulk()
        self.taken = {rule.name for rule in self.rules.values()}

    def run(self) -> list[Imported]:
        done = [self._take(packed) for packed in self.pack.rules]
        return [*done, *self._retire()]

    def _take(self, packed: PackRule) -> Imported:
        rule, known = packed.rule, self.rules.get(uuid.UUID(packed.rule.id))
        if known is None:
            return self._create(packed)
        origin: PackedRule | None = getattr(known, "packed", None)
        if known.origin == Rule.Origin.CATALOG:
            return Imported(rule.name, packed.path, ImportState.REFUSED, f"its id is that of shipped rule {known.name}")
        if origin is None or origin.pack_id != self.row.pk:
            other = f"pack {origin.pack.name}" if origin is not None else "a rule written here"
            return Imported(rule.name, packed.path, ImportState.KEPT_LOCAL, f"its id is that of {other}, {known.name}")
        return self._renew(known, origin, packed)

    def _create(self, packed: PackRule) -> Imported:
        row = _fill(Rule(id=uuid.UUID(packed.rule.id)), packed.rule, Rule.Origin.PACK)
        row.name = free_name(packed.rule.name, self.taken)
        self.taken.add(row.name)
        row.save(force_insert=True)
        self._note(row, packed, PackedRule(rule=row, base_digest=row.digest))
        renamed = row.name != packed.rule.name
        detail = f"named {row.name}, since there is another {packed.rule.name}" if renamed else ""
        return Imported(row.name, packed.path, ImportState.NEW, detail)

    def _renew(self, row: Rule, origin: PackedRule, packed: PackRule) -> Imported:
        was_edited, was_upstream = origin.is_edited, origin.upstream_digest
        name = row.name
        if was_edited:
            self._note(row, packed, origin)
            news = "; the pack has a newer text, see its revisions" if was_upstream != packed.rule.digest else ""
            return Imported(name, packed.path, ImportState.KEPT_LOCAL, f"it was edited here{news}")
        changed = _differs(row, packed.rule, Rule.Origin.PACK)
        if changed:
            _fill(row, packed.rule, Rule.Origin.PACK)
            row.name = name
            row.save()
        origin.base_digest = packed.rule.digest
        self._note(row, packed, origin)
        return Imported(name, packed.path, ImportState.UPGRADED if changed else ImportState.UNCHANGED)

    def _note(self, row: Rule, packed: PackRule, origin: PackedRule) -> None:
        origin.pack, origin.path, origin.upstream_digest = self.row, packed.path[:500], packed.rule.digest
        origin.author, origin.license = packed.rule.author[:1024], packed.rule.license[:255]
        origin.save()
        revision = RuleRevision(rule=row, digest=packed.rule.digest, source=packed.rule.source)
        RuleRevision.objects.bulk_create([revision], ignore_conflicts=True)

    def _retire(self) -> list[Imported]:
        """Rules that the pack no longer has. One whose file has a fault today is not gone."""
        faulty = {error.location.rpartition(":")[0] for error in self.pack.errors}
        gone = []
        for row in self.rules.values():
            origin: PackedRule | None = getattr(row, "packed", None)
            if origin is None or origin.pack_id != self.row.pk or str(row.pk) in self.pack.ids or origin.path in faulty:
                continue
            if origin.is_edited:
                detail = "it was edited here and stays as it is"
            else:
                detail = "disabled, kept for its findings"
                Rule.objects.filter(pk=row.pk).update(is_enabled=False)
            gone.append(Imported(row.name, origin.path, ImportState.REMOVED_UPSTREAM, detail))
        return sorted(gone, key=lambda one: one.name)


def free_name(name: str, taken: Container[str]) -> str:
    """The name, or the name with the first number behind it that nobody has."""
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name[:120]}_{number}"
    return free


def set_enabled(rules: Iterable[Rule], *, is_enabled: bool) -> None:
    """Row by row, so that the audit log names each."""
    for rule in rules:
        rule.is_enabled = is_enabled
        rule.save(update_fields=["is_enabled", "updated_at"])


def select_rules(
    types: Iterable[str] = (), tags: Iterable[str] = (), names: Iterable[str] = (), *, deep: bool = False
) -> list[Rule]:
    """The rules of a scan, ordered by id.

    Names (or ids): exactly these, also when disabled, so that a rule can be tried before it is enabled. Else all
    enabled rules of the types (default: detection and recon) that have one of the tags, if any are given; a tag may
    leave out its namespace. Deep rules (`rules.depth`) only when asked for, those on lists of indicators only where one
    is there. Raises ValidationError for a name or type that is not there.
    """
    wanted = list(names)
    if wanted:
        return _select_named(wanted)
    kinds = list(types) or list(DEFAULT_TYPES)
    if unknown := [kind for kind in kinds if kind not in Rule.Type.values]:
        raise ValidationError(f"{unknown[0]!r} is no rule type: use {', '.join(Rule.Type.values)}")
    # The text columns are large and not looked at.
    rules = Rule.objects.filter(type__in=kinds, is_enabled=True).defer("source", "description").order_by("pk")
    words = {tag.lower() for tag in tags}
    chosen = [rule for rule in rules if not words or _has_tag(rule.tags, words)]
    plans = [(rule, decode_plan_rule(rule.plan_rule)) for rule in chosen]
    loaded = active_kinds()
    return [rule for rule, plan in plans if (deep or not is_deep(plan)) and has_lists(plan.when, loaded)]


def _has_tag(tags: list[str], words: set[str]) -> bool:
    return any(tag in words or tag.partition(".")[2] in words for tag in tags)


def _select_named(names: list[str]) -> list[Rule]:
    ids = [name for name in names if _is_uuid(name)]
    rules = list(Rule.objects.filter(Q(name__in=names) | Q(pk__in=ids)).defer("source", "description").order_by("pk"))
    known = {rule.name for rule in rules} | {str(rule.pk) for rule in rules}
    if unknown := [name for name in names if name not in known and name.lower() not in known]:
        raise ValidationError(f"no rule is named {unknown[0]!r}")
    return rules


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def stored_rules(rules: Iterable[Rule]) -> list[StoredRule]:
    """The rows as `plan.build_plan` takes them."""
    return [StoredRule(str(rule.pk), decode_plan_rule(rule.plan_rule)) for rule in rules]


def decode_plan_rule(compiled: Any) -> PlanRule:
    return msgspec.convert(compiled, PlanRule)
