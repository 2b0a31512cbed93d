"""The probe's report read as it arrives: bounded, strictly decoded, joined with the plan's rule ids.

Everything here comes from the host and is hostile: any bytes give a value or a ReportError, and nothing else.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from scanners.contract import (
    MAX_CANDIDATES,
    REPORT_SCHEMA,
    Candidate,
    CollectorStatus,
    Hostile,
    Name,
    ProbeFooter,
    ProbeHeader,
    ProbeRuleStatus,
    RuleMatch,
    RuleState,
    RuleStatus,
    Text,
)
from scanners.errors import ReportError

# One record with a 64 KiB text and a few lists stays far below.
MAX_LINE_BYTES = 1 << 20
# Small lines cost far more memory as objects than as bytes.
MAX_LINES = 500_000
# How gzip begins, RFC 1952; a report begins with a brace.
GZIP_MARK = b"\x1f\x8b"
UNPACKED_PIECE_BYTES = 64 << 10
COUNT = re.compile(r"[0-9]{1,18}")
PID = re.compile(r"[1-9][0-9]{1,9}|[2-9]")

Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Scalar = None | bool | Integer | float | str
# A fact is a scalar or a list of scalars; nothing nests, so nothing can nest deep.
Value = Scalar | list[Scalar]
Facts = Annotated[dict[Name, Value], Meta(max_length=512)]
Places = Annotated[list[Annotated[int, Meta(ge=0)]], Meta(max_length=20000)]


class _Header(Hostile, frozen=True, kw_only=True, tag="header", tag_field="type"):
    schema: int
    probe_version: Name
    arch: Name
    uid: int
    root: Text = "/"
    started_at: float
    host: Facts = {}


class _Match(Hostile, frozen=True, kw_only=True, tag="match", tag_field="type"):
    subject: Name
    rules: Places
    identity: Facts
    record: Facts
    truncated: list[Name] = []
    unknown: dict[Name, Name] = {}
    candidates: Annotated[list[Candidate], Meta(max_length=MAX_CANDIDATES)] = []


_decoder = msgspec.json.Decoder(_Header | _Match | CollectorStatus | ProbeRuleStatus | ProbeFooter)


@dataclass
class Report:
    """A whole report. `rules` has exactly one status for every rule of the plan."""

    header: ProbeHeader
    footer: ProbeFooter
    matches: list[RuleMatch]
    rules: list[RuleStatus]
    collectors: list[CollectorStatus]
    # How far the host's clock is ahead of ours, as seen when the first line came.
    clock_skew_s: float | None = None


@dataclass
class ReportReader:
    """Fed with what the probe writes; `finish` gives the report.

    `rule_ids` are the plan's, in order. Every method raises ReportError.
    """

    rule_ids: list[str]
    max_bytes: int
    size_bytes: int = 0
    """Of what was told, unpacked."""
    lines: int = 0
    _rest: bytearray = field(default_factory=bytearray)
    _header: _Header | None = None
    _footer: ProbeFooter | None = None
    _matches: list[RuleMatch] = field(default_factory=list)
    _states: dict[int, ProbeRuleStatus] = field(default_factory=dict)
    _collectors: list[CollectorStatus] = field(default_factory=list)
    _head: bytes = b""
    # None until the first bytes have told which; False where the report comes as it is.
    _unpack: Any = None

    @property
    def is_complete(self) -> bool:
        """The last line has come."""
        return self._footer is not None

    @property
    def memory_kills(self) -> int | None:
        """How many processes the kernel had killed for lack of memory when the probe began, if it told."""
        told = self._header.host.get("oom_kills") if self._header else None
        return int(told) if isinstance(told, str) and COUNT.fullmatch(told) else None

    @property
    def started_at(self) -> float | None:
        """By the host's clock, in epoch seconds; None before the first line has come."""
        return self._header.started_at if self._header else None

    @property
    def pid(self) -> int | None:
        """The probe's process id, as it told itself: of the first process or of a group of them it is none."""
        told = self._header.host.get("pid") if self._header else None
        return int(told) if isinstance(told, str) and PID.fullmatch(told) else None

    def feed(self, data: bytes) -> None:
        """Takes the next bytes, cut anywhere: lines, or their gzip form when they begin as that does."""
        if self._unpack is None:
            data = self._head = self._head + data
            if len(data) < len(GZIP_MARK) and GZIP_MARK.startswith(data):
                return
            self._head = b""
            self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if data.startswith(GZIP_MARK) else False
        if self._unpack is False:
            self._feed(data)
            return
        # Piece by piece: a few bytes can stand for gigabytes, and `_feed` stops at the bound.
        is_more = True
        while is_more:
            try:
                plain = self._unpack.decompress(data, UNPACKED_PIECE_BYTES)
            except zlib.error as error:
                raise ReportError("report_not_json", f"the report is not packed as it says: {error}") from None
            if self._unpack.eof:
                raise ReportError("report_not_json", "the packed report has an end before its own")
            self._feed(plain)
            data = self._unpack.unconsumed_tail
            is_more = bool(data) or len(plain) == UNPACKED_PIECE_BYTES

    def _feed(self, data: bytes) -> None:
        self.size_bytes += len(data)
        if self.size_bytes > self.max_bytes:
            raise ReportError("report_too_large", f"the host sent more than the {self.max_bytes} bytes it may")
        start = len(self._rest)
        self._rest += data
        end = self._rest.rfind(b"\n", start)
        if end >= 0:
            whole = bytes(self._rest[:end])
            del self._rest[: end + 1]
            for line in whole.split(b"\n"):
                self._take(line)
        if len(self._rest) > MAX_LINE_BYTES:
            raise ReportError("report_too_large", f"a line of the report is longer than {MAX_LINE_BYTES} bytes")

    def finish(self) -> Report:
        """The report, once the stream has ended."""
        if self._rest:
            line = bytes(self._rest)
            self._rest.clear()
            self._take(line)
        if self._header is None or self._footer is None:
            raise ReportError("report_truncated", f"the report breaks off after {self.lines} lines")
        header: ProbeHeader = msgspec.convert(msgspec.to_builtins(self._header), ProbeHeader)
        return Report(header, self._footer, self._matches, self._rule_statuses(self._footer), self._collectors)

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        self.lines += 1
        if self.lines > MAX_LINES or len(line) > MAX_LINE_BYTES:
            raise ReportError("report_too_large", "the report has too many or too long lines")
        self._place(_decode(line, self.lines))

    def _place(self, line: _Header | _Match | CollectorStatus | ProbeRuleStatus | ProbeFooter) -> None:
        if isinstance(line, _Header):
            self._take_header(line)
            return
        if self._header is None or self._footer is not None:
            raise ReportError("report_wrong_schema", "the report has lines outside its header and footer")
        if isinstance(line, _Match):
            self._matches.append(self._join(line))
        elif isinstance(line, CollectorStatus):
            self._collectors.append(line)
        elif isinstance(line, ProbeRuleStatus):
            self._take_status(line)
        else:
            self._footer = line

    def _take_header(self, header: _Header) -> None:
        if self._header is not None:
            raise ReportError("report_wrong_schema", "the report has a second header")
        if header.schema != REPORT_SCHEMA:
            raise ReportError("report_wrong_schema", f"the report has schema {header.schema}, not {REPORT_SCHEMA}")
        self._header = header

    def _take_status(self, status: ProbeRuleStatus) -> None:
        self._rule_id(status.rule)
        if status.rule in self._states:
            raise ReportError("report_wrong_schema", f"the report states rule {status.rule} twice")
        self._states[status.rule] = status

    def _rule_id(self, place: int) -> str:
        if not 0 <= place < len(self.rule_ids):
            raise ReportError("report_wrong_schema", f"the report names rule {place}, which the plan does not have")
        return self.rule_ids[place]

    def _join(self, match: _Match) -> RuleMatch:
        return RuleMatch(
            subject=match.subject,
            rule_ids=[self._rule_id(place) for place in match.rules],
            identity=match.identity,
            record=match.record,
            truncated=match.truncated,
            unknown=match.unknown,
            candidates=match.candidates,
        )

    def _rule_statuses(self, footer: ProbeFooter) -> list[RuleStatus]:
        passed = set(footer.passed)
        for place in (min(passed), max(passed)) if passed else ():
            self._rule_id(place)
        if both := passed & self._states.keys():
            raise ReportError("report_wrong_schema", f"the report says of rule {min(both)} both that it passed and not")
        missing = "no_status" if footer.complete else footer.reason or "limit"
        statuses = []
        for place, rule_id in enumerate(self.rule_ids):
            if place in passed:
                statuses.append(RuleStatus(rule_id=rule_id, state=RuleState.PASS, reason=""))
            elif status := self._states.get(place):
                statuses.append(_rule_status(rule_id, status))
            else:  # Silence is no pass: the probe names every rule it came to an end with.
                statuses.append(RuleStatus(rule_id=rule_id, state=RuleState.ERROR, reason=missing))
        return statuses


def _rule_status(rule_id: str, status: ProbeRuleStatus) -> RuleStatus:
    return RuleStatus(
        rule_id=rule_id,
        state=status.state,
        reason=status.reason,
        matched=status.matched,
        truncated=status.truncated,
        unknown=status.unknown,
    )


def _decode(line: bytes, number: int) -> Any:
    try:
        decoded = _decoder.decode(line)
        # PostgreSQL stores no NUL in text; a host must not be able to keep its own report from being stored.
        return _without_nul(decoded) if b"\\u0000" in line else decoded
    except msgspec.ValidationError as error:
        raise ReportError("report_wrong_schema", f"line {number} of the report: {_shown(error)}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ReportError("report_not_json", f"line {number} of the report is not JSON: {_shown(error)}") from None


def _without_nul(line: Any) -> Any:
    text = msgspec.to_builtins(line)
    return msgspec.convert(_replace_nul(text), type(line))


def _replace_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\\x00")
    if isinstance(value, list):
        return [_replace_nul(inner) for inner in value]
    if isinstance(value, dict):
        return {_replace_nul(key): _replace_nul(inner) for key, inner in value.items()}
    return value


def _shown(error: Exception) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(error))[:200]
