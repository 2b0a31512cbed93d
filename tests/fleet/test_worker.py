"""One worker process with many visits under way at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from scanners.contract import Limits
from tests.fleet.fleet import Fleet, wait_quiet
from tests.fleet.flight import fly
from tests.fleet.site import Site, make_site
from tests.scanners.standin import script_build

HOSTS = 60
# However slow this machine is.
LIMITS = Limits(connect_timeout_s=60, visit_deadline_s=600, probe_deadline_s=300)


@pytest.fixture
def site(fleet: Fleet, redis_url: str, tmp_path: Path) -> Iterator[Site]:
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
    with make_site(tmp_path, redis_url, fleet.secret) as site:
        yield site
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()


def test_sixty_slow_hosts_are_in_flight_together_and_memory_stays(fleet: Fleet, site: Site, tmp_path: Path) -> None:
    script_build(tmp_path)
    # As usual limits are to two hundred: what is opened is more than the process may have at first.
    worker = site.start_worker(HOSTS, "tests.scanners.standin_app", files="128:4096", STANDIN=str(tmp_path))

    first, second = (fly(fleet, site, HOSTS, limits=LIMITS) for _ in range(2))

    for flight in (first, second):
        assert flight.at_once == HOSTS
        assert flight.files > 128
        assert flight.ends == {"done": HOSTS}
        # Two for each visit at the most (its own and the connection's), and those of the worker.
        assert flight.threads < 2 * HOSTS + 20
    assert second.rss_bytes < 1.15 * first.rss_bytes
    assert worker.status("Threads") < HOSTS + 20
    wait_quiet(fleet)
    assert fleet.host.wait_clean() == []
