"""Hosts and networks that misbehave: every one ends in time, with a sentence, and with nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanners.contract import HostEndpoint, Limits, Outcome, Phase, RuleState, ScanReport
from scanners.visit import run_visit
from tests.hosts.host import FLOOD, GARBAGE, HANG, Host, User, free_port, make_host, wait_until
from tests.scanners.standin import FOOTER, HEADER, LINGER, PLAN, READ_PLAN, READY, UNLINK, make_job, script_build

pytestmark = pytest.mark.integration

START = UNLINK + READY + READ_PLAN
NO_XZ = "rm /usr/bin/xz /usr/bin/unxz"
QUICK = Limits(connect_timeout_s=2, probe_deadline_s=1, visit_deadline_s=6)
# Far above what any limit leaves, and far below what hanging costs: a busy machine is no fault.
NOT_HUNG_S = 60


def visit(host: Host, body: str, tmp_path: Path, *, limits: Limits | None = None, **keywords: Any) -> ScanReport:
    build = script_build(tmp_path, body)
    job = make_job(host.endpoint, limits=limits)
    return run_visit(job, PLAN, [host.secret()], get_build=lambda arch: build, **keywords)


@pytest.fixture
def host() -> Iterator[Host]:
    with make_host("web1") as running:
        yield running


def failure_code(report: ScanReport) -> str:
    assert report.failure is not None
    return report.failure.code


# --- accounts that answer to nothing sensible ---


@pytest.mark.parametrize(
    ("command", "code"), [(GARBAGE, "profile_malformed"), (FLOOD, "profile_malformed"), ("true", "no_shell")]
)
def test_account_that_does_not_run_commands(tmp_path: Path, command: str, code: str) -> None:
    with make_host("web1", sshd_options={"ForceCommand": command}) as host:
        report = visit(host, START + HEADER + FOOTER, tmp_path)

        assert failure_code(report) == code
        wait_until(lambda: not [line for line in host.processes().values() if "zero" in line])


def test_host_that_hangs_is_left_at_the_visit_deadline(tmp_path: Path) -> None:
    with make_host("web1", sshd_options={"ForceCommand": HANG}) as host:
        begun = time.monotonic()

        limits = msgspec.structs.replace(QUICK, connect_timeout_s=20)
        report = visit(host, START, tmp_path, limits=limits)

        assert failure_code(report) == "visit_deadline"
        assert time.monotonic() - begun < NOT_HUNG_S


# --- probes that break the contract ---


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (START + "head -c 100000 /dev/urandom\n", "report_not_json"),
        (START + HEADER + "cat /dev/zero\n", "report_too_large"),
        (START + HEADER + "yes '{}'\n", "report_wrong_schema"),
        (START + "cat /dev/zero >&2\n", "report_too_large"),
        (START + HEADER, "report_truncated"),
        (START + HEADER + HEADER + FOOTER, "report_wrong_schema"),
        (START + FOOTER, "report_wrong_schema"),
        (START + HEADER + "exit 1\n", "probe_crashed"),
        (START + HEADER + "kill -9 $$\n", "probe_killed"),
        (START + HEADER + "echo 'SIGABRT: abort' >&2; exit 2\n", "probe_killed"),
        (START + HEADER + "echo 'panic: index out of range' >&2; exit 2\n", "probe_crashed"),
        (START + 'echo \'{"error":"no such operator"}\' >&2; exit 2\n', "plan_rejected"),
        ("echo cannot >&2; exit 9\n", "probe_crashed"),
    ],
)
def test_bad_probe_or_report(host: Host, tmp_path: Path, body: str, code: str) -> None:
    report = visit(host, body, tmp_path)

    assert (report.outcome, failure_code(report)) == (Outcome.FAILED, code)
    assert report.cleanup is None
    assert report.removed == report.created
    assert host.wait_clean() == []
    wait_until(lambda: not [line for line in host.processes().values() if "/dev/" in line or line.startswith("yes")])


def test_reason_of_a_rejected_plan_is_told(host: Host, tmp_path: Path) -> None:
    report = visit(host, START + 'echo \'{"error":"no such operator"}\' >&2; exit 2\n', tmp_path)

    assert report.failure and "no such operator" in report.failure.message


def test_probe_that_never_ends_is_cut_off(host: Host, tmp_path: Path) -> None:
    limits = Limits(connect_timeout_s=20, probe_deadline_s=1, visit_deadline_s=6)

    report = visit(host, START + HEADER + LINGER, tmp_path, limits=limits)

    assert failure_code(report) == "probe_timed_out"
    assert report.interference is None
    assert report.cleanup is None
    assert report.timings_s["total"] < NOT_HUNG_S
    wait_until(lambda: not [line for line in host.processes().values() if "cat" in line or "probe" in line])


def test_rule_without_a_word_is_an_error_not_a_pass(host: Host, tmp_path: Path) -> None:
    silent = FOOTER.replace('"passed": [0]', '"passed": []')

    report = visit(host, START + HEADER + silent, tmp_path)

    assert [(rule.state, rule.reason) for rule in report.rules] == [(RuleState.ERROR, "no_status")]


def test_clock_of_the_host_is_held_against_ours(host: Host, tmp_path: Path) -> None:
    told = 4_000_000_000

    report = visit(host, START + HEADER.replace('"started_at":1}', f'"started_at":{told}}}') + FOOTER, tmp_path)

    assert report.cost.clock_skew_s is not None
    assert abs(report.cost.clock_skew_s - (told - time.time())) < NOT_HUNG_S


def test_incomplete_footer_gives_its_reason_to_silent_rules(host: Host, tmp_path: Path) -> None:
    stopped = FOOTER.replace('"passed": [0]', '"passed": []').replace("true", 'false, "reason": "deadline"')

    report = visit(host, START + HEADER + stopped + "exit 3\n", tmp_path)

    assert report.outcome == Outcome.DONE
    assert [(rule.state, rule.reason) for rule in report.rules] == [(RuleState.ERROR, "deadline")]


# --- connections that break ---


def test_connection_cut_while_the_probe_runs_leaves_nothing(host: Host, tmp_path: Path) -> None:
    cutter = threading.Timer(1.0, host.cut_sessions)
    cutter.start()

    report = visit(host, START + HEADER + LINGER, tmp_path)

    cutter.join()
    assert failure_code(report) == "connection_lost"
    assert (report.cleanup, report.removed) == (None, report.created)
    assert host.wait_clean() == []
    wait_until(lambda: not [line for line in host.processes().values() if "cat" in line])


def test_probe_that_was_staged_but_not_started_is_removed_over_a_new_connection(host: Host, tmp_path: Path) -> None:
    cutter = threading.Timer(1.0, host.cut_sessions)
    cutter.start()

    report = visit(host, "sleep 3\n" + START + HEADER + FOOTER, tmp_path)

    cutter.join()
    assert failure_code(report) == "connection_lost"
    assert (report.cleanup, report.removed) == (None, report.created)
    assert host.wait_clean() == []


@pytest.mark.parametrize("preparation", ["true", NO_XZ, f"{NO_XZ} /bin/gzip"], ids=["xz", "gzip", "plain"])
def test_connection_cut_during_the_upload_leaves_nothing(host: Host, tmp_path: Path, preparation: str) -> None:
    # 40 MB that do not compress take long enough to be cut.
    build = script_build(tmp_path, START, tail=os.urandom(1_000_000), times=40)
    host.run(preparation)
    cutter = threading.Timer(0.3, host.cut_sessions)

    def cut_soon(phase: Phase) -> None:
        if phase is Phase.STAGING:
            cutter.start()

    report = run_visit(make_job(host.endpoint), PLAN, [host.secret()], get_build=lambda arch: build, on_phase=cut_soon)

    cutter.join()
    assert failure_code(report) == "connection_lost"
    assert (report.cleanup, report.removed) == (None, report.created)
    assert host.wait_clean() == []


def test_clean_up_that_nobody_can_verify_says_so(host: Host, tmp_path: Path) -> None:
    def cut_for_good() -> None:
        host.run("kill $(cat /run/sshd.pid)")
        host.cut_sessions()

    cutter = threading.Timer(1.0, cut_for_good)
    cutter.start()

    report = visit(host, START + HEADER + LINGER, tmp_path)

    cutter.join()
    assert report.cleanup and report.cleanup.code == "cleanup_unverified"
    assert report.removed == []


def test_worker_killed_in_the_middle_leaves_nothing_on_the_host(host: Host, tmp_path: Path) -> None:
    script_build(tmp_path, START + HEADER + LINGER)
    program = Path(__file__).with_name("visit_in_process.py")
    argv = [sys.executable, program, host.address, str(host.port), host.key_path(), tmp_path]
    worker = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    while worker.stdout.readline() != b"running\n":
        assert worker.poll() is None

    worker.send_signal(signal.SIGKILL)

    worker.wait()
    worker.stdout.close()
    wait_until(lambda: host.processes() == {})
    assert host.leftovers() == []


def test_cancelled_visit_stops_the_probe_and_verifies_the_clean_up(host: Host, tmp_path: Path) -> None:
    begun = time.monotonic()

    report = visit(host, START + HEADER + LINGER, tmp_path, should_stop=lambda: time.monotonic() > begun + 1.5)

    assert (report.outcome, failure_code(report)) == (Outcome.CANCELLED, "cancelled")
    assert (report.cleanup, report.removed) == (None, report.created)
    assert time.monotonic() - begun < NOT_HUNG_S
    wait_until(lambda: not [line for line in host.processes().values() if "cat" in line])


def test_network_that_goes_silent_ends_at_the_deadline(tmp_path: Path) -> None:
    with make_host("far", address="10.99.71.2", own_network=True) as host:

        def fall_silent(phase: Phase) -> None:
            if phase is Phase.RUNNING:
                host.run("ip link set eth0 down")

        begun = time.monotonic()

        limits = msgspec.structs.replace(QUICK, connect_timeout_s=20)
        report = visit(host, START + HEADER + LINGER, tmp_path, limits=limits, on_phase=fall_silent)

        assert failure_code(report) in ("probe_timed_out", "connection_lost", "visit_deadline")
        assert report.cleanup and report.cleanup.code == "cleanup_unverified"
        assert time.monotonic() - begun < NOT_HUNG_S


# --- nobody there, or something else ---


def knock(port: int, address: str = "127.0.0.1") -> ScanReport:
    job = make_job(HostEndpoint(address=address, port=port), limits=QUICK, allow_new_host_key=True)
    user = User("root")
    secret = Host("none", address, port, Path(), {"root": user}, "", None, 0).password_secret("root", password="x")  # type: ignore[arg-type]
    return run_visit(job, PLAN, [secret])


@contextlib.contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that does something else than SSH with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def flood(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 65536)


def drip(connection: socket.socket) -> None:
    for _ in range(100):
        connection.sendall(b"notice\r\n")
        time.sleep(0.2)


def test_refused_port_is_named_with_advice() -> None:
    port = free_port()

    report = knock(port)

    assert failure_code(report) == "refused"
    assert report.failure and report.failure.retryable
    assert report.failure.message == f"nothing listens on 127.0.0.1:{port}: is sshd running, is the port right?"


def test_unknown_name_is_told() -> None:
    report = knock(22, "no-such-host.invalid")

    assert failure_code(report) == "unreachable"
    assert report.failure and "does not resolve" in report.failure.message


def test_address_that_is_none_is_refused_before_connecting() -> None:
    assert failure_code(knock(22, "root@evil -oProxyCommand=x")) == "unreachable"


def test_dropped_packets_end_at_the_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        # A full backlog drops further SYNs, as a firewall does.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.2)

        report = knock(listener.getsockname()[1])

        for filler in fillers:
            filler.close()
    assert failure_code(report) == "timeout"
    assert report.failure and "firewall" in report.failure.message


@pytest.mark.parametrize(
    ("talk", "code"),
    [
        (lambda connection: connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "not_ssh"),
        (lambda connection: connection.close(), "connection_lost"),
        (lambda connection: time.sleep(6), "timeout"),
        (lambda connection: (connection.sendall(b"SSH-2.0-x\r\n"), time.sleep(6)), "timeout"),
        (flood, "not_ssh"),
        (drip, "timeout"),
    ],
    ids=["http", "hangs-up", "silent", "greets-only", "flood", "drip"],
)
def test_port_that_is_no_ssh(talk: Callable[[socket.socket], None], code: str) -> None:
    with server(talk) as port:
        begun = time.monotonic()

        report = knock(port)

        assert failure_code(report) == code
        assert time.monotonic() - begun < NOT_HUNG_S
