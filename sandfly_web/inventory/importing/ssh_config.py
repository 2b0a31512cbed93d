"""Hosts of OpenSSH's client configuration, ssh_config(5). Pure."""

from __future__ import annotations

import shlex

from sandfly_web.inventory.importing.candidates import Parsed, port_of
from sandfly_web.inventory.targets import Target, TargetError, parse_target

# What leads the way or signs in: said, not used.
UNUSED = {
    "proxyjump": "jump hosts of the file are not imported: choose one for all, or set it later",
    "proxycommand": "proxy commands are not imported: use a jump host",
    "user": "user names are not imported: the credential has one",
    "identityfile": "keys are not imported: store one as a credential",
    "include": "files that are included are not read: import them too",
    "match": "Match blocks are not looked at",
}


def parse_ssh_config(text: str) -> Parsed:
    """Every `Host` name without a wildcard, with the HostName and Port of its block."""
    parsed = Parsed()
    names: list[str] = []
    values: dict[str, str] = {}
    began = 1
    for number, line in enumerate([*text.splitlines(), "Host"], start=1):
        try:
            words = shlex.split(line.replace("=", " ", 1), comments=True)
        except ValueError as error:
            parsed.fault(number, f"cannot be read: {error}")
            continue
        if not words:
            continue
        key, arguments = words[0].lower(), words[1:]
        if key in {"host", "match"}:
            _finish(parsed, names, values, began)
            names, values, began = [], {}, number
            if key == "host":
                names = [word for word in arguments if not any(letter in word for letter in "*?!")]
        elif arguments:
            # ssh_config(5): the first value counts.
            values.setdefault(key, arguments[0])
        if key in UNUSED:
            parsed.note(UNUSED[key])
    return parsed


def _finish(parsed: Parsed, names: list[str], values: dict[str, str], line: int) -> None:
    port = port_of(values.get("port", "22"))
    if port is None:
        parsed.fault(line, f"{values['port']!r} is no port")
        return
    for name in names:
        address = values.get("hostname", name).replace("%h", name)
        try:
            [target] = parse_target(address)
        except (TargetError, ValueError):
            parsed.fault(line, f"{address!r} is no address")
            continue
        if not parsed.add(Target(target.address, port), name, (), line):
            return
