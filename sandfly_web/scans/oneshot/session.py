"""One run of `manage.py scan` from its options to its exit status."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from rich.console import Console

from sandfly_web.inventory.targets import Target, TargetError, expand_targets, parse_target
from sandfly_web.rules.compiled import CompiledRule, RuleErrors
from sandfly_web.rules.depth import audits_passwords, is_deep
from sandfly_web.rules.indicators.kinds import Kind
from sandfly_web.rules.indicators.sets import has_lists
from sandfly_web.rules.indicators.verify import verify_report
from sandfly_web.rules.plan import BuiltPlan, build_plan
from sandfly_web.rules.select import select
from sandfly_web.rules.shipped import load_shipped
from sandfly_web.scans.oneshot.formats import Ecs, JsonDocument, JsonLines, Sarif, Writer
from sandfly_web.scans.oneshot.identity import IdentityOptions, collect_secrets, credential_for
from sandfly_web.scans.oneshot.indicators import read_indicator_files
from sandfly_web.scans.oneshot.known_hosts import find_keys, format_entry, parse_known_hosts
from sandfly_web.scans.oneshot.passwords import PasswordListError, read_password_list
from sandfly_web.scans.oneshot.progress import VisitProgress, show_progress
from sandfly_web.scans.oneshot.results import Summary, describe_report
from sandfly_web.scans.oneshot.runner import PRIORITY_LIMITS, JobOptions, run_visits
from sandfly_web.scans.oneshot.table import TableOutput
from scanners.contract import (
    DIRECTORY_PATTERN,
    Become,
    CredentialSecret,
    HostKeyPin,
    PasswordAudit,
    Phase,
    ScanJob,
    ScanReport,
)

FORMATS: dict[str, Callable[[TextIO], Writer]] = {
    "table": lambda out: TableOutput(Console(file=out, highlight=False)),
    "jsonl": JsonLines,
    "json": JsonDocument,
    "sarif": Sarif,
    "ecs": Ecs,
}


MAX_AUDIT_S = 3600


class SessionError(Exception):
    """The run cannot begin; the message says what to do."""


class RunVisit(Protocol):
    """`scanners.visit.run_visit`, handed in by the command."""

    def __call__(
        self,
        job: ScanJob,
        plan_bytes: bytes,
        secrets: list[CredentialSecret],
        *,
        jump_secrets: list[CredentialSecret],
        sets: Sequence[bytes],
        on_phase: Callable[[Phase], None],
        on_percent: Callable[[int], None],
    ) -> ScanReport: ...


class KnownHosts:
    """The host keys of a known_hosts file, and the new ones that are added to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        try:
            self.entries = parse_known_hosts(path.read_text(encoding="utf-8", errors="replace").splitlines())
        except FileNotFoundError:
            self.entries = []
        except OSError as error:
            raise SessionError(f"{path}: {error.strerror}") from None

    def find(self, address: str, port: int) -> list[HostKeyPin]:
        with self.lock:
            return find_keys(self.entries, address, port)

    def remember(self, address: str, port: int, keys: list[HostKeyPin]) -> None:
        """Adds the keys of a host that had none. Raises SessionError."""
        if not keys or self.find(address, port):
            return
        lines = [format_entry(address, port, key) for key in keys]
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in lines))
        except OSError as error:
            raise SessionError(f"cannot remember the key of {address} in {self.path}: {error.strerror}") from None
        with self.lock:
            self.entries += parse_known_hosts(lines)


def choose_rules(
    types: str, names: list[str], *, deep: bool = False, loaded: Collection[Kind] = ()
) -> list[CompiledRule]:
    """Rules of the catalogue by type (deep ones when asked for), or exactly those named by name, tag or rule file.

    `loaded` are the kinds of indicators that are at hand; rules on others are only run by name. Raises SessionError.
    """
    files = [name for name in names if name.endswith((".yml", ".yaml")) and Path(name).is_file()]
    try:
        chosen = compile_files(files) if files else []
        if named := [name for name in names if name not in files]:
            chosen += select(load_shipped(), names=named)
        if not names:
            wanted = select(load_shipped(), types=[word.strip() for word in types.split(",") if word.strip()])
            chosen = [rule for rule in wanted if deep or not is_deep(rule.plan_rule)]
            chosen = [rule for rule in chosen if has_lists(rule.plan_rule.when, loaded)]
    except (RuleErrors, ValueError) as error:
        raise SessionError(str(error)) from None
    chosen = list({rule.id: rule for rule in chosen}.values())
    if not chosen:
        raise SessionError("no rule was chosen: see `./manage.py rules list`")
    return chosen


def compile_files(files: list[str]) -> list[CompiledRule]:
    """Raises RuleErrors and OSError."""
    # pySigma is slow to import, and needed for rule files alone.
    from sandfly_web.rules.catalog import load_catalog  # noqa: PLC0415

    return load_catalog(files)


