"""How the JSON lines of `scan` tell a record: its fields, and beside them as `kind` the name of its subject.

Ten subjects have a field `kind` of their own (what kind of setting, of start-up entry …). It stands as `record_kind`,
so that nothing is lost and `kind` means the same on every line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KIND = "kind"
OWN_KIND = "record_kind"


def tell_subject(subject: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The member `subject` of a line."""
    told = {OWN_KIND if name == KIND else name: value for name, value in record.items()}
    return {**told, KIND: subject}


def read_subject(told: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name of the subject and the record as the probe gave it. Raises KeyError when there is no `kind`."""
    record = {KIND if name == OWN_KIND else name: value for name, value in told.items() if name != KIND}
    return str(told[KIND]), record
