"""From a rule's `logsource` to a subject, and from SigmaHQ's field names to ours.

Native rules name the subject (`category: process`) and its fields. SigmaHQ rules for events are run on the state of the
host: `process_creation` on the processes that run, `file_event` on the files that exist, `network_connection` on the
sockets that are open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sandfly_web.rules import log_sources
from sandfly_web.rules.faults import did_you_mean
from sandfly_web.rules.fields import Field, Registry, Subject
from scanners.contract import Expr


@dataclass(frozen=True)
class Alias:
    """Where a SigmaHQ field lives here.

    `inverted` turns true into false. `pattern` is RE2 around a value that stands inside a text field, `{}` in its
    place. `partly` says that only some records tell: a value that is not there is unknown, not none. `mentioned` looks
    for the value anywhere in the field, and what does not hold it is unknown. `note` says to a reader what that means.
    """

    field: str
    inverted: bool = False
    pattern: str = ""
    partly: bool = False
    mentioned: bool = False
    note: str = ""


@dataclass(frozen=True)
class Category:
    """A SigmaHQ category: its subject, the fields it has here, and why others cannot be known.

    A field that is no alias may be one of the subject behind `prefix`. `condition` picks the records that are meant.
    A condition on a field of `not_kept` is unknown on every record: a live host does not remember it.
    """

    subject: str
    aliases: Mapping[str, Alias]
    not_kept: Mapping[str, str]
    prefix: str = ""
    condition: Expr | None = None


_PROCESS = {
    "Image": "path",
    "CommandLine": "cmdline",
    "ProcessId": "pid",
    "User": "username",
    "CurrentDirectory": "cwd",
    # Sysmon for Linux gives the user id here.
    "LogonId": "uid",
    "ParentImage": "parent.path",
    "ParentCommandLine": "parent.cmdline",
    "ParentProcessId": "parent.pid",
    "ParentUser": "parent.username",
    "sha256": "exe_sha256",
}
_FILE = {"TargetFilename": "path", "User": "username", "sha256": "sha256", "md5": "md5", "sha1": "sha1"}
_SOCKET = {
    "Image": "process.path",
    "CommandLine": "process.cmdline",
    "ProcessId": "pid",
    "Protocol": "protocol",
    "SourceIp": "local_address",
    "SourcePort": "local_port",
    "DestinationIp": "remote_address",
    "DestinationPort": "remote_port",
}
_NOT_KEPT = "the kernel does not keep it once the event is over"
_WRITER = Alias(
    "open_by",
    partly=True,
    note="who wrote a file is not kept; it is decided where a program holds the file open, and else unknown",
)
_HOST_NAME = Alias(
    "process.cmdline",
    mentioned=True,
    note="names are not looked up; it is decided where the command line of the socket's program has the name",
)

CATEGORIES: Mapping[str, Category] = {
    "process_creation": Category(
        "process",
        {name: Alias(ours) for name, ours in _PROCESS.items()},
        {"Hashes": "programs are not told by import hashes; use sha256"},
    ),
    "file_event": Category(
        "file",
        {name: Alias(ours) for name, ours in _FILE.items()} | {"Image": _WRITER},
        dict.fromkeys(("CommandLine", "ProcessId"), f"who wrote a file: {_NOT_KEPT}"),
    ),
    "network_connection": Category(
        "socket",
        # A socket does not remember which side opened it; what does not listen is the nearest there is.
        {name: Alias(ours) for name, ours in _SOCKET.items()}
        | {"Initiated": Alias("is_listening", inverted=True), "DestinationHostname": _HOST_NAME},
        {"User": "whose socket it is, is known by number only; use uid"},
    ),
}


HOST_PREFIX = "host."


class MappingError(ValueError):
    """A name of a rule means nothing here; the message says what to write instead."""


@dataclass(frozen=True)
class LogSource:
    """A subject and how the rule's field names are read. `category` is None for native rules.

    `host` is the subject whose one record conditions may look at too, with `host.` in front of its fields.
    """

    subject: Subject
    category: Category | None = None
    host: Subject | None = field(default=None, repr=False)

    @property
    def is_native(self) -> bool:
        return self.category is None

    @property
    def condition(self) -> Expr | None:
        """What a record must be before the rule's own condition is asked; None for any."""
        return self.category.condition if self.category else None

    @property
    def keyword_field(self) -> str:
        """The field that keywords look at; "" for every text of a record."""
        return log_sources.KEYWORD_FIELD if self.subject.name == log_sources.SUBJECT else ""

    def alias(self, name: str) -> Alias | None:
        return self.category.aliases.get(name) if self.category else None

    def note(self, name: str) -> str:
        """What a reader of the rule has to know of how this field is answered, "" for nothing."""
        alias = self.alias(name)
        note = alias.note if alias else self.category.not_kept.get(name, "") if self.category else ""
        return f"{name}: {note}" if note else ""

    def is_kept(self, name: str) -> bool:
        """False when no record can tell this field."""
        return self.category is None or name not in self.category.not_kept

    def resolve(self, name: str) -> tuple[Field, bool]:
        """The field a rule means, and whether its booleans are inverted. Raises MappingError."""
        if self.category is None:
            return self._native(name), False
        if alias := self.category.aliases.get(name):
            return self._native(alias.field), alias.inverted
        if reason := self.category.not_kept.get(name):
            raise MappingError(f'field "{name}" cannot be answered for {self.subject.name}: {reason}')
        if field := self.subject.fields.get(self.category.prefix + name) or self.subject.fields.get(name):
            return field, False
        if field := self._of_host(name):
            return field, False
        raise MappingError(self._unknown(name, [*self.category.aliases, *self.subject.fields]))

    def _native(self, name: str) -> Field:
        if field := self.subject.fields.get(name) or self._of_host(name):
            return field
        raise MappingError(self._unknown(name, list(self.subject.fields)))

    def _of_host(self, name: str) -> Field | None:
        prefix, dot, rest = name.partition(".")
        if self.host is None or f"{prefix}{dot}" != HOST_PREFIX:
            return None
        if found := self.host.fields.get(rest):
            return replace(found, name=name)
        hint = did_you_mean(rest, self.host.fields) or "; see `./manage.py rules fields host`"
        raise MappingError(f'subject host has no field "{rest}"{hint}')

    def _unknown(self, name: str, known: list[str]) -> str:
        hint = self._hint(name) or did_you_mean(name, known) or f"; see `./manage.py rules fields {self.subject.name}`"
        return f'subject {self.subject.name} has no field "{name}"{hint}'

    def _hint(self, name: str) -> str:
        """What a SigmaHQ field is called in rules of our own."""
        if not self.is_native:
            return ""
        for category in CATEGORIES.values():
            if category.subject == self.subject.name and (alias := category.aliases.get(name)):
                return f'; here it is "{alias.field}"'
        return ""


