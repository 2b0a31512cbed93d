"""What can have happened when, and which fields of which subjects say so. Pure but for the reference of fields."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from django.db import models

from sandfly_web.rules.fields import registry
from sandfly_web.rules.moments import ENDINGS, EPOCH_UNIT


class Kind(models.TextChoices):
    """What a moment is the moment of."""

    FOUND = "found", "Found"
    FOUND_LAST = "found_last", "Found again"
    TRIAGE = "triage", "Triage"
    VISIT = "visit", "Scan"
    STARTED = "started", "Started"
    BOOTED = "booted", "Booted"
    LOADED = "loaded", "Loaded"
    LOGIN = "login", "Login"
    LOGOUT = "logout", "Logout"
    COMMAND = "command", "Command"
    LOG = "log", "Log"
    PASSWORD = "password", "Password changed"
    SCHEDULED = "scheduled", "Scheduled"
    EXPIRES = "expires", "Expires"
    MODIFIED = "modified", "Modified"
    CHANGED = "changed", "Metadata changed"
    CREATED = "created", "Created"
    ACCESSED = "accessed", "Accessed"
    INSTALLED = "installed", "Installed"
    BUILT = "built", "Built"
    OTHER = "other", "Other"
    APPEARED = "appeared", "Appeared"
    ALTERED = "altered", "Changed"
    GONE = "gone", "Gone"


class Group(NamedTuple):
    """Kinds that are shown alike; `tone` is a class of the stylesheet."""

    title: str
    tone: str
    kinds: tuple[Kind, ...]


GROUPS = {
    "findings": Group("Findings and triage", "sf-critical", (Kind.FOUND, Kind.FOUND_LAST, Kind.TRIAGE)),
    "activity": Group(
        "Activity",
        "sf-high",
        (
            *(Kind.STARTED, Kind.BOOTED, Kind.LOADED, Kind.LOGIN, Kind.LOGOUT, Kind.COMMAND, Kind.LOG),
            *(Kind.PASSWORD, Kind.SCHEDULED, Kind.EXPIRES, Kind.OTHER),
        ),
    ),
    "files": Group("File times", "sf-low", (Kind.MODIFIED, Kind.CHANGED, Kind.CREATED, Kind.ACCESSED)),
    "packages": Group("Packages", "sf-medium", (Kind.INSTALLED, Kind.BUILT)),
    "seen": Group("Seen by scans", "sf-good", (Kind.APPEARED, Kind.ALTERED, Kind.GONE)),
    "visits": Group("Scans", "sf-quiet", (Kind.VISIT,)),
}
GROUP_OF = {kind: name for name, group in GROUPS.items() for kind in group.kinds}

# Kept by us; every other moment is what the host itself says.
BY_OUR_CLOCK = frozenset({Kind.FOUND, Kind.FOUND_LAST, Kind.TRIAGE, Kind.VISIT})
BETWEEN_SCANS = frozenset({Kind.APPEARED, Kind.ALTERED, Kind.GONE})


def clock(kind: str) -> str:
    """Whose clock it is by: a host that lies about its time lies here too."""
    return "scanner" if kind in BY_OUR_CLOCK or kind in BETWEEN_SCANS else "host"


def precision(kind: str) -> str:
    """`second`, or `scan`: it happened between this scan and the one before, or after this one for what is gone."""
    return "scan" if kind in BETWEEN_SCANS else "second"


# Fields that say when they were read.
NO_EVENT = frozenset({"clock"})
OF_FIELD = {
    "start_time": Kind.STARTED,
    "started_at": Kind.STARTED,
    "boot_time": Kind.BOOTED,
    "loaded_at": Kind.LOADED,
    "created": Kind.CREATED,
    "install_time": Kind.INSTALLED,
    "build_time": Kind.BUILT,
    "logout_time": Kind.LOGOUT,
    "last_login": Kind.LOGIN,
    "timestamp": Kind.COMMAND,
    "first_time": Kind.LOG,
    "last_time": Kind.LOG,
    "gap_start": Kind.LOG,
    "password_last_change": Kind.PASSWORD,
    "run_time": Kind.SCHEDULED,
    "account_expires": Kind.EXPIRES,
}
OF_ENDING = {"mtime": Kind.MODIFIED, "ctime": Kind.CHANGED, "btime": Kind.CREATED, "atime": Kind.ACCESSED}
OF_TIME = {"login": Kind.LOGIN, "log_line": Kind.LOG}


def kind_of(subject: str, field: str) -> Kind:
    """Of a field that holds a moment."""
    if field == "time":
        return OF_TIME.get(subject, Kind.OTHER)
    ending = next((ending for ending in ENDINGS if field.endswith(ending)), "")
    return OF_FIELD.get(field) or OF_ENDING.get(ending, Kind.OTHER)


@cache
def dated_fields() -> tuple[tuple[str, str, str], ...]:
    """(subject, field, kind) of every moment that the reference of fields knows; those of a parent are its own."""
    return tuple(
        (subject, field.name, kind_of(subject, field.name).value)
        for subject, known in sorted(registry().items())
        for field in known.fields.values()
        if field.unit == EPOCH_UNIT and "." not in field.name and field.name not in NO_EVENT
    )
