"""The client side of visits in a process of its own: FABRIC or VISIT, what to visit as JSON on standard input.

Prints one JSON list with the CPU seconds, wall seconds, bytes up and bytes down of each run. The first run, which pays
for imports, is left out.
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


def repeat(run: Run, runs: int) -> list[tuple[float, float, int, int]]:
    measured = []
    for _ in range(runs + 1):
        cpu, wall = cpu_s(), time.monotonic()
        up, down = run()
        measured.append((cpu_s() - cpu, time.monotonic() - wall, up, down))
    return measured[1:]


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


def main(kind: str) -> None:
    logging.disable()
    target = json.load(sys.stdin)
    run = {"fabric": fabric_true, "visit": whole_visit}[kind](target)
    json.dump(repeat(run, target["runs"]), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
