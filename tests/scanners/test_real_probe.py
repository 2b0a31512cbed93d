"""The real probe on real hosts: it answers, and whatever happens in the middle it is gone soon after."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from scanners import running
from scanners.connection import remaining_s
from scanners.contract import (
    HostEndpoint,
    Interference,
    Limits,
    Meddling,
    Outcome,
    Phase,
    Plan,
    PlanRule,
    RuleState,
    ScanReport,
    Scope,
    Transport,
    encode,
)
from scanners.visit import run_visit
from tests.hosts.host import Host, User, make_host, wait_until
from tests.scanners.standin import make_job

pytestmark = pytest.mark.integration

QUICK_PLAN = encode(
    Plan(
        rules=[
            PlanRule(id="host", subject="host", fields=["hostname"]),
            PlanRule(
                id="root-user",
                subject="user",
                when={"field": "uid", "op": "eq", "values": [0]},
                fields=["username", "password_status"],
            ),
        ]
    )
)
# Hashes everything under /usr at one percent of a core: many minutes of work.
SLOW_PLAN = encode(
    Plan(
        rules=[
            PlanRule(
                id="slow",
                subject="file",
                scope=Scope(paths=["/usr/**", "/usr/*"]),
                when={"field": "sha256", "op": "eq", "values": ["0" * 64]},
                fields=["path"],
            )
        ]
    )
)
# The host is looked at first, so that the probe is known to be under way when the slow part begins.
HOST_THEN_SLOW_PLAN = encode(
    Plan(
        rules=[
            PlanRule(
                id="slow",
                subject="file",
                host={"field": "hostname", "op": "exists", "values": [True]},
                scope=Scope(paths=["/usr/**", "/usr/*"]),
                when={"field": "sha256", "op": "eq", "values": ["0" * 64]},
                fields=["path"],
            )
        ]
    )
)
SIGNAL_ALL = """
for p in /proc/[0-9]*; do if read -r name <$p/comm && [ "$name" = sf ]; then kill -{number} ${{p#/proc/}}; fi; done
"""
GENTLE = Limits(cpu_percent=1, connect_timeout_s=5)


def statuses(report: ScanReport) -> dict[str, str]:
    return {rule.rule_id: rule.state for rule in report.rules}


def is_gone(host: Host) -> bool:
    return not [line for line in host.processes().values() if not line.startswith("sshd")]


@pytest.fixture
def host() -> Iterator[Host]:
    with make_host("web1", users=[User("asked", password="pw", sudo="password"), User("plain")]) as running:
        yield running


@pytest.mark.parametrize("flavour", ["openssh", "busybox"])
def test_answers_from_every_kind_of_host(flavour: str) -> None:
    with make_host("web1", flavour=flavour) as host:
        report = run_visit(make_job(host.endpoint), QUICK_PLAN, [host.secret()])

        assert (report.outcome, report.failure, report.cleanup) == (Outcome.DONE, None, None)
        assert [match.record["hostname"] for match in report.matches if match.subject == "host"] == ["web1"]
        assert statuses(report) == {"host": RuleState.ALERT, "root-user": RuleState.ALERT}
        assert report.removed == report.created
        assert host.leftovers() == []


def test_root_by_sudo_sees_what_the_user_does_not(host: Host) -> None:
    job = make_job(host.endpoint)

    as_root = run_visit(job, QUICK_PLAN, [host.password_secret("asked")])
    as_user = run_visit(job, QUICK_PLAN, [host.secret("plain")])

    assert password_status(as_root) is not None
    assert password_status(as_user) is None


def password_status(report: ScanReport) -> Any:
    record = next(match for match in report.matches if match.subject == "user")
    return record.record.get("password_status")


def test_local_visit_needs_no_credential() -> None:
    endpoint = HostEndpoint(transport=Transport.LOCAL, address="localhost")

    report = run_visit(make_job(endpoint), QUICK_PLAN, [])

    assert (report.outcome, report.failure, report.cleanup) == (Outcome.DONE, None, None)
    assert report.removed == report.created != []


@pytest.mark.parametrize("username", ["root", "asked"])
def test_cut_connection_stops_the_probe(host: Host, username: str) -> None:
    secret = host.secret() if username == "root" else host.password_secret("asked")
    cutter = threading.Timer(1.5, host.cut_sessions)
    cutter.start()

    report = run_visit(make_job(host.endpoint, limits=GENTLE), SLOW_PLAN, [secret])

    cutter.join()
    assert report.failure and report.failure.code == "connection_lost"
    wait_until(lambda: is_gone(host))
    assert host.leftovers() == []


def test_cancelled_scan_stops_the_probe(host: Host) -> None:
    running = threading.Event()
    begun = time.monotonic()

    report = run_visit(
        make_job(host.endpoint, limits=GENTLE),
        SLOW_PLAN,
        [host.password_secret("asked")],
        on_phase=lambda phase: running.set() if phase is Phase.RUNNING else None,
        should_stop=lambda: running.is_set() and time.monotonic() > begun + 1.5,
    )

    assert report.outcome == Outcome.CANCELLED
    wait_until(lambda: is_gone(host))
    assert host.leftovers() == []


@pytest.mark.parametrize(
    ("number", "code", "seen"),
    [
        (signal.SIGKILL, "probe_killed", Interference(what=Meddling.KILLED, out_of_memory=False)),
        (signal.SIGQUIT, "probe_killed", Interference(what=Meddling.KILLED, out_of_memory=False)),
        (signal.SIGTERM, None, Interference(what=Meddling.STOPPED, out_of_memory=False)),
    ],
)
@pytest.mark.parametrize("username", ["root", "asked"])
def test_a_probe_that_somebody_on_the_host_kills_or_stops_is_told(
    host: Host, number: int, code: str | None, seen: Interference, username: str
) -> None:
    secret = host.secret() if username == "root" else host.password_secret("asked")
    phases: list[Phase] = []

    def meddle(percent: int) -> None:
        del percent
        if phases[-1] is Phase.RUNNING:
            host.run(SIGNAL_ALL.format(number=int(number)))

    job = make_job(host.endpoint, limits=GENTLE)
    report = run_visit(job, HOST_THEN_SLOW_PLAN, [secret], on_phase=phases.append, on_percent=meddle)

    assert (report.failure.code if report.failure else None, report.interference) == (code, seen)
    assert [rule.state for rule in report.rules] == ([] if code else [RuleState.ERROR])
    assert (report.cleanup, report.removed) == (None, report.created)
    assert host.leftovers() == []


def test_a_probe_that_somebody_on_the_host_halts_is_told_and_let_go(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases: list[Phase] = []
    halted = threading.Event()

    def meddle(percent: int) -> None:
        del percent
        if phases[-1] is Phase.RUNNING:
            host.run(SIGNAL_ALL.format(number=int(signal.SIGSTOP)))
            halted.set()

    # The time is over once it is halted, however long that took.
    monkeypatch.setattr(running, "remaining_s", lambda end: remaining_s(0.0 if halted.is_set() else end))
    job = make_job(host.endpoint, limits=GENTLE)
    report = run_visit(job, HOST_THEN_SLOW_PLAN, [host.secret()], on_phase=phases.append, on_percent=meddle)

    assert report.failure and report.failure.code == "probe_timed_out"
    assert report.interference == Interference(what=Meddling.HALTED)
    wait_until(lambda: is_gone(host))
    assert host.leftovers() == []


def test_the_report_comes_home_packed(host: Host) -> None:
    fields = ["path", "mode", "uid", "mtime"]
    rule = PlanRule(id="all", subject="file", scope=Scope(paths=["/usr/share"]), fields=fields, max_matches=3000)
    plan = encode(Plan(rules=[rule]))

    report = run_visit(make_job(host.endpoint), plan, [host.secret()])

    told = sum(len(encode(match.record)) for match in report.matches)
    assert report.outcome == Outcome.DONE
    assert told > 100_000
    assert report.cost.downloaded_bytes < told / 2


def test_probe_keeps_its_own_deadline_and_says_so(host: Host) -> None:
    limits = Limits(cpu_percent=1, probe_deadline_s=2, connect_timeout_s=5)

    report = run_visit(make_job(host.endpoint, limits=limits), SLOW_PLAN, [host.secret()])

    assert report.outcome == Outcome.DONE
    assert [rule.state for rule in report.rules] == [RuleState.ERROR]
    assert report.timings_s["run"] < 8
    assert host.leftovers() == []
