"""`python -m tests.bench [--quick]`: what this product costs, as ratios to others measured in the same run.

Prints one table; ends by itself in less than 15 minutes, and with exit code 0 also where a budget is not kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from rich.console import Console

from tests.bench.clock import Clock
from tests.bench.dispatch import measure_dispatch
from tests.bench.fleet import measure_fleet
from tests.bench.forty import measure_forty
from tests.bench.indicators import measure_indicators
from tests.bench.ingest import measure_ingest
from tests.bench.probe import measure_peers, measure_probe
from tests.bench.rules import measure_compiler
from tests.bench.table import WIDTH, Section, print_table
from tests.bench.visit import measure_visits
from tests.bench.whole import measure_whole

TOTAL_S = 840.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What this product costs, as ratios.")
    parser.add_argument("--quick", action="store_true", help="fewer runs, and without the scanners that take minutes")
    quick: bool = parser.parse_args().quick
    clock = Clock(TOTAL_S)
    tell = Console(stderr=True, width=WIDTH)
    sections: list[Section] = []

    def step(name: str, measure: Callable[[], Section]) -> None:
        tell.print(f"measuring: {name} …", highlight=False)
        try:
            sections.append(measure())
        except Exception as error:  # noqa: BLE001 - whatever it was, the table says so, and the rest is worth it all the same
            sections.append(Section(name, notes=[f"did not run: {type(error).__name__}: {error}"]))

    def probe_and_peers() -> Section:
        section, single = measure_probe(clock)
        if not quick:
            later.append(lambda: measure_peers(single, clock))
        return section

    later: list[Callable[[], Section]] = []
    step("the probe on this host", probe_and_peers)
    step("all rules beside forty", lambda: measure_forty(clock))
    step("visits over SSH", lambda: measure_visits(clock, 5 if quick else 20, with_ansible=not quick))
    step("the rule compiler", lambda: measure_compiler(1 if quick else 5))
    step("ingest", lambda: measure_ingest(clock, 50 if quick else 400))
    step("indicators", lambda: measure_indicators(clock, 100_000 if quick else 1_000_000))
    step("dispatch", lambda: measure_dispatch(clock, 10_000 if quick else 100_000))
    step("a fleet", lambda: measure_fleet(clock, 40 if quick else 200))
    step("a fleet through the whole product", lambda: measure_whole(clock, 20 if quick else 100))
    # Last, as they take most of the time and may be cut off.
    for measure in later:
        step("other scanners", measure)
    sys.stdout.write("\n")
    print_table(sections)


if __name__ == "__main__":
    main()
