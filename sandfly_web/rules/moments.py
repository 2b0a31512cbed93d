"""Which fields hold a moment, as seconds since 1970, and how a moment is written."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from sandfly_web.rules.fields import registry

EPOCH_UNIT = "epoch seconds"
# Where a rule or a newer probe has a field of its own, its ending tells.
ENDINGS = ("mtime", "ctime", "atime", "btime")
MAX_EPOCH_S = 253402300799  # 9999-12-31, the last that datetime knows


@cache
def moment_fields() -> frozenset[str]:
    """Names of the fields that the reference gives the unit of a moment, without what stands before a dot."""
    fields = (field for subject in registry().values() for field in subject.fields.values())
    return frozenset(field.name.rpartition(".")[2] for field in fields if field.unit == EPOCH_UNIT)


def read_moment(name: str, value: Any) -> datetime | None:
    """The moment that the value of this field means; None for other fields and for what cannot be one."""
    base = name.rpartition(".")[2]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_EPOCH_S:
        return None
    return datetime.fromtimestamp(value, tz=UTC) if base in moment_fields() or base.endswith(ENDINGS) else None


def utc(moment: datetime) -> str:
    """To the second, with the zone."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
