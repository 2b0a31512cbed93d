"""Identity and digests of what hosts report. Pure: the server and the one-shot scan give the same fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

# Facts that differ from one visit to the next although nothing happened; a changed pid is no change of evidence.
VOLATILE_EVERYWHERE = frozenset(
    {
        "atime", "clock", "uptime_s", "load_1", "load_5", "load_15", "age_s", "install_age_s", "atime_age_s",
        "btime_age_s", "ctime_age_s", "mtime_age_s", "file_ctime_age_s", "script.ctime_age_s",
    }
)  # fmt: skip
# Of a process and of its parent.
_PROCESS = frozenset(
    {
        "pid", "parent", "pgroup", "session", "start_time", "elapsed_time", "cpu_time", "resident_size", "total_size",
        "state", "threads", "tty", "fd_targets", "fd_count", "socket_count", "remote_ports", "environ", "maps_rwx",
        "kernel_stack", "memory_of",
    }
)  # fmt: skip
VOLATILE: Mapping[str, frozenset[str]] = {
    "process": _PROCESS | {f"parent.{name}" for name in _PROCESS} | {"ancestors.pid"},
    "socket": frozenset({"pid", "pids", "inode", "remote_port", "state"}),
    "host": frozenset({"memory_available", "processes_count", "users_count", "swap_free"}),
    "kernel_module": frozenset({"reference_count", "address", "used_by"}),
    "mount": frozenset({"available_bytes", "used_percent", "inodes_used_percent"}),
    "network": frozenset(f"{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errors", "dropped")),
}  # fmt: skip


def canonical(value: Any) -> bytes:
    """JSON with sorted keys. `value` must be made of cleaned JSON values (see `scans.cleaning`)."""
    return msgspec.json.encode(value, order="sorted")


def fingerprint(rule_id: str, host: str, subject: str, identity: Mapping[str, Any]) -> str:
    """SHA-256 that names a finding: rule, host (its id, or label without a server) and the subject's identity."""
    return hashlib.sha256(canonical([rule_id, host, subject, identity])).hexdigest()


def identity_digest(subject: str, identity: Mapping[str, Any]) -> str:
    """SHA-256 that names a record on a host."""
    return hashlib.sha256(canonical([subject, identity])).hexdigest()


def content_digest(subject: str, record: Mapping[str, Any], fields: Iterable[str] = ()) -> str:
    """SHA-256 of what a record says: its `fields` (all, when none are given) without volatile ones."""
    volatile = VOLATILE.get(subject, frozenset())
    names = [name for name in (fields or record) if name not in volatile and name not in VOLATILE_EVERYWHERE]
    return hashlib.sha256(canonical({name: record.get(name) for name in names})).hexdigest()
