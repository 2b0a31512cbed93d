"""MISP events as its API and feeds write them: attributes of events and of their objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from sandfly_web.rules.indicators.kinds import Fault, Indicator, Kind
from sandfly_web.rules.indicators.parsing.lines import ParseError, decode_json, read_value, shown

# A list of answers that hold lists of events.
MAX_WRAPPINGS = 4
# Type → kinds of its parts; None: a part that is not compared (a port) or only described (a file name beside a hash).
_TYPES: dict[str, tuple[Kind | None, ...]] = {
    **{kind.value: (kind,) for kind in (Kind.MD5, Kind.SHA1, Kind.SHA256, Kind.SHA512)},
    **{f"filename|{kind.value}": (None, kind) for kind in (Kind.MD5, Kind.SHA1, Kind.SHA256, Kind.SHA512)},
    "malware-sample": (None, Kind.MD5),
    **dict.fromkeys(("ip-src", "ip-dst"), (Kind.IP,)),
    **{f"{name}|port": (Kind.IP, None) for name in ("ip-src", "ip-dst")},
    "domain": (Kind.DOMAIN,),
    "hostname": (Kind.DOMAIN,),
    "hostname|port": (Kind.DOMAIN, None),
    "domain|ip": (Kind.DOMAIN, Kind.IP),
    "filename": (Kind.FILENAME,),
    "ssh-fingerprint": (Kind.KEY_FINGERPRINT,),
}


def parse_events(data: bytes) -> Iterator[Indicator | Fault]:
    """Attributes with `to_ids`; each other one is given back with its reason. Raises ParseError."""
    found = False
    for place, about, raw in _attributes("", decode_json(data, msgspec.Raw)):
        found = True
        try:
            attribute = decode_json(raw, dict[str, Any])
        except ParseError as problem:
            yield Fault(place, str(problem))
            continue
        yield from _read_attribute(place, about, attribute)
    if not found:
        raise ParseError("neither a STIX bundle nor a MISP event with attributes")


# Each holds the attributes of one level as text, so that a million of them are not a million objects at once.
class _Event(msgspec.Struct):
    info: str = ""
    uuid: str = ""
    Attribute: list[msgspec.Raw] = []
    Object: list[msgspec.Raw] = []


class _Object(msgspec.Struct):
    name: str = ""
    Attribute: list[msgspec.Raw] = []


class _Level(msgspec.Struct):
    Event: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()
    Attribute: list[msgspec.Raw] = []


Found = tuple[str, tuple[str, str], msgspec.Raw]


def _attributes(place: str, raw: msgspec.Raw, depth: int = 0) -> Iterator[Found]:
    """Place, (event's title, its id) and JSON of every attribute, whichever way the events are wrapped."""
    if depth > MAX_WRAPPINGS:
        raise ParseError("lists within lists instead of events")
    if bytes(memoryview(raw)[:1]) == b"[":
        for number, one in enumerate(decode_json(raw, list[msgspec.Raw])):
            yield from _attributes(f"{place}[{number}]", one, depth + 1)
        return
    level = decode_json(raw, _Level)
    if memoryview(level.response):
        yield from _attributes(f"{place}.response".lstrip("."), level.response, depth + 1)
    elif memoryview(level.Event):
        yield from _of_event(f"{place}.Event".lstrip("."), decode_json(level.Event, _Event))
    else:
        yield from _of_event(place, decode_json(raw, _Event))


def _of_event(place: str, event: _Event) -> Iterator[Found]:
    about = event.info, f"MISP event {event.uuid}" if event.uuid else ""
    prefix = f"{place}." if place else ""
    for number, raw in enumerate(event.Attribute):
        yield f"{prefix}Attribute[{number}]", about, raw
    for number, held in enumerate(event.Object):
        for inner, raw in enumerate(decode_json(held, _Object).Attribute):
            yield f"{prefix}Object[{number}].Attribute[{inner}]", about, raw


def _read_attribute(place: str, about: tuple[str, str], attribute: dict[str, Any]) -> Iterator[Indicator | Fault]:
    kind, value = attribute.get("type"), attribute.get("value")
    if not isinstance(kind, str) or not isinstance(value, str):
        yield Fault(place, "the attribute has no type or value")
    elif _is_set(attribute.get("deleted")):
        yield Fault(place, "the attribute was deleted", shown(value))
    elif not _is_set(attribute.get("to_ids")):
        yield Fault(place, "to_ids is not set: its author does not want it to alert", shown(value))
    elif kind not in _TYPES:
        yield Fault(place, f"attributes of type {shown(kind)} are not compared with anything", shown(value))
    else:
        yield from _read_parts(place, about, attribute, _TYPES[kind], value)


def _is_set(flag: Any) -> bool:
    return flag in (True, 1, "1", "true")


def _read_parts(
    place: str, about: tuple[str, str], attribute: dict[str, Any], kinds: tuple[Kind | None, ...], value: str
) -> Iterator[Indicator | Fault]:
    # A file name may hold a bar; the part behind the last one is what is compared.
    parts = value.rsplit("|", len(kinds) - 1) if len(kinds) > 1 else [value]
    if len(parts) != len(kinds):
        yield Fault(place, f"{len(kinds)} parts are needed, with | between them", shown(value))
        return
    comment = attribute.get("comment")
    named = [part for part, kind in zip(parts, kinds, strict=True) if kind is None and kinds[0] is None]
    description = ": ".join(filter(None, [about[0], comment if isinstance(comment, str) else "", *named]))
    for part, kind in zip(parts, kinds, strict=True):
        if kind is not None:
            taken = Kind.PATH if kind is Kind.FILENAME and part.startswith("/") else kind
            yield read_value(place, part, taken, description, about[1])
