"""Begins sweeps and hands their parts to the workers of the zone; retires hosts that stay away."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import msgspec
import msgspec.structs
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Prefetch, Q
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from sandfly_web.broker import redis_client
from sandfly_web.celery import app
from sandfly_web.inventory.discovery.ranges import RangeError, parse_ranges, take
from sandfly_web.inventory.models import (
    Credential,
    CredentialSet,
    Discovery,
    Host,
    HostKey,
    JumpHost,
    Sweep,
    Zone,
)
from sandfly_web.scans.jobs import JobError, jump_chain, load_jumps
from scanners.contract import (
    DISCOVER_TASK,
    MAX_DISCOVER_CREDENTIALS,
    MAX_SOUGHT,
    DiscoverJob,
    HostKeyPin,
    SealedCredential,
    Sought,
    cancel_key,
    zone_queue,
)

log = logging.getLogger(__name__)

# A part is looked at within about a minute, so that a sweep can be stopped and a lost part costs little.
PART_S = 60
# For waiting in the zone's queue and for signing in to what answers.
PART_PATIENCE = timedelta(minutes=15)
MAX_ATTEMPTS = 3
CANCEL_MARK_S = 3600
BROKER_ERRORS = (RedisError, KombuError, OSError)


def check_ranges(ranges: str, excluded: str = "") -> int:
    """The number of addresses. Raises ValidationError."""
    try:
        total = sum(span.count for span in parse_ranges(ranges, excluded))
    except RangeError as error:
        raise ValidationError({"ranges": str(error)}) from None
    if not total:
        raise ValidationError({"ranges": "no address is left to look at"})
    return total


def check_ways(
    zone: Zone,
    credentials: list[Credential],
    several: CredentialSet | None,
    jump_host: JumpHost | None,
    *,
    need_credential: bool = True,
) -> None:
    """Whether a discovery of the zone can use these. Raises ValidationError."""
    named: list[tuple[str, Any]] = [("credentials", one) for one in credentials]
    named += [(name, one) for name, one in (("credential_set", several), ("jump_host", jump_host)) if one is not None]
    for name, one in named:
        if one.zone_id != zone.pk:
            raise ValidationError({name: f"{one} belongs to another zone"})
    if need_credential and not credentials and several is None:
        raise ValidationError({"credentials": "give credentials, or a set of them"})


def usable_credentials(discovery: Discovery) -> list[Credential]:
    """Its own and those of its set, each once, in the order in which they are tried."""
    found = list(discovery.credentials.filter(zone=discovery.zone_id).order_by("name"))
    if discovery.credential_set is not None:
        entries = discovery.credential_set.entries.select_related("credential")
        found += [entry.credential for entry in entries if entry.credential.zone_id == discovery.zone_id]
    return list({credential.pk: credential for credential in found}.values())


def start_sweep(discovery: Discovery, now: datetime) -> Sweep:
    """Begin a pass; the next `advance` sends its first part. Raises ValidationError when one is under way."""
    total = check_ranges(discovery.ranges, discovery.excluded)
    with transaction.atomic():
        locked = Discovery.objects.select_for_update(no_key=True).get(pk=discovery.pk)
        if locked.sweeps.filter(status=Sweep.Status.RUNNING).exists():
            raise ValidationError("a sweep is under way already")
        Discovery.objects.filter(pk=discovery.pk).update(next_sweep_at=now + timedelta(seconds=discovery.interval_s))
        return Sweep.objects.create(
            discovery=discovery,
            started_at=now,
            total=total,
            ranges=discovery.ranges,
            excluded=discovery.excluded,
            part_size=min(MAX_SOUGHT, discovery.rate_per_s * PART_S),
        )


def cancel_sweep(sweep: Sweep, now: datetime) -> None:
    """End it; its worker stops within seconds, what it found stays. Raises ValidationError when it is over."""
    ended = Sweep.objects.filter(pk=sweep.pk, status=Sweep.Status.RUNNING).update(
        status=Sweep.Status.CANCELLED, finished_at=now, claims=[]
    )
    if not ended:
        raise ValidationError("this sweep is over")
    try:
        with redis_client() as redis:
            redis.set(cancel_key(f"sweep-{sweep.pk}"), "1", ex=CANCEL_MARK_S)
    except RedisError as error:
        log.warning("sweep %s: the broker is away, its worker looks at the part to its end: %s", sweep.pk, error)


def advance(now: datetime) -> int:
    """Begin what is due, send the next part of every sweep, retire hosts; returns the number of parts sent."""
    due = Discovery.objects.filter(Q(next_sweep_at__isnull=True) | Q(next_sweep_at__lte=now), is_enabled=True)
    for discovery in due.exclude(sweeps__status=Sweep.Status.RUNNING):
        try:
            start_sweep(discovery, now)
        except ValidationError as error:
            log.warning("discovery %s: %s", discovery, "; ".join(error.messages))
    waiting = Sweep.objects.filter(Q(attempt=0) | Q(part_expires_at__lte=now), status=Sweep.Status.RUNNING)
    sent = sum(_send_part(pk, now) for pk in waiting.values_list("pk", flat=True))
    retire_absent(now)
    return sent


def _send_part(sweep_id: int, now: datetime) -> bool:
    with transaction.atomic():
        sweep = (
            Sweep.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
            .select_related("discovery__zone", "discovery__credential_set")
            .filter(Q(attempt=0) | Q(part_expires_at__lte=now), pk=sweep_id, status=Sweep.Status.RUNNING)
            .first()
        )
        if sweep is None:
            return False
        if sweep.attempt >= MAX_ATTEMPTS:
            zone = sweep.discovery.zone
            end(sweep, Sweep.Status.FAILED, now, f"no worker of zone {zone} looked at part {sweep.part + 1}")
            return False
        sought = _claimed(sweep) if sweep.is_confirming else _part(sweep)
        sweep.attempt += 1
        sweep.part_expires_at = now + PART_PATIENCE + timedelta(seconds=4 * len(sought) / sweep.discovery.rate_per_s)
        sweep.save(update_fields=["attempt", "part_expires_at"])
        try:
            job = _job(sweep, sought)
        except JobError as error:
            end(sweep, Sweep.Status.FAILED, now, str(error))
            return False
        transaction.on_commit(lambda: _publish(job, now))
    return True


def end(sweep: Sweep, status: str, now: datetime, reason: str = "") -> None:
    """Settle a sweep that is locked."""
    sweep.status, sweep.reason, sweep.finished_at = status, reason[:1024], now
    sweep.attempt, sweep.part_expires_at, sweep.claims = 0, None, []
    sweep.save()


def part_addresses(sweep: Sweep) -> list[str]:
    """What the part under way looks at."""
    return take(parse_ranges(sweep.ranges, sweep.excluded), sweep.position, sweep.part_size)


def known_hosts(sweep: Sweep, addresses: list[str]) -> dict[str, Host]:
    """The zone's hosts at these addresses, with their `pinned_keys`."""
    pinned = Prefetch("host_keys", HostKey.objects.filter(status=HostKey.Status.PINNED), to_attr="pinned_keys")
    discovery = sweep.discovery
    hosts = Host.objects.filter(
        zone=discovery.zone_id, transport=Host.Transport.SSH, port=discovery.port, address__in=addresses
    )
    return {host.address: host for host in hosts.prefetch_related(pinned).defer("profile")}


