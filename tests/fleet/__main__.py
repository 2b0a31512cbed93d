"""`python -m tests.fleet`: what kinds of host the simulator has, their addresses, and the simulator itself."""

from __future__ import annotations

import argparse
import sys
import threading

from rich.console import Console
from rich.table import Table

from tests.fleet import flight, whole
from tests.fleet.fleet import make_fleet
from tests.fleet.kinds import KINDS, MIXED, addresses

OFFERED = ["mixed", *(kind.name for kind in KINDS)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description="Thousands of SSH hosts on 127.0.0.0/8.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("kinds", help="what hosts there are (also without a command)")
    listing = commands.add_parser("addresses", help="one address a line, for `manage.py hosts`")
    listing.add_argument("kind", choices=OFFERED)
    listing.add_argument("count", type=int)
    serving = commands.add_parser("serve", help="serve all of them until Ctrl-C; needs root")
    serving.add_argument("--port", type=int, default=2222)
    flying = commands.add_parser("flight", help="how many visits a worker has in flight at once; needs root")
    flying.add_argument("count", type=int, nargs="?", default=200)
    through = commands.add_parser("stack", help="hosts through the whole product; needs root")
    through.add_argument("count", type=int, nargs="?", default=2000)
    through.add_argument("kind", choices=OFFERED, nargs="?", default="plain")
    through.add_argument("--rounds", type=int, default=2, help="how often all of them are due (default: %(default)s)")
    through.add_argument("--threads", type=int, default=64, help="visits in flight at once (default: %(default)s)")
    chosen = parser.parse_args()
    if chosen.command == "addresses":
        sys.stdout.writelines(f"{address}\n" for address in addresses(chosen.kind, chosen.count))
    elif chosen.command == "serve":
        serve(chosen.port)
    elif chosen.command == "flight":
        flight.main(chosen.count)
    elif chosen.command == "stack":
        whole.main(chosen.count, chosen.kind, chosen.rounds, chosen.threads)
    else:
        show_kinds()


def show_kinds() -> None:
    table = Table(title="A host's address says what it is like")
    for name in ("addresses", "kind", "in 127.99.x.y", "what it does"):
        table.add_column(name)
    total = sum(kind.share for kind in KINDS)
    for kind in KINDS:
        share = f"{100 * kind.share / total:.0f} %"
        table.add_row(f"127.{kind.octet}.x.y", kind.name, share, kind.about)
    table.add_row(f"127.{MIXED}.x.y", "mixed", "", "one of the above, drawn by the address")
    Console().print(table)


def serve(port: int) -> None:
    with make_fleet(port) as fleet:
        print(f"ssh -i {fleet.host.key_path()} -p {port} root@127.20.0.1", flush=True)  # noqa: T201 - a program's answer
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{sum(fleet.connections().values())} connections, at most {fleet.most_at_once()} at once")  # noqa: T201


if __name__ == "__main__":
    main()
