"""What visits say of their hosts: facts, state and the keys they showed.

Called by ingest with the hosts' rows locked; the number of queries does not depend on how many there are.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from sandfly_web.inventory.hostkeys import fingerprint, parse_host_keys
from sandfly_web.inventory.models import Host, HostKey, JumpHost
from sandfly_web.scans.cleaning import clean_mapping, clean_text
from scanners.contract import Failure, HostKeyPin, Profile
from scanners.errors import AuthError, ConnectError, HostKeyError, PlatformError

log = logging.getLogger(__name__)

HOST_KEY_CHANGED = "host_key_changed"
MAX_REASON_CHARS = 1024
MAX_PRESENTED_KEYS = 32
# The columns of a host that ingest looks at, in the order that `Host.from_db` takes them in.
HOST_COLUMNS = (
    "id", "name", "address", "port", "zone_id", "last_credential_id", "jump_host_id", "accept_new_host_key", "state",
    "offline_since", "last_seen_at", "hostname",
)  # fmt: skip
_STATE_AFTER: dict[str, str] = {
    **dict.fromkeys(ConnectError.codes, Host.State.OFFLINE),
    **dict.fromkeys(AuthError.codes, Host.State.AUTH_FAILED),
    **dict.fromkeys(
        PlatformError.codes & {"unsupported_arch", "unsupported_kernel", "not_linux"}, Host.State.UNSUPPORTED
    ),
    HOST_KEY_CHANGED: Host.State.KEY_CHANGED,
}


def state_after(failure: Failure | None, before: str) -> str:
    """The host's state after a visit that ended like this."""
    if failure is None:
        return Host.State.ACTIVE
    if failure.code in _STATE_AFTER:
        return _STATE_AFTER[failure.code]
    # Any other failure comes from a host that answers.
    return Host.State.ACTIVE if before == Host.State.OFFLINE else before


class Seen(NamedTuple):
    """A host as it was before the visit, and what the visit says of it."""

    host: Host
    profile: Profile | None
    failure: Failure | None
    observed_at: datetime


class _Facts(msgspec.Struct):
    """A row of `_STORE_FACTS`; `facts` None: the visit did not get that far."""

    host: uuid.UUID
    state: str
    state_reason: str
    offline_since: datetime | None
    seen_at: datetime
    facts: dict[str, Any] | None


# Whatever it was retired for, a host with a profile is back.
_STORE_FACTS = """
    UPDATE inventory_host AS host SET
        state = seen.state, state_reason = seen.state_reason, offline_since = seen.offline_since,
        retired_at = CASE WHEN seen.facts IS NULL THEN host.retired_at END,
        last_seen_at = CASE WHEN seen.facts IS NULL THEN host.last_seen_at
            ELSE greatest(host.last_seen_at, seen.seen_at) END,
        name = coalesce(told.name, host.name),
        hostname = coalesce(told.hostname, host.hostname),
        machine_id = coalesce(told.machine_id, host.machine_id),
        boot_id = coalesce(told.boot_id, host.boot_id),
        os_name = coalesce(told.os_name, host.os_name),
        kernel = coalesce(told.kernel, host.kernel),
        architecture = coalesce(told.architecture, host.architecture),
        profile = coalesce(told.profile, host.profile)
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS seen (
            host uuid, state text, state_reason text, offline_since timestamptz, seen_at timestamptz, facts jsonb
        ),
        jsonb_to_record(coalesce(seen.facts, '{}')) AS told (
            name text, hostname text, machine_id text, boot_id text, os_name text, kernel text, architecture text,
            profile jsonb
        )
    WHERE host.id = seen.host
"""


def store_facts(visits: Iterable[Seen]) -> None:
    """Write state and, when the visit got that far, what the host is. One query."""
    rows = [_row(*seen) for seen in visits]
    with connection.cursor() as cursor:
        cursor.execute(_STORE_FACTS, {"rows": msgspec.json.encode(rows).decode()})


def _row(host: Host, profile: Profile | None, failure: Failure | None, observed_at: datetime) -> _Facts:
    state = str(state_after(failure, host.state))
    return _Facts(
        host=host.pk,
        state=state,
        state_reason=clean_text(failure.message, MAX_REASON_CHARS) if failure else "",
        offline_since=(host.offline_since or observed_at) if state == Host.State.OFFLINE else None,
        seen_at=observed_at,
        facts=_facts(host, profile) if profile is not None else None,
    )


def host_facts(profile: Profile) -> dict[str, Any]:
    """The columns of a host that its profile tells."""
    return {
        "hostname": clean_text(profile.hostname, 255),
        "machine_id": clean_text(profile.machine_id, 64),
        "boot_id": clean_text(profile.boot_id, 36),
        "os_name": clean_text(profile.os_name, 255),
        "kernel": clean_text(profile.kernel, 255),
        "architecture": clean_text(profile.arch or profile.machine, 32),
        "profile": clean_mapping(msgspec.structs.asdict(profile)),
    }


