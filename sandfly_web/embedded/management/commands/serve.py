"""`manage.py serve web|ingest|beat`: one process of an installation whose parts are started apart, as in containers."""

from __future__ import annotations

import argparse
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sandfly_web.embedded.processes import beat_command, ingest_command, web_command

# Where a stop is given a minute: what is under way ends by itself.
GRACEFUL_S = 30


def endpoint(text: str) -> tuple[str, int]:
    """HOST:PORT; an IPv6 address in brackets."""
    host, found, port = text.rpartition(":")
    if not found or not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return host.strip("[]"), int(port)


class Command(BaseCommand):
    help = "Run the web server, ingest, or beat in the foreground; workers are started by `worker`."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parts = parser.add_subparsers(dest="part", required=True)
        web = parts.add_parser("web", help="console and API")
        web.add_argument("--bind", type=endpoint, default=("0.0.0.0", 8000), help="HOST:PORT (default: 0.0.0.0:8000)")  # noqa: S104
        ingest = parts.add_parser("ingest", help="stores reports and does what beat asks for; any number of them")
        ingest.add_argument("--concurrency", type=int, default=2, help="processes (default: 2)")
        parts.add_parser("beat", help="says when; several do no harm")

    def handle(self, **options: Any) -> None:
        """Replace this process, so that signals go to who is meant."""
        if options["part"] == "web":
            host, port = options["bind"]
            command = web_command(host, port, GRACEFUL_S)
        else:
            command = ingest_command(options["concurrency"]) if options["part"] == "ingest" else beat_command()
        os.execv(command[0], command)  # noqa: S606 - our own interpreter, our own arguments
