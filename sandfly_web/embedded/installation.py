"""`manage.py up` from the first check to the last process: what is started in which order, and how all of it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import OperationalError, connections

from probes.build import BuildError, ensure, host_arch
from sandfly_web.embedded import first_scan, first_start, postgres, redis
from sandfly_web.embedded.datadir import ensure_secret_key, locked, prepare
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.port import check_port
from sandfly_web.embedded.processes import LOOPBACK, WILDCARD, all_services, probe_environment, python
from sandfly_web.embedded.screen import Access, Screen
from sandfly_web.embedded.server import end_session, guarded, open_log
from sandfly_web.embedded.supervisor import Supervisor
from sandfly_web.rules.compiled import RuleErrors
from sandfly_web.rules.services import load_catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from sandfly_web.embedded.paths import DataDir
    from sandfly_web.embedded.server import Running
    from sandfly_web.inventory.models import Host

ASK_AGAIN_S = 1.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WEB_TIMEOUT_S = 60
HEALTH_TIMEOUT_S = 5
SERVER_CHECK_S = 1.0
# Servers that ran before are started again for as long as it takes: a full disk or a mistaken kill passes.
LONGEST_RESTART_PAUSE_S = 30.0


class StopRequested(BaseException):
    """Somebody pressed Ctrl-C or sent a signal; passes every handler of ordinary errors."""


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    host: str
    port: int
    scan: bool
    reset_password: bool

    @property
    def reachable_host(self) -> str:
        """An address of the console for a browser on this machine."""
        return "127.0.0.1" if self.host in WILDCARD else self.host

    @property
    def url(self) -> str:
        host = f"[{self.reachable_host}]" if ":" in self.reachable_host else self.reachable_host
        return f"http://{host}:{self.port}"


@dataclass
class Kept:
    """An embedded server and how to start it."""

    start: Callable[[DataDir], Running]
    running: Running
    failures: int = 0
    again_at: float | None = None

    def stop(self) -> None:
        self.running.stop()


class Installation:
    """One data directory brought to life; `run` returns when it is stopped."""

    def __init__(self, data: DataDir, options: Options, screen: Screen, redis_url: str) -> None:
        self.data = data
        self.options = options
        self.screen = screen
        self.redis_url = redis_url
        self.supervisor = Supervisor(data, screen.service)
        self.servers: list[Kept] = []

    def run(self) -> None:
        """Raises EmbeddedError when something cannot be started or kept running; leaves no process behind."""
        check_port(self.options.host, self.options.port)
        prepare(self.data)
        with locked(self.data, "up"), ExitStack() as stack:
            listen_to_signals()
            try:
                self._start(stack)
                self._serve()
            except StopRequested:
                # A terminal has just shown ^C on this line.
                self.screen.line("\nStopping ..." if self.screen.console.is_terminal else "Stopping ...")
            finally:
                # The way down must not be cut short by a second Ctrl-C.
                ignore_signals()
                connections.close_all()

    def _start(self, stack: ExitStack) -> None:
        """Servers, schema, processes; then, while those load, what the database needs besides."""
        ensure_secret_key(self.data)
        os.environ.update(probe_environment(dict(os.environ), self.data))
        self._start_servers(stack)
        with self.screen.step("Database") as step:
            step.detail = self._migrate()
            first_start.read_public_key(self.data)
        stack.callback(self.supervisor.stop)
        options = self.options
        for service in all_services(self.data, host=options.host, port=options.port, redis_url=self.redis_url):
            self.supervisor.start(service)
        with self.screen.step("Rules") as step:
            step.detail = load_rules()
        new_host = first_start.ensure_inventory(self.data)
        password = first_start.ensure_admin(reset_password=options.reset_password)
        self._build_probe()
        with self.screen.step("Console") as step:
            step.detail = f"answers at {options.url}"
            self._wait_for_web()
        self._welcome(password)
        if new_host is not None and options.scan:
            self._scan(new_host)
        elif new_host is None:
            self.screen.line(first_scan.summary())
        self._build_other_probes(stack)

    def _start_servers(self, stack: ExitStack) -> None:
        if not is_external("DATABASE_URL"):
            with self.screen.step("PostgreSQL") as step:
                self._keep(stack, postgres.start)
                step.detail = f"in {self.data.cluster}"
        if not is_external("REDIS_URL"):
            with self.screen.step("Redis") as step:
                self._keep(stack, redis.start)
                step.detail = f"in {self.data.redis}"

    def _keep(self, stack: ExitStack, start: Callable[[DataDir], Running]) -> None:
        kept = Kept(start, start(self.data))
        self.servers.append(kept)
        stack.callback(kept.stop)

    def _migrate(self) -> str:
        try:
            count = first_start.migrate()
        except OperationalError as error:
            raise EmbeddedError(f"the database cannot be used: {str(error).strip()}") from None
        return f"{count} migrations applied" if count else "up to date"

    def _build_probe(self) -> None:
        """The probe for this machine. Without it the console is of use all the same: scans say what is missing."""
        problem = ""
        with self.screen.step("Probe") as step:
            try:
                build = ensure(host_arch())
                step.detail = f"{build.path.name}, {build.size / 1e6:.1f} MB"
            except BuildError as error:
                step.detail, problem = "not there", str(error)
        if problem:
            self.screen.line(f"This machine cannot be scanned, its probe cannot be built: {problem}", "yellow")

    def _wait_for_web(self) -> None:
        deadline = time.monotonic() + WEB_TIMEOUT_S
        while not is_healthy(self.options.reachable_host, self.options.port):
            self.supervisor.tend(0.1)
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the console does not answer: see {self.data.logs / 'web.log'}")

    def _welcome(self, password: str) -> None:
        hint = (
            "The password is shown only now; --reset-password makes a new one."
            if password
            else "Forgotten the password? Start with --reset-password."
        )
        self.screen.access(Access(self.options.url, first_start.ADMIN, password), hint)
        if self.options.host not in LOOPBACK:
            self.screen.line(
                "Others can reach this address and it has no TLS: put a proxy with TLS before it.", "yellow"
            )

    def _scan(self, host: Host) -> None:
        try:
            scan = first_scan.request(host)
        except ValidationError as error:
            self.screen.line(f"No first scan: {' '.join(error.messages)}", "yellow")
            return
        first_scan.follow(scan, self.screen, self.supervisor, self.redis_url)
        first_scan.show(scan, self.screen)

    def _build_other_probes(self, stack: ExitStack) -> None:
        """Probes for other machines, in the background at the lowest priority; its lines go to a log file."""
        nice = shutil.which("nice")
        command = [*([nice, "-n", "19"] if nice else []), *python("probes.build")]
        log = open_log(self.data.logs / "probes.log")
        builder = subprocess.Popen(
            guarded(command, signal.SIGTERM), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        os.close(log)
        stack.callback(end_session, builder)

    def _serve(self) -> None:
        """Until a signal comes or a process cannot be kept running."""
        connections.close_all()
        self.screen.line("Ctrl-C stops everything; the data stays.", "dim")
        while True:
            self.supervisor.tend(SERVER_CHECK_S)
            for kept in self.servers:
                self._tend_server(kept)

    def _tend_server(self, kept: Kept) -> None:
        """Start a server again that ended by itself; its clients connect again by themselves."""
        if kept.running.is_running():
            kept.failures = 0
            return
        if kept.again_at is not None and time.monotonic() < kept.again_at:
            return
        name = kept.running.name
        if kept.again_at is None:
            self.screen.service(name, "ended by itself, starts again")
        kept.running.stop()
        try:
            kept.running, kept.again_at = kept.start(self.data), None
        except EmbeddedError as error:
            kept.failures += 1
            pause_s = min(2.0**kept.failures, LONGEST_RESTART_PAUSE_S)
            kept.again_at = time.monotonic() + pause_s
            self.screen.service(name, f"{error}; tried again in {pause_s:.0f} s")


def is_external(name: str) -> bool:
    """Whether the environment names a server of the user's."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def is_healthy(host: str, port: int) -> bool:
    """Whether the console answers /healthz with 200."""
    connection = HTTPConnection(host, port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def load_rules() -> str:
    """Bring the catalogue into the database; says what that changed."""
    try:
        loaded = load_catalog()
    except (RuleErrors, ValidationError) as error:
        raise EmbeddedError(f"the rule catalogue cannot be loaded: {error}") from None
    changes = {"new": loaded.created, "updated": loaded.updated, "retired": loaded.disabled}
    return ", ".join(f"{count} {word}" for word, count in changes.items() if count) or "up to date"


def listen_to_signals() -> None:
    """Turn the first Ctrl-C, TERM or hang-up into StopRequested."""

    def stop(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        # Where Python runs a finalizer, what a handler raises is lost: it is raised again until `run` has seen it.
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, ASK_AGAIN_S)
        raise StopRequested

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def ignore_signals() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
