"""How many visits one worker process has in flight at once, and what that takes: `python -m tests.fleet flight COUNT`.

The hosts are 200 ms away and hold their reports back until all of them are at the same point, so that how fast this
machine serves them does not matter.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis
from rich.console import Console
from rich.table import Table

from scanners.contract import INGEST_QUEUE, Heartbeat, Limits, Phase, heartbeat_key
from tests.fleet.fleet import Fleet, make_fleet, wait_quiet
from tests.fleet.kinds import addresses
from tests.fleet.site import Site, make_site
from tests.hosts.host import wait_until
from tests.scanners.standin import script_build

PATIENCE_S = 600.0


@dataclass
class Flight:
    """What was seen while all were in flight, and how they ended."""

    at_once: int = 0
    rss_bytes: int = 0
    threads: int = 0
    files: int = 0
    boarding_s: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)


def fly(fleet: Fleet, site: Site, count: int, **job: Any) -> Flight:
    """Visits so many hosts of the kind `held` by the site's first worker; they end together. Raises TimeoutError."""
    flight, worker, begun = Flight(), site.workers[0], time.monotonic()
    jobs = [site.job(fleet.endpoint(one), scan_id=f"{begun}-{one}", **job) for one in addresses("held", count)]
    with fleet.held(), Redis.from_url(site.redis_url) as redis:
        site.send(jobs)
        names = [heartbeat_key(job.scan_id) for job in jobs]

        def running() -> int:
            beats = [msgspec.json.decode(value, type=Heartbeat) for value in redis.mget(names) if value]
            return sum(beat.phase is Phase.RUNNING for beat in beats)

        # A report that comes before the block ends is one of a visit that failed.
        wait_until(lambda: running() == count or bool(redis.llen(INGEST_QUEUE)), PATIENCE_S)
        flight.boarding_s = time.monotonic() - begun
        flight.rss_bytes, flight.threads = worker.rss_bytes, worker.status("Threads")
        flight.files = len(list(Path(f"/proc/{worker.popen.pid}/fd").iterdir()))
        flight.at_once = running()
    for report in site.reports(count, PATIENCE_S):
        flight.ends[report.failure.code if report.failure else str(report.outcome)] += 1
    return flight


def main(count: int) -> None:
    """Prints what a worker with as many threads as hosts takes."""
    from sandfly_web.embedded import redis
    from sandfly_web.embedded.paths import DataDir

    root = Path(tempfile.mkdtemp(prefix="sandfly-flight-", dir="/tmp"))
    root.chmod(0o711)
    limits = Limits(connect_timeout_s=120, visit_deadline_s=1200, probe_deadline_s=900)
    try:
        with (
            redis.start(DataDir(root / "data")) as broker,
            make_fleet() as fleet,
            make_site(root, broker.url, fleet.secret) as site,
        ):
            # In the place of the probe a script: two hundred probes at once are more than this machine can run.
            script_build(root)
            worker = site.start_worker(count, "tests.scanners.standin_app", STANDIN=str(root))
            # Its modules are loaded.
            warm = fly(fleet, site, 1, limits=limits)
            full = fly(fleet, site, count, limits=limits)
            wait_quiet(fleet, 60)
            show(count, warm, full, worker.cpu_s, fleet.host.wait_clean(30))
    finally:
        shutil.rmtree(root)


def show(count: int, warm: Flight, full: Flight, cpu_s: float, left: list[str]) -> None:
    table = Table(title=f"One worker process, {count} slow hosts")
    for name in ("", "in flight at once", "memory", "threads", "open files", "until all were there", "ends"):
        table.add_column(name)
    for name, flight in (("one visit", warm), ("all", full)):
        table.add_row(
            name, str(flight.at_once), f"{flight.rss_bytes / 2**20:.0f} MiB", str(flight.threads), str(flight.files),
            f"{flight.boarding_s:.0f} s", ", ".join(f"{number} {end}" for end, number in flight.ends.items()),
        )  # fmt: skip
    console = Console()
    console.print(table)
    each = (full.rss_bytes - warm.rss_bytes) / max(1, count - 1)
    console.print(
        f"{each / 2**10:.0f} KiB of memory for each visit in flight; {cpu_s:.1f} s of CPU in all; left: {left}"
    )
