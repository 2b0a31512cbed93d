"""What a visit says of its host: facts, state and the keys it showed. Called by ingest with the host's row locked."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from sandfly_web.inventory.hostkeys import fingerprint, parse_host_keys
from sandfly_web.inventory.models import Credential, Host, HostKey, JumpHost
from sandfly_web.scans.cleaning import clean_mapping, clean_text
from scanners.contract import Failure, HostKeyPin, Profile
from scanners.errors import AuthError, ConnectError, HostKeyError, PlatformError

log = logging.getLogger(__name__)

HOST_KEY_CHANGED = "host_key_changed"
MAX_REASON_CHARS = 1024
MAX_PRESENTED_KEYS = 32
# The columns of a host that this module looks at.
HOST_COLUMNS = (
    "name", "address", "port", "state", "hostname", "last_seen_at", "accept_new_host_key", "last_credential",
    "jump_host", "zone", "offline_since",
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


def store_facts(host: Host, profile: Profile | None, failure: Failure | None, observed_at: datetime) -> None:
    """Write state and, when the visit got that far, what the host is. One query."""
    changes: dict[str, Any] = {
        "state": state_after(failure, host.state),
        "state_reason": clean_text(failure.message, MAX_REASON_CHARS) if failure else "",
    }
    if changes["state"] == Host.State.OFFLINE:
        changes["offline_since"] = host.offline_since or observed_at
    else:
        changes["offline_since"] = None
    if profile is not None:
        # Whatever it was retired for, it is back.
        changes["retired_at"] = None
        changes |= _facts(host, profile)
        changes["last_seen_at"] = max(observed_at, host.last_seen_at or observed_at)
    Host.objects.filter(pk=host.pk).update(**changes)


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


def store_keys(
    host: Host, presented: Iterable[HostKeyPin], failure: Failure | None, observed_at: datetime
) -> list[HostKey]:
    """Remember the keys the host showed: pinned when it may enrol and its visit accepted them, else as not accepted.

    Known keys keep their status and move last seen. Returns the keys as they were shown.
    """
    is_refused = failure is not None and failure.code in HostKeyError.codes
    enrols = host.accept_new_host_key and not is_refused
    status = HostKey.Status.PINNED if enrols else HostKey.Status.REJECTED
    keys = [key for pin in list(presented)[:MAX_PRESENTED_KEYS] if (key := _key(host, pin, status, observed_at))]
    if keys:
        _write_keys(keys, enrols=enrols)
    if keys and enrols:
        # Trust on first use is for one visit only.
        Host.objects.filter(pk=host.pk).update(accept_new_host_key=False)
    return keys


_WRITE_KEYS = """
    INSERT INTO inventory_hostkey
        (host_id, key_type, public_key, fingerprint, status, first_seen_at, last_seen_at)
    SELECT %(host)s, shown.key_type, shown.public_key, shown.fingerprint, %(status)s, %(at)s, %(at)s
    FROM unnest(%(key_types)s::text[], %(public_keys)s::text[], %(fingerprints)s::text[])
        AS shown (key_type, public_key, fingerprint)
    ON CONFLICT (host_id, fingerprint) DO UPDATE SET
        last_seen_at = greatest(inventory_hostkey.last_seen_at, excluded.last_seen_at),
        status = CASE WHEN %(enrols)s THEN excluded.status ELSE inventory_hostkey.status END
"""


def _write_keys(keys: list[HostKey], *, enrols: bool) -> None:
    unique = {key.fingerprint: key for key in keys}
    parameters: dict[str, Any] = {
        "host": keys[0].host_id,
        "status": keys[0].status,
        "at": keys[0].last_seen_at,
        "key_types": [key.key_type for key in unique.values()],
        "public_keys": [key.public_key for key in unique.values()],
        "fingerprints": list(unique),
        "enrols": enrols,
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


def store_credential_used(host: Host, credential_id: str) -> None:
    """Remember which credential got in, to be tried first; writes only when it is another than last time."""
    if not (credential_id.isascii() and credential_id.isdigit()) or int(credential_id) == host.last_credential_id:
        return
    known = Credential.objects.filter(pk=int(credential_id[:18]), zone=host.zone_id).first()
    if known is not None:
        Host.objects.filter(pk=host.pk).update(last_credential=known)


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