def find_log_source(logsource: Mapping[str, object], registry: Registry) -> LogSource:
    """The subject that a `logsource` mapping names. Raises MappingError."""
    product, category, service = (logsource.get(key) for key in ("product", "category", "service"))
    if product not in {None, "linux"}:
        raise MappingError(f'product "{product}" is not collected; only linux is')
    if category is None:
        return _find_log(service, registry)
    name = str(category)
    if service is not None and name not in log_sources.CATEGORIES:
        raise MappingError(f'service "{service}" selects log lines, and category "{name}" does not; remove one of them')
    host = registry.get("host")
    if name in CATEGORIES:
        return LogSource(registry[CATEGORIES[name].subject], CATEGORIES[name], host)
    if name in registry:
        return LogSource(registry[name], host=host if name != "host" else None)
    if name in log_sources.CATEGORIES:
        return _log(
            str(service or name), log_sources.SERVICES.get(str(service), log_sources.CATEGORIES[name]), registry
        )
    known = [*registry, *CATEGORIES, *log_sources.CATEGORIES]
    hint = did_you_mean(name, known) or f"; known are {', '.join(sorted(known))}"
    raise MappingError(f'unknown subject "{name}"{hint}')


def _find_log(service: object, registry: Registry) -> LogSource:
    """Log lines of a service; of a product alone, all of them."""
    if service is None:
        return _log("", None, registry)
    name = str(service)
    if name not in log_sources.SERVICES:
        hint = did_you_mean(name, log_sources.SERVICES) or f"; known are {', '.join(sorted(log_sources.SERVICES))}"
        raise MappingError(f'logs of service "{name}" are not read{hint}')
    return _log(name, log_sources.SERVICES[name], registry)


def _log(name: str, condition: Expr | None, registry: Registry) -> LogSource:
    aliases = {theirs: Alias(ours) for theirs, ours in log_sources.ALIASES.get(name, {}).items()}
    aliases |= {
        theirs: Alias(field, pattern=pattern, note=log_sources.INSIDE_NOTE)
        for theirs, (field, pattern) in log_sources.INSIDE.get(name, {}).items()
    }
    not_kept, prefix = log_sources.NOT_KEPT.get(name, {}), log_sources.PREFIXES.get(name, "")
    category = Category(log_sources.SUBJECT, aliases, not_kept, prefix, condition)
    return LogSource(registry[log_sources.SUBJECT], category, registry.get("host"))
