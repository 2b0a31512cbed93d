"""`manage.py retain`: delete old scans and records now; beat does it every hour."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from sandfly_web.scans.retention import delete_old


class Command(BaseCommand):
    help = "Delete finished scans and records that are gone, once they are older than they are kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--scan-days", type=int, default=settings.SCAN_RETENTION_DAYS)
        parser.add_argument("--record-days", type=int, default=settings.RECORD_RETENTION_DAYS)

    def handle(self, *_args: Any, **options: Any) -> None:
        deleted = delete_old(timezone.now(), options["scan_days"], options["record_days"])
        self.stdout.write(f"deleted {deleted.scans} scans, {deleted.records} records, {deleted.plans} plans")
