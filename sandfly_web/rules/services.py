"""Writes of rules: the shipped catalogue, rules written here, and which rules a scan runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from sandfly_web.rules import catalog
from sandfly_web.rules.compiled import CompiledRule, RuleErrors, RuleStatus
from sandfly_web.rules.depth import is_deep
from sandfly_web.rules.models import Rule, RuleRevision
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
    compiled = {uuid.UUID(rule.id): rule for rule in catalog.load_catalog(paths)}
    with transaction.atomic():
        rows = Rule.objects.select_for_update(no_key=True).in_bulk()
        _check_names(compiled, rows.values())
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
    names = {rule.name for rule in compiled.values()}
    for row in rows:
        if row.name in names and row.pk not in compiled:
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


def _differs(row: Rule, rule: CompiledRule) -> bool:
    """Whether the source changed, or this version compiles it differently."""
    return (
        row.digest != rule.digest
        or row.origin != Rule.Origin.CATALOG
        or row.plan_rule != msgspec.to_builtins(rule.plan_rule)
    )


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
        saved = _fill(row or Rule(id=uuid.UUID(rule.id)), rule, Rule.Origin.LOCAL)
        saved.save()
        _keep_revisions([saved])
    return saved


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
    leave out its namespace. Deep rules (`rules.depth`) only when asked for. Raises ValidationError for a name or type
    that is not there.
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
    return [rule for rule in chosen if deep or not is_deep(decode_plan_rule(rule.plan_rule))]


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
