"""`python -m tests.bench.silence [--runs 200] [--json]`: does anything look hidden on a clean host that never rests?

Makes a host in namespaces with disks of ext4 and XFS, in which processes, threads, files, directories, accounts,
sockets, logs and modules come and go without a pause (noise.py), and lets every method of the subject `hidden` look at
it again and again, at a second tree with modules too. Prints what was found, which must be nothing, and how busy the
host was. Exit code 1 when something was found, a method failed, or the host was idle. Needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from probes.build import ensure, host_arch
from scanners import contract
from tests.hosts.host import REPOSITORY, Host, make_host, wait_until

# beyond_allocated makes the sweep try every number there can be.
FIELDS = ["kind", "name", "path", "pid", "detail", "is_done", "local_port", "beyond_allocated"]
METHODS = {
    "process_sweep", "process_entries", "mounts_over_proc", "modules", "taint", "known_names", "link_counts",
    "directory_blocks", "file_content", "sockets",
}  # fmt: skip
KINDS = ("processes", "threads", "files", "directories", "rewritten", "sockets", "rotations", "modules")
TREE = "/run/tree"
COUNTS = "/run/noise.json"
TIMEOUT_S = 120
# What an overlay cannot have: directories whose links count and whose blocks can be read.
DISKS = (
    "mknod -m 600 /dev/loop-control c 10 237; "
    "for n in $(seq 0 31); do mknod -m 600 /dev/loop$n b 7 $n; done; "
    "truncate -s 8M /run/ext4; mkfs.ext4 -q -F /run/ext4; mount -o loop /run/ext4 /srv; "
    "truncate -s 320M /run/xfs; mkfs.xfs -q /run/xfs; mount -o loop /run/xfs /usr/src; "
    "mkdir -p /srv/old /usr/src/linux; sync"
)
MODULE_TREE = {
    "proc/modules": "", "proc/self/mountinfo": "20 1 0:20 / / rw - ext4 /dev/vda rw\n", "proc/kallsyms": "",
    "proc/sys/kernel/tainted": "0\n", "sys/module/printk/parameters/time": "Y\n",
}  # fmt: skip


@dataclass
class Outcome:
    """All runs together. `methods` counts how often each was gone to its end, `noise` what the host did meanwhile."""

    runs: int = 0
    seconds: float = 0
    alarms: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    methods: dict[str, int] = field(default_factory=dict)
    unavailable: dict[str, int] = field(default_factory=dict)
    noise: dict[str, int] = field(default_factory=dict)

    @property
    def is_silent(self) -> bool:
        return not (self.alarms or self.errors) and all(self.noise.get(kind) for kind in KINDS)


def plan() -> bytes:
    """Without the pauses that a probe makes on a host with much to do: what is wanted here are many looks."""
    rule = contract.PlanRule(id="all", subject="hidden", fields=FIELDS)
    return contract.encode(contract.Plan(rules=[rule], limits=contract.PlanLimits(cpu_percent=100))) + b"\n"


def look(host: Host, root: str) -> list[Any]:
    """One visit; the lines of its report."""
    argv = ["nsenter", f"--target={host.pid}", "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd",
            "/run/probe", "--keep", "--root", root]  # fmt: skip
    done = subprocess.run(argv, input=plan(), capture_output=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"the probe failed: {done.stderr.decode(errors='replace')}")
    return [contract.decode_report_line(line) for line in done.stdout.splitlines()]


def judge(outcome: Outcome, lines: list[Any], where: str) -> None:
    methods = set()
    for line in lines:
        if isinstance(line, contract.Match) and line.record["kind"] == "method":
            methods.add(line.record["name"])
            counted = outcome.methods if line.record["is_done"] else outcome.unavailable
            name = f"{where}{line.record['name']}"
            counted[name] = counted.get(name, 0) + 1
        elif isinstance(line, contract.Match):
            outcome.alarms.append(f"run {outcome.runs}: {line.record}")
        elif isinstance(line, contract.CollectorStatus) and line.state is not contract.CollectorState.OK:
            outcome.errors.append(f"run {outcome.runs}: {line}")
    if methods != METHODS or not (isinstance(lines[-1], contract.ProbeFooter) and lines[-1].complete):
        outcome.errors.append(f"run {outcome.runs}: only {sorted(methods)}")


def prepare(host: Host) -> None:
    """The disks, the tree of modules, the probe, and the noise."""
    made = host.run(DISKS, timeout_s=60)
    if made.returncode:
        raise RuntimeError(f"no disks: {made.stderr}")
    for path, text in MODULE_TREE.items():
        host.write(f"{TREE}/{path}", text)
    target = host.place("/run/probe")
    target.write_bytes(ensure(host_arch()).path.read_bytes())
    target.chmod(0o700)
    host.write("/run/noise.py", Path(__file__).with_name("noise.py").read_text())
    # The host does not see the repository, and with it the virtual environment's interpreter.
    python = Path(sys.base_prefix) / "bin/python3"
    host.spawn(f"exec {python} /run/noise.py {COUNTS} {TREE} 2>/run/noise.log")
    wait_until(lambda: host.place(COUNTS).exists() and all(noise(host).get(kind) for kind in KINDS))


def noise(host: Host) -> dict[str, int]:
    return dict(json.loads(host.place(COUNTS).read_text()))


def listen(runs: int) -> Outcome:
    """Looks that many times at a host which is busy all the while."""
    outcome = Outcome()
    # Several of these may run at a time; each has a network for itself.
    address = f"10.98.{os.getpid() % 256}.2"
    with make_host("busy", address=address, own_network=True, hide=[str(REPOSITORY)]) as host:
        prepare(host)
        before, start = noise(host), time.monotonic()
        for outcome.runs in range(1, runs + 1):
            judge(outcome, look(host, "/"), "")
            judge(outcome, look(host, TREE), "tree: ")
        time.sleep(1)
        outcome.seconds = time.monotonic() - start
        outcome.noise = {kind: count - before.get(kind, 0) for kind, count in noise(host).items()}
    return outcome


def told(outcome: Outcome) -> str:
    faults = f"{len(outcome.alarms)} alarms, {len(outcome.errors)} errors"
    counts = {
        "gone to the end": outcome.methods, "not available": outcome.unavailable, "meanwhile": outcome.noise,
    }  # fmt: skip
    lines = [f"{outcome.runs} runs in {outcome.seconds:.0f} s: {faults}"]
    lines += [f"{what}: " + ", ".join(f"{name} {n}" for name, n in sorted(of.items())) for what, of in counts.items()]
    return "\n".join([*lines, *outcome.alarms, *outcome.errors])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    outcome = listen(arguments.runs)
    sys.stdout.write((json.dumps(asdict(outcome)) if arguments.json else told(outcome)) + "\n")
    return 0 if outcome.is_silent else 1


if __name__ == "__main__":
    sys.exit(main())
