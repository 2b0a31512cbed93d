"""How many reports of workers one process stores in a second, in a PostgreSQL of its own."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.clock import Clock
from tests.bench.measure import run_measured
from tests.bench.table import Row, Section, at_least

MATCHES = 30
RULES = 6
LEAST_PER_CORE = 200
TICKS = os.sysconf("SC_CLK_TCK")


def measure_ingest(clock: Clock, reports: int) -> Section:
    """Reports of hosts seen for the first time, then found again: as many together as ingest takes along, or alone."""
    argv = [sys.executable, "-m", "tests.bench.ingest", str(reports)]
    used = run_measured(argv, timeout_s=clock.at_most(150))
    section = Section(f"Ingest of {reports} reports with {MATCHES} matches")
    if used.status != 0:
        section.notes.append(f"did not run: exit status {used.status}")
        return section
    for what, (cpu_s, server_cpu_s, wall_s) in json.loads(used.output).items():
        rate = at_least(reports / wall_s, LEAST_PER_CORE, " reports/s", f"≥ {LEAST_PER_CORE}")
        section.rows.append(Row(what, cpu_s / reports, wall_s / reports, **rate))
        section.notes.append(f"{what}: PostgreSQL takes {1000 * server_cpu_s / reports:.1f} ms of CPU a report")
    return section


def main(reports: int) -> None:
    """In a process of its own, since Django is set up once."""
    from sandfly_web.embedded import postgres
    from sandfly_web.embedded.paths import DataDir

    root = Path(tempfile.mkdtemp(prefix="sandfly-bench-", dir="/tmp"))
    root.chmod(0o711)
    try:
        with postgres.start(DataDir(root / "data")) as running:
            os.environ["DATABASE_URL"] = running.url
            json.dump(_rounds(reports, running.process.pid), sys.stdout)
    finally:
        shutil.rmtree(root)


def _rounds(reports: int, server: int) -> dict[str, tuple[float, float, float]]:
    os.environ["DJANGO_SETTINGS_MODULE"] = "sandfly_web.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    from sandfly_web.scans.waiting import MOST_REPORTS
    from tests.server.builders import Make

    make = Make()
    zone, rules = make.zone(), [make.rule() for _ in range(RULES)]
    hosts, plan = [make.host(zone) for _ in range(reports)], make.plan(*rules)
    measured = {}
    for what, together in (("found first", MOST_REPORTS), ("found again", MOST_REPORTS), ("again, one by one", 1)):
        bodies = _bodies(make, hosts, plan, rules)
        measured[what] = _round(bodies, server, together)
    connection.close()
    return measured


def _bodies(make: Any, hosts: list[Any], plan: Any, rules: list[Any]) -> list[bytes]:
    from scanners.contract import encode
    from tests.server.builders import match, report

    bodies = []
    for host in hosts:
        scan = make.scan(host, plan=plan, in_flight=True)
        found = [match(rule, path=f"/tmp/{i}") for i, rule in zip(range(MATCHES), itertools.cycle(rules))]
        bodies.append(encode(report(scan, *found)))
    return bodies


def _round(bodies: list[bytes], server: int, together: int) -> tuple[float, float, float]:
    from sandfly_web.scans.ingest import ingest_reports
    from sandfly_web.scans.models import Scan
    from tests.server.builders import NOW

    done = Scan.objects.filter(status="done").count()
    cpu, server_cpu, started = time.process_time(), tree_cpu_s(server), time.monotonic()
    for place in range(0, len(bodies), together):
        ingest_reports(bodies[place : place + together], NOW)
    used = time.process_time() - cpu, tree_cpu_s(server) - server_cpu, time.monotonic() - started
    if Scan.objects.filter(status="done").count() != done + len(bodies):
        raise RuntimeError("a report was not stored")
    return used


def tree_cpu_s(parent: int) -> float:
    """CPU of a process and its living children, proc(5)."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid = int(stat.parent.name)
            fields = stat.read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue  # ended meanwhile
        if parent in (pid, int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


if __name__ == "__main__":
    main(int(sys.argv[1]))
