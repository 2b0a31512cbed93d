"""Hosts of an Ansible inventory, INI or YAML; groups become tags. Pure.

Grammar: Ansible's user guide, "How to build your inventory": groups, `:children`, `:vars`, host ranges, host variables.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandfly_web.inventory.importing.candidates import Parsed, port_of, tag_of
from sandfly_web.inventory.targets import MAX_HOSTS, Target, TargetError, parse_target
from sandfly_web.rules.document import parse_document
from sandfly_web.rules.faults import Faults

RANGE = re.compile(r"\[([0-9]+|[a-zA-Z]):([0-9]+|[a-zA-Z])(?::([0-9]+))?\]")
SECTION = re.compile(r"^\[([^\]:]+)(?::(children|vars|hosts))?\]\s*(?:#.*)?$")
IMPLICIT = frozenset({"all", "ungrouped"})
MAX_DEPTH = 32
# Ansible's own remote_tmp is mostly a template, and a place where others may write.
DIRECTORY_VARIABLE = "sandfly_staging_directory"
LOCAL_CONNECTIONS = frozenset({"local", "docker", "podman", "winrm", "psrp", "network_cli", "httpapi", "netconf"})


@dataclass
class _Inventory:
    """Hosts with their variables, groups with their hosts, children and variables."""

    hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)

    def add_host(self, name: str, group: str, values: Mapping[str, str], line: int) -> None:
        self.hosts.setdefault(name, {}).update(values)
        self.lines.setdefault(name, line)
        self.members.setdefault(group, []).append(name)


def parse_ini(text: str) -> Parsed:
    """An inventory in INI. Faulty lines are named and left out."""
    parsed, inventory = Parsed(), _Inventory()
    group, kind = "ungrouped", "hosts"
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if not bare or bare[0] in "#;":
            continue
        section = SECTION.match(bare)
        if section:
            group, kind = section.group(1).strip(), section.group(2) or "hosts"
            inventory.members.setdefault(group, [])
        elif bare.startswith("["):
            parsed.fault(number, f"{bare!r} is no section: use [group], [group:children] or [group:vars]")
        elif kind == "children":
            inventory.children.setdefault(group, []).append(bare.split()[0])
        elif kind == "vars":
            name, _, value = bare.partition("=")
            inventory.variables.setdefault(group, {})[name.strip()] = value.strip()
        else:
            _read_line(parsed, inventory, group, bare, number)
    return _resolve(parsed, inventory)


def _read_line(parsed: Parsed, inventory: _Inventory, group: str, line: str, number: int) -> None:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        parsed.fault(number, f"cannot be read: {error}")
        return
    values = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    pattern, port = _split_port(words[0])
    if port:
        values.setdefault("ansible_port", port)
    _add_range(parsed, inventory, group, pattern, values, number)


def _add_range(
    parsed: Parsed, inventory: _Inventory, group: str, pattern: str, values: Mapping[str, str], line: int
) -> None:
    """`web[01:50]` is fifty hosts; bounded, since a range may name billions."""
    try:
        for name in itertools.islice(expand(pattern), MAX_HOSTS + 1):
            if len(inventory.hosts) > MAX_HOSTS:
                parsed.fault(line, f"more than {MAX_HOSTS} hosts; import them in parts")
                return
            inventory.add_host(name, group, values, line)
    except ValueError as error:
        parsed.fault(line, str(error))


def _split_port(word: str) -> tuple[str, str]:
    """`web1:2222`, but not the colon of a range or of IPv6."""
    match = re.fullmatch(r"(.+):([0-9]{1,5})", word)
    if match and ":" not in RANGE.sub("", match.group(1)):
        return match.group(1), match.group(2)
    return word, ""


def expand(pattern: str) -> Iterator[str]:
    """The names of `db[a:c].example` or `web[01:10:2]`; lazily. Raises ValueError for a range that is none."""
    found = RANGE.search(pattern)
    if not found:
        yield pattern
        return
    first, last, step = found.groups()
    if first.isdigit() != last.isdigit():
        raise ValueError(f"{found.group(0)} is no range: both ends are numbers, or both are letters")
    if int(step or 1) < 1:
        raise ValueError(f"{found.group(0)} is no range: the step is at least 1")
    if first.isdigit():
        width = len(first) if first.startswith("0") else 0
        places = (f"{number:0{width}d}" for number in range(int(first), int(last) + 1, int(step or 1)))
    else:
        places = (chr(code) for code in range(ord(first), ord(last) + 1, int(step or 1)))
    for place in places:
        yield from expand(pattern[: found.start()] + place + pattern[found.end() :])


def parse_yaml(text: str) -> Parsed:
    """An inventory in YAML: groups with hosts, children and vars."""
    parsed, inventory = Parsed(), _Inventory()
    faults = Faults("inventory")
    document = parse_document(text, faults)
    if document is None:
        try:
            faults.raise_if_any()
        except Exception as error:  # noqa: BLE001 - its text is all that is wanted
            parsed.fault(1, str(error))
        return parsed

    def read(name: str, group: Any, path: tuple[str | int, ...], depth: int) -> None:
        if not isinstance(group, dict) or depth > MAX_DEPTH:
            if group is not None:
                parsed.fault(document.line(path), f"group {name}: expected hosts, children or vars")
            return
        inventory.members.setdefault(name, [])
        for host, values in _mapping(group.get("hosts")):
            pattern = str(host)
            line = document.line((*path, "hosts", host))
            plain = {key: str(value) for key, value in _mapping(values)}
            _add_range(parsed, inventory, name, pattern, plain, line)
        for child, inner in _mapping(group.get("children")):
            inventory.children.setdefault(name, []).append(str(child))
            read(str(child), inner, (*path, "children", child), depth + 1)
        for key, value in _mapping(group.get("vars")):
            inventory.variables.setdefault(name, {})[str(key)] = str(value)

    for name, group in document.values.items():
        read(str(name), group, (name,), 0)
    return _resolve(parsed, inventory)


def _mapping(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _resolve(parsed: Parsed, inventory: _Inventory) -> Parsed:
    """Variables come from all groups of a host, nearest last; every group but the implicit ones is a tag."""
    parents: dict[str, list[str]] = {}
    for group, children in inventory.children.items():
        for child in children:
            parents.setdefault(child, []).append(group)
    groups: dict[str, list[str]] = {}
    for group, names in inventory.members.items():
        above = _ancestors(group, parents)
        for name in names:
            groups.setdefault(name, []).extend([*above, group])
    for name, own in inventory.hosts.items():
        chain = ["all", *dict.fromkeys(groups.get(name, ()))]
        values: dict[str, str] = {}
        for group in chain:
            values.update(inventory.variables.get(group, {}))
        values.update(own)
        tags = tuple(tag for group in chain if group not in IMPLICIT and (tag := tag_of(group)))
        _add(parsed, name, values, tags, inventory.lines[name])
    return parsed


def _ancestors(group: str, parents: Mapping[str, list[str]]) -> list[str]:
    """Farthest first; groups that contain each other are named once."""
    found: list[str] = []
    waiting = list(parents.get(group, ()))
    while waiting:
        name = waiting.pop()
        if name not in found and name != group:
            found.insert(0, name)
            waiting.extend(parents.get(name, ()))
    return found


def _add(parsed: Parsed, name: str, values: Mapping[str, str], tags: tuple[str, ...], line: int) -> None:
    connection = values.get("ansible_connection", "ssh")
    if connection in LOCAL_CONNECTIONS:
        parsed.note(f"hosts that are reached by {connection} are left out")
        return
    if "ansible_user" in values or "ansible_ssh_user" in values:
        parsed.note("user names are not imported: the credential has one")
    address = values.get("ansible_host") or values.get("ansible_ssh_host") or name
    spelled = values.get("ansible_port") or values.get("ansible_ssh_port") or "22"
    port = port_of(spelled)
    if port is None:
        parsed.fault(line, f"{name}: {spelled!r} is no port")
        return
    if "{{" in address:
        parsed.fault(line, f"{name}: its address is a template, which only Ansible can fill in")
        return
    try:
        [target] = parse_target(address)
    except (TargetError, ValueError):
        parsed.fault(line, f"{name}: {address!r} is no address")
        return
    parsed.add(Target(target.address, port), name, tags, line, values.get(DIRECTORY_VARIABLE, ""))
