"""What recon saw change on a host between two moments: read from the intervals of its records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from sandfly_web.findings.fingerprint import VOLATILE, VOLATILE_EVERYWHERE
from sandfly_web.findings.models import Record
from sandfly_web.scans.models import Scan

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from sandfly_web.inventory.models import Host

MAX_RECORDS = 5000


class Kind(StrEnum):
    """What happened to a thing."""

    APPEARED = "appeared"
    GONE = "gone"
    CHANGED = "changed"


@dataclass(frozen=True)
class FieldChange:
    """A fact that differs; None where the thing had none."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    """`record` is how the thing is now, or how it was last; `fields` are those that differ of one that changed."""

    kind: Kind
    record: Record
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True)
class Changes:
    """By subject, then by what it is about. `is_cut`: there are more than are read at once."""

    changes: list[Change]
    is_cut: bool

    @property
    def subjects(self) -> list[tuple[str, list[Change]]]:
        ordered = sorted(self.changes, key=lambda change: change.record.subject)
        return [(name, list(group)) for name, group in groupby(ordered, key=lambda change: change.record.subject)]


def changes_between(host: Host, since: datetime, until: datetime) -> Changes:
    """The difference between the host's state at two moments, each as the last visit before it saw it. Five queries.

    A thing that came and went in between is no difference. What no visit looked at again is as it was.
    """
    since, until = _last_visit(host, since), _last_visit(host, until)
    records = Record.objects.filter(host=host)
    began = _read(_alive_at(records, until).filter(first_seen_at__gt=since))
    ended = _read(_alive_at(records, since).filter(is_current=False, last_seen_at__lt=until))
    before = {(record.subject, record.identity_digest): record for record in ended}
    found = []
    for record in began[:MAX_RECORDS]:
        old = before.pop((record.subject, record.identity_digest), None)
        if old is None:
            found.append(Change(Kind.APPEARED, record))
        elif fields := _differing(old, record):
            found.append(Change(Kind.CHANGED, record, fields))
    # Other content of the same thing may have come before the first moment and still be there.
    still = _alive_at(records, until).filter(identity_digest__in=[digest for _, digest in before])
    kept = set(still.values_list("subject", "identity_digest"))
    found += [Change(Kind.GONE, record) for key, record in before.items() if key not in kept]
    return Changes(found, max(len(began), len(ended)) > MAX_RECORDS)


def _last_visit(host: Host, moment: datetime) -> datetime:
    """When the last visit until then saw the host; the moment itself where there was none."""
    visits = Scan.objects.filter(host=host, status=Scan.Status.DONE, observed_at__lte=moment)
    return visits.order_by("-observed_at").values_list("observed_at", flat=True).first() or moment


def _alive_at(records: QuerySet[Record], moment: datetime) -> QuerySet[Record]:
    """What the visit at that moment saw."""
    return records.filter(Q(is_current=True) | Q(last_seen_at__gte=moment), first_seen_at__lte=moment)


def _read(records: QuerySet[Record]) -> list[Record]:
    return list(records.order_by("subject", "id")[: MAX_RECORDS + 1])


def _differing(before: Record, after: Record) -> tuple[FieldChange, ...]:
    """Facts that differ, but for those that always do."""
    volatile = VOLATILE.get(after.subject, frozenset()) | VOLATILE_EVERYWHERE
    names = dict.fromkeys([*before.data, *after.data])
    return tuple(
        FieldChange(name, before.data.get(name), after.data.get(name))
        for name in names
        if name not in volatile and before.data.get(name) != after.data.get(name)
    )
