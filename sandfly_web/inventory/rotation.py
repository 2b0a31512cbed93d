"""A new key for a zone: a worker, which alone can open its credentials, seals them anew; nothing is typed in again."""

from __future__ import annotations

import hmac
import logging

import msgspec
from django.db import transaction
from django.utils.crypto import salted_hmac

from sandfly_web.inventory.models import Credential, Zone
from sandfly_web.inventory.sealing import parse_public_key, seal_bytes
from scanners.contract import Rekeyed, RotateRequest, SealedCredential, prove_rekeyed

log = logging.getLogger(__name__)


def build_request(zone: Zone) -> RotateRequest:
    """Everything that is sealed to the zone now."""
    rows = zone.credentials.order_by("pk").values_list("pk", "sealed")
    sealed = [SealedCredential(id=str(pk), sealed=text) for pk, text in rows]
    challenge = seal_bytes(_challenge(zone.name, zone.public_key), zone.public_key)
    return RotateRequest(zone=zone.name, public_key=zone.public_key, challenge=challenge, credentials=sealed)


def _challenge(zone: str, public_key: str) -> bytes:
    """Known to this side alone until it is sealed to the zone's key, and nowhere stored."""
    return salted_hmac("sandfly.inventory.rotation", f"{zone} {public_key}", algorithm="sha256").digest()


def store_rekeyed(text: str) -> bool:
    """Take the worker's answer, whole or not at all; whether it was taken.

    Only a holder of the zone's key can have made it: whoever else can write to the broker, such as a stolen worker of
    another zone, would have the zone's next credentials sealed to a key of their own.

    A credential that was changed meanwhile keeps what it has: workers open it with the earlier key, which stays in
    their file. An answer that comes twice, or to a zone that has another key by now, is dropped.
    """
    try:
        done = msgspec.json.decode(text, type=Rekeyed)
        parse_public_key(done.public_key or done.old_public_key)
    except (msgspec.MsgspecError, ValueError) as error:
        log.error("the answer to a request for a new zone key cannot be read: %s", error)  # noqa: TRY400
        return False
    if done.failure or len(done.replaced) != len(done.credentials):
        log.error("zone %s keeps its key: %s", done.zone, done.failure or "the answer is not whole")
        return False
    expected = prove_rekeyed(_challenge(done.zone, done.old_public_key), done)
    if not hmac.compare_digest(done.proof.encode(), expected.encode()):
        log.error("zone %s keeps its key: the answer is not of a worker that holds it", done.zone)
        return False
    with transaction.atomic():
        zone = Zone.objects.select_for_update().filter(name=done.zone, public_key=done.old_public_key).first()
        if zone is None:
            log.warning("zone %s has another key by now, a new one is dropped", done.zone)
            return False
        for old, new in zip(done.replaced, done.credentials, strict=True):
            if old.id.isascii() and old.id.isdigit():
                Credential.objects.filter(pk=int(old.id[:18]), zone=zone, sealed=old.sealed).update(sealed=new.sealed)
        zone.public_key = done.public_key
        zone.save(update_fields=["public_key"])
    log.info("zone %s has a new key, %d credentials are sealed to it", done.zone, len(done.credentials))
    return True
