"""Visits to many hosts at once, streamed: results come as they are ready, memory does not grow with the hosts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sandfly_web.inventory.targets import Target
from sandfly_web.scans.oneshot.progress import Board, VisitProgress
from scanners.contract import (
    HostEndpoint,
    HostKeyPin,
    JumpEndpoint,
    Limits,
    ScanJob,
    ScanReport,
    Transport,
)

Visit = Callable[[Target, ScanJob, VisitProgress], ScanReport]

PRIORITY_LIMITS = {
    "low": Limits(cpu_percent=20),
    "normal": Limits(),
    "high": Limits(cpu_percent=100, nice=5),
}


@dataclass(frozen=True)
class JobOptions:
    """What all jobs of one run share."""

    plan_digest: str
    limits: Limits
    allow_new_host_key: bool
    find_keys: Callable[[str, int], list[HostKeyPin]]
    jumps: tuple[Target, ...] = ()
    staging_directory: str | None = None


def build_job(target: Target, options: JobOptions) -> ScanJob:
    """The job a worker would get for this host, without a sealed credential."""
    jumps = [
        JumpEndpoint(address=jump.address, port=jump.port, host_keys=options.find_keys(jump.address, jump.port))
        for jump in options.jumps
    ]
    endpoint = HostEndpoint(
        transport=Transport.LOCAL if target.is_local else Transport.SSH,
        address=target.address,
        port=target.port,
        host_keys=[] if target.is_local else options.find_keys(target.address, target.port),
        jumps=[] if target.is_local else jumps,
        staging_directory=options.staging_directory,
    )
    return ScanJob(
        scan_id=str(uuid.uuid4()),
        zone="oneshot",
        host=endpoint,
        plan_digest=options.plan_digest,
        limits=options.limits,
        expires_at=datetime.now(UTC) + timedelta(seconds=options.limits.visit_deadline_s + 60),
        allow_new_host_key=options.allow_new_host_key,
    )


def run_visits(
    targets: Iterable[Target], options: JobOptions, visit: Visit, board: Board, concurrency: int
) -> Iterator[tuple[Target, ScanReport]]:
    """Reports in the order in which visits end; at most `concurrency` are under way."""
    pending: dict[Future[ScanReport], tuple[Target, VisitProgress]] = {}
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="visit") as pool:
        for target in targets:
            if len(pending) >= concurrency:
                yield from take_finished(pending, board)
            progress = board.begin(target)
            pending[pool.submit(visit, target, build_job(target, options), progress)] = target, progress
        while pending:
            yield from take_finished(pending, board)


def take_finished(
    pending: dict[Future[ScanReport], tuple[Target, VisitProgress]], board: Board
) -> Iterator[tuple[Target, ScanReport]]:
    """Waits for at least one visit and hands over those that ended."""
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        target, progress = pending.pop(future)
        board.end(progress)
        yield target, future.result()
