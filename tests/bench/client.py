"""The client side of visits and of Fabric in one process, in turns; what to visit as JSON on standard input.

Prints JSON with a list for each: the CPU seconds, wall seconds, bytes up and bytes down of each run, and what the
process had in memory afterwards. The first run, which pays for imports, is left out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[[], tuple[int, int]]


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def in_turns(kinds: dict[str, Run], runs: int) -> dict[str, list[tuple[float, float, int, int, int]]]:
    """Whatever else the machine does, and whatever the last one left in its caches, meets both alike."""
    measured: dict[str, list[tuple[float, float, int, int, int]]] = {kind: [] for kind in kinds}
    for _ in range(runs + 1):
        for kind, run in kinds.items():
            cpu, wall = cpu_s(), time.monotonic()
            up, down = run()
            measured[kind].append((cpu_s() - cpu, time.monotonic() - wall, up, down, resident_bytes()))
    return {kind: rows[1:] for kind, rows in measured.items()}


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def fabric_true(target: dict[str, Any]) -> Run:
    """Fabric as anybody uses it, with a key from a file."""
    import fabric

    config = fabric.Config(overrides={"load_ssh_configs": False})
    keys = {"key_filename": target["key_path"], "allow_agent": False, "look_for_keys": False}

    def run() -> tuple[int, int]:
        with fabric.Connection(
            target["address"], user="root", port=target["port"], config=config, connect_kwargs=keys
        ) as connection:
            connection.run("true", hide=True, in_stream=False)
        return 0, 0

    return run


def whole_visit(target: dict[str, Any]) -> Run:
    """A visit as a worker runs it."""
    from scanners.contract import CredentialSecret, HostEndpoint, HostKeyPin, Outcome
    from scanners.visit import run_visit
    from tests.bench.rules import LIMITS
    from tests.scanners.standin import make_job

    pins = [HostKeyPin(**pin) for pin in target["host_keys"]]
    endpoint = HostEndpoint(address=target["address"], port=target["port"], host_keys=pins)
    plan = base64.b64decode(target["plan"])
    job = make_job(endpoint, limits=LIMITS, plan_digest=hashlib.sha256(plan).hexdigest())
    secret = CredentialSecret(username="root", private_key=Path(target["key_path"]).read_text(encoding="utf-8"))

    def run() -> tuple[int, int]:
        report = run_visit(job, plan, [secret])
        if report.outcome is not Outcome.DONE:
            raise RuntimeError(f"the visit failed: {report.failure}")
        return report.cost.uploaded_bytes, report.cost.downloaded_bytes

    return run


def main() -> None:
    logging.disable()
    target = json.load(sys.stdin)
    json.dump(in_turns({"fabric": fabric_true(target), "visit": whole_visit(target)}, target["runs"]), sys.stdout)


if __name__ == "__main__":
    main()
