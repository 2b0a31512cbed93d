"""What the probe costs this host, beside a bare walk of its files and the scanners that Debian has."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from probes.build import ensure, host_arch
from sandfly_web.rules.catalog import load_catalog
from sandfly_web.rules.depth import is_deep
from tests.bench.clock import Clock
from tests.bench.measure import Usage, run_measured
from tests.bench.peers import install_programs
from tests.bench.rules import MeasuredPlan, detection_rules, plan_of
from tests.bench.table import Row, Section, at_most

WALK = ["find", "/", "-xdev"]
TIMES = 10
MEMORY_BYTES = 64 << 20
ANSWER_BYTES = 64 << 10
# Stands for a file that goes with the run: rkhunter tells nothing without a log, and may rename one that is there.
LOG = "LOG"
# Modes that only read.
PEERS: dict[str, tuple[list[str], float | None]] = {
    "chkrootkit": (["chkrootkit", "-q"], 5),
    "unhide": (["unhide", "sys"], None),
    "lynis": (["lynis", "audit", "system", "-Q", "-q", "--no-log", "--report-file", "/dev/null"], None),
    "rkhunter": (["rkhunter", "--check", "--sk", "--nocolors", "--rwo", "--nomow", "--logfile", LOG], 30),
}
PEER_TIMEOUT_S = {"chkrootkit": 180.0, "unhide": 75.0, "lynis": 90.0, "rkhunter": 200.0}


def measure_probe(clock: Clock) -> tuple[Section, Usage]:
    """The probe itself; also gives the usage of the detection set, with which others are compared."""
    section = Section("Probe on this host")
    run_measured(WALK, timeout_s=clock.at_most(30))  # so that everybody finds what the kernel keeps in memory
    walk = run_measured(WALK, timeout_s=clock.at_most(30))
    section.rows.append(Row("find / -xdev", walk.cpu_s, walk.wall_s, wire_bytes=walk.output_bytes))
    rules = detection_rules()
    usual = plan_of([rule for rule in rules if not is_deep(rule.plan_rule)])
    section.rows.append(_row(f"usual detections, {usual.count} rules", *run_probe(usual, clock)))
    one = plan_of(rules)
    single, footer = run_probe(one, clock)
    limits = at_most(single.wall_s / walk.wall_s, 3, "× wall of find", "≤ 3")
    section.rows.append(_row(f"detection set with deep rules, {one.count}", single, footer, **limits))
    section.rows += _bounds(single, footer)
    full = plan_of(load_catalog())
    section.rows.append(_row(f"whole catalogue, {full.count} rules", *run_probe(full, clock)))
    many = plan_of(rules, TIMES)
    manifold, footer = run_probe(many, clock)
    cost = at_most(manifold.cpu_s / single.cpu_s, 1.5, f"× CPU of {one.count}", "≤ 1.5")
    section.rows.append(_row(f"detection set × {TIMES}, {many.count} rules", manifold, footer, **cost))
    added_ms = 1000 * (manifold.cpu_s - single.cpu_s) / (many.count - one.count)
    section.notes.append(f"a rule more costs {max(0, added_ms):.3f} ms of CPU")
    return section, single


def _bounds(used: Usage, footer: dict[str, Any]) -> list[Row]:
    memory, size = footer["max_rss_bytes"], used.output_bytes
    return [
        Row("  its peak memory", memory_bytes=memory, budget="≤ 64 MiB", is_kept=memory <= MEMORY_BYTES),
        Row("  its answer", wire_bytes=size, budget="≤ 64 KiB", is_kept=size <= ANSWER_BYTES),
    ]


def _row(what: str, used: Usage, footer: dict[str, Any], **verdict: Any) -> Row:
    return Row(
        what, used.cpu_s, used.wall_s, memory_bytes=footer["max_rss_bytes"], wire_bytes=used.output_bytes, **verdict
    )


def run_probe(plan: MeasuredPlan, clock: Clock) -> tuple[Usage, dict[str, Any]]:
    """Runs the probe as a visit does, and gives its usage and the footer of its report."""
    with tempfile.TemporaryDirectory(prefix=".sf-") as directory:
        program = shutil.copy(ensure(host_arch()).path, Path(directory) / "sf")
        used = run_measured([program, "--keep"], timeout_s=clock.at_most(120), stdin=plan.body + b"\n")
    if used.status != 0:
        raise RuntimeError(f"the probe ended with exit status {used.status}")
    footer: dict[str, Any] = json.loads(used.output.rstrip(b"\n").rpartition(b"\n")[2])
    return used, footer


def measure_peers(probe: Usage, clock: Clock) -> Section:
    """What others need for what they look for; one that is cut off needs at least what it had by then."""
    section = Section("Others on this host, one after the other")
    if problem := install_programs(clock):
        section.notes.append(problem)
    for name, (argv, least) in PEERS.items():
        timeout_s = clock.at_most(PEER_TIMEOUT_S[name])
        if problem := _missing(name, timeout_s):
            section.notes.append(problem)
            continue
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            words = [f"{scratch}/log" if word == LOG else word for word in argv]
            used = run_measured(words, timeout_s=timeout_s, env={**os.environ, "LC_ALL": "C"})
        section.rows.append(_peer_row(" ".join(argv[:3]), used, probe.cpu_s, least))
    return section


def _missing(name: str, timeout_s: float) -> str:
    if shutil.which(name) is None:
        return f"{name} is not there"
    if os.geteuid() != 0:
        return f"{name} needs root"
    return f"no time was left for {name}" if timeout_s < 10 else ""


def _peer_row(what: str, used: Usage, probe_cpu_s: float, least: float | None) -> Row:
    """`least` is how many times the probe's CPU it has to need for the budget to be kept."""
    times = used.cpu_s / probe_cpu_s
    sign = "≥ " if used.is_cut else ""
    return Row(
        what + (" (cut off)" if used.is_cut else ""), used.cpu_s, used.wall_s, ratio=f"probe {sign}1/{times:.1f} CPU",
        budget="" if least is None else f"≤ 1/{least:g}", is_kept=None if least is None else times >= least,
    )  # fmt: skip
