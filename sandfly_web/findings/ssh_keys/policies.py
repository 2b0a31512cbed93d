"""What is wrong with a key where it is: banned, out of its zone, a stranger in a zone, protected and gone. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """Also the names that findings go by."""

    BANNED = "ssh_key_banned"
    OUT_OF_ZONE = "ssh_key_out_of_zone"
    STRANGER = "ssh_key_stranger_in_zone"
    MISSING = "ssh_key_protected_missing"


class ZoneState(StrEnum):
    """How a key stands to zones at a place."""

    NONE = "no zone"
    INSIDE = "in its zone"
    OUTSIDE = "out of its zone"
    STRANGER = "stranger in a zone"


@dataclass(frozen=True)
class Zone:
    """An enabled zone, its tags by id."""

    id: int
    name: str
    level: str
    host_tags: frozenset[int]
    key_tags: frozenset[int]
    confines_keys: bool
    refuses_strangers: bool


@dataclass(frozen=True)
class Placed:
    """What of a place decides: the tags and standing of its key; `signs_in`: it is in authorized_keys."""

    key_tags: frozenset[int]
    standing: str
    signs_in: bool
    is_current: bool


@dataclass(frozen=True)
class Verdict:
    fault: Fault
    zone: Zone | None = None


def zone_state(placed: Placed, host_tags: Collection[int], zones: Iterable[Zone]) -> tuple[ZoneState, Zone | None]:
    """How the key stands on a host with these tags, and the zone that says so.

    A zone that has both the key and the host settles it; else one that confines the key, or one of the host that
    refuses strangers to sign in.
    """
    tags = frozenset(host_tags)
    zones = list(zones)
    inside = next((zone for zone in zones if zone.host_tags & tags and zone.key_tags & placed.key_tags), None)
    if inside is not None:
        return ZoneState.INSIDE, inside
    own = next((zone for zone in zones if zone.confines_keys and zone.key_tags & placed.key_tags), None)
    if own is not None:
        return ZoneState.OUTSIDE, own
    refusing = (zone for zone in zones if zone.refuses_strangers and zone.host_tags & tags)
    strict = next(refusing, None) if placed.signs_in else None
    return (ZoneState.STRANGER, strict) if strict is not None else (ZoneState.NONE, None)


def verdicts(placed: Placed, host_tags: Collection[int], zones: Iterable[Zone]) -> list[Verdict]:
    """What is wrong there; of a place that is gone only that a protected key lacks."""
    if not placed.is_current:
        return [Verdict(Fault.MISSING)] if placed.standing == "protected" and placed.signs_in else []
    found = [Verdict(Fault.BANNED)] if placed.standing == "banned" else []
    state, zone = zone_state(placed, host_tags, zones)
    if state == ZoneState.OUTSIDE:
        found.append(Verdict(Fault.OUT_OF_ZONE, zone))
    if state == ZoneState.STRANGER:
        found.append(Verdict(Fault.STRANGER, zone))
    return found
