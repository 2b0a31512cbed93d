"""Writes of lists of indicators, the compact sets made of them, and looking values up in them."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from sandfly_web.rules.indicators.compact import CompactSet, build_set
from sandfly_web.rules.indicators.kinds import Fault, Indicator, Kind, key_of
from sandfly_web.rules.indicators.models import IndicatorList, IndicatorSet
from sandfly_web.rules.indicators.parsing import MAX_ENTRIES, Format, ParseError, parse_indicators
from sandfly_web.rules.indicators.sets import prefix_of
from sandfly_web.rules.indicators.verify import Listed, Value
from scanners.contract import PlanSet

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)

MAX_FAULTS = 1000
LOOK_UP_ROWS = 20_000
_SIGN = 1 << 63
_COLUMNS = "kind, key, value, description, reference"


@dataclass(frozen=True)
class Source:
    """How a file is to be read; see `parsing.parse_indicators`."""

    stream: BinaryIO
    form: Format | None = None
    column: str = ""
    kind: Kind | None = None


@dataclass
class Preview:
    """What is in a file; the faults are bounded, their number is not."""

    form: Format
    counts: Counter[str] = field(default_factory=Counter)
    samples: list[Indicator] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    prefixes: set[tuple[int, int]] = field(default_factory=set)

    @property
    def entry_count(self) -> int:
        return self.counts.total()

    def note(self, entry: Indicator | Fault) -> Indicator | None:
        if isinstance(entry, Fault):
            self.fault_count += 1
            if len(self.faults) < MAX_FAULTS:
                self.faults.append(entry)
            return None
        self.counts[entry.kind.value] += 1
        if len(self.samples) < 20:
            self.samples.append(entry)
        if entry.kind is Kind.IP and "/" in entry.value:
            self.prefixes.add(prefix_of(entry.value))
        return entry


def read_preview(source: Source, now: datetime | None = None) -> Preview:
    """Everything an import would say, without one. Raises ValidationError."""
    preview, entries = _open(source, now or timezone.now())
    with _as_validation():
        for _ in entries:
            pass
    return preview


def _open(source: Source, now: datetime) -> tuple[Preview, Iterator[Indicator]]:
    """Entries, noted as they are read."""
    source.stream.seek(0)
    with _as_validation():
        form, found = parse_indicators(source.stream, now, form=source.form, column=source.column, kind=source.kind)
    preview = Preview(form)
    return preview, (taken for entry in found if (taken := preview.note(entry)) is not None)


class _as_validation:  # noqa: N801 - reads as the verb it is
    """A file that is no list is a fault of the field it came in."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ParseError):
            raise ValidationError({"file": str(error)}) from None


def import_list(
    row: IndicatorList, source: Source, *, imported_by: User | None = None, now: datetime | None = None
) -> IndicatorList:
    """Save a list with the entries of a file, in place of those it has; either all of it holds or nothing changed.

    Raises ValidationError for what is no list, has no entry that can be used, or is too large beside the other lists.
    """
    now = now or timezone.now()
    row.full_clean()
    digest = _digest(source.stream)
    preview, entries = _open(source, now)
    with transaction.atomic():
        row.save()
        # Two imports of one list wait for each other.
        IndicatorList.objects.select_for_update(no_key=True).get(pk=row.pk)
        with _as_validation():
            stored = _replace_entries(row, entries)
        if not stored:
            raise ValidationError({"file": f"no line can be used; {_first(preview)}"})
        row.format, row.digest, row.version = preview.form.value, digest, row.version + 1
        row.counts, row.prefixes = stored, sorted(preview.prefixes)
        row.duplicate_count = preview.entry_count - sum(stored.values())
        row.fault_count = preview.fault_count
        row.faults = [[fault.place, fault.reason, fault.text] for fault in preview.faults]
        row.imported_at, row.imported_by = now, imported_by
        row.save()
        _check_total()
    return row


def _first(preview: Preview) -> str:
    return f"the first says: {preview.faults[0]}" if preview.faults else "it holds only comments"


def _digest(stream: BinaryIO) -> str:
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # an upload is file enough


