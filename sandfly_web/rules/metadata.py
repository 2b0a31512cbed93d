"""Reads what a rule says about itself: Sigma's keys and the `sandfly:` block."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from sandfly_web.rules.compiled import Expectation, Level, RecordedVisit, RuleStatus, RuleTest, RuleType
from sandfly_web.rules.document import Document, Path
from sandfly_web.rules.faults import Faults, did_you_mean
from sandfly_web.rules.fields import LIST_TYPES, Field, Subject

SIGMA_KEYS = frozenset({
    "title", "id", "related", "name", "taxonomy", "status", "description", "license", "references", "author", "date",
    "modified", "tags", "scope", "logsource", "detection", "fields", "falsepositives", "level", "correlation",
    "sandfly", "simulation", "regression_tests_path",
})  # fmt: skip
SANDFLY_KEYS = frozenset({"type", "scope", "explain", "fields", "os", "tests", "alert_on", "time", "placeholders"})
TEST_KEYS = frozenset({"name", "record", "records", "host", "expect"})
# Names the subject of a record in a test's `records` where it is not the rule's.
SUBJECT_KEY = "$subject"

_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_TAG = re.compile(r"[a-z0-9_-]+\.[a-z0-9_.-]+")
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})")
Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The self-description of a rule, checked; what was faulty has a harmless value and a fault."""

    id: str
    name: str
    title: str
    type: RuleType
    level: Level
    status: RuleStatus
    description: str
    references: tuple[str, ...]
    author: str
    date: dt.date | None
    modified: dt.date | None
    tags: tuple[str, ...]
    falsepositives: tuple[str, ...]
    explain: str
    fields: tuple[str, ...]
    license: str
    alert_on: AlertOn


class AlertOn(StrEnum):
    """What a rule alerts on: a record that matches, or that none does."""

    MATCH = "match"
    ABSENCE = "absence"


def parse_metadata(document: Document, file_stem: str, faults: Faults) -> Metadata:
    """A rule without `name` takes its file's name, one without `sandfly.type` is a detection."""
    read = _Reader(document, faults)
    read.known_keys((), SIGMA_KEYS)
    if document.values.get("sandfly") is not None:
        read.known_keys(("sandfly",), SANDFLY_KEYS)
    kind = read.choice(("sandfly", "type"), RuleType, RuleType.DETECTION)
    return Metadata(
        id=read.uuid(("id",)),
        name=read.name(file_stem),
        title=read.text(("title",), 255, required=True),
        type=kind,
        level=read.level(kind),
        status=read.choice(("status",), RuleStatus, RuleStatus.EXPERIMENTAL),
        description=read.text(("description",), 4096),
        references=read.texts(("references",)),
        author=read.text(("author",), 1024),
        date=read.date(("date",)),
        modified=read.date(("modified",)),
        tags=read.tags(),
        falsepositives=read.texts(("falsepositives",)),
        explain=" ".join(read.text(("sandfly", "explain"), 2000).split()),
        fields=read.texts(("sandfly", "fields")),
        license=read.text(("license",), 255),
        alert_on=read.choice(("sandfly", "alert_on"), AlertOn, AlertOn.MATCH),
    )


def parse_placeholders(document: Document, faults: Faults) -> dict[str, tuple[str, ...]]:
    """The lists that a rule brings for `expand`, by name."""
    read = _Reader(document, faults)
    raw = read.get(("sandfly", "placeholders"))
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        read.fault(("sandfly", "placeholders"), "expected a mapping of names to lists, such as {admins: [alice, bob]}")
        return {}
    return {name: read.texts(("sandfly", "placeholders", name)) for name in raw}


def parse_tests(
    document: Document, subject: Subject, subjects: Mapping[str, Subject], faults: Faults, *, is_joint: bool = False
) -> tuple[RuleTest, ...]:
    """The records of `sandfly.tests`; their fields must be the subject's and of its types.

    A rule that is joint looks at the records of a visit together, so all its tests are visits.
    """
    read = _Reader(document, faults)
    raw = read.get(("sandfly", "tests"))
    if raw is None:
        return ()
    if not isinstance(raw, list):
        read.fault(("sandfly", "tests"), "expected a list of {name, record, expect}")
        return ()
    tests = (_parse_test(read, place, subject, subjects, is_joint=is_joint) for place in range(len(raw)))
    return tuple(test for test in tests if test)


def _parse_test(
    read: _Reader, place: int, subject: Subject, subjects: Mapping[str, Subject], *, is_joint: bool
) -> RuleTest | None:
    path: Path = ("sandfly", "tests", place)
    read.known_keys(path, TEST_KEYS)
    test = read.get(path)
    if not isinstance(test, dict):
        return None
    title = read.text((*path, "name"), 200, required=True)
    expect = read.needed_choice((*path, "expect"), Expectation)
    visit, record = None, {}
    if is_joint or "records" in test or "host" in test:
        visit = _parse_visit(read, path, subject, subjects)
    else:
        record = _parse_record(read, (*path, "record"), subject)
    return RuleTest(title, record, expect, read.document.line(path), visit) if expect else None