def password_audit(rules: list[CompiledRule], options: dict[str, Any]) -> PasswordAudit:
    """What the options say of guessing passwords. Raises SessionError, also when no rule would guess any."""
    path, seconds = options["password_list"], options["password_seconds"]
    if path is None and seconds is None:
        return PasswordAudit()
    if not any(audits_passwords(rule.plan_rule) for rule in rules):
        raise SessionError("no chosen rule audits passwords: add --deep, or --rule user_password_weak")
    cpu_s = PasswordAudit().cpu_s if seconds is None else seconds
    if not 0 <= cpu_s <= MAX_AUDIT_S:
        raise SessionError(f"--password-seconds: {cpu_s} is not in 0…{MAX_AUDIT_S}")
    try:
        return PasswordAudit(cpu_s=cpu_s, words=read_password_list(path) if path else [])
    except PasswordListError as error:
        raise SessionError(str(error)) from None


def check_directory(path: str | None) -> str | None:
    """Raises SessionError for what is no place on a host."""
    if path is not None and not re.fullmatch(DIRECTORY_PATTERN, path):
        raise SessionError(f"--directory: {path!r} is no absolute path")
    return path


def read_lines(path: str) -> Iterator[str]:
    try:
        with Path(path).open(encoding="utf-8") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"@{path}: {error}") from None


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}") from None
    with file:
        yield file


class Visitor:
    """Runs one visit with the credential of this run."""

    def __init__(
        self, run_visit: RunVisit, plan: BuiltPlan, options: dict[str, Any], jumps: tuple[Target, ...]
    ) -> None:
        self.run_visit = run_visit
        self.plan = plan
        self.become = Become(options["become"])
        self.jumps = jumps
        self.secrets: dict[str, str] = {}

    def ask(self, options: dict[str, Any]) -> None:
        """Reads keys and passwords once, before the first visit. Raises IdentityError."""
        self.secrets = collect_secrets(
            IdentityOptions(
                identity=options["identity"],
                ask_password=options["ask_password"],
                ask_become_password=options["ask_become_password"],
                become=self.become,
            )
        )

    def __call__(self, target: Target, job: ScanJob, progress: VisitProgress) -> ScanReport:
        if target.is_local:
            secrets = [credential_for(target.username, self.become_only(), self.become)]
        else:
            secrets = [credential_for(target.username, self.secrets, self.become)]
        jump_secrets = [credential_for(jump.username, self.secrets, Become.NONE) for jump in self.jumps]
        return self.run_visit(
            job, self.plan.body, secrets, jump_secrets=jump_secrets, sets=self.plan.sets,
            on_phase=progress.on_phase, on_percent=progress.on_percent,
        )  # fmt: skip

    def become_only(self) -> dict[str, str]:
        """For this machine only the password of sudo matters."""
        return {name: value for name, value in self.secrets.items() if name in {"password", "become_password"}}


def run_session(options: dict[str, Any], run_visit: RunVisit) -> int:
    """Exit status of the whole run. Raises TargetError, IdentityError and SessionError before any host is touched."""
    lists = read_indicator_files(options["indicators"], sys.stderr)
    rules = choose_rules(options["type"], options["rule"], deep=options["deep"], loaded=lists.sets)
    limits = PRIORITY_LIMITS[options["priority"]]
    plan = build_plan(rules, limits, lists.sets, password_audit(rules, options))
    jumps = tuple(next(parse_target(text)) for text in options["jump"])
    known = KnownHosts(options["known_hosts"])
    visitor = Visitor(run_visit, plan, options, jumps)
    if needs_credential(options):
        visitor.ask(options)
    job_options = JobOptions(
        plan_digest=plan.digest,
        limits=limits,
        allow_new_host_key=options["accept_new_host_keys"],
        find_keys=known.find,
        jumps=jumps,
        staging_directory=check_directory(options["directory"]),
    )
    by_id = {rule.id: rule for rule in rules}
    conditions = {rule.id: rule.plan_rule.when for rule in rules}
    summary = Summary(fail_on=options["fail_on"])
    targets = expand_targets(options["targets"], read_lines)
    with open_output(options["output"]) as out, show_progress(enabled=sys.stderr.isatty()) as board:
        writer = FORMATS[options["format"]](out)
        for target, report in run_visits(targets, job_options, visitor, board, options["concurrency"]):
            if options["accept_new_host_keys"] and report.failure is None:
                known.remember(target.address, target.port, list(report.presented_host_keys))
            verified = verify_report(report, conditions, lists.look_up)
            result = describe_report(target.label, verified, by_id)
            with board.aside():
                writer.add(result)
            summary.add(result)
        writer.finish(summary)
    return summary.exit_status


def needs_credential(options: dict[str, Any]) -> bool:
    """A scan of this machine alone asks for nothing unless told to."""
    return options["ask_password"] or options["ask_become_password"] or set(options["targets"]) != {"local"}
