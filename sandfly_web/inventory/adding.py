"""What the forms and the API check alike before a service writes."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from sandfly_web.inventory import services
from sandfly_web.inventory.models import Host, JumpHost


class HostExistsError(ValidationError):
    """The zone has a host with this endpoint."""


def add_new_host(address: str, port: int, options: services.HostOptions, *, name: str = "") -> Host:
    """One host that is not there yet, named after its endpoint unless `name` is given.

    Raises HostExistsError or ValidationError.
    """
    added = services.add_hosts([endpoint(check_address(address), port)], options)
    if not added.created:
        raise HostExistsError("this zone has a host with this address and port already")
    host = added.created[0]
    if name and name != host.name:
        host.name = name
        host.save(update_fields=["name"])
    return host


def endpoint(address: str, port: int) -> str:
    """How `services.add_hosts` is given an address and a port."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def check_address(address: str) -> str:
    """The address without blanks and brackets. Raises ValidationError for more than one address."""
    bare = address.strip().removeprefix("[").removesuffix("]")
    if not bare or any(char in "/@" or char.isspace() for char in bare):
        raise ValidationError("one DNS name or IP address, without user name or port")
    return bare


def check_same_zone(values: dict[str, Any], *names: str) -> None:
    """Raises ValidationError: a credential of another zone is sealed to other workers."""
    zone = values.get("zone")
    for name in names:
        thing = values.get(name)
        if zone and thing is not None and thing.zone_id != zone.pk:
            raise ValidationError({name: f"{thing} belongs to zone {thing.zone}, not to {zone}"})


def check_no_loop(jump_host: JumpHost, via: JumpHost | None) -> None:
    """Raises ValidationError when the way to `via` leads through the jump host itself."""
    seen = {jump_host.pk}
    while via is not None:
        if via.pk in seen:
            raise ValidationError({"via": f"{via} is itself reached through {jump_host}"})
        seen.add(via.pk)
        via = via.via