def _facts(host: Host, profile: Profile) -> dict[str, Any]:
    facts = host_facts(profile)
    hostname = facts["hostname"]
    # Until people name it, a host added by its address is called what it calls itself.
    if hostname and host.hostname == "" and host.name in {host.address, f"{host.address}:{host.port}"}:
        facts["name"] = hostname
    return facts


class Shown(NamedTuple):
    """The keys that a host showed on a visit."""

    host: Host
    pins: Sequence[HostKeyPin]
    failure: Failure | None
    observed_at: datetime


def store_keys(visits: Iterable[Shown]) -> list[list[HostKey]]:
    """Remember the keys hosts showed: pinned when one may enrol and its visit accepted them, else as not accepted.

    Known keys keep their status and move last seen. Returns the keys of each visit as they were shown.
    """
    kept: list[list[HostKey]] = []
    enrolled: list[uuid.UUID] = []
    for host, pins, failure, observed_at in visits:
        is_refused = failure is not None and failure.code in HostKeyError.codes
        enrols = host.accept_new_host_key and not is_refused
        status = HostKey.Status.PINNED if enrols else HostKey.Status.REJECTED
        keys = [key for pin in pins[:MAX_PRESENTED_KEYS] if (key := _key(host, pin, status, observed_at))]
        kept.append(keys)
        if keys and enrols:
            enrolled.append(host.pk)
    _write_keys([key for keys in kept for key in keys])
    if enrolled:
        # Trust on first use is for one visit only.
        with connection.cursor() as cursor:
            cursor.execute("UPDATE inventory_host SET accept_new_host_key = false WHERE id = ANY(%s)", [enrolled])
    return kept


# A key that is pinned here comes from a host that may enrol.
_WRITE_KEYS = """
    INSERT INTO inventory_hostkey
        (host_id, key_type, public_key, fingerprint, status, first_seen_at, last_seen_at)
    SELECT shown.host, shown.key_type, shown.public_key, shown.fingerprint, shown.status, shown.at, shown.at
    FROM unnest(%(hosts)s::uuid[], %(key_types)s::text[], %(public_keys)s::text[], %(fingerprints)s::text[],
            %(statuses)s::text[], %(times)s::timestamptz[])
        AS shown (host, key_type, public_key, fingerprint, status, at)
    ON CONFLICT (host_id, fingerprint) DO UPDATE SET
        last_seen_at = greatest(inventory_hostkey.last_seen_at, excluded.last_seen_at),
        status = CASE WHEN excluded.status = 'pinned' THEN excluded.status ELSE inventory_hostkey.status END
"""


def _write_keys(keys: Iterable[HostKey]) -> None:
    unique = list({(key.host_id, key.fingerprint): key for key in keys}.values())
    if not unique:
        return
    parameters: dict[str, Any] = {
        "hosts": [key.host_id for key in unique],
        "key_types": [key.key_type for key in unique],
        "public_keys": [key.public_key for key in unique],
        "fingerprints": [key.fingerprint for key in unique],
        "statuses": [str(key.status) for key in unique],
        "times": [key.last_seen_at for key in unique],
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_KEYS, parameters)


def _key(host: Host, pin: HostKeyPin, status: str, observed_at: datetime) -> HostKey | None:
    try:
        shown = fingerprint(pin.public_key)
    except ValueError:
        log.warning("host %s: a presented host key is not base64 and is not kept", host.pk)
        return None
    return HostKey(
        host=host,
        key_type=clean_text(pin.key_type, 64),
        public_key=pin.public_key,
        fingerprint=shown,
        status=status,
        first_seen_at=observed_at,
        last_seen_at=observed_at,
    )


_USED = """
    UPDATE inventory_host AS host SET last_credential_id = credential.id
    FROM unnest(%(hosts)s::uuid[], %(ids)s::bigint[]) AS used (host, id)
    JOIN inventory_credential AS credential ON credential.id = used.id
    WHERE host.id = used.host AND credential.zone_id = host.zone_id
"""


def store_credentials_used(visits: Iterable[tuple[Host, str]]) -> None:
    """Remember which credential got in, to be tried first; writes only when it is another than last time."""
    used = {
        host.pk: int(credential_id[:18])
        for host, credential_id in visits
        if credential_id.isascii() and credential_id.isdigit() and int(credential_id) != host.last_credential_id
    }
    if used:
        with connection.cursor() as cursor:
            cursor.execute(_USED, {"hosts": list(used), "ids": list(used.values())})


def learn_jump_keys(jumps: Iterable[JumpHost], presented: Iterable[HostKeyPin]) -> None:
    """Pin what jump hosts showed that were to be trusted on first use; those with pinned keys stay as they are.

    Both are in the order of the way; a visit that did not get past a jump host tells of none behind it.
    """
    for jump, pin in zip(jumps, presented, strict=False):
        line = f"{clean_text(pin.key_type, 64)} {pin.public_key}"
        try:
            good = parse_host_keys(line)
        except ValueError:
            log.warning("jump host %s: a presented host key is none and is not kept", jump.pk)
            continue
        if good:
            # The condition makes it once only, also for reports that come in together.
            waiting = JumpHost.objects.filter(pk=jump.pk, accept_new_host_key=True, host_keys="")
            waiting.update(host_keys=line, accept_new_host_key=False)
