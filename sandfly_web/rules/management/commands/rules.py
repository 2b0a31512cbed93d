"""`./manage.py rules …`: works on rule files, without database or broker; only import and export need a database."""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from pathlib import Path
from typing import IO, Any, cast

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.json import JSON
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from probes.build import BuildError, ensure, host_arch
from sandfly_web.rules import lock
from sandfly_web.rules.attack import TECHNIQUES
from sandfly_web.rules.catalog import load_catalog, read_rules
from sandfly_web.rules.cli import coverage as coverage_of
from sandfly_web.rules.cli import fields as fields_of
from sandfly_web.rules.cli import importing, records
from sandfly_web.rules.cli.coverage import FORMATS
from sandfly_web.rules.compiled import CompiledRule, Level, RuleErrors, RuleType
from sandfly_web.rules.explain import escape
from sandfly_web.rules.faults import did_you_mean
from sandfly_web.rules.fields import registry
from sandfly_web.rules.files import CATALOG_PATH
from sandfly_web.rules.packs import PackError
from sandfly_web.rules.select import UnknownRuleError, select
from sandfly_web.rules.shipped import load_shipped
from sandfly_web.rules.skeleton import build_skeleton
from sandfly_web.rules.testing import MatcherError, TestResult, run_tests

WIDTH = 100
_STYLES = {
    Level.INFORMATIONAL: "dim",
    Level.LOW: "cyan",
    Level.MEDIUM: "yellow",
    Level.HIGH: "red",
    Level.CRITICAL: "bold red",
}


class Command(BaseCommand):
    help = "Check, test, list, show, begin, import and lock rules. Exit code 1 when something is wrong with a rule."
    # Rule files need neither database nor broker.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        check = commands.add_parser("check", help="say what is wrong with rule files, as file:line: field: message")
        test = commands.add_parser("test", help="run the tests inside rules through the probe's matcher")
        for command in (check, test):
            command.add_argument("paths", nargs="*", help="files or folders; default is the shipped catalogue")
        test.add_argument(
            "--records",
            type=Path,
            metavar="FILE.jsonl",
            help="try the rules (names or files) on records of a scan instead",
        )
        test.add_argument("--format", choices=["table", "json"], default="table", help="of matches on --records")
        listing = commands.add_parser("list", help="list rules")
        listing.add_argument("--type", default="", help="detection,policy,recon,incident; default is all")
        listing.add_argument("--rule", action="append", default=[], metavar="NAME|TAG|FILE.yml")
        listing.add_argument("--format", choices=["table", "json"], default="table")
        show = commands.add_parser("show", help="print a rule and what the probe evaluates")
        show.add_argument("name", help="rule name, id or file")
        new = commands.add_parser("new", help="write the beginning of a rule")
        new.add_argument("name", help="<object>_<behaviour>")
        new.add_argument("--subject", default="process")
        new.add_argument("--output", type=Path, default=None, help="file or folder; default is the working directory")
        fields = commands.add_parser("fields", help="list what rules can look at")
        fields.add_argument("subject", nargs="?", default="")
        coverage = commands.add_parser("coverage", help="techniques of ATT&CK: proven, tested, missing")
        coverage.add_argument("--format", choices=FORMATS, default="table")
        coverage.add_argument("--output", type=Path, metavar="FILE", help="write there instead of standard output")
        _add_pack_arguments(commands)
        commands.add_parser("lock", help="write catalog.lock.json after rules were changed")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        # Django's wrapper would end every write with a newline of its own.
        self.stdout.ending = ""
        # A pipe has no width of its own; 100 columns keep tables the same in terminals and files.
        console = Console(file=cast(IO[str], self.stdout), width=WIDTH)
        handlers = {
            "check": _check, "test": _test, "list": _list, "show": _show, "new": _new, "lock": _lock,
            "fields": fields_of.run, "coverage": coverage_of.run, "import": importing.run_import,
            "export": importing.run_export, "pack": importing.run_pack,
        }  # fmt: skip
        try:
            handlers[action](console, options)
        except RuleErrors as errors:
            raise CommandError(str(errors), returncode=1) from errors
        except (OSError, UnknownRuleError, MatcherError, BuildError, PackError) as error:
            raise CommandError(str(error), returncode=1) from error


def _add_pack_arguments(commands: Any) -> None:
    importer = commands.add_parser("import", help="take the rules of a folder or git checkout into the database")
    importer.add_argument("folder", type=Path, metavar="PATH")
    importer.add_argument("--name", default="", help="what the pack is called here; default is that of its repository")
    importer.add_argument("--check", action="store_true", help="only say what is in it and what is wrong; no database")
    importer.add_argument("--public-key", default="", metavar="KEY", help="refuse the pack unless it is signed with it")
    exporter = commands.add_parser("export", help="write the rules of the database that were written here as files")
    exporter.add_argument("folder", type=Path, metavar="FOLDER")
    exporter.add_argument("--name", default="", help="those of this pack instead")
    packer = commands.add_parser("pack", help="lock a folder of rules by digests, and sign it")
    packer.add_argument("folder", type=Path, metavar="FOLDER")
    keys = packer.add_mutually_exclusive_group()
    keys.add_argument("--key", type=Path, metavar="FILE", help="private key to sign with")
    keys.add_argument("--new-key", type=Path, metavar="FILE", help="make a private key there and sign with it")


def _check(console: Console, options: dict[str, Any]) -> None:
    rules, errors = read_rules(options["paths"] or None)
    for error in errors:
        console.print(Text(escape(str(error))), soft_wrap=True)
    if errors:
        raise CommandError(f"{len(errors)} faults; {len(rules)} rules are in order", returncode=1)
    for rule in rules:
        for technique in sorted(set(rule.techniques) - set(TECHNIQUES)):
            known = did_you_mean(technique, TECHNIQUES)
            warning = f"{rule.path}: warning: {technique} is no technique of ATT&CK on Linux{known}"
            console.print(Text(escape(warning)), soft_wrap=True)
    console.print(f"{len(rules)} rules are in order")


