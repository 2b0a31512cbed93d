"""`./manage.py rules test RULE --records FILE`: which stored records a rule would alert on, before it is enabled."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.text import Text

from sandfly_web.rules.compiled import CompiledRule, RecordedVisit
from sandfly_web.rules.explain import escape, render
from sandfly_web.rules.fields import registry
from sandfly_web.rules.metadata import is_typed
from sandfly_web.rules.simplify import field_names
from sandfly_web.rules.testing import Verdict, match_records, match_visits
from sandfly_web.rules.told import read_subject

MAX_LINE_CHARS = 4 * 1024 * 1024
CHUNK = 5_000
SHOWN = 20
TYPES = ("record", "finding", "match")


@dataclass
class Records:
    """Facts of scans by host: what `scan --format jsonl` wrote. `dropped` counts values that no field holds."""

    by_host: dict[str, list[tuple[str, dict[str, Any]]]] = field(default_factory=lambda: defaultdict(list))
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, host: str, subject: str, values: Mapping[str, Any]) -> None:
        known = registry().get(subject)
        if known is None:
            self.dropped[f"subject {subject}"] += 1
            return
        record = {}
        for name, value in values.items():
            if name in known.fields and value is not None and is_typed(value, known.fields[name]):
                record[name] = value
            elif name != "kind" and value is not None:
                self.dropped[f"{subject}.{name}"] += 1
        self.seen[subject] |= set(record)
        self.by_host[host].append((subject, record))
        if subject == "host":
            self.hosts[host] = record


def run(console: Console, rules: Sequence[CompiledRule], path: Path, probe: Path, form: str) -> None:
    """Print every rule's matches; with `form` json one object a match."""
    records = read_records(path)
    for rule in rules:
        matches = list(_alone(rule, records, probe) if not _is_joint(rule) else _joint(rule, records, probe))
        if form == "json":
            for host, record in matches:
                line = {"rule": rule.name, "host": host, "subject": rule.subject, "record": record}
                console.file.write(json.dumps(line) + "\n")
        else:
            _print(console, rule, records, matches)
    if records.dropped and form != "json":
        names = ", ".join(f"{name} ({count})" for name, count in records.dropped.most_common(8))
        console.print(Text(escape(f"left out, since this version has no such field: {names}")), soft_wrap=True)


def read_records(path: Path) -> Records:
    """Raises CommandError with the line of what is no record, and OSError."""
    records = Records()
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                _read_line(records, line, f"{path}:{number}")
    if not records.by_host:
        raise CommandError(
            f"{path}: no records; `./manage.py scan … --type recon --format jsonl` writes them", returncode=1
        )
    return records


def _read_line(records: Records, line: str, place: str) -> None:
    if len(line) > MAX_LINE_CHARS:
        raise CommandError(f"{place}: longer than {MAX_LINE_CHARS} characters", returncode=1)
    try:
        entry = json.loads(line)
        kind = entry.get("type")
        if kind not in TYPES:
            return
        subject = entry["subject"]
        if isinstance(subject, dict):
            name, values = read_subject(subject)
        else:
            name, values = str(subject), entry["record"]
        unknown = {field: {"$unknown": _reason(why)} for field, why in (entry.get("unknown") or {}).items()}
        records.add(str(entry.get("host", "")), name, {**values, **unknown})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{place}: not a line of `scan --format jsonl` ({error})", returncode=1) from error


def _reason(why: object) -> str:
    return str(why) if why in {"needs_root", "limit"} else "error"


def _is_joint(rule: CompiledRule) -> bool:
    return rule.plan_rule.absent or rule.plan_rule.correlation is not None


def _alone(rule: CompiledRule, records: Records, probe: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records that the rule matches, one by one, with the facts of their host where they are known."""
    for host, found in records.by_host.items():
        own = [(subject, record) for subject, record in found if subject == rule.subject]
        for start in range(0, len(own), CHUNK):
            part = own[start : start + CHUNK]
            for (_, record), verdict in zip(part, _ask(rule, part, records.hosts.get(host), probe), strict=True):
                if rule.id in verdict.matched:
                    yield host, record


def _ask(
    rule: CompiledRule, part: Sequence[tuple[str, dict[str, Any]]], host: Mapping[str, Any] | None, probe: Path
) -> list[Verdict]:
    if host is None:
        return match_records([rule], part, probe)
    return match_visits([rule], [RecordedVisit((one,), host) for one in part], probe)


def _joint(rule: CompiledRule, records: Records, probe: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Hosts of which the records taken together make the rule alert."""
    hosts = list(_collected(rule, records))
    visits = [RecordedVisit(tuple(records.by_host[host]), records.hosts.get(host)) for host in hosts]
    for host, verdict in zip(hosts, match_visits([rule], visits, probe), strict=True):
        if rule.id in verdict.matched:
            yield host, {}


def _collected(rule: CompiledRule, records: Records) -> Iterator[str]:
    """Hosts that the rule can be asked of: what was not collected is not missing there."""
    for host, found in records.by_host.items():
        if not rule.plan_rule.absent or any(subject == rule.subject for subject, _ in found):
            yield host


def _print(
    console: Console, rule: CompiledRule, records: Records, matches: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    if _is_joint(rule):
        hosts = list(_collected(rule, records))
        console.print(f"{rule.name}: alerts on {len(matches)} of {len(hosts)} hosts", soft_wrap=True)
        if len(hosts) < len(records.by_host):
            console.print(f"  not sure: other hosts have no {rule.subject} records at all", soft_wrap=True)
    else:
        total = sum(subject == rule.subject for found in records.by_host.values() for subject, _ in found)
        console.print(f"{rule.name}: {len(matches)} of {total} {rule.subject} records match", soft_wrap=True)
    for host, record in matches[:SHOWN]:
        shown = render(rule.explain, record) if rule.explain and record else _facts(rule, record)
        console.print(Text(f"  {escape(host)}: {shown}"), soft_wrap=True)
    if len(matches) > SHOWN:
        console.print(f"  … and {len(matches) - SHOWN} more; --format json prints all")
    for missing in _not_recorded(rule, records):
        console.print(f"  not sure: no record has {missing}, which the rule looks at", soft_wrap=True)


def _facts(rule: CompiledRule, record: Mapping[str, Any]) -> str:
    names = registry()[rule.subject].identity
    return escape(", ".join(f"{name}={record[name]}" for name in names if name in record)) or "alert"


def _not_recorded(rule: CompiledRule, records: Records) -> Iterable[str]:
    """Fields of the condition that none of the records has: they may be absent there, or were not collected."""
    if rule.subject not in records.seen:
        return []
    seen = records.seen[rule.subject]
    return [name for name in field_names(rule.plan_rule.when) if name not in seen and not name.startswith("host.")]
