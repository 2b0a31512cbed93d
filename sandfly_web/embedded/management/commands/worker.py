"""`manage.py worker --zone NAME`: serve the queue of one zone."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sandfly_web.embedded.processes import DEFAULT_ZONE, WORKER_CONCURRENCY, worker_command, worker_environment
from sandfly_web.inventory.models import ZONE_NAME


class Command(BaseCommand):
    help = "Run a worker that visits the hosts of a zone. It is given neither database nor secret key."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--zone", default=DEFAULT_ZONE, help="the zone whose hosts it visits (default: default)")
        parser.add_argument("--key", metavar="FILE", help="the zone's private key (default: in the data directory)")
        parser.add_argument(
            "--concurrency", type=int, default=WORKER_CONCURRENCY, help="visits at the same time (default: %(default)s)"
        )

    def handle(self, **options: Any) -> None:
        """Replace this process by Celery, so that nothing Django has read stays in its memory."""
        zone = str(options["zone"])
        try:
            ZONE_NAME(zone)
        except ValidationError as error:
            raise CommandError(f"{zone!r} is no zone name: {error.message}") from None
        key = str(options["key"] or os.environ.get("SANDFLY_ZONE_KEY_FILE") or settings.DATA_DIR.zone_key(zone))
        if not os.access(key, os.R_OK):
            raise CommandError(f"cannot read the zone's private key {key}: copy it here, or name it with --key")
        environment = worker_environment(dict(os.environ), redis_url=settings.REDIS_URL, key_file=key)
        command = worker_command(zone, options["concurrency"])
        os.execve(command[0], command, environment)  # noqa: S606 - our own interpreter, our own arguments
