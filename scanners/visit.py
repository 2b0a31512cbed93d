"""One visit to one host: connect, profile, stage, run, read, clean up and prove it.

The single edge where whatever went wrong becomes stored text: `run_visit` never raises for anything that a host, a
network or a credential does.
"""

from __future__ import annotations

import functools
import gzip
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from scanners.budget import Account, Budget, MemoryCounters
from scanners.connection import Connection
from scanners.contract import (
    Become,
    Cost,
    CredentialSecret,
    Failure,
    HostKeyPin,
    Interference,
    Limits,
    Outcome,
    Phase,
    Plan,
    PlanLimits,
    PlanRule,
    Profile,
    ScanJob,
    ScanReport,
    Transport,
    decode_plan,
    encode,
)
from scanners.errors import (
    CancelledError,
    CleanupError,
    ConnectError,
    ExpiredError,
    HostKeyError,
    InternalError,
    PrivilegeError,
    ProbeError,
    ScanError,
)
from scanners.guard import Guard, clean_guarded, launch_guarded, new_token, parse_guard, put_probe
from scanners.interference import after_failure, after_kill, after_report, after_silence
from scanners.launch import Launched, RefusedPasswordError, launch, plan_becomes
from scanners.memory import Room
from scanners.profile import HostTools, choose_build, run_profile
from scanners.report import Report, ReportReader
from scanners.running import run_probe
from scanners.staging import Build, NoRoomError, Staged, new_name, run_removal, run_stage
from scanners.transport import PasswordPolicy, open_local, open_ssh

log = logging.getLogger(__name__)

# Kept back from the visit's deadline, so that a probe that used all its time is still cleaned up after.
CLEANUP_S = 15.0
PROFILE_TIMEOUT_S = 30.0
STAGE_TIMEOUT_S = 120.0
# The probe stops itself at its deadline; the command is given this much more before it is cut off.
RUN_GRACE_S = 15.0
# The probe's own bound is on what it writes; the last lines come on top.
REPORT_SLACK_BYTES = 256 << 10

OUTCOMES = {"cancelled": Outcome.CANCELLED, "expired": Outcome.EXPIRED}


def find_build(arch: str) -> Build:
    """The probe of that name in `probes.build.BUILDS`, built on first use. Raises ProbeError `probe_missing`."""
    from probes.build import BuildError, ensure  # noqa: PLC0415 - a worker that only refuses never needs the builder

    try:
        build: Build = ensure(arch)
    except (BuildError, OSError) as error:
        raise ProbeError("probe_missing", f"there is no probe for {arch}: {error}") from error
    return build


def run_visit(  # noqa: PLR0913 - one call with everything; all but three by keyword
    job: ScanJob,
    plan_bytes: bytes,
    secrets: Sequence[CredentialSecret],
    *,
    jump_secrets: Sequence[CredentialSecret | None] = (),
    sets: Sequence[bytes] = (),
    worker: str = "",
    on_phase: Callable[[Phase], None] = lambda phase: None,
    on_percent: Callable[[int], None] = lambda percent: None,
    should_stop: Callable[[], bool] = lambda: False,
    get_build: Callable[[str], Build] = find_build,
    budget: Budget | None = None,
    room: Room | None = None,
) -> ScanReport:
    """Visits a host and reports; never raises a ScanError.

    `secrets` are the opened credentials, `jump_secrets` those of each jump host in order (None: the host's own).
    `sets` are the coded values of the plan's sets, in their order.
    `budget` bounds wrong passwords; without one it is this visit's own. `on_percent` hears how much of a long phase
    (upload, run) is done. `room` bounds what the report takes. `should_stop` is asked about once a second while the
    probe runs, and between the steps.
    """
    visit = _Visit(job, worker, on_phase, on_percent, should_stop, get_build, budget or Budget(MemoryCounters()), room)
    return visit.conduct(plan_bytes, tuple(sets), secrets, jump_secrets)


