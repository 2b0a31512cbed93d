"""`manage.py scan`: visit hosts from this process, without server, database or broker.

The one place where the web side runs a visit itself (`scanners.visit`): there is no worker to send it to.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sandfly_web.inventory.targets import TargetError
from sandfly_web.scans.oneshot.identity import IdentityError
from sandfly_web.scans.oneshot.indicators import IndicatorFileError
from sandfly_web.scans.oneshot.results import LEVELS
from sandfly_web.scans.oneshot.runner import PRIORITY_LIMITS
from sandfly_web.scans.oneshot.session import FORMATS, SessionError, run_session
from scanners.budget import process_budget
from scanners.contract import Become
from scanners.visit import run_visit

TYPES = ("detection", "policy", "recon", "incident")
EPILOG = """\
TARGET is `local`, [user@]host[:port], a network such as 10.0.0.0/24, or @FILE with one target a line.

exit status: 0 no finding of --fail-on level or above, 1 findings, 2 a host could not be scanned

examples:
  ./manage.py scan local
  ./manage.py scan root@10.0.0.5 --identity ~/.ssh/id_ed25519 --accept-new-host-keys
  ./manage.py scan local --indicators report.csv --indicators feed.stix.json
  ./manage.py scan root@10.0.0.5 --rule user_password_weak --password-list words.txt
  ./manage.py scan admin@10.0.0.0/24 --ask-password --become sudo --format jsonl --output findings.jsonl
"""


class Command(BaseCommand):
    help = "Scan hosts now and print what was found; needs no server, database or broker."
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.update(epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("targets", nargs="+", metavar="TARGET")
        add_sign_in_arguments(parser)
        add_rule_arguments(parser)
        add_output_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            status = run_session(options, functools.partial(run_visit, budget=process_budget()))
        except (TargetError, IdentityError, SessionError, IndicatorFileError) as error:
            raise CommandError(str(error), returncode=2) from None
        except KeyboardInterrupt:
            raise CommandError("stopped", returncode=130) from None
        sys.exit(status)


def add_sign_in_arguments(parser: CommandParser) -> None:
    group = parser.add_argument_group("signing in")
    group.add_argument("--identity", type=Path, metavar="FILE", help="private key (asks for its passphrase)")
    group.add_argument("--ask-password", action="store_true", help="ask for the login password (also used for sudo)")
    group.add_argument("--ask-become-password", action="store_true", help="ask for another password for sudo, su, doas")
    group.add_argument("--become", choices=[b.value for b in Become], default="auto", help="how to become root")
    group.add_argument("--jump", action="append", default=[], metavar="U@H:P", help="go through this host; repeatable")
    group.add_argument("--accept-new-host-keys", action="store_true", help="trust and remember keys of unknown hosts")
    group.add_argument("--known-hosts", type=Path, metavar="FILE", default=Path.home() / ".ssh" / "known_hosts")


def add_rule_arguments(parser: CommandParser) -> None:
    group = parser.add_argument_group("rules")
    group.add_argument("--type", default="detection", metavar="TYPE,…", help=f"of {', '.join(TYPES)}")
    group.add_argument(
        "--rule", action="append", default=[], metavar="NAME|TAG|FILE.yml", help="only these; repeatable"
    )
    group.add_argument(
        "--indicators", action="append", default=[], type=Path, metavar="FILE",
        help="look for the hashes, addresses, domains, paths and keys in it (text, CSV, STIX 2.1, MISP); repeatable",
    )  # fmt: skip
    group.add_argument(
        "--deep", action="store_true", help="also every file of every package, every process id, guesses of passwords"
    )
    group.add_argument(
        "--password-list", type=Path, metavar="FILE", help="passwords to try on the hosts' accounts, one a line"
    )
    group.add_argument("--password-seconds", type=int, metavar="S", help="CPU time that guessing may take (20)")
    group.add_argument("--directory", metavar="DIR", help="put the probe there on the hosts and nowhere else")
    group.add_argument("--priority", choices=sorted(PRIORITY_LIMITS), default="normal", help="how much CPU it may take")


def add_output_arguments(parser: CommandParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--format", choices=["table", *FORMATS], default="table")
    group.add_argument("--output", type=Path, metavar="FILE", help="write there instead of standard output")
    group.add_argument("--fail-on", choices=LEVELS, default="medium", help="least level that gives exit status 1")
    group.add_argument("--concurrency", type=int, default=10, metavar="N", help="visits at once")
