"""Findings that are put off: what it means to be asleep, and how they wake.

Whether a finding sleeps is read off the clock: its `snoozed_until` lies ahead. So it is back in the list at that
moment also while nothing runs in the background; beat only tells of it, in the finding's history. A visit wakes it at
once when it shows evidence that the finding never had, or a higher severity. Its host's risk counts it all the time:
to look at it later makes the host no safer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Q

# Longer is no "later": that is an allow-list entry.
MAX_DAYS = 366
BATCH_ROWS = 10_000


def asleep(now: datetime) -> Q:
    """Findings that nobody wants to see now."""
    return Q(snoozed_until__gt=now)


def awake(now: datetime) -> Q:
    return Q(snoozed_until__isnull=True) | Q(snoozed_until__lte=now)


def woke(now: datetime) -> Q:
    """Findings that slept, and that nobody has dealt with since: acknowledged, snoozed again, or resolved."""
    return Q(woke_at__isnull=False) | Q(snoozed_until__lte=now)


def check_until(until: datetime, now: datetime) -> None:
    """Raises ValidationError for a time that is over or too far away."""
    if until <= now:
        raise ValidationError({"until": "this time is over"})
    if until > now + timedelta(days=MAX_DAYS):
        raise ValidationError({"until": f"at most {MAX_DAYS} days"})


def words(until: datetime, reason: str) -> str:
    """What the history says of it."""
    return f"until {until:%Y-%m-%d %H:%M} UTC\n{reason}".strip()


_TELL = """
    WITH due AS (
        SELECT id, snoozed_until FROM findings_finding WHERE snoozed_until <= %(now)s
        ORDER BY id LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED
    ), told AS (
        UPDATE findings_finding AS finding SET snoozed_until = NULL, woke_at = due.snoozed_until
        FROM due WHERE finding.id = due.id RETURNING finding.id
    )
    INSERT INTO findings_findingevent (finding_id, kind, comment, created_at)
    SELECT id, 'woke', 'its time is over', %(now)s FROM told
"""


def tell_woken(now: datetime) -> int:
    """Note in the history of those whose time is over that they woke; returns how many. Safe to run twice at once."""
    count = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_TELL, {"now": now, "most": BATCH_ROWS})
            told = int(cursor.rowcount)
        count += told
        if told < BATCH_ROWS:
            return count