def failed_report(job: ScanJob, error: ScanError, worker: str = "") -> ScanReport:
    """Report of a visit that could not begin."""
    now = datetime.now(UTC)
    return ScanReport(
        scan_id=job.scan_id, attempt=job.attempt, worker=worker, outcome=OUTCOMES.get(error.code, Outcome.FAILED),
        failure=_failure(error), started_at=now, finished_at=now,
    )  # fmt: skip


def _failure(error: ScanError) -> Failure:
    return Failure(code=error.code, message=error.message[:4096], retryable=error.retryable)


@functools.lru_cache(maxsize=8)
def prepare_plan(
    plan_bytes: bytes, sets: tuple[bytes, ...], limits: Limits, *, is_packed: bool = False
) -> tuple[bytes, list[str]]:
    """The plan, packed, with this job's limits and its sets behind it, and its rule ids in order.

    `is_packed` asks for the report in the same form: where a wire lies between. The ids stay here: places are what the
    report speaks of, and random text does not pack. Raises InternalError.
    """
    try:
        plan = decode_plan(plan_bytes)
    except msgspec.MsgspecError as error:
        raise InternalError("internal", f"the plan cannot be read: {error}") from error
    if [len(body) for body in sets] != [spec.size_bytes for spec in plan.sets]:
        raise InternalError("internal", "the sets are not those of the plan")
    own = PlanLimits(
        deadline_s=limits.probe_deadline_s, cpu_percent=limits.cpu_percent, nice=limits.nice,
        memory_bytes=limits.memory_bytes, report_bytes=limits.report_bytes,
        matches_per_rule=limits.matches_per_rule, value_bytes=limits.value_bytes,
        is_packed=is_packed,
    )  # fmt: skip
    body = encode(Plan(limits=own, passwords=plan.passwords, rules=_without_ids(plan.rules), sets=plan.sets))
    # Packed once for all hosts that the worker visits with it: a fifth of the bytes on every wire.
    return gzip.compress(body, mtime=0) + b"\n" + b"".join(sets), [rule.id for rule in plan.rules]


def _without_ids(rules: Sequence[PlanRule]) -> list[PlanRule]:
    return [msgspec.structs.replace(rule, id="") for rule in rules]


