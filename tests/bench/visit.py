"""What a whole visit costs the client, beside a bare Fabric `true` and Ansible's fact gathering, over loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from sandfly_web.rules.compiled import CompiledRule
from sandfly_web.rules.depth import is_deep
from scanners.visit import run_visit
from tests.bench.clock import Clock
from tests.bench.measure import Usage, run_measured
from tests.bench.peers import python_peer
from tests.bench.rules import detection_rules, plan_of
from tests.bench.table import Row, Section, at_most
from tests.hosts.host import Host, make_host
from tests.scanners.standin import make_job

WIRE_BYTES = 2_000_000
CLEAN_HOST_S = 3.0
CLIENT_TIMEOUT_S = 240
FEW = 5
# Ansible's cost for one host more is what counts: the second number of hosts less the first.
ANSIBLE_HOSTS = (1, 6)
PYINFRA_FACTS = [f"server.{fact}" for fact in (
    "Hostname", "Kernel", "KernelVersion", "Os", "OsVersion", "Arch", "LinuxName", "LinuxDistribution", "Mounts",
    "Users", "Groups", "KernelModules",
)]  # fmt: skip


def measure_visits(clock: Clock, runs: int, *, with_ansible: bool) -> Section:
    """Everything against one throw-away host. Needs root, for the host."""
    section = Section("Visit over SSH, client side")
    if os.geteuid() != 0:
        section.notes.append("skipped: the host to visit needs root")
        return section
    with make_host("bench") as host:
        whole = _in_turns(detection_rules(), host, runs, clock)
        visit = _medians(whole["visit"])
        section.rows += _rows(_medians(whole["fabric"]), visit, runs)
        section.rows += _memory(whole["visit"])
        few = _in_turns(detection_rules()[:FEW], host, 2 * runs, clock)
        section.rows.append(_small(_medians(few["fabric"]), _medians(few["visit"])))
        section.rows.append(_clean_host(host, runs, section))
        if not with_ansible:
            section.notes.append("--quick leaves Ansible and pyinfra out")
            return section
        if isinstance(pyinfra := _measure_pyinfra(host, clock), str):
            section.notes.append(f"pyinfra skipped: {pyinfra}")
        else:
            ratio = {"ratio": f"visit 1/{pyinfra.cpu_s / visit[0]:.1f} CPU"}
            section.rows.append(Row("pyinfra fact, 12 of one host, all of it", pyinfra.cpu_s, pyinfra.wall_s, **ratio))
        if isinstance(ansible := _measure_ansible(host, clock), str):
            section.notes.append(f"Ansible skipped: {ansible}")
        else:
            verdict = at_most(visit[0] / ansible, 1 / 8, "", "≤ 1/8")
            ratio = {"ratio": f"visit 1/{ansible / visit[0]:.1f} CPU"}
            section.rows.append(Row("ansible -m setup, pipelined, a host", cpu_s=ansible, **{**verdict, **ratio}))
    return section


def _rows(bare: list[float], visit: list[float], runs: int) -> list[Row]:
    up, down = int(visit[2]), int(visit[3])
    return [
        Row(f"Fabric: run true (median of {runs})", *bare[:2]),
        Row("visit with the detection set", *visit[:2], **at_most(visit[0] / bare[0], 2.5, "× CPU of true", "≤ 2.5")),
        Row("  bytes up", wire_bytes=up, budget="≤ 2 MB", is_kept=up <= WIRE_BYTES),
        Row("  bytes down", wire_bytes=down, budget="≤ 64 KiB", is_kept=down <= 64 << 10),
    ]


def _small(bare: list[float], visit: list[float]) -> Row:
    """The same without a probe that has two cores to itself for seconds, and leaves their caches cold."""
    return Row(f"visit with {FEW} rules", *visit[:2], ratio=f"{visit[0] / bare[0]:.2f}× CPU of true")


def _memory(visits: list[list[float]]) -> list[Row]:
    first, last = visits[0][4], visits[-1][4]
    return [
        Row("  memory of the process, at the end", memory_bytes=int(last), ratio=f"{last / first:.2f}× first visit")
    ]


def _clean_host(host: Host, runs: int, section: Section) -> Row:
    """What somebody waits for who scans as the product does by itself: usual detections, gently."""
    plan = plan_of([rule for rule in detection_rules() if not is_deep(rule.plan_rule)])
    job = make_job(host.endpoint, plan_digest=hashlib.sha256(plan.body).hexdigest())
    reports = [run_visit(job, plan.body, [host.secret()]) for _ in range(max(3, runs // 4))]
    if failed := [report.failure for report in reports if report.failure]:
        raise RuntimeError(f"the visit failed: {failed[0]}")
    seen = min(reports, key=lambda report: report.timings_s["total"])
    parts = seen.timings_s
    wall_s = parts["total"] - parts["connect"] - parts["auth"]
    section.notes.append("of the usual scan: " + ", ".join(f"{name} {took:.2f} s" for name, took in parts.items()))
    section.notes.append(
        f"its probe took {seen.cost.probe_cpu_s:.2f} s of CPU, at {job.limits.cpu_percent} % of a core at the most"
    )
    what = f"usual scan, {plan.count} rules, without the handshake"
    return Row(what, wall_s=wall_s, **at_most(wall_s, CLEAN_HOST_S, " s", "≤ 3 s"))


def _in_turns(rules: Sequence[CompiledRule], host: Host, runs: int, clock: Clock) -> dict[str, list[list[float]]]:
    """Of Fabric and of visits: CPU, wall, bytes up, bytes down, memory of each run."""
    target: dict[str, Any] = {
        "address": host.address, "port": host.port, "key_path": str(host.key_path()), "runs": runs,
        "host_keys": msgspec.to_builtins(host.host_keys),
        "plan": base64.b64encode(plan_of(rules).body).decode(),
    }  # fmt: skip
    argv = [sys.executable, "-m", "tests.bench.client"]
    used = run_measured(argv, timeout_s=clock.at_most(CLIENT_TIMEOUT_S), stdin=json.dumps(target).encode())
    if used.status != 0:
        raise RuntimeError(f"{' '.join(argv[1:])} ended with exit status {used.status}")
    found: dict[str, list[list[float]]] = json.loads(used.output)
    return found


def _medians(runs: list[list[float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*runs, strict=True)]


def _measure_ansible(host: Host, clock: Clock) -> float | str:
    """Client CPU for one host more, or why it could not be had."""
    program = python_peer("ansible", ["ansible-core"], clock)
    if isinstance(program, str):
        return program
    with tempfile.TemporaryDirectory(prefix="bench-ansible-") as scratch:
        # The first run after it was installed compiles its modules: the host more seemed to cost a quarter then.
        _run_ansible(program, Path(scratch), host, ANSIBLE_HOSTS[0], clock)
        used = [_run_ansible(program, Path(scratch), host, count, clock) for count in ANSIBLE_HOSTS]
        if failed := [usage for usage in used if usage.status != 0]:
            return f"it ended with exit status {failed[0].status}: {failed[0].output[-200:].decode(errors='replace')}"
        return (used[1].cpu_s - used[0].cpu_s) / (ANSIBLE_HOSTS[1] - ANSIBLE_HOSTS[0])


def _measure_pyinfra(host: Host, clock: Clock) -> Usage | str:
    """One run for a dozen facts of one host, start of the program and all."""
    program = python_peer("pyinfra", ["pyinfra"], clock)
    if isinstance(program, str):
        return program
    with tempfile.TemporaryDirectory(prefix="bench-pyinfra-") as scratch:
        inventory = Path(scratch) / "inventory.py"
        data = {
            "ssh_hostname": host.address, "ssh_port": host.port, "ssh_user": "root", "ssh_key": str(host.key_path()),
            "ssh_known_hosts_file": f"{scratch}/known_hosts", "ssh_strict_host_key_checking": "accept-new",
        }  # fmt: skip
        inventory.write_text(f"hosts = [('bench', {data!r})]\n")
        used = run_measured([program, "-y", inventory, "fact", *PYINFRA_FACTS], timeout_s=clock.at_most(60))
        if used.status != 0:
            return f"it ended with exit status {used.status}: {used.output[-200:].decode(errors='replace')}"
        return used


def _run_ansible(program: Path, scratch: Path, host: Host, count: int, clock: Clock) -> Usage:
    """`count` names of the same host. Its ssh masters outlive it, so what they cost is not even counted."""
    variables = {
        "host": host.address, "port": host.port, "user": "root", "python_interpreter": "/usr/bin/python3",
        "ssh_private_key_file": host.key_path(),
    }  # fmt: skip
    common = " ".join(f"ansible_{name}={value}" for name, value in variables.items())
    lines = [f"h{i} {common}\n" for i in range(count)]
    (scratch / "hosts").write_text("".join(lines))
    settings = {
        "PIPELINING": "1", "HOST_KEY_CHECKING": "0", "SSH_CONTROL_PATH_DIR": str(scratch / "cp"), "HOME": str(scratch),
        "LOCAL_TEMP": str(scratch / "local"), "FORKS": "1",
    }  # fmt: skip
    argv = [program, "-i", scratch / "hosts", "all", "-m", "setup"]
    env = {**os.environ, **{f"ANSIBLE_{name}": value for name, value in settings.items()}, "LC_ALL": "C.UTF-8"}
    return run_measured(argv, timeout_s=clock.at_most(60), env=env)
