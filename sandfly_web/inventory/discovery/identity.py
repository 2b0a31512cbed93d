"""Which host is this? By the key it holds, what the system calls itself, and whether the one we know still answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Q

from sandfly_web.inventory.models import Host, HostKey
from scanners.contract import Profile


class Verdict(StrEnum):
    """What an endpoint is that shows the key of a host known from elsewhere."""

    MOVED = "moved"
    SECOND_ADDRESS = "second_address"
    CLONE = "clone"
    OTHER = "other"


@dataclass(frozen=True)
class Facts:
    """What of a host tells it from others; "" where it is not known."""

    machine_id: str
    boot_id: str
    hostname: str

    @classmethod
    def of(cls, profile: Profile) -> Facts:
        return cls(profile.machine_id, profile.boot_id, profile.hostname)


def judge(known_machine_id: str, found: Facts, still_there: Facts | None) -> Verdict:
    """What was found, given the known host's machine-id and what answers with its key at the known address, if any.

    One key and machine-id at one address only: it moved. At two at once: one system with two addresses when both tell
    the same boot and host name, else copies of one image. Another machine-id: another host that holds the same key.
    Pure.
    """
    if known_machine_id and found.machine_id and known_machine_id != found.machine_id:
        return Verdict.OTHER
    if still_there is None or (still_there.machine_id and still_there.machine_id != found.machine_id):
        return Verdict.MOVED
    if found.boot_id and (found.boot_id, found.hostname) == (still_there.boot_id, still_there.hostname):
        return Verdict.SECOND_ADDRESS
    return Verdict.CLONE


@dataclass(frozen=True)
class Twin:
    """Another host that claims to be the same, and what they share."""

    host: Host
    shares: str


MAX_TWINS = 50


def twins_of(host: Host) -> list[Twin]:
    """Other hosts with one of its keys or its machine-id: copies of one image, mostly. Two queries."""
    fingerprints = HostKey.objects.filter(host=host, status=HostKey.Status.PINNED).values("fingerprint")
    same_key = set(
        HostKey.objects.filter(fingerprint__in=fingerprints, status=HostKey.Status.PINNED)
        .exclude(host=host)
        .values_list("host", flat=True)[:MAX_TWINS]
    )
    same_id = Q(machine_id=host.machine_id) if host.machine_id else Q(pk__in=[])
    others = Host.objects.filter(Q(pk__in=same_key) | same_id).exclude(pk=host.pk).defer("profile")[:MAX_TWINS]
    return [Twin(other, _shares(host, other, has_key=other.pk in same_key)) for other in others]


def _shares(host: Host, other: Host, *, has_key: bool) -> str:
    has_id = bool(host.machine_id) and host.machine_id == other.machine_id
    return " and ".join(["SSH host key"] * has_key + ["machine-id"] * has_id)
