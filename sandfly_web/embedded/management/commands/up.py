"""`manage.py up`: a whole installation in one command."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.installation import Installation, Options
from sandfly_web.embedded.screen import Screen


class Command(BaseCommand):
    help = (
        "Start database, broker, console, worker and scheduler under one data directory; on the first start also make "
        "an administrator and scan this machine. DATABASE_URL and REDIS_URL name servers of yours instead."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address the console listens on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="its port (default: %(default)s)")
        parser.add_argument("--no-scan", action="store_true", help="do not scan this machine on the first start")
        parser.add_argument("--reset-password", action="store_true", help="give `admin` a new password and show it")

    def handle(self, **options: Any) -> None:
        if not 0 < options["port"] < 65536:
            raise CommandError(f"--port {options['port']}: use a number from 1 to 65535")
        # What the processes log is in their files; here the screen tells the story.
        logging.getLogger().setLevel(logging.ERROR)
        chosen = Options(
            host=options["host"],
            port=options["port"],
            scan=not options["no_scan"],
            reset_password=options["reset_password"],
        )
        try:
            Installation(settings.DATA_DIR, chosen, Screen(), settings.REDIS_URL).run()
        except EmbeddedError as error:
            raise CommandError(str(error)) from None
