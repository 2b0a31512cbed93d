"""`./manage.py rules import|export|pack`: packs of rules as folders and git checkouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils import timezone
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandfly_web.rules import packs, services
from sandfly_web.rules.answerable import Answer, how_answerable
from sandfly_web.rules.explain import escape
from sandfly_web.rules.models import Rule
from sandfly_web.rules.packs import Pack
from sandfly_web.rules.services import Imported, ImportState
from sandfly_web.rules.shipped import load_shipped

SHOWN = (ImportState.KEPT_LOCAL, ImportState.REMOVED_UPSTREAM, ImportState.REFUSED)


def run_import(console: Console, options: dict[str, Any]) -> None:
    """Faults are told and the rest is imported; the exit code is then 1."""
    folder: Path = options["folder"]
    pack = packs.read_pack(folder, options["name"], options["public_key"])
    for error in pack.errors:
        console.print(Text(escape(str(error))), soft_wrap=True)
    console.print(Text(escape(_origin(pack))), soft_wrap=True)
    if options["check"]:
        _print_check(console, pack)
    else:
        _print_imported(console, _import(pack))
    if pack.errors:
        raise CommandError(f"{len(pack.errors)} faults; the other {len(pack.rules)} rules are in order", returncode=1)


def _import(pack: Pack) -> list[Imported]:
    try:
        return services.import_pack(pack, timezone.now())
    except DatabaseError as error:
        raise CommandError(
            f"no database to import into: start one with ./manage.py up, or use --check ({str(error).splitlines()[0]})",
            returncode=1,
        ) from error


def _origin(pack: Pack) -> str:
    parts = [f"pack {pack.name}"]
    parts += [f"from {pack.repository}"] if pack.repository else []
    parts += [f"commit {pack.commit[:12]}"] if pack.commit else []
    parts.append(f"licence: {pack.license or 'none found'}")
    parts.append(f"signed by {pack.signed_by}" if pack.signed_by else "locked" if pack.is_locked else "not locked")
    return ", ".join(parts)


def _print_check(console: Console, pack: Pack) -> None:
    """What an import would take, and how far a live host can answer it."""
    counts = Counter((packed.rule.subject, how_answerable(packed.rule)) for packed in pack.rules)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("subject", "rules", *(f"answered {answer}" for answer in Answer)):
        table.add_column(heading)
    for subject in sorted({subject for subject, _ in counts}):
        numbers = [counts[subject, answer] for answer in Answer]
        table.add_row(subject, str(sum(numbers)), *(str(number) for number in numbers))
    console.print(table)
    shipped = {value: rule.name for rule in load_shipped() for value in (rule.id, rule.name)}
    for packed in pack.rules:
        clash = shipped.get(packed.rule.id) or shipped.get(packed.rule.name)
        if clash:
            console.print(
                Text(escape(f"{packed.path}: its id or name is that of shipped rule {clash}")), soft_wrap=True
            )
    console.print(f"{len(pack.rules)} rules, {pack.elsewhere} for other systems left out; nothing was changed")


def _print_imported(console: Console, done: Sequence[Imported]) -> None:
    for one in done:
        if one.state in SHOWN or one.detail:
            console.print(Text(escape(f"{one.path}: {one.name}: {one.state}: {one.detail}")), soft_wrap=True)
    counts = Counter(one.state for one in done)
    console.print(", ".join(f"{counts[state]} {state}" for state in ImportState if counts[state]) or "no rules")


def run_pack(console: Console, options: dict[str, Any]) -> None:
    folder: Path = options["folder"]
    if options["new_key"] is not None:
        console.print(f"public key: {packs.new_key(options['new_key'])}", soft_wrap=True)
    place = options["new_key"] or options["key"]
    key = packs.read_key(place) if place is not None else None
    count = packs.write_lock(folder, key)
    signed = f", signed with public key {packs.public_key_of(key)}" if key is not None else ", not signed"
    console.print(f"locked {count} files in {folder / packs.LOCK_NAME}{signed}", soft_wrap=True)


def run_export(console: Console, options: dict[str, Any]) -> None:
    """Rules as files: those written here, or of one pack."""
    folder: Path = options["folder"]
    rules = Rule.objects.select_related("packed").order_by("name")
    chosen = (
        rules.filter(packed__pack__name=options["name"]) if options["name"] else rules.filter(origin=Rule.Origin.LOCAL)
    )
    try:
        found = list(chosen)
    except DatabaseError as error:
        raise CommandError(f"no database to export from ({str(error).splitlines()[0]})", returncode=1) from error
    if not found:
        raise CommandError("no such rules", returncode=1)
    folder.mkdir(parents=True, exist_ok=True)
    for rule in found:
        # Names are checked when a rule is compiled: letters, digits, underscores and hyphens.
        (folder / f"{rule.name}.yml").write_text(rule.source, encoding="utf-8")
    console.print(f"wrote {len(found)} rules to {folder}", soft_wrap=True)
