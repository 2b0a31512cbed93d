"""`manage.py create_token USER NAME`: an API token, printed once."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sandfly_web.accounts.roles import Role
from sandfly_web.accounts.services import create_token
from sandfly_web.inventory.models import Tag

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


def days(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError("must be a whole number of days, at least 1")
    return int(text)


def find_tag(name: str) -> Tag:
    try:
        return Tag.objects.get(name=name)
    except Tag.DoesNotExist:
        raise CommandError(f"there is no tag {name!r}") from None


class Command(BaseCommand):
    """Prints the token alone on standard output, so that a script can keep it."""

    help = "Create an API token for a user and print it; it is never shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="name of the user whose rights the token has")
        parser.add_argument("name", help="what the token is for")
        parser.add_argument("--role", choices=list(Role), default="", help="limit it to what this role may do")
        parser.add_argument(
            "--host-tag", action="append", help="limit it to hosts with this tag; more than once: with one of them"
        )
        parser.add_argument("--days", type=days, help="it expires after so many days (default: never)")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            user = User.objects.get(username=options["user"])
        except User.DoesNotExist:
            raise CommandError(f"there is no user named {options['user']!r}") from None
        expires_at = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
        tags = [find_tag(name) for name in options["host_tag"]] if options["host_tag"] else None
        _row, token = create_token(user, options["name"], expires_at, options["role"], tags)
        self.stdout.write(token)
