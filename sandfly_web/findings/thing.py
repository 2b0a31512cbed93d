"""What a finding is about, in one line: the path, account, command or address that its identity names. Pure.

Identities come from hosts and hold anything: every value is bounded and hidden characters are shown as escapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandfly_web.console.visible import visible

MAX_CHARS = 120
# Longer values only cost time: what is shown is cut far below.
MAX_VALUE_CHARS = 4096
GAP = " … "

Identity = Mapping[str, Any]
Words = Callable[[Identity], str]


def thing(subject: str, identity: Identity) -> str:
    """`/tmp/x (kworkerd)` of a process, `toor` of a user; at most 120 characters; "" when the identity says nothing."""
    words = WORDS.get(subject, everything)(identity)
    return shorten(visible(words or everything(identity)))


def shorten(text: str, size: int = MAX_CHARS) -> str:
    """Cut in the middle: the beginning says where, the end says what."""
    if len(text) <= size:
        return text
    room = size - len(GAP)
    return text[: room - room // 2] + GAP + text[len(text) - room // 2 :]


def value(identity: Identity, name: str) -> str:
    found = identity.get(name)
    return "" if found is None else str(found)[:MAX_VALUE_CHARS]


def process(identity: Identity) -> str:
    """The program and what it was started with; the name it goes by where that says something else."""
    path, name, cmdline = (value(identity, part) for part in ("path", "name", "cmdline"))
    if not path:
        return f"{cmdline} ({name})" if cmdline and name not in cmdline else cmdline or f"[{name}]" * bool(name)
    own = path.rpartition("/")[2]
    first, _, rest = cmdline.partition(" ")
    if cmdline and first.rpartition("/")[2] == own:
        return f"{path} {rest}".rstrip()
    if cmdline:
        return f"{path} ({cmdline})"
    return path if name in {"", own[: len(name)]} else f"{path} ({name})"


def socket(identity: Identity) -> str:
    """`tcp 0.0.0.0:4444 /usr/bin/nc`."""
    address, port = value(identity, "local_address"), value(identity, "local_port")
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}".strip(":")
    owner = value(identity, "process.path") or value(identity, "process.name")
    kind = value(identity, "protocol") or value(identity, "family")
    return " ".join(word for word in (kind, place or value(identity, "path"), owner) if word)


def authorized_key(identity: Identity) -> str:
    """`/root/.ssh/authorized_keys SHA256:… (toor)`: the key is named, not shown whole; accounts may share a file."""
    words = spaced("path", "fingerprint")(identity)
    owner = value(identity, "username")
    return f"{words} ({owner})" if owner else words


def host_key(identity: Identity) -> str:
    """`10.0.0.7:22 SHA256:…`."""
    endpoint = ":".join(filter(None, (value(identity, "address"), value(identity, "port"))))
    return " ".join(filter(None, (endpoint, value(identity, "fingerprint"))))


def first(*names: str) -> Words:
    """The first of the fields that has a value."""
    return lambda identity: next((text for name in names if (text := value(identity, name))), "")


def spaced(*names: str) -> Words:
    """The fields that have a value, in this order."""
    return lambda identity: " ".join(text for name in names if (text := value(identity, name)))


def line_of_file(*names: str) -> Words:
    """`/etc/cron.d/sync: curl …`: a file and the first of the fields that says which of its lines is meant."""
    pick = first(*names)
    return lambda identity: ": ".join(filter(None, (value(identity, "path"), pick(identity))))


def everything(identity: Identity) -> str:
    """For subjects that have no words of their own: the values that there are, in their order."""
    return " · ".join(text for name in list(identity)[:16] if (text := value(identity, name)))


WORDS: dict[str, Words] = {
    "process": process,
    "socket": socket,
    "authorized_key": authorized_key,
    "host_key": host_key,
    "host": first("hostname", "machine_id"),
    "user": first("username"),
    "group": first("groupname"),
    "at_job": first("command"),
    "container": spaced("runtime", "name", "image"),
    "ebpf": spaced("kind", "type", "name", "path"),
    "hidden": spaced("kind", "name", "path", "protocol", "local_address", "local_port"),
    "known_host": spaced("path", "name", "fingerprint"),
    "log_line": spaced("program", "username", "remote_address", "pattern"),
    "login": spaced("username", "host", "source"),
    "network": spaced("kind", "name", "address", "gateway", "device"),
    "package": first("name"),
    "pam_rule": spaced("path", "type", "control", "module", "arguments_text"),
    "setting": spaced("kind", "section", "name", "item"),
    **dict.fromkeys(("cron_job", "autostart", "init_script", "shell_history", "udev_rule"), line_of_file("command")),
    **dict.fromkeys(("ld_preload",), line_of_file("entry")),
    **dict.fromkeys(("shell_startup", "sudo_rule"), line_of_file("text", "command")),
    **dict.fromkeys(("kernel", "kernel_module"), first("name")),
    **dict.fromkeys(
        (
            *("file", "directory", "mount", "systemd_unit", "library", "log_file", "package_file"),
            *("private_key", "web_script"),
        ),
        first("path"),
    ),
}
