"""`manage.py setup`: what a database needs before the parts of an installation start; safe to repeat."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.first_start import ADMIN, ensure_admin, migrate
from sandfly_web.embedded.installation import load_rules
from sandfly_web.inventory.models import Zone
from sandfly_web.inventory.services import create_zone, set_zone_key


def zone_with_key(text: str) -> tuple[str, str]:
    """NAME=PUBLIC_KEY; the key is base64, which may end in = itself."""
    name, found, key = text.partition("=")
    if not found or not name or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=PUBLIC_KEY")
    return name, key


class Command(BaseCommand):
    help = "Bring the schema and the rules up to date; make the administrator and the zones that are not there yet."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--zone", type=zone_with_key, action="append", default=[], metavar="NAME=PUBLIC_KEY",
            help="a zone with the key that `python -m scanners.vault public FILE` prints; may be given again",
        )  # fmt: skip
        parser.add_argument(
            "--admin-password-file", type=Path, metavar="FILE",
            help=f"first password of {ADMIN}, where there is no administrator yet; without it none is made",
        )  # fmt: skip

    def handle(self, **options: Any) -> None:
        self.stdout.write(f"{migrate()} migrations applied")
        try:
            self.stdout.write(f"rules: {load_rules()}")
        except EmbeddedError as error:
            raise CommandError(str(error)) from None
        for name, key in options["zone"]:
            self.stdout.write(f"zone {name}: {_ensure_zone(name, key)}")
        if path := options["admin_password_file"]:
            made = ensure_admin(password=_read_password(path))
            self.stdout.write(f"{ADMIN}: {'made' if made else 'there is an administrator already'}")


def _ensure_zone(name: str, key: str) -> str:
    try:
        zone = Zone.objects.filter(name=name).first()
        if zone is None:
            create_zone(name, key)
            return "made"
        if zone.public_key == key:
            return "as before"
        set_zone_key(zone, key)
    except ValidationError as error:
        raise CommandError(f"zone {name}: {' '.join(error.messages)}") from None
    return "has its key now"


def _read_password(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").strip()
        validate_password(password)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise CommandError(f"the password in {path} will not do: {' '.join(error.messages)}") from None
    return password
