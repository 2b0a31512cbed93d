"""A fleet through the whole product: speed, memory, CPU for a visit, and that nothing is lost.

`python -m tests.fleet stack 2000` does the same with more hosts.
"""

from __future__ import annotations

import subprocess

from tests.bench.clock import Clock
from tests.bench.table import Row, Section

GROWTH = 1.15


def measure_whole(clock: Clock, hosts: int) -> Section:
    """Two rounds of the same hosts; growth is that of the second. Needs root, for the simulator."""
    from tests.fleet.fleet import make_fleet
    from tests.fleet.whole import run_whole

    section = Section(f"Fleet through the whole product: {hosts:,} simulated hosts, twice")
    try:
        with make_fleet() as fleet:
            whole = run_whole(fleet, hosts, patience_s=clock.at_most(240))
    except (OSError, RuntimeError, TimeoutError, AssertionError, subprocess.SubprocessError) as error:
        section.notes.append(f"did not run: {type(error).__name__}: {str(error)[:200]}")
        return section
    for number, one in enumerate(whole.rounds, 1):
        for name, load in one.loads.items():
            rate = f"{one.hosts / one.wall_s:.1f} hosts/s"
            section.rows.append(Row(f"round {number}: {name}", load.cpu_s, one.wall_s, load.peak_bytes, ratio=rate))
    for name, load in whole.rounds[-1].loads.items():
        grown = load.end_bytes / load.start_bytes
        what = f"memory of {name}, after to before the second round"
        section.rows.append(Row(what, ratio=f"{grown:.2f} ×", budget=f"≤ {GROWTH} ×", is_kept=grown <= GROWTH))
    lost = sum(one.lost for one in whole.rounds)
    section.rows.append(Row("scans lost", ratio=str(lost), budget="0", is_kept=not lost))
    left = len(whole.leftovers)
    section.rows.append(Row("left on the hosts", ratio=str(left), budget="0", is_kept=not left))
    return section
