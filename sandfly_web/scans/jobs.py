"""Makes the message for the workers from a scan's rows, fetched with `scans_for_jobs` and `load_jumps`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from django.db.models import OuterRef, Prefetch, QuerySet, Subquery

from sandfly_web.inventory.hostkeys import parse_host_keys
from sandfly_web.inventory.models import Credential, CredentialSetEntry, Host, HostKey, JumpHost
from sandfly_web.scans.models import Scan, ScanBatch
from scanners.contract import HostEndpoint, HostKeyPin, JumpEndpoint, Limits, ScanJob, SealedCredential, Transport

MAX_JUMPS = 8
# As many as a job takes; servers hang up after about six attempts anyway (MaxAuthTries).
MAX_CREDENTIALS = 8


class JobError(Exception):
    """A scan that no worker could do; `code` is one of those in `scanners.errors`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def scans_for_jobs(scans: QuerySet[Scan]) -> QuerySet[Scan]:
    """With everything `build_job` looks at, in two queries."""
    pinned = HostKey.objects.filter(status=HostKey.Status.PINNED).order_by("key_type", "pk")
    once = ScanBatch.objects.filter(pk=OuterRef("batch")).values("sealed")
    return (
        scans.select_related("host__zone", "host__credential", "host__credential_set")
        .annotate(one_time=Subquery(once))
        .prefetch_related(
            Prefetch("host__host_keys", queryset=pinned, to_attr="pinned_keys"),
            Prefetch(
                "host__credential_set__entries",
                queryset=CredentialSetEntry.objects.select_related("credential"),
                to_attr="ordered",
            ),
        )
    )


def load_jumps(zone_id: int) -> dict[int, JumpHost]:
    """All jump hosts of a zone by id."""
    return {jump.pk: jump for jump in JumpHost.objects.filter(zone=zone_id).select_related("credential")}


def build_job(scan: Scan, jumps: Mapping[int, JumpHost]) -> ScanJob:
    """The visit as the worker gets it. Raises JobError when host, jump hosts or credential do not fit together."""
    host = scan.host
    return ScanJob(
        scan_id=str(scan.pk),
        attempt=scan.attempt,
        zone=host.zone.name,
        host=_endpoint(host, jumps),
        credentials=_credentials(scan),
        plan_digest=scan.plan_id,
        limits=msgspec.convert(scan.limits, Limits),
        expires_at=scan.expires_at,
        allow_new_host_key=host.accept_new_host_key,
        try_all_passwords=host.credential_set is not None and host.credential_set.try_all_passwords,
    )


def _credentials(scan: Scan) -> list[SealedCredential]:
    """The one-time credential of the scan's batch, if it has one, else the host's."""
    if once := getattr(scan, "one_time", None):
        return [SealedCredential(sealed=once)]
    host = scan.host
    if host.transport == Host.Transport.LOCAL:
        return []
    chosen = [] if host.credential is None else [host.credential]
    if host.credential_set is not None:
        entries: list[CredentialSetEntry] = getattr(host.credential_set, "ordered")  # noqa: B009 - as above
        chosen += [entry.credential for entry in entries]
    # What got in last comes first: whatever is tried before it could count as a wrong guess.
    chosen.sort(key=lambda credential: credential.pk != host.last_credential_id)
    unique = list({credential.pk: credential for credential in chosen}.values())
    if not unique:
        raise JobError("credential_missing", "the host has no credential")
    return [_sealed(credential, host.zone_id) for credential in unique[:MAX_CREDENTIALS]]


def _endpoint(host: Host, jumps: Mapping[int, JumpHost]) -> HostEndpoint:
    if host.transport == Host.Transport.LOCAL:
        return HostEndpoint(
            transport=Transport.LOCAL, address=host.address, staging_directory=host.staging_directory or None
        )
    keys: list[HostKey] = getattr(host, "pinned_keys")  # noqa: B009 - set by `scans_for_jobs`
    return HostEndpoint(
        address=host.address,
        port=host.port,
        host_keys=[HostKeyPin(key_type=key.key_type, public_key=key.public_key) for key in keys],
        jumps=jump_chain(host.jump_host_id, jumps),
        staging_directory=host.staging_directory or None,
    )


def jump_chain(last_id: int | None, jumps: Mapping[int, JumpHost]) -> list[JumpEndpoint]:
    """The way through the jump host `last_id`, as the workers get it. Raises JobError."""
    return [_jump(jump) for jump in walk_jumps(last_id, jumps)]


def walk_jumps(last_id: int | None, jumps: Mapping[int, JumpHost]) -> list[JumpHost]:
    """The way through the jump host `last_id`, first hop first. Raises JobError."""
    chain: list[JumpHost] = []
    next_id = last_id
    while next_id is not None:
        if next_id not in jumps:
            raise JobError("jump_failed", "a jump host on the way belongs to another zone")
        if len(chain) == MAX_JUMPS:
            raise JobError("jump_failed", f"more than {MAX_JUMPS} jump hosts in a row, or a loop of them")
        chain.append(jumps[next_id])
        next_id = chain[-1].via_id
    return chain[::-1]


def _jump(jump: JumpHost) -> JumpEndpoint:
    try:
        pins = parse_host_keys(jump.host_keys)
    except ValueError as error:
        raise JobError("jump_failed", f"host keys of jump host {jump}: {error}") from None
    credential = _sealed(jump.credential, jump.zone_id)
    return JumpEndpoint(
        address=jump.address,
        port=jump.port,
        host_keys=pins,
        credential=credential,
        allow_new_host_key=jump.accept_new_host_key and not pins,
    )


def _sealed(credential: Credential, zone_id: int) -> SealedCredential:
    if credential.zone_id != zone_id:
        # Sealed to another zone's key: no worker of this one can open it.
        raise JobError("credential_unsealable", f"credential {credential} belongs to another zone")
    return SealedCredential(sealed=credential.sealed, id=str(credential.pk))
