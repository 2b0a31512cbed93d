"""One worker process with many visits under way at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from scanners.contract import HEARTBEAT_TTL_DEFAULT_S, Outcome, heartbeat_key
from tests.fleet.fleet import Fleet, wait_quiet
from tests.fleet.kinds import addresses
from tests.fleet.site import Site, make_site
from tests.scanners.standin import script_build

HOSTS = 60
THREADS = 200


@pytest.fixture
def site(fleet: Fleet, redis_url: str, tmp_path: Path) -> Iterator[Site]:
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
    with make_site(tmp_path, redis_url, fleet.secret) as site:
        yield site
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()


def test_sixty_slow_hosts_are_visited_together_and_memory_stays(fleet: Fleet, site: Site, tmp_path: Path) -> None:
    script_build(tmp_path)
    worker = site.start_worker(THREADS, "tests.scanners.standin_app", STANDIN=str(tmp_path))

    rounds = [visit_all(fleet, site), visit_all(fleet, site)]

    first, second = rounds
    assert first.at_once >= HOSTS // 2
    # Each of them waits for two seconds and more of its own.
    assert second.wall_s < second.sum_s / 5
    assert second.rss_bytes < 1.15 * first.rss_bytes
    # Two for each visit at the most (its own and the connection's), and those of the pool.
    assert worker.status("Threads") < 2 * HOSTS + THREADS + 20
    wait_quiet(fleet)
    assert fleet.host.wait_clean() == []


class Round:
    """One visit to each of the hosts, all sent at the same time."""

    at_once: int
    wall_s: float
    sum_s: float
    rss_bytes: int


def visit_all(fleet: Fleet, site: Site) -> Round:
    done, begun = Round(), time.monotonic()
    jobs = [site.job(fleet.endpoint(address), scan_id=f"{begun}-{address}") for address in addresses("sluggish", HOSTS)]
    site.send(jobs)
    time.sleep(HEARTBEAT_TTL_DEFAULT_S / 3)
    with Redis.from_url(site.redis_url) as redis:
        done.at_once = redis.exists(*(heartbeat_key(job.scan_id) for job in jobs))
    reports = list(site.reports(HOSTS, 60))
    done.wall_s, done.rss_bytes = time.monotonic() - begun, site.workers[0].rss_bytes
    assert {report.outcome for report in reports} == {Outcome.DONE}
    done.sum_s = sum(report.timings_s["total"] for report in reports)
    return done