def _part(sweep: Sweep) -> list[Sought]:
    """Known hosts are not signed in to: their key is enough. Retired ones are treated as unknown."""
    addresses = part_addresses(sweep)
    known = known_hosts(sweep, addresses)
    return [_sought(address, sweep.discovery.port, known.get(address)) for address in addresses]


def _sought(address: str, port: int, host: Host | None) -> Sought:
    if host is None or host.retired_at is not None:
        return Sought(address=address, port=port)
    pins = pins_of(host)
    # Nothing is sent to a host of the inventory whose key nobody has accepted.
    return Sought(address=address, port=port, host_keys=pins, sign_in=False)


def pins_of(host: Host) -> list[HostKeyPin]:
    """The pinned keys that `known_hosts` fetched."""
    keys: list[HostKey] = getattr(host, "pinned_keys")  # noqa: B009 - set by the prefetch
    return [HostKeyPin(key_type=key.key_type, public_key=key.public_key) for key in keys]


def _claimed(sweep: Sweep) -> list[Sought]:
    """Both ends of every claim: where the host was known, and where it answers now."""
    sought: dict[tuple[str, int], Sought] = {}
    for claim in sweep.claims:
        new = HostKeyPin(key_type=claim["key_type"], public_key=claim["public_key"])
        sought[claim["address"], claim["port"]] = Sought(address=claim["address"], port=claim["port"], host_keys=[new])
    pinned = Prefetch("host_keys", HostKey.objects.filter(status=HostKey.Status.PINNED), to_attr="pinned_keys")
    owners = Host.objects.filter(pk__in=[claim["host"] for claim in sweep.claims]).prefetch_related(pinned)
    for owner in owners:
        key = (owner.address, owner.port)
        sought.setdefault(key, Sought(address=owner.address, port=owner.port, host_keys=pins_of(owner)))
    return list(sought.values())


