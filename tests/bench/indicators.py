"""What a million indicators cost: on the server once, on the wire and in the probe at every visit."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandfly_web.rules.indicators.compact import CompactSet, build_set, decode
from sandfly_web.rules.indicators.kinds import Kind, key_of
from sandfly_web.rules.plan import build_plan
from tests.bench.clock import Clock
from tests.bench.measure import run_measured
from tests.bench.probe import run_probe
from tests.bench.rules import LIMITS, MeasuredPlan, detection_rules
from tests.bench.table import Row, Section, at_most

MEMORY_BYTES = 64 << 20
STRANGERS = 200_000


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def measure_indicators(clock: Clock, count: int) -> Section:
    section = Section(f"{count:,} indicators (SHA-256 of files)")
    begun, cpu = time.monotonic(), time.process_time()
    compact = build_set(Kind.SHA256, (key_of(digest(number)) for number in range(count)))
    spent = time.monotonic() - begun, time.process_time() - cpu
    size = at_most(8 * compact.spec.size_bytes / count, 10.5, " bits each", "≤ 10.5") if count >= 10**6 else {}
    section.rows.append(Row("compact set", spent[1], spent[0], wire_bytes=compact.spec.size_bytes, **size))
    section.notes.append(f"of {STRANGERS:,} other values {wrong_rate(compact):.3%} are taken for one on the list")
    section.rows += _probe_rows(compact, clock)
    used = run_measured([sys.executable, "-m", "tests.bench.indicators", str(count)], timeout_s=clock.at_most(150))
    if used.status != 0:
        section.notes.append(f"the import did not run: exit status {used.status}")
        return section
    for what, (cpu_s, wall_s) in json.loads(used.output).items():
        section.rows.append(Row(what, cpu_s, wall_s))
    return section


def wrong_rate(compact: CompactSet) -> float:
    spec = compact.spec
    held, span = set(decode(compact.body, spec.count, spec.bits)), spec.count << spec.bits
    return sum(key_of(f"other {number}") * span >> 64 in held for number in range(STRANGERS)) / STRANGERS


def _probe_rows(compact: CompactSet, clock: Clock) -> Iterator[Row]:
    """The detection set without a list, with a list of one and with all: the cost of hashing, and of the list."""
    rules = detection_rules()
    single = build_set(Kind.SHA256, [key_of(digest(0))])
    measured = {}
    for name, made in (("without a list", None), ("with a list of 1", single), ("with all", compact)):
        built = build_plan(rules, LIMITS, {Kind.SHA256: made} if made else {})
        plan = MeasuredPlan(built.body + b"\n" + b"".join(built.sets), len(rules))
        used, footer = run_probe(plan, clock)
        measured[name] = used, footer
        verdict = {}
        if made is compact:
            one = measured["with a list of 1"][0]
            verdict = at_most(used.cpu_s / one.cpu_s, 1.1, "× CPU of a list of 1", "≤ 1.1")
        yield Row(f"  probe, {name}", used.cpu_s, used.wall_s, footer["max_rss_bytes"], used.output_bytes, **verdict)
    memory = measured["with all"][1]["max_rss_bytes"]
    yield Row("  its peak memory", memory_bytes=memory, budget="≤ 64 MiB", is_kept=memory <= MEMORY_BYTES)


def main(count: int) -> None:
    """Import into a PostgreSQL of its own, in a process of its own, since Django is set up once."""
    from sandfly_web.embedded import postgres
    from sandfly_web.embedded.paths import DataDir

    root = Path(tempfile.mkdtemp(prefix="sandfly-bench-", dir="/tmp"))
    root.chmod(0o711)
    try:
        with postgres.start(DataDir(root / "data")) as running:
            os.environ["DATABASE_URL"] = running.url
            json.dump(_import(count), sys.stdout)
    finally:
        shutil.rmtree(root)


def _import(count: int) -> dict[str, tuple[float, float]]:
    os.environ["DJANGO_SETTINGS_MODULE"] = "sandfly_web.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    from sandfly_web.rules.indicators import services
    from sandfly_web.rules.indicators.models import IndicatorList

    text = "".join(f"{digest(number)} # {number}\n" for number in range(count)).encode()
    row, measured = IndicatorList(name="bench"), {}

    @contextmanager
    def timed(what: str) -> Iterator[None]:
        begun, cpu = time.monotonic(), time.process_time()
        yield
        measured[what] = time.process_time() - cpu, time.monotonic() - begun

    with timed(f"import of {len(text) >> 20} MiB of text"):
        services.import_list(row, services.Source(io.BytesIO(text)))
    with timed("the set from the database"):
        services.active_sets()
    with timed("looking up 4,000 candidates"):
        services.look_up({("sha256", digest(number)) for number in range(count - 2000, count + 2000)})
    connection.close()
    return measured


if __name__ == "__main__":
    main(int(sys.argv[1]))
