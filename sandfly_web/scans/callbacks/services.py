"""Calls back when a batch is over: signed, at least once, with longer and longer pauses, given up after a day.

A row is a promise: it is taken for a while, the receiver is asked, and only a 2xx settles it. Whoever dies in between
leaves it to be tried again, so a receiver may hear the same `delivery` twice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Sum
from django.utils import timezone
from django.utils.crypto import salted_hmac

from sandfly_web.accounts.idempotency import caller_of
from sandfly_web.outputs.http import Policy, TargetError, check_url, post
from sandfly_web.scans.models import Scan, ScanCallback

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)

SIGNATURE, DELIVERY = "Sandfly-Signature", "Sandfly-Delivery"
MAX_SCANS = 100
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15, 3600
GIVEN_UP_AFTER = timedelta(hours=24)
# Longer than a try takes: nobody else takes it meanwhile.
LEASE = timedelta(minutes=2)
# Of one run, so that what else the task's worker has to do is not held up.
MAX_AT_ONCE = 20
BUDGET_S = 20.0


def policy() -> Policy:
    return Policy(tuple(settings.CALLBACK_HOSTS), allow_http=settings.CALLBACK_HTTP)


def check(url: str) -> None:
    """Raises ValidationError for an address that nobody is called at."""
    try:
        check_url(url, policy())
    except TargetError as error:
        raise ValidationError(str(error)) from None


def secret_for(user: User) -> str:
    """What calls for this token, or for this person, are signed with.

    Made from the secret key of the installation and kept nowhere; a stolen database cannot sign.
    """
    return _secret(caller_of(user).name)


def _secret(caller: str) -> str:
    return salted_hmac("sandfly.callback", caller, algorithm="sha256").hexdigest()


def promise(batch_id: UUID, url: str, user: User, link: str, now: datetime | None = None) -> ScanCallback:
    """Call `url` when the batch is over. Raises ValidationError."""
    check(url)
    now = now or timezone.now()
    return ScanCallback.objects.create(
        batch_id=batch_id,
        url=url,
        user=user,
        token_id=getattr(user, "token_id", None),
        link=link,
        created_at=now,
        next_try_at=now,
    )


def deliver_due(now: datetime) -> int:
    """Call for batches that are over; returns how many calls were taken in."""
    until, delivered = time.monotonic() + BUDGET_S, 0
    for _ in range(MAX_AT_ONCE):
        callback = _take(now)
        if callback is None or time.monotonic() >= until:
            break
        delivered += _try(callback, now)
    return delivered


def _take(now: datetime) -> ScanCallback | None:
    """The one that waits longest; it is nobody else's until the lease ends."""
    unfinished = Scan.objects.filter(batch=OuterRef("batch"), status__in=Scan.UNFINISHED)
    due = ScanCallback.objects.filter(~Exists(unfinished), next_try_at__lte=now).order_by("next_try_at")
    with transaction.atomic():
        callback = due.select_for_update(skip_locked=True, no_key=True).first()
        if callback is not None:
            callback.attempts += 1
            callback.next_try_at = now + LEASE
            callback.save(update_fields=["attempts", "next_try_at"])
    return callback


def _try(callback: ScanCallback, now: datetime) -> bool:
    body = json.dumps(payload(callback, now), separators=(",", ":")).encode()
    caller = f"user {callback.user_id}" if callback.token_id is None else f"token {callback.token_id}"
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "sandfly",
        DELIVERY: str(callback.pk),
        SIGNATURE: sign(body, _secret(caller)),
    }
    try:
        status = post(callback.url, body, headers, policy())
        error = "" if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES else f"answered {status}"
    except TargetError as fault:
        error = str(fault)
    settled: dict[str, Any] = {"error": error[:255], "next_try_at": None}
    if not error:
        settled["delivered_at"] = now
    elif now < callback.created_at + GIVEN_UP_AFTER:
        settled["next_try_at"] = now + timedelta(seconds=pause_s(callback.attempts))
    if error:
        log.info("callback %s, try %d: %s", callback.pk, callback.attempts, error)
    ScanCallback.objects.filter(pk=callback.pk).update(**settled)
    return not error


def pause_s(attempts: int) -> int:
    """Twice as long after each try that failed."""
    doubled: int = FIRST_PAUSE_S * 2 ** min(attempts - 1, 16)
    return min(doubled, LONGEST_PAUSE_S)


def sign(body: bytes, secret: str) -> str:
    """`sha256=` and the hexadecimal HMAC-SHA-256 of the body under the secret, as text."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def payload(callback: ScanCallback, now: datetime) -> dict[str, Any]:
    """What is told: numbers, ids and where to read the rest, and nothing that a host said."""
    scans = Scan.objects.filter(batch=callback.batch_id)
    counts = dict(scans.order_by().values_list("status").annotate(rows=Count("pk")))
    sums = scans.order_by().aggregate(alerts=Sum("alert_count"), errors=Sum("error_count"))
    listed = scans.order_by("-created_at", "id").values(
        "id", "host", "status", "error_code", "alert_count", "error_count"
    )[:MAX_SCANS]
    return {
        "event": "batch.finished",
        "delivery": str(callback.pk),
        "attempt": callback.attempts,
        "sent_at": now.isoformat(),
        "batch": str(callback.batch_id),
        "url": callback.link,
        "scan_count": sum(counts.values()),
        "counts": counts,
        "alert_count": sums["alerts"] or 0,
        "error_count": sums["errors"] or 0,
        "scans": [{**scan, "id": str(scan["id"]), "host": str(scan["host"])} for scan in listed],
    }
