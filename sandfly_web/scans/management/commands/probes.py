"""`manage.py probes build|list`: the builds of the probe, as `python -m probes.build` makes them."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from probes.cli import main


class Command(BaseCommand):
    help = "Build the probe for one or more architectures, or list the builds with size and SHA-256."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        build = actions.add_parser("build", help="build what is not current")
        build.add_argument("arch", nargs="*", help="architectures, `host` or `all` (default: all)")
        actions.add_parser("list", help="architectures with size and SHA-256")

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(main([options["action"], *options.get("arch", [])]))
