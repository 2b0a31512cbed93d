"""`python -m tests.bench.stress [--small] [--json] [NAME…]`: the probe on hosts that are hard to look at.

Needs root: everything happens in namespaces of its own, which take all of it with them. Prints a table of what the
probe used by its own account and as /proc has it, then what is not as it should be; exit code 1 when there is such a
thing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from probes.build import ensure, host_arch
from sandfly_web.rules.depth import is_deep
from sandfly_web.rules.plan import build_plan
from scanners.contract import Limits
from tests.bench import strains
from tests.bench.rules import detection_rules
from tests.bench.strains import FULL, LONG_AGO, SMALL, Sizes, Strain

WIDTH = 110
MEMORY_BYTES = 64 << 20
CPU_PERCENT = 50
TOLERANCE = 1.2
WINDOW_S = 2.0
SAMPLE_S = 0.1
DEADLINE_S = 400
TICKS = os.sysconf("SC_CLK_TCK")

STRAINS: dict[str, Strain] = {
    "idle": strains.nothing,
    "processes": strains.processes,
    "files": strains.files,
    "logs": strains.logs,
    "odd": strains.odd_files,
    "hanging": strains.hanging,
    "busy": strains.busy,
}
# Everything in there ends with who started it, however that ends.
NAMESPACES = [
    "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc",
]  # fmt: skip
# Seconds that a visit may take where something never answers; then it is not waiting for it.
HANGING_WALL_S = 60.0


@dataclass
class Outcome:
    """One visit. CPU and memory by the probe's own account, then as the kernel tells the parent.

    `window_percent` is the highest CPU share of any two seconds, `touched` how many files were last read by the visit,
    `gaps` why a subject was not seen in full.
    """

    name: str
    cpu_s: float
    wall_s: float
    memory_bytes: int
    paused_s: float
    kernel_cpu_s: float
    kernel_memory_bytes: int
    window_percent: float
    answer_bytes: int
    reason: str | None
    touched: int
    busy_cpu_s: float
    gaps: dict[str, str]
    records: dict[str, int]
    faults: list[str] = field(default_factory=list)


class Watcher(threading.Thread):
    """Follows a process through /proc while it runs."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._proc = Path(f"/proc/{pid}")
        self.cpu: list[tuple[float, float]] = []
        self.peak_bytes = 0

    def run(self) -> None:
        try:
            while True:
                fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
                self.cpu.append((time.monotonic(), (int(fields[11]) + int(fields[12])) / TICKS))
                for line in (self._proc / "status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        self.peak_bytes = max(self.peak_bytes, int(line.split()[1]) << 10)
                time.sleep(SAMPLE_S)
        except (OSError, IndexError):
            return  # it has ended

    def highest_percent(self) -> float:
        """Of all windows; of the whole visit when it is shorter than one."""
        shares = [0.0]
        for i, (start, before) in enumerate(self.cpu):
            later = next((sample for sample in self.cpu[i:] if sample[0] >= start + WINDOW_S), None)
            if later:
                shares.append(100 * (later[1] - before) / (later[0] - start))
        return max(shares)

    def used_s(self, seconds: float) -> float:
        """CPU of the first seconds."""
        within = [used for at, used in self.cpu if at <= self.cpu[0][0] + seconds] if self.cpu else [0.0]
        return within[-1]


def visit(name: str, program: int, body: bytes, kept: list[Path]) -> Outcome:
    """Runs the probe with the plan. `program` is a descriptor: its path may be covered by what was mounted since."""
    pipe = subprocess.PIPE
    argv = [f"/proc/self/fd/{program}", "--keep"]
    child = subprocess.Popen(argv, pass_fds=[program], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    assert child.stdin and child.stdout
    watcher = Watcher(child.pid)
    watcher.start()
    child.stdin.write(body + b"\n")
    child.stdin.close()
    report = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    lines = [json.loads(line) for line in report.splitlines()]
    footer: dict[str, Any] = lines[-1] if lines and "complete" in lines[-1] else {}
    collectors = [line for line in lines if "subject" in line and "state" in line]
    return Outcome(
        name=name, cpu_s=footer.get("cpu_s", -1), wall_s=footer.get("wall_s", -1),
        memory_bytes=footer.get("max_rss_bytes", -1), paused_s=footer.get("paused_s", -1),
        kernel_cpu_s=used.ru_utime + used.ru_stime, kernel_memory_bytes=watcher.peak_bytes,
        window_percent=watcher.highest_percent(), answer_bytes=len(report),
        reason=footer.get("reason", "no footer") if not footer.get("complete") else None,
        touched=sum(file.stat().st_atime != LONG_AGO for file in kept), busy_cpu_s=watcher.used_s(strains.BUSY_S - 1),
        gaps={line["subject"]: line["reason"] for line in collectors if line.get("reason")},
        records={line["subject"]: line["records"] for line in collectors},
    )  # fmt: skip


def faults_of(outcome: Outcome) -> list[str]:
    """What is not as it should be, as sentences."""
    faults = []
    if outcome.reason is not None:
        faults.append(f"the visit ended early: {outcome.reason}")
    for who, size in (("by its own account", outcome.memory_bytes), ("as /proc has it", outcome.kernel_memory_bytes)):
        if size > MEMORY_BYTES:
            faults.append(f"{size / 2**20:.1f} MiB of memory {who}, more than {MEMORY_BYTES >> 20}")
    if abs(outcome.kernel_cpu_s - outcome.cpu_s) > 0.05 + 0.1 * outcome.kernel_cpu_s:
        faults.append(f"{outcome.cpu_s:.2f} s of CPU by its own account, {outcome.kernel_cpu_s:.2f} s by the kernel's")
    if outcome.window_percent > CPU_PERCENT * TOLERANCE:
        faults.append(f"{outcome.window_percent:.0f} % of a CPU in some {WINDOW_S:g} s, {CPU_PERCENT} % were asked for")
    if outcome.touched:
        faults.append(f"the access times of {outcome.touched} files changed")
    if outcome.name == "hanging" and outcome.wall_s - outcome.paused_s > HANGING_WALL_S:
        faults.append(f"{outcome.wall_s:.0f} s: it waited for what never answers")
    if outcome.name == "busy" and outcome.paused_s < strains.BUSY_S - 1.5:
        faults.append(f"it paused {outcome.paused_s:.1f} s while the host was busy for {strains.BUSY_S:g}")
    return faults


def inside(names: list[str], sizes: Sizes) -> list[Outcome]:
    """Every strain, one after the other."""
    rules = [rule for rule in detection_rules() if sizes is FULL or not is_deep(rule.plan_rule)]
    body = build_plan(rules, Limits(cpu_percent=CPU_PERCENT, probe_deadline_s=DEADLINE_S)).body
    program = os.open(ensure(host_arch()).path, os.O_RDONLY)
    outcomes = []
    for name in names:
        sys.stderr.write(f"measuring: {name} …\n")
        with STRAINS[name](sizes) as kept:
            outcome = visit(name, program, body, kept)
        outcome.faults = faults_of(outcome)
        outcomes.append(outcome)
    return outcomes


def print_outcomes(outcomes: list[Outcome]) -> None:
    console = Console(width=WIDTH)
    table = Table(
        pad_edge=False, title=f"Stress hosts; {CPU_PERCENT} % of a CPU and {MEMORY_BYTES >> 20} MiB asked for"
    )
    table.add_column("host")
    for column in ("CPU", "kernel's", "wall", "paused", "memory", "/proc's", "most CPU in 2 s", "answer", "records"):
        table.add_column(column, justify="right", no_wrap=True)
    for o in outcomes:
        table.add_row(
            o.name, f"{o.cpu_s:.2f} s", f"{o.kernel_cpu_s:.2f} s", f"{o.wall_s:.1f} s", f"{o.paused_s:.1f} s",
            f"{o.memory_bytes / 2**20:.1f} MiB", f"{o.kernel_memory_bytes / 2**20:.1f} MiB",
            f"{o.window_percent:.0f} %", f"{o.answer_bytes / 1000:.0f} kB", f"{sum(o.records.values()):,}",
        )  # fmt: skip
    console.print(table)
    for o in outcomes:
        if o.gaps:
            console.print(
                f"{o.name}: not all seen of " + ", ".join(f"{s} ({r})" for s, r in o.gaps.items()), highlight=False
            )
        for fault in o.faults:
            console.print(f"[bold red]{o.name}: {fault}[/]", highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stress", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(STRAINS)}; default: all")
    parser.add_argument("--small", action="store_true", help="smaller hosts and no deep rules, in less than a minute")
    parser.add_argument("--json", action="store_true", help="a list of outcomes instead of a table")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(STRAINS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if not options.inside:
        if os.geteuid() != 0:
            sys.exit("namespaces need root")
        ensure(host_arch())
        return subprocess.run(
            [*NAMESPACES, sys.executable, "-m", "tests.bench.stress", *sys.argv[1:], "--inside"], check=False
        ).returncode
    outcomes = inside(options.names or list(STRAINS), SMALL if options.small else FULL)
    if options.json:
        json.dump([asdict(o) for o in outcomes], sys.stdout)
    else:
        print_outcomes(outcomes)
    return int(any(o.faults for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
