"""`manage.py hosts import FILE` and `hosts netbox URL`: hosts from a list, CSV, Ansible, ssh_config or NetBox."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from sandfly_web.inventory import services
from sandfly_web.inventory.importing.candidates import Parsed
from sandfly_web.inventory.importing.formats import Format, read_inventory
from sandfly_web.inventory.importing.netbox import PATHS, NetBox, NetBoxError, read_netbox
from sandfly_web.inventory.models import Credential, JumpHost, Zone

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(BaseCommand):
    """Exit status 1 when an entry could not be read; what could be read is imported all the same."""

    help = "Add hosts to the inventory from a file."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        imports = commands.add_parser("import", help="add the hosts that a file names; those that are there stay")
        imports.add_argument("file", help="the file, or - for standard input")
        imports.add_argument(
            "--format", type=Format, choices=list(Format), default=Format.AUTO, help="default: guessed"
        )
        self.add_common(imports)
        netbox = commands.add_parser("netbox", help="add the devices and virtual machines of a NetBox")
        netbox.add_argument("url", help="its address, such as https://netbox.example.org")
        netbox.add_argument("--token-file", required=True, help="file with the API token; - for standard input")
        netbox.add_argument(
            "--filter",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="of its lists, such as status=active, tag=linux, site=berlin; may be repeated",
        )
        netbox.add_argument("--kind", action="append", choices=list(PATHS), help="default: both")
        netbox.add_argument("--port", type=int, default=22, help="of SSH on the hosts")
        netbox.add_argument("--ca-file", default="", help="PEM file of the authority that signed its certificate")
        self.add_common(netbox)

    def add_common(self, parser: CommandParser) -> None:
        parser.add_argument("--zone", default="default", help="zone of the hosts (default: default)")
        parser.add_argument("--credential", default="", help="name of the credential to sign in with")
        parser.add_argument("--jump-host", default="", help="name of the jump host that leads there")
        parser.add_argument("--tag", action="append", default=[], help="a tag for all of them; may be repeated")
        parser.add_argument("--accept-new-host-keys", action="store_true", help="pin the key shown at the first visit")
        parser.add_argument("--dry-run", action="store_true", help="say what would be added and add nothing")

    def handle(self, *_args: Any, **options: Any) -> None:
        kind: str
        if options["command"] == "netbox":
            kind, parsed = "NetBox", self.ask_netbox(options)
        else:
            kind, parsed = self.read(options["file"], options["format"])
        self.report(parsed)
        if options["dry_run"]:
            for candidate in parsed.candidates.values():
                tags = f"  {', '.join(candidate.tags)}" if candidate.tags else ""
                self.stdout.write(f"{candidate.target.label}  {candidate.name}{tags}")
            self.stdout.write(f"{len(parsed.candidates)} hosts in {kind}; nothing was added")
        else:
            added = self.add(parsed, options)
            self.stdout.write(f"{len(added.created)} hosts added, {added.existing} were there already ({kind})")
        if parsed.fault_count:
            raise CommandError(f"{parsed.fault_count} entries could not be read", returncode=1)

    def read(self, path: str, given: Format) -> tuple[Format, Parsed]:
        try:
            text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
            return read_inventory(text, given)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise CommandError(f"{path}: {error}") from None

    def ask_netbox(self, options: dict[str, Any]) -> Parsed:
        path = options["token_file"]
        filters: dict[str, list[str]] = {}
        for text in options["filter"]:
            name, equals, value = text.partition("=")
            if not equals:
                raise CommandError(f"{text!r}: a filter is NAME=VALUE")
            filters.setdefault(name, []).append(value)
        try:
            token = (sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")).strip()
            kinds = options["kind"] or list(PATHS)
            netbox = NetBox(options["url"], token, filters, kinds, options["port"], options["ca_file"])
            return read_netbox(netbox)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
        except NetBoxError as error:
            raise CommandError(str(error)) from None

    def report(self, parsed: Parsed) -> None:
        for fault in parsed.faults:
            self.stderr.write(str(fault))
        if parsed.fault_count > len(parsed.faults):
            self.stderr.write(f"and {parsed.fault_count - len(parsed.faults)} more")
        for note in parsed.notes:
            self.stderr.write(f"note: {note}")

    def add(self, parsed: Parsed, options: dict[str, Any]) -> services.AddedHosts:
        try:
            return services.import_hosts(
                list(parsed.candidates.values()),
                services.HostOptions(
                    zone=named(Zone, options["zone"]),
                    credential=named(Credential, options["credential"]) if options["credential"] else None,
                    jump_host=named(JumpHost, options["jump_host"]) if options["jump_host"] else None,
                    accept_new_host_key=options["accept_new_host_keys"],
                    tags=tuple(options["tag"]),
                ),
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None


def named(model: type[Any], name: str) -> Any:
    """Raises CommandError that says which there are."""
    found = model._default_manager.filter(name=name).first()
    if found is None:
        known = ", ".join(str(row) for row in model._default_manager.all()[:10]) or "none"
        raise CommandError(f"there is no {model._meta.verbose_name} named {name!r}; there are: {known}")
    return found
