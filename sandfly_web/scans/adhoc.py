"""Scans of hosts that the inventory does not hold, with a credential that is kept for them only.

The hosts get rows, as findings need one, but no schedule visits them. The credential is sealed to the zone at once and
forgotten with the last of the scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef

from sandfly_web.inventory import services as inventory
from sandfly_web.inventory.models import Host, JumpHost, Zone
from sandfly_web.scans.models import Priority, Scan, ScanBatch
from sandfly_web.scans.services import Batch, RuleChoice, request_scans

MAX_TARGETS = 1000


@dataclass(frozen=True)
class OneTime:
    """A credential that lives as long as its batch."""

    username: str
    secrets: inventory.PlainSecrets
    become: str = "auto"


@dataclass(frozen=True)
class AdHoc:
    """Hosts as people write them (`host`, `host:port`, networks), and how to reach them."""

    targets: Sequence[str]
    zone: Zone
    credential: OneTime
    jump_host: JumpHost | None = None
    accept_new_host_key: bool = False


def request_adhoc(
    wanted: AdHoc,
    choice: RuleChoice,
    *,
    requested_by: User | None = None,
    priority: int = Priority.NORMAL,
    limits: dict[str, int] | None = None,
) -> Batch:
    """Queue a scan of each target. Hosts that the zone has already are scanned as they are, but for the credential.

    Raises ValidationError, whose messages hold no secret.
    """
    sealed = inventory.seal_once(
        wanted.zone, wanted.credential.username, wanted.credential.secrets, wanted.credential.become
    )
    options = inventory.HostOptions(
        zone=wanted.zone,
        jump_host=wanted.jump_host,
        accept_new_host_key=wanted.accept_new_host_key,
        origin=Host.Origin.AD_HOC,
    )
    with transaction.atomic():
        hosts = inventory.hosts_at(wanted.targets, options, most=MAX_TARGETS)
        if any(host.transport == Host.Transport.LOCAL for host in hosts):
            raise ValidationError({"targets": "the worker's own machine is no ad hoc host"})
        batch = ScanBatch.objects.create(requested_by=requested_by, sealed=sealed)
        return request_scans(hosts, choice, requested_by=requested_by, priority=priority, batch=batch, limits=limits)


def forget_credentials() -> int:
    """Empty the credentials of batches whose scans are all over; returns how many."""
    unfinished = Scan.objects.filter(batch=OuterRef("pk"), status__in=Scan.UNFINISHED)
    return ScanBatch.objects.exclude(sealed="").filter(~Exists(unfinished)).update(sealed="")
