"""`manage.py zone rotate-key ZONE`: a new key pair for a zone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from sandfly_web.celery import app
from sandfly_web.inventory.models import Zone
from sandfly_web.inventory.rotation import build_request
from scanners.contract import ROTATE_TASK, encode, zone_queue

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

POLL_S = 0.2


class Command(BaseCommand):
    """Exit status 1 when no worker has done it in time; it may then be run again, nothing is lost."""

    help = (
        "Give a zone a new key pair. One of its workers makes it, keeps the earlier one in its key file, and seals all "
        "credentials anew. Where a zone has workers on several machines, run `python -m scanners.vault rotate FILE` on "
        "one, copy the file to the others, and only then this."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        rotate = commands.add_parser("rotate-key", help="a new key pair; credentials need not be typed in again")
        rotate.add_argument("zone", help="its name")
        rotate.add_argument("--timeout", type=float, default=60, help="seconds to wait for a worker (default: 60)")

    def handle(self, *_args: Any, **options: Any) -> None:
        zone = Zone.objects.filter(name=options["zone"]).first()
        if zone is None or not zone.public_key:
            raise CommandError(f"there is no zone {options['zone']!r} with a key")
        request = build_request(zone)
        task = {"args": [encode(request).decode()], "queue": zone_queue(zone.name), "expires": options["timeout"]}
        app.send_task(ROTATE_TASK, **task)
        deadline = time.monotonic() + options["timeout"]
        while not Zone.objects.exclude(public_key=request.public_key).filter(pk=zone.pk).exists():
            if time.monotonic() > deadline:
                raise CommandError(
                    f"zone {zone} still has its key: is one of its workers running, and ingest? Their logs tell more. "
                    "Run this again; nothing is lost"
                )
            time.sleep(POLL_S)
        self.stdout.write(f"zone {zone} has a new key; {len(request.credentials)} credentials are sealed to it")
