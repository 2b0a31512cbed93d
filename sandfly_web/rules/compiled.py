"""What a rule file becomes: one frozen `CompiledRule`, or the list of everything that is wrong with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scanners.contract import Expr, PlanRule


class RuleType(StrEnum):
    """What a rule is for, and so when it runs."""

    DETECTION = "detection"
    POLICY = "policy"
    RECON = "recon"
    INCIDENT = "incident"


class Level(StrEnum):
    """Severity, lowest first; Sigma's words."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Place from 0 (informational) to 4 (critical), for comparisons."""
        return list(Level).index(self)


class RuleStatus(StrEnum):
    """How far a rule can be trusted; only `stable` ones run by default. Sigma's words."""

    STABLE = "stable"
    TEST = "test"
    EXPERIMENTAL = "experimental"
    DEPRECATED = "deprecated"
    UNSUPPORTED = "unsupported"


class Expectation(StrEnum):
    """What a rule test says of its record."""

    ALERT = "alert"
    PASS = "pass"  # noqa: S105 - the field's word


@dataclass(frozen=True)
class RuleTest:
    """One record of `sandfly.tests` and what the rule must say of it; fields it does not name are absent.

    With a `visit` the rule looks at all of its records together.
    """

    name: str
    record: Mapping[str, Any]
    expect: Expectation
    line: int
    visit: RecordedVisit | None = None


@dataclass(frozen=True)
class RecordedVisit:
    """Records of one visit as (subject, record), and the facts of the host, None where they do not matter."""

    records: tuple[tuple[str, Mapping[str, Any]], ...]
    host: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class RuleError:
    """One fault of a rule file. `location` is "path:line", `message` says what to do about it."""

    location: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.field}: {self.message}" if self.field else f"{self.location}: {self.message}"


class RuleErrors(Exception):  # noqa: N818 - it is a list of them
    """A rule file cannot be compiled; `errors` holds all of its faults, in the order of the file."""

    code = "rule_invalid"

    def __init__(self, errors: list[RuleError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


@dataclass(frozen=True, kw_only=True)
class CompiledRule:
    """A rule as the product uses it. `digest` is the SHA-256 of `source` (the file), `path` where it is.

    `os` is an expression over the fields of subject host that must hold for the rule to be run there, or None. `notes`
    say what of the rule a live host can answer only in part, or not at all.
    """

    id: str
    name: str
    title: str
    type: RuleType
    subject: str
    level: Level
    status: RuleStatus
    description: str
    references: tuple[str, ...]
    author: str
    date: dt.date | None
    modified: dt.date | None
    tags: tuple[str, ...]
    techniques: tuple[str, ...]
    tactics: tuple[str, ...]
    falsepositives: tuple[str, ...]
    explain: str
    fields: tuple[str, ...]
    os: Expr | None
    tests: tuple[RuleTest, ...]
    plan_rule: PlanRule
    source: str
    digest: str
    path: str
    license: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_default_enabled(self) -> bool:
        """Detection and recon rules of status stable run without anybody asking for them."""
        return self.type in {RuleType.DETECTION, RuleType.RECON} and self.status == RuleStatus.STABLE
