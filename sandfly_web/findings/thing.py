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


def cron_job(identity: Identity) -> str:
    path, command = value(identity, "path"), value(identity, "command")
    return f"{path}: {command}" if path and command else path or command


def authorized_key(identity: Identity) -> str:
    """`/root/.ssh/authorized_keys SHA256:…`: the key is named, not the whole of it."""
    return " ".join(filter(None, (value(identity, "path"), value(identity, "fingerprint"))))


def host(identity: Identity) -> str:
    return value(identity, "hostname") or value(identity, "machine_id")


def only(name: str) -> Callable[[Identity], str]:
    return lambda identity: value(identity, name)


def everything(identity: Identity) -> str:
    """For subjects that have no words of their own: the values that there are, in their order."""
    return " · ".join(text for name in list(identity)[:16] if (text := value(identity, name)))


WORDS: dict[str, Callable[[Identity], str]] = {
    "process": process,
    "socket": socket,
    "cron_job": cron_job,
    "authorized_key": authorized_key,
    "host": host,
    "file": only("path"),
    "directory": only("path"),
    "mount": only("path"),
    "systemd_unit": only("path"),
    "user": only("username"),
    "group": only("groupname"),
    "kernel_module": only("name"),
}
