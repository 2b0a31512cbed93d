"""The finding that a visit makes itself: the host showed another key than the one that is pinned."""

from __future__ import annotations

from sandfly_web.findings.fingerprint import content_digest, fingerprint
from sandfly_web.findings.services import HOST_KEY_CHANGED
from sandfly_web.findings.sightings import Sighting
from sandfly_web.inventory.models import Host, HostKey
from sandfly_web.rules.models import Severity

__all__ = ["HOST_KEY_CHANGED", "host_key_sightings"]

TITLE = "SSH host key changed"
TAGS = ["attack.credential-access", "attack.t1557"]


def host_key_sightings(host: Host, shown: list[HostKey]) -> list[Sighting]:
    """What a changed host key is found as: one finding for each key that was shown."""
    pinned = HostKey.objects.filter(host=host, status=HostKey.Status.PINNED).order_by("key_type", "pk")
    expected = [f"{key.key_type} {key.fingerprint}" for key in pinned]
    return [_sighting(host, key, expected) for key in shown] or [_sighting(host, None, expected)]


def _sighting(host: Host, key: HostKey | None, expected: list[str]) -> Sighting:
    presented = f"{key.key_type} {key.fingerprint}" if key else "(not reported)"
    identity = {"address": host.address, "port": host.port, "fingerprint": key.fingerprint if key else ""}
    evidence = {**identity, "presented": presented, "expected": expected}
    explanation = (
        f"{host.address} port {host.port} showed the host key {presented}, but {', '.join(expected) or 'none'} is "
        "pinned. Either the host was set up anew or somebody answers in its place. Nothing was sent to it."
    )
    return Sighting(
        fingerprint=fingerprint(HOST_KEY_CHANGED, str(host.pk), "host_key", identity),
        rule_id=None,
        rule_name=HOST_KEY_CHANGED,
        subject="host_key",
        title=TITLE,
        level=Severity.CRITICAL,
        tags=TAGS,
        explanation=explanation,
        identity=identity,
        evidence=evidence,
        evidence_digest=content_digest("host_key", evidence),
    )