@dataclass
class _Visit:
    """What is known so far; `report` can be built from it at any moment."""

    job: ScanJob
    worker: str
    on_phase: Callable[[Phase], None]
    on_percent: Callable[[int], None]
    should_stop: Callable[[], bool]
    get_build: Callable[[str], Build]
    budget: Budget
    room: Room | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    timings_s: dict[str, float] = field(default_factory=dict)
    presented: Sequence[HostKeyPin] = ()
    presented_jumps: Sequence[HostKeyPin] = ()
    credential: str = ""
    profile: Profile | None = None
    build: Build | None = None
    report: Report | None = None
    cost: Cost = field(default_factory=Cost)
    created: list[str] = field(default_factory=list)
    # Where a probe may lie whose upload did not come to its end.
    pending: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    # Only on hosts whose owner has a guard.
    guard: Guard | None = None
    tokens: list[str] = field(default_factory=list)
    cleanup: Failure | None = None
    interference: Interference | None = None

    def conduct(
        self,
        plan_bytes: bytes,
        sets: tuple[bytes, ...],
        secrets: Sequence[CredentialSecret],
        jump_secrets: Sequence[CredentialSecret | None],
    ) -> ScanReport:
        error: ScanError | None = None
        try:
            self._check()
            plan_line, rule_ids = prepare_plan(
                plan_bytes, sets, self.job.limits, is_packed=self.job.host.transport is not Transport.LOCAL
            )
            with self._connection(secrets, jump_secrets) as connection:
                self._work(connection, plan_line, ReportReader(rule_ids, self._report_bound()))
        except ScanError as raised:
            error = self._at_deadline(raised)
            log.info("visit failed: %s: %s", error.code, error.message)
        except Exception as raised:  # the edge: a fault of ours must not take the worker down
            log.exception("visit failed by a fault of this program")
            error = InternalError("internal", f"a fault of this program: {type(raised).__name__}")
        return self._finish(error)

    # --- time ---

    @property
    def deadline(self) -> float:
        """Monotonic instant by which everything but the clean-up is over."""
        whole = self.job.limits.visit_deadline_s
        return self.started + whole - min(CLEANUP_S, whole / 4)

    def _left_s(self, most_s: float) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise ExpiredError("visit_deadline", f"the visit took longer than {self.job.limits.visit_deadline_s} s")
        return min(left, most_s)

    def _cleanup_left_s(self) -> float:
        """What is kept back for the clean-up; a moment even when the visit has run over."""
        end = self.started + self.job.limits.visit_deadline_s
        return min(CLEANUP_S, max(1.0, end - time.monotonic()))

    def _check(self) -> None:
        if datetime.now(UTC) >= self.job.expires_at:
            raise ExpiredError("expired", "the scan was not started before its expiry")
        if self.should_stop():
            raise CancelledError("cancelled", "the scan was cancelled")
        self._left_s(0)

    def _at_deadline(self, error: ScanError) -> ScanError:
        """A step that ran out of time because the whole visit did says so."""
        if isinstance(error, ConnectError) and error.code == "timeout" and time.monotonic() >= self.deadline:
            whole = self.job.limits.visit_deadline_s
            return ExpiredError("visit_deadline", f"the visit took longer than {whole} s: {error.message}")
        return error

    @contextmanager
    def _step(self, name: str, phase: Phase) -> Iterator[None]:
        self._check()
        self.on_phase(phase)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.timings_s[name] = self.timings_s.get(name, 0.0) + time.monotonic() - begun

    # --- steps ---

    @contextmanager
    def _connection(
        self, secrets: Sequence[CredentialSecret], jump_secrets: Sequence[CredentialSecret | None]
    ) -> Iterator[Connection]:
        connection = self._connect(secrets, jump_secrets)
        self.presented = connection.presented_host_keys
        self.presented_jumps = connection.presented_jump_keys
        self.credential = connection.secret.id if connection.secret else ""
        try:
            yield connection
        finally:
            if self.created or self.pending:
                self._clean_up(connection, lambda: self._open(secrets, jump_secrets, self._cleanup_left_s()))
            connection.close()
            self._add_traffic(connection)

    def _connect(
        self, secrets: Sequence[CredentialSecret], jump_secrets: Sequence[CredentialSecret | None]
    ) -> Connection:
        with self._step("connect", Phase.CONNECTING):
            try:
                connection = self._open(secrets, jump_secrets, self._left_s(self.job.limits.connect_timeout_s))
            except HostKeyError as error:
                if error.presented:
                    key_type, public_key = error.presented
                    self.presented = [HostKeyPin(key_type=key_type, public_key=public_key)]
                raise
        self.timings_s["auth"] = connection.auth_s
        self.timings_s["connect"] -= connection.auth_s
        return connection

    def _open(
        self,
        secrets: Sequence[CredentialSecret],
        jump_secrets: Sequence[CredentialSecret | None],
        timeout_s: float,
    ) -> Connection:
        if self.job.host.transport is Transport.LOCAL:
            return open_local(secrets[0] if secrets else None)
        limits = msgspec.structs.replace(self.job.limits, connect_timeout_s=max(1, int(timeout_s)))
        return open_ssh(
            self.job.host,
            secrets,
            limits,
            allow_new_host_key=self.job.allow_new_host_key,
            jump_secrets=jump_secrets,
            passwords=PasswordPolicy(self.budget, self.job.try_all_passwords),
        )

    def _work(self, connection: Connection, plan_line: bytes, reader: ReportReader) -> None:
        with self._step("profile", Phase.PROFILING):
            self.profile, tools = run_profile(connection, self._left_s(PROFILE_TIMEOUT_S))
            self.build = self._find_build(self.profile)
        self.guard = parse_guard(tools.guard)
        if self.guard is not None:
            launched = self._start_guarded(connection, self.profile, self.build, self.guard, tools)
        else:
            launched = self._start(connection, self.profile, self.build, tools)
        with self._step("run", Phase.RUNNING):
            limit_s = self._left_s(self.job.limits.probe_deadline_s + RUN_GRACE_S)
            try:
                self.report = run_probe(
                    launched, plan_line, reader, limit_s, self.should_stop, self.on_percent, self.room
                )
            except ProbeError as error:
                if error.code == "probe_killed":
                    self.interference = after_kill(connection, reader.memory_kills)
                elif error.code == "probe_timed_out":
                    self.interference = after_silence(connection, reader.pid)
                raise
        self._learn_from(self.report)

    def _find_build(self, profile: Profile) -> Build:
        return self.get_build(choose_build(profile))

    def _start(self, connection: Connection, profile: Profile, build: Build, tools: HostTools) -> Launched:
        """Stages and starts; a directory that has no room, or turns out not to run programs, is left for the next."""
        chosen = self.job.host.staging_directory
        parents = [chosen] if chosen else list(tools.directories)
        while True:
            staged: Staged | None = None
            try:
                staged = self._stage(connection, build, tools, parents)
                return self._become(connection, staged, profile, tools)
            except ProbeError as error:
                unfit = self._unfit_directory(error, staged)
                parents = parents[parents.index(unfit.rpartition("/")[0]) + 1 :] if unfit else []
                if not parents:
                    raise

    def _unfit_directory(self, error: ProbeError, staged: Staged | None) -> str:
        """The directory that is to blame, or "" when none is."""
        if isinstance(error, NoRoomError):
            self.created.append(error.directory)
            return error.directory
        return staged.directory if staged and error.code == "no_exec_dir" else ""

    def _stage(self, connection: Connection, build: Build, tools: HostTools, parents: list[str]) -> Staged:
        uid = self.profile.uid if self.profile and self.profile.uid else 0
        name = new_name()
        self.pending = [f"{parent.rstrip('/')}/{name}" for parent in parents]
        with self._step("stage", Phase.STAGING):
            staged = run_stage(
                connection, build, tools, self.pending, uid, self._left_s(STAGE_TIMEOUT_S), self.on_percent
            )
        self.pending = []
        self.created += [staged.directory]
        self.removed += staged.stale
        return staged

    def _become(self, connection: Connection, staged: Staged, profile: Profile, tools: HostTools) -> Launched:
        secret = connection.secret
        with self._step("start", Phase.STAGING):
            refused: list[Account] = []
            for become in plan_becomes(profile, tools, secret):
                account = self._become_account(connection, become)
                if account in refused:
                    continue  # sudo and doas ask for the same password
                if account and not self.budget.take(account):
                    log.info("%s is not tried: its password was wrong too often", become.value)
                    continue
                try:
                    launched = launch(connection, staged, become, secret, self._left_s(STAGE_TIMEOUT_S))
                    if account:
                        self.budget.succeeded(account)
                except PrivilegeError as error:
                    # Degraded: rules that need root say so themselves, one by one.
                    log.info("%s", error.message)
                    if account and isinstance(error, RefusedPasswordError):
                        refused += [account]
                    continue
                self.profile = msgspec.structs.replace(profile, become=become)
                return launched
        raise ProbeError("probe_crashed", "the probe could be started in no way")

    def _become_account(self, connection: Connection, become: Become) -> Account | None:
        """Whose password would be asked for on the way to root; None where none can be given."""
        secret = connection.secret
        if secret is None or become is Become.NONE or not (secret.become_password or secret.password):
            return None
        host = f"{self.job.host.address}:{self.job.host.port}"
        return Account(host, "root" if become is Become.SU else connection.username, "become")

    def _start_guarded(
        self, connection: Connection, profile: Profile, build: Build, guard: Guard, tools: HostTools
    ) -> Launched:
        """The host's guard takes the probe and runs it as root; it asks for no password."""
        token = new_token()
        self.tokens += [token]
        self.pending = [guard.place(token)]
        with self._step("stage", Phase.STAGING):
            staged = put_probe(
                connection, build, guard, token, tools.names, self._left_s(STAGE_TIMEOUT_S), self.on_percent
            )
        self.pending = []
        self.created += [staged.directory]
        self.removed += staged.stale
        with self._step("start", Phase.STAGING):
            left_s = self._left_s(STAGE_TIMEOUT_S)
            launched = launch_guarded(connection, build, token, is_root=profile.is_root, timeout_s=left_s)
        self.profile = msgspec.structs.replace(profile, become=launched.become)
        return launched

    def _learn_from(self, report: Report) -> None:
        footer = report.footer
        self.interference = after_report(footer)
        self.cost = Cost(
            probe_wall_s=footer.wall_s, probe_cpu_s=footer.cpu_s, probe_paused_s=footer.paused_s,
            probe_max_rss_bytes=footer.max_rss_bytes, clock_skew_s=report.clock_skew_s,
        )  # fmt: skip
        if self.profile is not None:
            self.profile = msgspec.structs.replace(self.profile, is_root=report.header.uid == 0)

    def _clean_up(self, connection: Connection, reopen: Callable[[], Connection]) -> None:
        """Removes and proves; over a new connection when the old one broke. Its failure stands beside the result."""
        self.on_phase(Phase.CLEANING)
        begun = time.monotonic()
        try:
            try:
                self._remove(connection)
            except ConnectError:
                again = reopen()
                try:
                    self._remove(again)
                finally:
                    again.close()
                    self._add_traffic(again)
        except CleanupError as error:
            self.cleanup = _failure(error)
        except ScanError as error:
            places = ", ".join(self.created + self.pending)
            unverified = CleanupError(
                "cleanup_unverified", f"nobody could look whether {places} is gone: {error.message}"
            )
            self.cleanup = _failure(unverified)
        self.timings_s["cleanup"] = time.monotonic() - begun

    def _remove(self, connection: Connection) -> None:
        if self.guard is not None:
            done = clean_guarded(connection, self.guard, self.tokens, self._cleanup_left_s())
        else:
            done = run_removal(connection, self.created + self.pending, self._cleanup_left_s())
        self.created += [place for place in done.found if place in self.pending]
        self.removed += [place for place in done.gone if place in self.created]

    def _add_traffic(self, connection: Connection) -> None:
        traffic = connection.traffic
        self.cost = msgspec.structs.replace(
            self.cost,
            uploaded_bytes=self.cost.uploaded_bytes + traffic.sent_bytes,
            downloaded_bytes=self.cost.downloaded_bytes + traffic.received_bytes,
        )

    def _report_bound(self) -> int:
        return self.job.limits.report_bytes + REPORT_SLACK_BYTES

    def _finish(self, error: ScanError | None) -> ScanReport:
        self.timings_s["total"] = time.monotonic() - self.started
        whole = self.report
        interference = self.interference or (after_failure(error) if error else None)
        return ScanReport(
            scan_id=self.job.scan_id,
            attempt=self.job.attempt,
            worker=self.worker,
            outcome=OUTCOMES.get(error.code, Outcome.FAILED) if error else Outcome.DONE,
            failure=_failure(error) if error else None,
            started_at=self.started_at,
            finished_at=datetime.now(UTC),
            profile=self.profile,
            presented_host_keys=list(self.presented),
            presented_jump_keys=list(self.presented_jumps),
            credential=self.credential,
            probe_digest=self.build.sha256 if self.build else "",
            matches=whole.matches if whole else [],
            rules=whole.rules if whole else [],
            collectors=whole.collectors if whole else [],
            timings_s={name: round(seconds, 4) for name, seconds in self.timings_s.items()},
            cost=self.cost,
            created=self.created,
            removed=self.removed,
            cleanup=self.cleanup,
            interference=interference,
        )
