"""From a rule's `logsource` to a subject, and from SigmaHQ's field names to ours.

Native rules name the subject (`category: process`) and its fields. SigmaHQ rules for events are run on the state of the
host: `process_creation` on the processes that run, `file_event` on the files that exist, `network_connection` on the
sockets that are open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandfly_web.rules.faults import did_you_mean
from sandfly_web.rules.fields import Field, Registry, Subject


@dataclass(frozen=True)
class Alias:
    """Where a SigmaHQ field lives here; `inverted` turns true into false."""

    field: str
    inverted: bool = False


@dataclass(frozen=True)
class Category:
    """A SigmaHQ category: its subject, the fields it has here, and why others are missing."""

    subject: str
    aliases: Mapping[str, Alias]
    missing: Mapping[str, str]


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
_NOT_KEPT = "the kernel does not keep it once the event is over; write a rule without it"

CATEGORIES: Mapping[str, Category] = {
    "process_creation": Category(
        "process",
        {name: Alias(ours) for name, ours in _PROCESS.items()},
        {"ParentUser": _NOT_KEPT, "Hashes": "use sha256"},
    ),
    "file_event": Category(
        "file",
        {name: Alias(ours) for name, ours in _FILE.items()},
        dict.fromkeys(("Image", "CommandLine", "ProcessId"), f"who wrote a file is not known: {_NOT_KEPT}"),
    ),
    "network_connection": Category(
        "socket",
        # A socket does not remember which side opened it; what does not listen is the nearest there is.
        {name: Alias(ours) for name, ours in _SOCKET.items()} | {"Initiated": Alias("is_listening", inverted=True)},
        {"DestinationHostname": "names are not looked up; use DestinationIp", "User": "use DestinationIp and Image"},
    ),
}

# Kinds of SigmaHQ rules that look at log lines.
LOG_CATEGORIES = frozenset(
    {"webserver", "proxy", "firewall", "dns", "dns_query", "antivirus", "application", "database"}
)
LOG_SERVICES = frozenset({
    "auditd", "auth", "sshd", "cron", "syslog", "sudo", "guacamole", "clamav", "vsftpd", "modsecurity", "apache",
    "nginx", "journald", "kern", "daemon", "messages", "secure", "sysmon",
})  # fmt: skip


class MappingError(ValueError):
    """A name of a rule means nothing here; the message says what to write instead."""


@dataclass(frozen=True)
class LogSource:
    """A subject and how the rule's field names are read. `aliases` is empty for native rules."""

    subject: Subject
    category: Category | None = None

    @property
    def is_native(self) -> bool:
        return self.category is None

    def resolve(self, name: str) -> tuple[Field, bool]:
        """The field a rule means, and whether its booleans are inverted. Raises MappingError."""
        if self.category is None:
            return self._native(name), False
        if alias := self.category.aliases.get(name):
            return self._native(alias.field), alias.inverted
        if reason := self.category.missing.get(name):
            raise MappingError(f'field "{name}" cannot be answered for {self.subject.name}: {reason}')
        if name in self.subject.fields:
            return self.subject.fields[name], False
        raise MappingError(self._unknown(name, [*self.category.aliases, *self.subject.fields]))

    def _native(self, name: str) -> Field:
        if field := self.subject.fields.get(name):
            return field
        raise MappingError(self._unknown(name, list(self.subject.fields)))

    def _unknown(self, name: str, known: list[str]) -> str:
        hint = did_you_mean(name, known) or f"; `./manage.py rules new --subject {self.subject.name}` lists its fields"
        return f'subject {self.subject.name} has no field "{name}"{hint}'


def find_log_source(logsource: Mapping[str, object], registry: Registry) -> LogSource:
    """The subject that a `logsource` mapping names. Raises MappingError."""
    product, category, service = (logsource.get(key) for key in ("product", "category", "service"))
    if product not in {None, "linux"}:
        raise MappingError(f'product "{product}" is not collected; only linux is')
    if category is None:
        raise MappingError(_refuse_service(service, registry))
    if service is not None:
        raise MappingError(f'service "{service}" selects log lines, and subject log_line is not collected yet')
    name = str(category)
    if name in CATEGORIES:
        return LogSource(registry[CATEGORIES[name].subject], CATEGORIES[name])
    if name in registry:
        return LogSource(registry[name])
    if name in LOG_CATEGORIES:
        raise MappingError(f'category "{name}" is about log lines, and subject log_line is not collected yet')
    known = [*registry, *CATEGORIES]
    hint = did_you_mean(name, known) or f"; known are {', '.join(sorted(known))}"
    raise MappingError(f'unknown subject "{name}"{hint}')


def _refuse_service(service: object, registry: Registry) -> str:
    if service in LOG_SERVICES or service is not None:
        return f'service "{service}" is about log lines, and subject log_line is not collected yet'
    return (
        f"no category: a rule of a product alone is about log lines, and subject log_line is not collected yet; name a \
subject ({', '.join(sorted(registry))})"
    )
