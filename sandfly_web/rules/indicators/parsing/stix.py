"""STIX 2.1 bundles: indicators whose pattern is a comparison, or several joined by OR.

Other patterns would need several observations at once and are given back with the reason. Grammar: STIX 2.1, 9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from sandfly_web.rules.indicators.kinds import Fault, Indicator, Kind
from sandfly_web.rules.indicators.parsing.lines import ParseError, decode_json, read_value, shown

MAX_PATTERN_CHARS = 16384
_HASHES = {"MD5": Kind.MD5, "SHA-1": Kind.SHA1, "SHA1": Kind.SHA1, "SHA-256": Kind.SHA256, "SHA256": Kind.SHA256,
           "SHA-512": Kind.SHA512, "SHA512": Kind.SHA512}  # fmt: skip
_PATHS = {
    "ipv4-addr:value": Kind.IP, "ipv6-addr:value": Kind.IP, "domain-name:value": Kind.DOMAIN,
    "directory:path": Kind.PATH,
    "network-traffic:dst_ref.value": None, "network-traffic:src_ref.value": None,
    "file:path": Kind.PATH, "file:parent_directory_ref.path": Kind.PATH,
}  # fmt: skip
_HASH_PATH = re.compile(r"(file|artifact):hashes\.(?:'([^']+)'|\"([^\"]+)\"|([A-Za-z0-9-]+))")
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[\[\](),])
        | (?P<text>'(?:[^'\\]|\\.)*')
        | (?P<path>[a-z0-9-]+:[A-Za-z0-9_.\[\]*'"-]*[A-Za-z0-9_'"])
        | (?P<op>!=|<=|>=|[=<>])
        | (?P<word>[A-Za-z0-9_.:+-]+))""",
    re.VERBOSE,
)


class _Unusable(Exception):  # noqa: N818
    """A pattern that says more than one value can; the message says what."""


class _Bundle(msgspec.Struct):
    type: str
    objects: list[msgspec.Raw] = []


class _Kind(msgspec.Struct):
    type: str = ""


def is_bundle(data: bytes) -> bool:
    """Whether a JSON document is a STIX bundle. Raises ParseError for what is no JSON object or array."""
    try:
        return msgspec.json.decode(data, type=_Kind).type == "bundle"
    except msgspec.ValidationError:
        return False
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ParseError(f"not JSON: {shown(str(error))}") from None


def parse_bundle(data: bytes, now: datetime) -> Iterator[Indicator | Fault]:
    """Every value of every indicator of a bundle; other objects are no business of a list."""
    bundle = decode_json(data, _Bundle)
    if bundle.type != "bundle":
        raise ParseError("not a STIX bundle")
    found = False
    for place, raw in enumerate(bundle.objects):
        where = f"objects[{place}]"
        try:
            kind = decode_json(raw, _Kind).type
            if kind != "indicator":
                continue
            found = True
            entry = decode_json(raw, dict[str, Any])
        except ParseError as problem:
            yield Fault(where, str(problem))
            continue
        yield from _read_indicator(f"{where} {shown(str(entry.get('id', '')))}".strip(), entry, now)
    if not found:
        raise ParseError("the bundle has no indicator")


def _read_indicator(place: str, entry: dict[str, Any], now: datetime) -> Iterator[Indicator | Fault]:
    pattern = entry.get("pattern")
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_CHARS:
        yield Fault(place, "the indicator has no pattern, or one that is too long")
        return
    if entry.get("pattern_type", "stix") != "stix":
        yield Fault(place, f"a pattern of type {shown(str(entry['pattern_type']))}, not stix")
        return
    if entry.get("revoked") is True:
        yield Fault(place, "the indicator was revoked", shown(pattern))
        return
    if _is_past(entry.get("valid_until"), now):
        yield Fault(place, "the indicator has expired", shown(pattern))
        return
    about, reference = _about(entry), _reference(entry)
    try:
        values = _Pattern(pattern).read()
    except _Unusable as problem:
        yield Fault(place, str(problem), shown(pattern))
        return
    for kind, value in values:
        yield read_value(place, value, kind, about, reference)


def _is_past(text: Any, now: datetime) -> bool:
    if not isinstance(text, str):
        return False
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return False
    return instant.replace(tzinfo=instant.tzinfo or UTC) <= now


