"""Things of one kind that few hosts have now, by what makes them the same thing on any host. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Min, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce

from sandfly_web.findings.models import Record
from sandfly_web.inventory.models import Host

MAX_RARE = 500
MAX_HOSTS = 100
# Of one thing.
NAMED_HOSTS = 5


class Kind(StrEnum):
    """What people look for among."""

    PROGRAMS = "programs"
    LISTENERS = "listeners"
    KEYS = "keys"
    SERVICES = "services"
    MODULES = "modules"


@dataclass(frozen=True)
class Source:
    """The subject of the records, the facts that make two of them the same thing, the first of which it must have."""

    subject: str
    facts: tuple[str, ...]
    only: Q = field(default_factory=Q)


SOURCES = {
    Kind.PROGRAMS: Source("process", ("path",)),
    Kind.LISTENERS: Source(
        "socket",
        ("local_port", "protocol", "process.path"),
        Q(data__state__isnull=True) | ~Q(data__state="ESTABLISHED"),
    ),
    Kind.KEYS: Source("authorized_key", ("fingerprint",)),
    Kind.SERVICES: Source("systemd_unit", ("name",)),
    Kind.MODULES: Source("kernel_module", ("name",)),
}


@dataclass(frozen=True)
class Rare:
    """One thing: its facts, on how many hosts it is, the first few of them by id and name, and a record of it."""

    facts: dict[str, str | None]
    host_count: int
    hosts: list[dict[str, str]]
    first_seen_at: datetime
    record: int


@dataclass(frozen=True)
class Found:
    """The rarest first, of these what appeared last; `known_hosts` have any record of the kind."""

    rare: list[Rare]
    known_hosts: int
    is_cut: bool


def find_rare(kind: Kind, hosts: int = 1, limit: int = 200) -> Found:
    """Things that at most `hosts` hosts have now, as their last visits saw them; at most `limit`. Three queries.

    Hosts are those that the request may know of.
    """
    source = SOURCES[kind]
    records: QuerySet[Any] = Record.objects.filter(source.only, subject=source.subject, is_current=True).order_by()
    named: dict[str, Any] = {f"fact_{place}": _text(name) for place, name in enumerate(source.facts)}
    grouped: Any = records.annotate(**named).filter(fact_0__isnull=False).values(*named)
    counted = grouped.annotate(
        host_count=Count("host", distinct=True),
        found_on=ArrayAgg("host", distinct=True),
        first=Min("first_seen_at"),
        example=Min("pk"),
    ).filter(host_count__lte=hosts)
    rows = list(counted.order_by("host_count", "-first", "example")[: limit + 1])
    names = _names(rows[:limit])
    rare = [
        Rare(
            facts={name: row[f"fact_{place}"] for place, name in enumerate(source.facts)},
            host_count=row["host_count"],
            hosts=[{"id": str(pk), "name": names[pk]} for pk in row["found_on"][:NAMED_HOSTS]],
            first_seen_at=row["first"],
            record=row["example"],
        )
        for row in rows[:limit]
    ]
    return Found(rare, records.values("host").distinct().count(), len(rows) > limit)


def _text(name: str) -> Coalesce:
    return Coalesce(KeyTextTransform(name, "data"), KeyTextTransform(name, "identity"))


def _names(rows: list[dict[str, Any]]) -> dict[Any, str]:
    wanted = {pk for row in rows for pk in row["found_on"][:NAMED_HOSTS]}
    return dict(Host.objects.filter(pk__in=wanted).order_by().values_list("pk", "name"))
