"""A worker process with a Redis, sent as many jobs as one likes without a web side."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from celery import Celery
from redis import Redis

from scanners.app import broker_url
from scanners.contract import (
    INGEST_QUEUE,
    SCAN_TASK,
    CredentialSecret,
    Plan,
    PlanRule,
    ScanJob,
    ScanReport,
    SealedCredential,
    decode_report,
    encode,
    plan_key,
    zone_queue,
)
from scanners.vault import generate_keypair, seal, write_private_key
from tests.hosts.host import REPOSITORY, wait_until
from tests.scanners.standin import make_job

# A probe with this much to do costs nearly nothing, so that what is measured is the visit.
SMALL_PLAN = encode(
    Plan(
        rules=[
            PlanRule(id="host", subject="host", fields=["hostname"]),
            PlanRule(
                id="root-user",
                subject="user",
                when={"field": "uid", "op": "eq", "values": [0]},
                fields=["username", "uid"],
            ),
        ]
    )
)
DIGEST = hashlib.sha256(SMALL_PLAN).hexdigest()


@dataclass
class Process:
    """A running worker."""

    popen: subprocess.Popen[bytes]
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def status(self, name: str) -> int:
        """A number of /proc/PID/status: VmRSS in kB, Threads."""
        text = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith(f"{name}:")).split()[1])

    @property
    def rss_bytes(self) -> int:
        return self.status("VmRSS") << 10

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Site:
    """One zone: its queue, its key, its workers. Reports stay in the ingest queue until they are asked for."""

    directory: Path
    redis_url: str
    public_key: str
    secret: CredentialSecret
    workers: list[Process] = field(default_factory=list)

    def start_worker(
        self, concurrency: int, app: str = "scanners.app", *, files: str = "", **environment: str
    ) -> Process:
        """`files` is soft:hard, as prlimit(1) takes it."""
        log_path = self.directory / f"worker{len(self.workers)}.log"
        own = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GOCACHE": os.environ.get("GOCACHE", ""),
               "REDIS_URL": self.redis_url, "SANDFLY_ZONE_KEY_FILE": str(self.directory / "zone.key")}  # fmt: skip
        limit = ["prlimit", f"--nofile={files}"] if files else []
        argv = [*limit, sys.executable, "-m", "celery", "-A", app, "worker", "-Q", "zone.fleet", "--pool", "threads",
                "-c", str(concurrency), "--without-gossip", "--without-mingle", "-l", "WARNING"]  # fmt: skip
        with log_path.open("wb") as log:
            popen = subprocess.Popen(argv, cwd=REPOSITORY, env=own | environment, stdout=log, stderr=log)
        process = Process(popen, log_path)
        self.workers.append(process)
        wait_until(lambda: self._is_listening() or popen.poll() is not None, 60)
        if popen.poll() is not None:
            raise RuntimeError(f"the worker did not start: {process.log[-2000:]}")
        return process

    def _is_listening(self) -> bool:
        with Redis.from_url(self.redis_url) as redis:
            return bool(redis.exists("_kombu.binding.zone.fleet"))

    def job(self, endpoint: Any, **changes: Any) -> ScanJob:
        sealed: SealedCredential = seal(self.secret, self.public_key)
        return make_job(endpoint, **{"zone": "fleet", "plan_digest": DIGEST, "credentials": [sealed], **changes})

    def send(self, jobs: Iterable[ScanJob]) -> None:
        with Redis.from_url(self.redis_url) as redis:
            redis.set(plan_key(DIGEST), SMALL_PLAN)
        with Celery("web", broker=broker_url(self.redis_url)) as app, app.producer_or_acquire() as producer:
            for job in jobs:
                app.send_task(
                    SCAN_TASK, args=[msgspec.to_builtins(job)], queue=zone_queue(job.zone), ignore_result=True,
                    producer=producer,
                )  # fmt: skip

    def reports(self, count: int, timeout_s: float) -> Iterator[ScanReport]:
        """The next reports as they come. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        with Redis.from_url(self.redis_url) as redis:
            found: Any
            for number in range(count):
                # Shorter than redis-py waits for an answer.
                while (found := redis.blpop([INGEST_QUEUE], 2)) is None:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"{number} of {count} reports came in {timeout_s:.0f} s")
                yield decode_report(json.loads(base64.b64decode(json.loads(found[1])["body"]))[0][0])

    def stop(self) -> None:
        for worker in self.workers:
            worker.popen.kill()
            worker.popen.wait()


@contextlib.contextmanager
def make_site(directory: Path, redis_url: str, secret: CredentialSecret) -> Iterator[Site]:
    """A zone named fleet on an empty Redis; workers are started by `start_worker`."""
    private_key, public_key = generate_keypair()
    write_private_key(directory / "zone.key", private_key)
    site = Site(directory, redis_url, public_key, secret)
    try:
        yield site
    finally:
        site.stop()