def _test(console: Console, options: dict[str, Any]) -> None:
    if options["records"] is not None:
        probe = ensure(host_arch()).path
        records.run(console, _named(options["paths"]), options["records"], probe, options["format"])
        return
    rules = load_catalog(options["paths"] or None)
    probe = ensure(host_arch()).path
    started = time.monotonic()
    results = run_tests(rules, probe)
    took_ms = (time.monotonic() - started) * 1000
    failed = [result for result in results if not result.is_ok]
    for result in failed:
        console.print(Text(_line(result)), soft_wrap=True)
    untested = sum(not rule.tests for rule in rules)
    speed = f"{took_ms / max(len(rules), 1):.1f} ms a rule"
    summary = (
        f"{len(results)} tests of {len(rules)} rules, {len(failed)} failed, {untested} rules without a test, {speed}"
    )
    if failed:
        raise CommandError(summary, returncode=1)
    console.print(summary)


def _named(names: list[str]) -> list[CompiledRule]:
    """Rules by file or by name; all that ship when nothing is named."""
    files = [name for name in names if Path(name).exists()]
    rules = load_catalog(files) if files else []
    if others := [name for name in names if name not in files]:
        rules += select(load_shipped(), names=others)
    return rules if names else load_shipped()


def _line(result: TestResult) -> str:
    return escape(f"{result.rule.path}:{result.test.line}: {result.rule.name}: {result.problem}")


def _list(console: Console, options: dict[str, Any]) -> None:
    types = [word for word in options["type"].split(",") if word]
    unknown = [word for word in types if word not in list(RuleType)]
    if unknown:
        raise CommandError(f"unknown type {', '.join(unknown)}; known are {', '.join(RuleType)}", returncode=1)
    rules = select(load_shipped(), types or list(RuleType), options["rule"])
    if options["format"] == "json":
        console.file.write(json.dumps([_facts(rule) for rule in rules], indent=2) + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "type", "level", "status", "techniques"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "techniques")
    for rule in rules:
        level = Text(rule.level, _STYLES[rule.level])
        table.add_row(rule.name, rule.type.value, level, rule.status.value, ", ".join(rule.techniques))
    console.print(table)
    console.print(f"{len(rules)} rules, {sum(rule.is_default_enabled for rule in rules)} on by default")


def _facts(rule: CompiledRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "title": rule.title,
        "type": rule.type,
        "subject": rule.subject,
        "level": rule.level,
        "status": rule.status,
        "tags": list(rule.tags),
        "techniques": list(rule.techniques),
        "tactics": list(rule.tactics),
        "description": rule.description,
        "path": rule.path,
        "digest": rule.digest,
        "is_default_enabled": rule.is_default_enabled,
    }


def _show(console: Console, options: dict[str, Any]) -> None:
    name = options["name"]
    rules = load_catalog([name]) if Path(name).is_file() else load_shipped()
    for rule in rules if Path(name).is_file() else select(rules, names=[name]):
        console.rule(Text(rule.path))
        console.print(Syntax(rule.source.rstrip(), "yaml", background_color="default", word_wrap=True))
        console.rule("what the probe evaluates")
        console.print(JSON.from_data(_plan_facts(rule)))
        for note in rule.notes:
            console.print(Text(f"note: {note}"), soft_wrap=True)


def _plan_facts(rule: CompiledRule) -> dict[str, Any]:
    scope = rule.plan_rule.scope
    bounds = {"paths": scope.paths, "exclude": scope.exclude, "max_depth": scope.max_depth} if scope else None
    facts = {"subject": rule.subject, "when": rule.plan_rule.when, "scope": bounds, "fields": rule.plan_rule.fields}
    more = {"host": rule.os, "absent": rule.plan_rule.absent, "correlation": rule.plan_rule.correlation}
    return facts | {name: msgspec.to_builtins(value) for name, value in more.items() if value}


def _new(console: Console, options: dict[str, Any]) -> None:
    name, subject = options["name"], registry().get(options["subject"])
    if subject is None:
        raise CommandError(f"unknown subject; known are {', '.join(registry())}", returncode=1)
    target = _target(options["output"], name)
    text = build_skeleton(name, subject, str(uuid.uuid4()), dt.datetime.now(tz=dt.UTC).date())
    with target.open("x", encoding="utf-8") as stream:
        stream.write(text)
    load_catalog([target])
    console.print(f"wrote {target}; next: ./manage.py rules test {target}", soft_wrap=True)


def _target(output: Path | None, name: str) -> Path:
    """A file where `output` names one, else a file in that folder, which is made."""
    place = output or Path()
    if place.suffix in {".yml", ".yaml"}:
        return place
    place.mkdir(parents=True, exist_ok=True)
    return place / f"{name}.yml"


def _lock(console: Console, options: dict[str, Any]) -> None:
    new = lock.build_lock(load_catalog([CATALOG_PATH]))
    old = lock.parse_lock(lock.LOCK_PATH.read_text(encoding="utf-8")) if lock.LOCK_PATH.exists() else {}
    refused = lock.find_refused(old, new, dt.datetime.now(tz=dt.UTC).date())
    if refused:
        raise CommandError("\n".join(refused), returncode=1)
    lock.LOCK_PATH.write_text(lock.format_lock(new), encoding="utf-8")
    console.print(f"locked {len(new)} rules, {len(lock.find_drift(old, new))} changes")
