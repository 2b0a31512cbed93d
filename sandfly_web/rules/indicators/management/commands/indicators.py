"""`./manage.py indicators …`: lists of indicators from the command line; only `check` needs no database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sandfly_web.rules.compiled import Level
from sandfly_web.rules.indicators import services
from sandfly_web.rules.indicators.kinds import Fault, Kind
from sandfly_web.rules.indicators.models import IndicatorList
from sandfly_web.rules.indicators.parsing import Format
from sandfly_web.rules.indicators.services import Source

SHOWN_FAULTS = 20
EPILOG = """\
A list that is imported again takes the place of the one of that name, as a whole.

examples:
  ./manage.py indicators check feed.csv
  ./manage.py indicators import feed feed.csv --level critical --expires-in 30
"""


class Command(BaseCommand):
    help = "Check, import, list and remove lists of indicators (text, CSV, STIX 2.1 bundle, MISP event)."
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        from argparse import RawDescriptionHelpFormatter  # noqa: PLC0415 - as Django's own parser class hides it

        kwargs.update(epilog=EPILOG, formatter_class=RawDescriptionHelpFormatter)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        check = actions.add_parser("check", help="say what is in a file, and which lines cannot be used")
        bring = actions.add_parser("import", help="make a list of a file, or replace its entries")
        bring.add_argument("name", help="what findings call the list")
        for one in (check, bring):
            one.add_argument("file", type=Path)
            one.add_argument("--format", choices=[form.value for form in Format], help="detected when not given")
            one.add_argument("--column", default="", help="of a CSV: the heading or number of the values")
            one.add_argument("--kind", choices=[kind.value for kind in Kind], help="what plain values are")
        bring.add_argument("--level", choices=[level.value for level in Level], help="of its findings (high)")
        bring.add_argument("--origin", help="where it comes from (the file's name)")
        bring.add_argument("--expires-in", type=int, metavar="DAYS", help="it no longer counts from then on")
        shown = actions.add_parser("list", help="show the lists")
        shown.add_argument("--format", choices=["table", "json"], default="table")
        actions.add_parser("remove", help="delete a list with its entries").add_argument("name")

    def handle(self, *_args: Any, **options: Any) -> None:
        {"check": self.check_file, "import": self.import_file, "list": self.show, "remove": self.remove}[
            options["action"]
        ](options)

    def check_file(self, options: dict[str, Any]) -> None:
        with opened(options) as source, as_command_error():
            preview = services.read_preview(source)
        self.tell_faults(options["file"], preview.faults, preview.fault_count)
        self.stdout.write(f"{preview.form.value}: {counted(preview.counts)}; {preview.fault_count} not used")
        if not preview.entry_count:
            raise CommandError("no line can be used")

    def import_file(self, options: dict[str, Any]) -> None:
        row = IndicatorList.objects.filter(name=options["name"]).first() or IndicatorList(name=options["name"])
        row.origin = options["origin"] or row.origin or options["file"].name
        row.level = options["level"] or row.level
        if options["expires_in"] is not None:
            row.expires_at = datetime.now(UTC) + timedelta(days=options["expires_in"])
        with opened(options) as source, as_command_error():
            services.import_list(row, source)
        self.tell_faults(options["file"], [Fault(*fault) for fault in row.faults], row.fault_count)
        rest = f"{row.duplicate_count} twice, {row.fault_count} not used"
        self.stdout.write(f"{row.name}: {counted(row.counts)}; {rest}")

    def tell_faults(self, path: Path, faults: list[Fault], count: int) -> None:
        for fault in faults[:SHOWN_FAULTS]:
            self.stderr.write(f"{path}: {fault}")
        if count > SHOWN_FAULTS:
            self.stderr.write(f"{path}: {count - SHOWN_FAULTS} more are not used")

    def show(self, options: dict[str, Any]) -> None:
        active = set(services.active_lists().values_list("pk", flat=True))
        rows = [
            {
                "name": row.name, "level": row.level, "is_active": row.pk in active, "entries": row.counts,
                "not_used": row.fault_count, "origin": row.origin,
                "expires_at": row.expires_at.isoformat() if row.expires_at else None,
                "imported_at": row.imported_at.isoformat() if row.imported_at else None,
            }
            for row in IndicatorList.objects.all()
        ]  # fmt: skip
        if options["format"] == "json":
            self.stdout.write(json.dumps(rows, indent=1))
            return
        for one in rows:
            state = "" if one["is_active"] else " (not active)"
            self.stdout.write(f"{one['name']}{state}: {one['level']}, {counted(one['entries'])}, from {one['origin']}")

    def remove(self, options: dict[str, Any]) -> None:
        row = IndicatorList.objects.filter(name=options["name"]).first()
        if row is None:
            raise CommandError(f"there is no list {options['name']!r}; see `./manage.py indicators list`")
        services.remove_list(row)
        self.stdout.write(f"{options['name']} is removed")


def counted(counts: Any) -> str:
    """`2 ip, 1000 sha256`."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing"


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Source]:
    form, kind = options["format"], options["kind"]
    try:
        stream: BinaryIO = options["file"].open("rb")
    except OSError as error:
        raise CommandError(f"{options['file']}: {error.strerror}") from None
    with stream:
        yield Source(stream, Format(form) if form else None, options["column"], Kind(kind) if kind else None)


@contextmanager
def as_command_error() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise CommandError("; ".join(error.messages)) from None