def _about(entry: dict[str, Any]) -> str:
    parts = [entry.get("name"), entry.get("description")]
    return ": ".join(dict.fromkeys(part for part in parts if isinstance(part, str) and part))


def _reference(entry: dict[str, Any]) -> str:
    references = entry.get("external_references")
    for one in references if isinstance(references, list) else []:
        if isinstance(one, dict) and isinstance(one.get("url"), str):
            return str(one["url"])
    identifier = entry.get("id")
    return identifier if isinstance(identifier, str) else ""


Value = tuple[Kind | None, str]


class _Pattern:
    """Reads `[a = 'x' OR b = 'y'] OR [c IN ('1', '2')]`."""

    def __init__(self, pattern: str) -> None:
        self.tokens = list(_tokens(pattern))
        self.at = 0

    def read(self) -> list[Value]:
        values = self._observation()
        while self.at < len(self.tokens):
            self._expect_or("observations")
            values += self._observation()
        return values

    def _next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise _Unusable("the pattern is cut short")
        self.at += 1
        return self.tokens[self.at - 1]

    def _peek(self) -> str:
        return self.tokens[self.at][1].upper() if self.at < len(self.tokens) else ""

    def _expect(self, mark: str) -> None:
        if self._next()[1] != mark:
            raise _Unusable("the pattern is not a comparison, or comparisons joined by OR")

    def _expect_or(self, what: str) -> None:
        word = self._next()[1].upper()
        if word in {"AND", "FOLLOWEDBY", "WITHIN", "REPEATS", "START"}:
            raise _Unusable(f"{what} joined by {word} cannot be compared one by one")
        if word != "OR":
            raise _Unusable("the pattern is not a comparison, or comparisons joined by OR")

    def _observation(self) -> list[Value]:
        self._expect("[")
        values = self._conjunction()
        while self._peek() != "]":
            self._expect_or("comparisons")
            values += self._conjunction()
        self._expect("]")
        return values

    def _conjunction(self) -> list[Value]:
        """Comparisons joined by AND are used when one is a digest of a file: that alone says which file is meant."""
        sides = [self._comparison()]
        while self._peek() == "AND":
            self._next()
            sides.append(self._comparison())
        if len(sides) == 1:
            if isinstance(sides[0], str):
                raise _Unusable(sides[0])
            return sides[0]
        for side in sides:
            if not isinstance(side, str) and side and side[0][0] in _HASHES.values():
                return side
        raise _Unusable("comparisons joined by AND cannot be compared one by one")

    def _comparison(self) -> list[Value] | str:
        """Values, or why there are none."""
        if self._peek() == "(":
            raise _Unusable("comparisons in brackets are not understood")
        path = self._next()[1]
        negated = self._peek() == "NOT"
        if negated:
            self._next()
        operator = self._next()[1].upper()
        texts = self._values(operator)
        if negated or operator not in {"=", "IN", "ISSUBSET"}:
            return f"the operator {'NOT ' if negated else ''}{shown(operator)} is not used, only =, IN and ISSUBSET"
        return _typed(path, texts)

    def _values(self, operator: str) -> list[str]:
        if operator != "IN":
            return [_unquote(self._next())]
        self._expect("(")
        texts = [_unquote(self._next())]
        while self._peek() == ",":
            self._next()
            texts.append(_unquote(self._next()))
        self._expect(")")
        return texts


def _typed(path: str, texts: list[str]) -> list[Value] | str:
    if hashed := _HASH_PATH.fullmatch(path):
        name = next(group for group in hashed.groups()[1:] if group).upper()
        kind = _HASHES.get(name)
        return [(kind, text) for text in texts] if kind else f"digests of kind {shown(name)} are not compared"
    if path == "file:name":
        return [(Kind.PATH if text.startswith("/") else Kind.FILENAME, text) for text in texts]
    if path not in _PATHS:
        return f"{shown(path)} is not compared with anything"
    return [(_PATHS[path], text) for text in texts]


def _unquote(token: tuple[str, str]) -> str:
    kind, text = token
    if kind != "text":
        raise _Unusable("a value that is no text in quotation marks")
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _tokens(pattern: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(pattern.rstrip())
    while at < end:
        found = _TOKEN.match(pattern, at)
        if found is None or found.lastgroup is None:
            raise _Unusable("the pattern is not understood")
        yield found.lastgroup, found.group(found.lastgroup)
        at = found.end()