def _job(sweep: Sweep, sought: list[Sought]) -> DiscoverJob:
    discovery = sweep.discovery
    jumps = jump_chain(discovery.jump_host_id, load_jumps(discovery.zone_id)) if discovery.jump_host_id else []
    several = discovery.credential_set
    return DiscoverJob(
        sweep_id=sweep.pk,
        part=sweep.part,
        attempt=sweep.attempt,
        zone=discovery.zone.name,
        sought=sought,
        credentials=[
            SealedCredential(sealed=one.sealed, id=str(one.pk))
            for one in usable_credentials(discovery)[:MAX_DISCOVER_CREDENTIALS]
        ],
        # A key that is not known yet is learned by a visit, which can pin it.
        jumps=[msgspec.structs.replace(jump, allow_new_host_key=False) for jump in jumps],
        try_all_passwords=several is not None and several.try_all_passwords,
        rate_per_s=discovery.rate_per_s,
        timeout_s=discovery.timeout_s,
        expires_at=sweep.part_expires_at or sweep.started_at,
    )


def _publish(job: DiscoverJob, now: datetime) -> None:
    arguments: list[Any] = [msgspec.to_builtins(job)]
    try:
        app.send_task(
            DISCOVER_TASK,
            args=arguments,
            queue=zone_queue(job.zone),
            expires=(job.expires_at - now).total_seconds(),
            ignore_result=True,
            retry=False,
        )
    except BROKER_ERRORS as error:
        log.warning("the broker is away, part %d of sweep %d is sent later: %s", job.part, job.sweep_id, error)
        this = Sweep.objects.filter(pk=job.sweep_id, part=job.part, attempt=job.attempt)
        this.update(attempt=F("attempt") - 1, part_expires_at=now)


def retire_absent(now: datetime) -> int:
    """Retire what a discovery found and nobody reached for as long as it says; returns how many."""
    retired = 0
    for discovery in Discovery.objects.filter(retire_after_hours__isnull=False):
        since = now - timedelta(hours=discovery.retire_after_hours or 0)
        absent = Host.objects.filter(discovery=discovery, retired_at__isnull=True, offline_since__lte=since)
        count = absent.update(retired_at=now)
        if count:
            newest = discovery.sweeps.values_list("pk", flat=True)[:1]
            Sweep.objects.filter(pk__in=list(newest)).update(retired=F("retired") + count)
            log.info("discovery %s: %d hosts are retired", discovery, count)
        retired += count
    return retired
