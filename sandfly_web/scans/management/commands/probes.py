"""`manage.py probes build|list|guard|sbom`: the builds of the probe, as `python -m probes.build` makes them."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from probes.cli import main


class Command(BaseCommand):
    help = "Build the probe, list the builds with size and SHA-256, write the guard for owners of hosts, or the SBOM."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        build = actions.add_parser("build", help="build what is not current")
        build.add_argument("arch", nargs="*", help="architectures, `host` or `all` (default: all)")
        listing = actions.add_parser("list", help="architectures with size and SHA-256")
        listing.add_argument(
            "--format", choices=["text", "json"], default="text", help="JSON has all that is published"
        )
        guard = actions.add_parser("guard", help="files with which a host's owner allows visits and nothing else")
        guard.add_argument("arch", nargs="*", help="architectures to allow, or `host` (default: all of this release)")
        guard.add_argument("--output", required=True, help="directory to write them into")
        guard.add_argument("--user", help="the account on the host (default: sandfly)")
        guard.add_argument("--directory", help="where probes are put on the host (default: /var/lib/sandfly-guard)")
        sbom = actions.add_parser("sbom", help="what probes and server are made of, as CycloneDX")
        sbom.add_argument("arch", nargs="*", help="architectures, or `host` (default: all)")
        sbom.add_argument("--output", required=True, help="directory to write it into")

    def handle(self, *args: Any, **options: Any) -> None:
        words = [options["action"], *options.get("arch", [])]
        for name in ("output", "user", "directory"):
            if options.get(name):
                words += [f"--{name}", options[name]]
        if options.get("format") == "json":
            words += ["--format", "json"]
        sys.exit(main(words))