def _replace_entries(row: IndicatorList, entries: Iterable[Indicator]) -> dict[str, int]:
    """COPY into a table of this transaction, then in one statement each into place; returns entries by kind."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE incoming_indicator"
            " (kind text, key bigint, value text, description text, reference text) ON COMMIT DROP"
        )
        rows = _Rows(entries)
        cursor.copy_expert(f"COPY incoming_indicator ({_COLUMNS}) FROM STDIN", rows, 1 << 16)
        if rows.problem is not None:
            raise rows.problem
        cursor.execute("DELETE FROM indicators_indicator WHERE list_id = %s", [row.pk])
        # The key comes first: comparing numbers is cheap, and one key hardly ever has two values.
        cursor.execute(
            f"INSERT INTO indicators_indicator (list_id, {_COLUMNS})"  # noqa: S608 - constants
            f" SELECT DISTINCT ON (key, kind, value) %s, {_COLUMNS} FROM incoming_indicator ORDER BY key, kind, value",
            [row.pk],
        )
        cursor.execute("SELECT kind, count(*) FROM indicators_indicator WHERE list_id = %s GROUP BY kind", [row.pk])
        counts = dict(cursor.fetchall())
        cursor.execute("DROP TABLE incoming_indicator")
    return counts


class _Rows:
    """A file for COPY, made while it is read. Values have no control characters, so only backslashes are escaped.

    What goes wrong in reading entries ends the file and is kept: the database driver would make its own error of it.
    """

    def __init__(self, entries: Iterable[Indicator]) -> None:
        self.entries = iter(entries)
        self.problem: ParseError | None = None
        self.held = b""

    def _next(self) -> bytes:
        try:
            return self._line(next(self.entries)).encode()
        except StopIteration:
            return b""
        except ParseError as problem:
            self.problem = problem
            return b""

    @staticmethod
    def _line(one: Indicator) -> str:
        text = f"{one.kind.value}\t{signed(key_of(one.value))}\t{one.value}\t{one.description}\t{one.reference}\n"
        return text.replace("\\", "\\\\")

    def read(self, size: int = -1) -> bytes:
        parts, length = [self.held], len(self.held)
        while size < 0 or length < size:
            line = self._next()
            if not line:
                break
            parts.append(line)
            length += len(line)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self.held = data[cut:]
        return data[:cut]


def signed(key: int) -> int:
    """A key as a bigint of PostgreSQL."""
    return key - 2 * _SIGN if key >= _SIGN else key


def active_lists(now: datetime | None = None) -> QuerySet[IndicatorList]:
    """Those that count: enabled and not expired."""
    now = now or timezone.now()
    return IndicatorList.objects.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), is_enabled=True)


def _check_total() -> None:
    total = sum(sum(counts.values()) for counts in active_lists().values_list("counts", flat=True))
    if total > MAX_ENTRIES:
        raise ValidationError({"file": f"{total} entries on enabled lists; a probe holds at most {MAX_ENTRIES}"})


def save_list(row: IndicatorList) -> IndicatorList:
    """Save what people may change of a list. Raises ValidationError."""
    row.full_clean()
    with transaction.atomic():
        row.save()
        _check_total()
    return row


def remove_list(row: IndicatorList) -> None:
    """With its entries; scans that start from now on no longer look for them."""
    row.delete()


def active_sets(now: datetime | None = None) -> dict[Kind, CompactSet]:
    """The compact set of every kind that an active list has entries of, made when the lists changed since the last."""
    lists = list(active_lists(now).order_by("pk").only("pk", "version", "counts", "prefixes"))
    kinds = sorted({kind for row in lists for kind in row.counts})
    return {Kind(kind): _ensure_set(Kind(kind), [row for row in lists if row.counts.get(kind)]) for kind in kinds}


def active_kinds(now: datetime | None = None) -> frozenset[Kind]:
    """Of which there are entries that scans look for."""
    counts = active_lists(now).values_list("counts", flat=True)
    return frozenset(Kind(kind) for one in counts for kind in one)


def _ensure_set(kind: Kind, lists: list[IndicatorList]) -> CompactSet:
    named = ",".join(f"{row.pk}:{row.version}" for row in lists)
    signature = hashlib.sha256(f"{kind.value} {named}".encode()).hexdigest()
    held = IndicatorSet.objects.filter(kind=kind.value, signature=signature).first()
    if held is not None:
        return CompactSet(msgspec.convert(held.spec, PlanSet), bytes(held.body))
    made = build_set(kind, _keys(kind, lists), [tuple(one) for row in lists for one in row.prefixes])
    values = {"kind": kind.value, "signature": signature, "spec": msgspec.to_builtins(made.spec), "body": made.body}
    IndicatorSet.objects.update_or_create(digest=made.spec.digest, defaults=values)
    log.info("set of %d %s indicators made, %d bytes", made.spec.count, kind.value, made.spec.size_bytes)
    return made


def _keys(kind: Kind, lists: list[IndicatorList]) -> Iterator[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT key FROM indicators_indicator WHERE kind = %s AND list_id = ANY(%s)",
            [kind.value, [row.pk for row in lists]],
        )
        while rows := cursor.fetchmany(50_000):
            for (key,) in rows:
                yield key % (2 * _SIGN)


def look_up(values: Collection[Value], now: datetime | None = None) -> Mapping[Value, list[Listed]]:
    """What active lists say of values that hosts found; those on no list are left out."""
    now = now or timezone.now()
    asked = sorted(values)
    found: dict[Value, list[Listed]] = {}
    for start in range(0, len(asked), LOOK_UP_ROWS):
        _look_up(set(asked[start : start + LOOK_UP_ROWS]), now, found)
    return found


def _look_up(asked: set[Value], now: datetime, found: dict[Value, list[Listed]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT one.kind, one.value, list.name, list.level, one.description, one.reference"
            " FROM indicators_indicator AS one JOIN indicators_indicatorlist AS list ON list.id = one.list_id"
            " WHERE one.key = ANY(%s) AND list.is_enabled AND (list.expires_at IS NULL OR list.expires_at > %s)"
            " ORDER BY list.name",
            [[signed(key_of(value)) for _, value in asked], now],
        )
        for kind, value, *told in cursor.fetchall():
            if (kind, value) in asked:
                found.setdefault((kind, value), []).append(Listed(*told))


def delete_unused_sets(before: datetime, in_use: Collection[str]) -> int:
    """Sets made before a moment that no plan names and no list stands behind any more."""
    current = {one.spec.digest for one in active_sets().values()}
    old = IndicatorSet.objects.filter(created_at__lt=before).exclude(digest__in={*in_use, *current})
    return old.delete()[0]
