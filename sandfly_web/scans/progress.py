"""How far a scan is right now, straight from what its worker says in Redis; rows know only what the last tick heard."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from redis.exceptions import RedisError

from sandfly_web.broker import redis_client
from sandfly_web.scans.heartbeats import read_heartbeats
from sandfly_web.scans.models import Scan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Phase of a visit, and how many percent of that phase are done where that is known (upload, run)."""

    phase: str
    percent: int | None

    @property
    def words(self) -> str:
        """As people read it: `running, 42 %`."""
        return self.phase if self.percent is None else f"{self.phase}, {self.percent} %"


def live_progress(scan: Scan) -> Progress | None:
    """None for a scan that is over or waits. While Redis is away it is what the row says."""
    if scan.status not in Scan.UNFINISHED or scan.dispatched_at is None:
        return None
    try:
        with redis_client() as redis:
            beats = read_heartbeats(redis, [str(scan.pk)])
    except RedisError as error:
        log.info("scan %s: no live progress, the broker is away: %s", scan.pk, type(error).__name__)
        beats = []
    for beat in beats:
        if beat.attempt == scan.attempt:
            return Progress(str(beat.phase), beat.percent)
    return Progress(scan.phase, None) if scan.phase else None
