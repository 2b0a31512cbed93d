"""Many hosts visited by one worker process, from the queue to a final state, and what that worker takes.

`python -m tests.bench.fleet HOSTS [KIND]` prints the table; `make bench` shows a small fleet. The rules are few, so
that what is measured is the visit: two cores bear the simulator's hosts as well as the worker.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.bench.clock import Clock
from tests.bench.measure import run_measured
from tests.bench.table import Row, Section, print_table

THREADS = 200
READINGS = 4
# What a worker may take on for each host more, once it is warm: memory does not grow with the fleet.
GROWTH = 1.15


def measure_fleet(clock: Clock, hosts: int, kind: str = "mixed") -> Section:
    """Visits of the simulator's hosts. Needs root, for the simulator."""
    section = Section(f"Fleet: {hosts:,} simulated hosts ({kind}), one worker with {THREADS} threads")
    used = run_measured(
        [sys.executable, "-m", "tests.bench.fleet", str(hosts), kind, "--json"], timeout_s=clock.at_most(1200)
    )
    if used.status != 0:
        section.notes.append(f"did not run: exit status {used.status}")
        return section
    return _show(section, json.loads(used.output))


def _show(section: Section, seen: dict[str, Any]) -> Section:
    for reading in seen["readings"]:
        what = f"after {reading['done']:,} hosts: {reading['threads']} threads"
        rate = f"{60 * reading['done'] / reading['wall_s']:,.0f} visits/min"
        section.rows.append(Row(what, reading["cpu_s"], reading["wall_s"], reading["rss_bytes"], ratio=rate))
    first, last = seen["readings"][0], seen["readings"][-1]
    grown = last["rss_bytes"] / first["rss_bytes"]
    section.rows.append(
        Row("memory, last to first reading", ratio=f"{grown:.2f} ×", budget=f"≤ {GROWTH} ×", is_kept=grown <= GROWTH)
    )
    # From the first reading on: before it the worker loads its modules and looks for the probe's build.
    one_s = (last["cpu_s"] - first["cpu_s"]) / (last["done"] - first["done"])
    section.rows.append(Row("worker's CPU for one visit more", one_s))
    section.rows.append(
        Row("left on the hosts", ratio=str(len(seen["leftovers"])), budget="0", is_kept=not seen["leftovers"])
    )
    section.notes.append(f"ends: {seen['ends']}")
    section.notes.append(
        f"connections at once: {seen['at_once']}, still open on the hosts' side: {seen['open']}; plan of two rules"
    )
    section.notes += [f"a fault of ours, {count} times: {words}" for words, count in seen["faults"].items()]
    return section


def main(hosts: int, kind: str) -> dict[str, Any]:
    """Sends a job for each host, takes a reading at each quarter, and looks what is left."""
    from sandfly_web.embedded import redis
    from sandfly_web.embedded.paths import DataDir
    from tests.fleet.fleet import make_fleet, wait_quiet
    from tests.fleet.kinds import addresses
    from tests.fleet.site import make_site

    root = Path(tempfile.mkdtemp(prefix="sandfly-bench-", dir="/tmp"))
    root.chmod(0o711)
    try:
        with (
            redis.start(DataDir(root / "data")) as broker,
            make_fleet() as fleet,
            make_site(root, broker.url, fleet.secret) as site,
        ):
            worker = site.start_worker(THREADS)
            begun, ends, faults, readings = time.monotonic(), Counter[str](), Counter[str](), []
            site.send(site.job(fleet.endpoint(one), scan_id=one, limits=_limits()) for one in addresses(kind, hosts))
            for number, report in enumerate(site.reports(hosts, 1100), 1):
                ends[report.failure.code if report.failure else str(report.outcome)] += 1
                if report.failure and report.failure.code == "internal":
                    faults[report.failure.message] += 1
                if number % (hosts // READINGS) == 0:
                    readings.append(
                        {
                            "done": number, "wall_s": time.monotonic() - begun, "cpu_s": worker.cpu_s,
                            "rss_bytes": worker.rss_bytes, "threads": worker.status("Threads"),
                        }
                    )  # fmt: skip
            # Some hosts hold on to a connection that is over here; it is said how many do.
            with contextlib.suppress(TimeoutError):
                wait_quiet(fleet, 60)
            return {
                "readings": readings, "ends": ends, "leftovers": fleet.host.wait_clean(30),
                "at_once": fleet.most_at_once(), "open": fleet.open_now(), "faults": faults,
            }  # fmt: skip
    finally:
        shutil.rmtree(root)


def _limits() -> Any:
    """A visit that hangs is over in a minute and a half; two cores cannot greet two hundred hosts in 15 seconds."""
    from scanners.contract import Limits

    return Limits(connect_timeout_s=60, visit_deadline_s=240, probe_deadline_s=60)


if __name__ == "__main__":
    found = main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "mixed")
    if "--json" in sys.argv:
        json.dump(found, sys.stdout)
    else:
        print_table([_show(Section(f"Fleet of {sys.argv[1]}"), found)])