def _parse_visit(read: _Reader, path: Path, subject: Subject, subjects: Mapping[str, Subject]) -> RecordedVisit:
    test = read.get(path)
    places: list[Path] = [(*path, "record")] if "record" in test else []
    raw = test.get("records", [])
    if not isinstance(raw, list):
        read.fault((*path, "records"), "expected a list of records, each a mapping of fields to values")
        raw = []
    places += [(*path, "records", index) for index in range(len(raw))]
    if "record" not in test and "records" not in test:
        read.fault(path, "missing `records`: the list of what a visit sees, [] for nothing")
    found = []
    for place in places:
        record = read.get(place)
        name = record.get(SUBJECT_KEY, subject.name) if isinstance(record, dict) else subject.name
        if name not in subjects:
            read.fault((*place, SUBJECT_KEY), f'unknown subject "{name}"{did_you_mean(str(name), subjects)}')
            continue
        found.append((str(name), _parse_record(read, place, subjects[name])))
    host = _parse_record(read, (*path, "host"), subjects["host"]) if "host" in test else None
    return RecordedVisit(tuple(found), host)


def _parse_record(read: _Reader, path: Path, subject: Subject) -> dict[str, Any]:
    record = read.get(path)
    if not isinstance(record, dict):
        read.fault(path, "expected a mapping of fields to values")
        return {}
    kept = {name: value for name, value in record.items() if name != SUBJECT_KEY}
    for name, value in kept.items():
        field = subject.fields.get(name)
        if field is None:
            read.fault(
                (*path, name), f'subject {subject.name} has no field "{name}"{did_you_mean(name, subject.fields)}'
            )
        elif value is not None and not is_typed(value, field):
            read.fault((*path, name), f"{name} is {field.type}, not {value!r}")
    return kept


_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "strings": (str,),
    "int": (int,),
    "ints": (int,),
    "float": (int, float),
    "bool": (bool,),
}


def is_typed(value: Any, field: Field) -> bool:
    """Whether a recorded value is one that the field can have, or says why it could not be looked at."""
    if isinstance(value, dict):
        return value.get("$unknown") in {"needs_root", "limit", "error"} and len(value) == 1
    if field.type in LIST_TYPES:
        return isinstance(value, list) and all(_is_one(entry, field.type) for entry in value)
    return _is_one(value, field.type)


def _is_one(value: Any, kind: str) -> bool:
    # bool is a subclass of int in Python, not on a host.
    return isinstance(value, _PYTHON_TYPES[kind]) and (kind == "bool" or not isinstance(value, bool))


class _Reader:
    """Reads entries of a document and notes what is wrong with them."""

    def __init__(self, document: Document, faults: Faults) -> None:
        self.document = document
        self.faults = faults

    def fault(self, path: Path, message: str) -> None:
        self.faults.add(self.document.line(path), ".".join(str(part) for part in path), message)

    def get(self, path: Path) -> Any:
        value: Any = self.document.values
        for key in path:
            if isinstance(value, list) and isinstance(key, int):
                value = value[key]
            elif isinstance(value, dict):
                value = value.get(key)
            else:
                return None
        return value

    def known_keys(self, path: Path, known: Iterable[str]) -> None:
        value = self.get(path)
        if not isinstance(value, dict):
            self.fault(path, "expected a mapping")
            return
        names = set(known)
        for key in value:
            if key not in names:
                self.fault((*path, key), f"unknown key{did_you_mean(key, names)}")

    def text(self, path: Path, size: int, *, required: bool = False) -> str:
        value = self.get(path)
        if value is None and not required:
            return ""
        if not isinstance(value, str) or not value.strip():
            self.fault(path, "expected text" if value is not None else "missing; every rule has one")
        elif len(value) > size:
            self.fault(path, f"longer than {size} characters; shorten it")
        else:
            return value.strip()
        return ""

    def texts(self, path: Path) -> tuple[str, ...]:
        value = self.get(path)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(entry, str) and entry.strip() for entry in value):
            return tuple(value)
        self.fault(path, "expected a list of texts, such as [one, two]")
        return ()

    def choice(self, path: Path, kind: type[Choice], default: Choice) -> Choice:
        """The default also stands for a wrong value, which is a fault."""
        return default if self.get(path) is None else self.needed_choice(path, kind) or default

    def needed_choice(self, path: Path, kind: type[Choice]) -> Choice | None:
        value = self.get(path)
        if isinstance(value, str) and value in list(kind):
            return kind(value)
        self.fault(path, f"expected one of {', '.join(kind)}{did_you_mean(str(value), kind)}")
        return None

    def level(self, kind: RuleType) -> Level:
        if kind in {RuleType.RECON, RuleType.INCIDENT}:
            return self.choice(("level",), Level, Level.INFORMATIONAL)
        return self.needed_choice(("level",), Level) or Level.INFORMATIONAL

    def uuid(self, path: Path) -> str:
        value = self.get(path)
        try:
            return str(UUID(value))
        except (ValueError, TypeError, AttributeError):
            self.fault(
                path, "expected a UUID, never used before; `python3 -c 'import uuid; print(uuid.uuid4())'` makes one"
            )
        return ""

    def name(self, file_stem: str) -> str:
        value = self.get(("name",))
        if value is None:
            return file_stem
        if isinstance(value, str) and len(value) <= 127 and _NAME.fullmatch(value):
            return value
        self.fault(("name",), "expected <object>_<behaviour> in small letters, digits and underscores, at most 127")
        return file_stem

    def tags(self) -> tuple[str, ...]:
        tags = self.texts(("tags",))
        for place, tag in enumerate(tags):
            if not _TAG.fullmatch(tag):
                self.fault(("tags", place), f'"{tag}" is not a tag; expected a form such as attack.t1059.004')
        return tags

    def date(self, path: Path) -> dt.date | None:
        value = self.get(path)
        if value is None:
            return None
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return value
        match = _DATE.fullmatch(value) if isinstance(value, str) else None
        try:
            if match:
                return dt.date(*(int(part) for part in match.groups()))
        except ValueError:
            match = None
        self.fault(path, "expected a date such as 2026-01-31")
        return None
