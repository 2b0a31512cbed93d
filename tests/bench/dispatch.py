"""How long the dispatcher takes when 100,000 hosts are due at once, in a PostgreSQL and a Redis of its own."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.clock import Clock
from tests.bench.ingest import tree_cpu_s
from tests.bench.measure import run_measured
from tests.bench.table import Row, Section, at_most

SCHEDULES = 5
ZONES = 4
CLAIM_S = 20.0
TICK_S = 5.0


def measure_dispatch(clock: Clock, hosts: int) -> Section:
    """All hosts become due in one moment; then what a tick costs while nearly all of them wait for their turn."""
    section = Section(f"Dispatch of {hosts:,} hosts due at once, {SCHEDULES} schedules, {ZONES} zones")
    used = run_measured([sys.executable, "-m", "tests.bench.dispatch", str(hosts)], timeout_s=clock.at_most(180))
    if used.status != 0:
        section.notes.append(f"did not run: exit status {used.status}")
        return section
    took: dict[str, Any] = json.loads(used.output)
    for what, name, budget_s in (
        (f"all become waiting scans ({took['claim_ticks']} tick)", "claim", CLAIM_S),
        ("a tick that fills empty queues", "fill", TICK_S),
        ("a tick with full queues", "full", TICK_S),
    ):
        cpu_s, wall_s = took[name]
        section.rows.append(Row(what, cpu_s, wall_s, **at_most(cpu_s, budget_s, " s of CPU", f"≤ {budget_s:.0f} s")))
    section.notes.append(f"the first {took['sent']} that were sent: {took['fairness']}")
    return section


def main(hosts: int) -> None:
    """In a process of its own, since Django is set up once."""
    from sandfly_web.embedded import postgres, redis
    from sandfly_web.embedded.paths import DataDir

    root = Path(tempfile.mkdtemp(prefix="sandfly-bench-", dir="/tmp"))
    root.chmod(0o711)
    try:
        with postgres.start(DataDir(root / "data")) as database, redis.start(DataDir(root / "data")) as broker:
            os.environ.update(DATABASE_URL=database.url, REDIS_URL=broker.url)
            json.dump(_measure(hosts, database.process.pid), sys.stdout)
    finally:
        shutil.rmtree(root)


def _measure(count: int, server: int) -> dict[str, Any]:
    os.environ["DJANGO_SETTINGS_MODULE"] = "sandfly_web.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from sandfly_web.scans.claims import claim_due
    from sandfly_web.scans.dispatch import dispatch_due
    from sandfly_web.scans.models import Scan, ScheduledHost

    call_command("migrate", verbosity=0)
    _fill(count)
    now, rng = timezone.now(), random.Random(1)
    ticks, spent = 0, _Spent(server)
    while ScheduledHost.objects.filter(next_due_at__lte=now).exists():
        claim_due(now, rng)
        ticks += 1
    took: dict[str, Any] = {"claim": spent.since(), "claim_ticks": ticks}
    # Without ANALYZE: in the minute after it queued them PostgreSQL knows nothing of these rows.
    for name in ("fill", "full"):
        spent = _Spent(server)
        dispatch_due(now, rng)
        took[name] = spent.since()
    sent = Scan.objects.filter(dispatched_at__isnull=False)
    by_schedule = [sent.filter(schedule__name=f"schedule-{number}").count() for number in range(SCHEDULES)]
    took |= {"sent": sent.count(), "fairness": f"{by_schedule} by schedule"}
    connection.close()
    return took


class _Spent:
    """CPU of this process and of PostgreSQL, and wall time, from now on."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._begun = self._now()

    def _now(self) -> tuple[float, float]:
        return time.process_time() + tree_cpu_s(self._server), time.monotonic()

    def since(self) -> list[float]:
        return [now - begun for now, begun in zip(self._now(), self._begun, strict=True)]


def _fill(count: int) -> None:
    """Hosts are copies of one; the first schedule has nearly all of them, the others share the rest."""
    from django.db import connection

    from sandfly_web.inventory.models import Host
    from sandfly_web.scans.models import Schedule, ScheduledHost
    from tests.server.builders import NOW, Make

    make = Make()
    make.rule()
    columns = [field.column for field in Host._meta.concrete_fields]
    for number in range(ZONES):
        original = make.host(make.zone())
        name = f"'host-{number}-' || n"
        made = {"id": "gen_random_uuid()", "name": name, "address": name}
        chosen = ", ".join(made.get(name, f"h.{name}") for name in columns)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO inventory_host ({', '.join(columns)}) SELECT {chosen} "
                "FROM inventory_host h, generate_series(1, %s) n WHERE h.id = %s",
                [count // ZONES - 1, original.pk],
            )
    small = count // 100
    hosts = list(Host.objects.values_list("pk", flat=True))
    for number in range(SCHEDULES):
        schedule = Schedule.objects.create(name=f"schedule-{number}", rule_types=["detection"])
        covered = hosts[small * SCHEDULES :] if number == 0 else hosts[small * number : small * (number + 1)]
        rows = [ScheduledHost(schedule=schedule, host_id=pk, next_due_at=NOW) for pk in covered]
        ScheduledHost.objects.bulk_create(rows, batch_size=5000)


if __name__ == "__main__":
    main(int(sys.argv[1]))
