"""One host, network or `host:port` a line; and tables in CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from sandfly_web.inventory.importing.candidates import Parsed, port_of, tag_of
from sandfly_web.inventory.targets import TargetError, split_port

# What people call the columns.
COLUMNS = {
    "address": (
        "address",
        "ip",
        "ip_address",
        "ipaddress",
        "primary_ip",
        "primary_ip4",
        "host",
        "fqdn",
        "dns",
        "dns_name",
    ),
    "name": ("name", "hostname", "host_name", "label", "device"),
    "port": ("port", "ssh_port", "ansible_port"),
    "directory": ("staging_directory", "staging_dir"),
    "tags": ("tags", "tag", "groups", "group", "labels", "role"),
}
SEPARATORS = ",;\t|"


def parse_list(text: str) -> Parsed:
    """`#` begins a comment; user names are left out with a note."""
    parsed = Parsed()
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        username, _, bare = word.rpartition("@")
        if username:
            parsed.note("user names are not imported: the credential has one")
        if not parsed.add_text(bare, "", (), number):
            break
    return parsed


def parse_csv(text: str) -> Parsed:
    """A table with a header; the separator is whichever the header has most of.

    Without an address column the name is taken for one. Prefix lengths, as NetBox writes them, are left out.
    """
    parsed = Parsed()
    lines = io.StringIO(text.lstrip("\ufeff"), newline=None)
    separator = max(SEPARATORS, key=lines.readline().count)
    lines.seek(0)
    reader = csv.DictReader(lines, delimiter=separator)
    try:
        _read_table(parsed, reader)
    except csv.Error as error:
        parsed.fault(max(reader.line_num, 1), f"not CSV: {error}")
    return parsed


def _read_table(parsed: Parsed, reader: csv.DictReader[str]) -> None:
    names = {(name or "").strip().lower().replace(" ", "_"): name for name in reader.fieldnames or ()}
    found = {part: next((names[word] for word in words if word in names), None) for part, words in COLUMNS.items()}
    if found["address"] is None and found["name"] is None:
        parsed.fault(
            1, f"no column with an address; name one {', '.join(COLUMNS['address'][:4])} or {COLUMNS['name'][0]}"
        )
        return
    for row in reader:
        if not _add_row(parsed, row, found, reader.line_num):
            break


def _add_row(parsed: Parsed, row: Mapping[str, str | None], found: Mapping[str, str | None], line: int) -> bool:
    def cell(part: str) -> str:
        column = found[part]
        return (row.get(column) or "").strip() if column is not None else ""

    address, name = cell("address") or cell("name"), cell("name")
    if not address:
        if any((value or "").strip() for value in row.values() if isinstance(value, str)):
            parsed.fault(line, "no address")
        return True
    port = port_of(cell("port")) if cell("port") else None
    if cell("port") and port is None:
        parsed.fault(line, f"{cell('port')!r} is no port")
        return True
    tags = tuple(tag for word in cell("tags").replace(";", ",").split(",") if (tag := tag_of(word)))
    return parsed.add_text(_without_prefix(address), name, tags, line, port, cell("directory"))


def _without_prefix(address: str) -> str:
    """`10.0.0.5/24` in a table is a host with the length of its network, not the network."""
    host, slash, _bits = address.partition("/")
    try:
        return split_port(host, host)[0] if slash else address
    except TargetError:
        return address
