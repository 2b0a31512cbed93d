"""Secrets are sealed while they are typed in; nothing on this side can read them afterwards."""

from __future__ import annotations

import base64
import io
import logging
import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.apps import apps
from django.core.exceptions import ValidationError
from nacl.public import PrivateKey

from sandfly_web.inventory.hostkeys import fingerprint
from sandfly_web.inventory.models import Credential
from sandfly_web.inventory.sealing import seal
from sandfly_web.inventory.services import PlainSecrets, create_zone, set_zone_key, store_credential
from scanners.contract import CredentialSecret, SealedCredential
from scanners.errors import AuthError
from scanners.vault import unseal

pytestmark = pytest.mark.django_db

CANARY = "canary-5f1e-do-not-show"
ZONE_KEY = PrivateKey(bytes(range(32)))
FORMATS = {"openssh": PrivateFormat.OpenSSH, "pkcs8": PrivateFormat.PKCS8}


@pytest.fixture
def zone():
    return create_zone("office", base64.b64encode(bytes(ZONE_KEY.public_key)).decode())


def opened(credential: Credential) -> CredentialSecret:
    """As a worker of the zone sees it."""
    return unseal(SealedCredential(sealed=credential.sealed), base64.b64encode(bytes(ZONE_KEY)).decode())


def key_text(key, form="openssh", passphrase=""):
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, FORMATS[form], encryption).decode()


def store(zone, secrets, **fields):
    return store_credential(name="root key", zone=zone, username="root", secrets=secrets, **fields)


def test_a_password_reaches_the_worker_and_only_the_worker(zone):
    credential = store(zone, PlainSecrets(password=CANARY, become_password="other"), become="sudo")

    secret = opened(credential)
    assert (secret.username, secret.password, secret.become_password, secret.become) == (
        "root", CANARY, "other", "sudo",
    )  # fmt: skip
    assert CANARY not in credential.sealed


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("passphrase", ["", CANARY])
@pytest.mark.parametrize(
    "key",
    [Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())],
    ids=["ed25519", "ecdsa"],
)
def test_a_private_key_is_stored_with_its_public_fingerprint(zone, key, form, passphrase):
    credential = store(zone, PlainSecrets(private_key=key_text(key, form, passphrase), passphrase=passphrase))

    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1].decode()
    assert (credential.kind, credential.fingerprint) == ("private_key", fingerprint(public))
    assert opened(credential).private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert opened(credential).passphrase == ""


def _encrypted() -> str:
    return key_text(Ed25519PrivateKey.generate(), passphrase="right")


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        (lambda: PlainSecrets(private_key=_encrypted(), passphrase=CANARY), "wrong passphrase"),
        (lambda: PlainSecrets(private_key=_encrypted()), "give its passphrase"),
        (lambda: PlainSecrets(private_key=CANARY), "not a private key"),
        (lambda: PlainSecrets(private_key="ssh-ed25519 AAAA me"), "public key"),
        (lambda: PlainSecrets(private_key="PuTTY-User-Key-File-3: " + CANARY), "puttygen"),
        (lambda: PlainSecrets(private_key=key_text(generate_rsa(65537, 1024))), "1024 bits"),
        (lambda: PlainSecrets(passphrase=CANARY), "password or a private key"),
        (lambda: PlainSecrets(password=CANARY * 1000), "at most"),
    ],
)
def test_secrets_that_cannot_work_are_refused_with_a_reason_that_does_not_quote_them(zone, secrets, message):
    with pytest.raises(ValidationError) as raised:
        store(zone, secrets())

    assert message in str(raised.value)
    shown = "".join(traceback.format_exception(raised.value))
    assert CANARY not in shown
    assert not Credential.objects.exists()


def test_a_secret_appears_in_no_row_log_or_repr(zone, caplog):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    key = key_text(Ed25519PrivateKey.generate(), passphrase=CANARY)
    secrets = PlainSecrets(password=CANARY, private_key=key, passphrase=CANARY, become_password=CANARY)

    with caplog.at_level(logging.DEBUG):
        credential = store(zone, secrets)
        store(zone, secrets, credential=credential)
    logging.getLogger().removeHandler(handler)

    rows = [str(row) for model in apps.get_models() for row in model._base_manager.values()]
    secret_line = key.splitlines()[2]
    for text in (*rows, stream.getvalue(), repr(secrets), str(secrets), f"{secrets!r}", repr(credential)):
        assert CANARY not in text
        assert secret_line not in text
    assert any("root key" in row for row in rows)


def test_a_sealed_secret_is_different_every_time_and_opens_with_one_key_only():
    secret = CredentialSecret(username="root", password=CANARY)
    public = base64.b64encode(bytes(ZONE_KEY.public_key)).decode()

    one, other = seal(secret, public), seal(secret, public)

    assert one != other
    with pytest.raises(AuthError):
        unseal(one, base64.b64encode(bytes(PrivateKey.generate())).decode())


def test_replacing_a_credential_keeps_its_row(zone):
    credential = store(zone, PlainSecrets(password="old"))

    changed = store(zone, PlainSecrets(password="new"), credential=credential)

    assert changed.pk == credential.pk
    assert opened(Credential.objects.get()).password == "new"


def test_a_zone_without_key_takes_no_secret():
    with pytest.raises(ValidationError, match="no key yet"):
        store(create_zone("empty"), PlainSecrets(password=CANARY))


@pytest.mark.parametrize("key", ["x", "AAAA", base64.b64encode(b"k" * 31).decode(), "é" * 43])
def test_a_zone_key_that_is_none_is_refused(key):
    with pytest.raises(ValidationError):
        create_zone("office", key)


def test_a_zones_key_is_not_replaced_while_credentials_are_sealed_to_it(zone):
    store(zone, PlainSecrets(password="x"))

    with pytest.raises(ValidationError, match="sealed"):
        set_zone_key(zone, base64.b64encode(b"k" * 32).decode())
