"""Sets of credentials, pairs made here, certificates, Vaults, and keys of jump hosts: what is kept and what is sent."""

from __future__ import annotations

import base64
import subprocess

import pytest
from django.core.exceptions import ValidationError
from nacl.public import PrivateKey

from sandfly_web.inventory.models import Credential, CredentialSet, CredentialSetEntry, Host, JumpHost
from sandfly_web.inventory.privatekeys import load_private_key, public_fingerprint
from sandfly_web.inventory.services import PlainSecrets, create_zone, store_credential
from sandfly_web.scans.ingest import ingest_report
from sandfly_web.scans.jobs import JobError, build_job, load_jumps, scans_for_jobs
from sandfly_web.scans.models import Scan
from scanners.contract import Failure, Outcome, SealedCredential, VaultEngine, encode
from scanners.vault import unseal
from tests.server.builders import NOW, host_key_pin, report

pytestmark = pytest.mark.django_db

ZONE_KEY = PrivateKey(bytes(range(32)))
CANARY = "canary-5f1e-do-not-show"


@pytest.fixture
def zone():
    return create_zone("office", base64.b64encode(bytes(ZONE_KEY.public_key)).decode())


def stored(zone, name="one", **secrets):
    return store_credential(name=name, zone=zone, username="scan", secrets=PlainSecrets(**secrets))


def opened(credential):
    return unseal(SealedCredential(sealed=credential.sealed), base64.b64encode(bytes(ZONE_KEY)).decode())


def job_of(scan):
    return build_job(scans_for_jobs(Scan.objects.all()).get(pk=scan.pk), load_jumps(scan.host.zone_id))


@pytest.fixture
def three(zone):
    made = [stored(zone, name, password=name) for name in "abc"]
    several = CredentialSet.objects.create(name="several", zone=zone)
    for position, credential in enumerate(made):
        CredentialSetEntry.objects.create(credential_set=several, credential=credential, position=position)
    return several, made


def sent(scan):
    return [int(credential.id) for credential in job_of(scan).credentials]


# --- sets ---


def test_credentials_of_a_set_are_sent_in_order_and_what_got_in_last_comes_first(make, zone, three):
    several, (a, b, c) = three
    host = make.host(zone, credential=None, credential_set=several)
    scan = make.scan(host, in_flight=True)
    before = sent(scan)

    assert ingest_report(encode(report(scan, credential=str(c.pk))), NOW)

    assert before == [a.pk, b.pk, c.pk]
    assert sent(make.scan(Host.objects.get(pk=host.pk))) == [c.pk, a.pk, b.pk]


def test_the_hosts_own_credential_comes_before_those_of_its_set_and_once(make, zone, three):
    several, (a, b, c) = three

    assert sent(make.scan(make.host(zone, credential=b, credential_set=several))) == [b.pk, a.pk, c.pk]


def test_a_set_without_credentials_and_a_set_of_another_zone_fail_with_a_reason(make, zone, three):
    empty = CredentialSet.objects.create(name="empty", zone=zone)
    foreign = make.host(create_zone("far"), credential=None, credential_set=three[0])

    for host, code in ((make.host(zone, credential=None, credential_set=empty), "credential_missing"),
                       (foreign, "credential_unsealable")):  # fmt: skip
        with pytest.raises(JobError) as raised:
            job_of(make.scan(host))
        assert raised.value.code == code


def test_only_a_set_that_says_so_lets_several_passwords_of_a_user_be_tried(make, zone, three):
    several, _ = three
    scan = make.scan(make.host(zone, credential=None, credential_set=several))
    before = job_of(scan).try_all_passwords
    several.try_all_passwords = True
    several.save()

    assert (before, job_of(scan).try_all_passwords) == (False, True)
    assert job_of(make.scan(make.host(zone, credential=several.credentials.first()))).try_all_passwords is False


@pytest.mark.parametrize("credential_id", ["", "x", "0", "999999", "9" * 200, "١"])
def test_a_credential_that_is_none_of_ours_is_not_remembered(make, zone, credential_id):
    host = make.host(zone)
    scan = make.scan(host, in_flight=True)

    assert ingest_report(encode(report(scan, credential=credential_id)), NOW)

    assert Host.objects.get(pk=host.pk).last_credential is None


# --- key pairs, certificates ---


@pytest.mark.parametrize(("kind", "line"), [("ed25519", "ssh-ed25519 AAAA"), ("rsa4096", "ssh-rsa AAAA")])
def test_of_a_pair_that_is_made_here_only_the_public_half_is_kept_readable(zone, kind, line):
    credential = stored(zone, "new key", generate=kind)

    private = opened(credential).private_key
    key = load_private_key(private, "")
    assert credential.public_key.startswith(line)
    assert credential.public_key.endswith(" new-key")
    assert credential.fingerprint == public_fingerprint(key)
    assert getattr(key, "key_size", 4096) == 4096
    assert private.splitlines()[1] not in str(Credential.objects.values().get())


def signed(tmp_path, validity="-1d:+1d", *options):
    for name in ("ca", "user"):
        if not (tmp_path / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    argv = ["ssh-keygen", "-q", "-s", tmp_path / "ca", "-I", "x", "-n", "scan", "-V", validity, *options]
    subprocess.run([*argv, tmp_path / "user.pub"], check=True)
    return (tmp_path / "user-cert.pub").read_text()


def test_a_certificate_is_kept_with_its_end(zone, tmp_path):
    text = signed(tmp_path, "20200101:20400101")

    credential = stored(zone, private_key=(tmp_path / "user").read_text(), certificate=text)

    assert (credential.kind, credential.expires_at.year) == ("certificate", 2039 + (credential.expires_at.month == 1))
    assert opened(credential).certificate == text.strip()


def test_a_certificate_without_an_end_has_none(zone, tmp_path):
    text = signed(tmp_path, "always:forever")

    assert stored(zone, private_key=(tmp_path / "user").read_text(), certificate=text).expires_at is None


def test_a_certificate_that_cannot_serve_is_refused_with_a_reason(zone, tmp_path):
    good = signed(tmp_path)
    key = (tmp_path / "user").read_text()
    expired = signed(tmp_path, "20200101:20200102")
    of_host = signed(tmp_path, "-1d:+1d", "-h")
    other = (tmp_path / "ca").read_text()

    for private_key, certificate, words in (
        (key, expired, "expired 2020-01-0"), (key, of_host, "of a host"), (other, good, "another key"),
        (key, (tmp_path / "user.pub").read_text(), "public key"), (key, CANARY, "not a certificate"),
        ("", good, "private key it belongs to"),
    ):  # fmt: skip
        with pytest.raises(ValidationError) as raised:
            stored(zone, private_key=private_key, certificate=certificate)
        assert words in str(raised.value)
        assert CANARY not in str(raised.value)


# --- Vault ---


def test_where_a_secret_lies_in_a_vault_is_sealed_like_a_secret(zone):
    credential = stored(
        zone, vault_url="https://vault.example.org:8200", vault_token=CANARY, vault_path="otp", vault_engine="ssh_otp"
    )

    source = opened(credential).vault
    assert (credential.kind, source.engine, source.mount, source.token) == ("vault", VaultEngine.SSH_OTP, "ssh", CANARY)
    assert CANARY not in str(Credential.objects.values().get())
    assert "vault.example.org" not in str(Credential.objects.values().get())


@pytest.mark.parametrize(
    "secrets",
    [
        {"vault_url": "http://vault.example.org"}, {"vault_url": "https://vault.example.org/v1/secret"},
        {"vault_url": "file:///etc/passwd"}, {"vault_url": "https://a@b"}, {"vault_token": ""}, {"vault_path": ""},
        {"vault_engine": "kv1"}, {"password": "x"}, {"generate": "ed25519"}, {"vault_path": "x" * 2000},
    ],
)  # fmt: skip
def test_a_vault_that_cannot_be_asked_is_refused(zone, secrets):
    good = {"vault_url": "https://vault.example.org", "vault_token": CANARY, "vault_path": "web"}

    with pytest.raises(ValidationError) as raised:
        stored(zone, **{**good, **secrets})

    assert CANARY not in str(raised.value)
    assert not Credential.objects.exists()


# --- jump hosts ---


def jump(zone, name, **fields):
    return JumpHost.objects.create(name=name, zone=zone, address=name, credential=zone.credentials.first(), **fields)


def known_line():
    pin = host_key_pin()
    return f"{pin.key_type} {pin.public_key}"


def test_the_key_of_a_jump_host_is_learned_once_where_that_is_allowed(make, zone, three):
    first = jump(zone, "first", host_keys="", accept_new_host_key=True)
    second = jump(zone, "second", via=first, host_keys="", accept_new_host_key=True)
    scan = make.scan(make.host(zone, jump_host=second), in_flight=True)
    asked = [hop.allow_new_host_key for hop in job_of(scan).host.jumps]

    ingest_report(encode(report(scan, presented_jump_keys=[host_key_pin(), host_key_pin()])), NOW)

    assert asked == [True, True]
    for row in JumpHost.objects.all():
        assert (row.host_keys, row.accept_new_host_key) == (known_line(), False)
    assert [hop.allow_new_host_key for hop in job_of(make.scan(scan.host)).host.jumps] == [False, False]


def test_a_jump_host_with_pinned_keys_or_without_leave_learns_nothing(make, zone, three):
    pinned = jump(zone, "pinned", host_keys="ssh-rsa AAAAB3NzaC1yc2E=", accept_new_host_key=True)
    strict = jump(zone, "strict", host_keys="", via=pinned)
    scan = make.scan(make.host(zone, jump_host=strict, accept_new_host_key=True), in_flight=True)
    asked = [hop.allow_new_host_key for hop in job_of(scan).host.jumps]

    ingest_report(encode(report(scan, presented_jump_keys=[host_key_pin(), host_key_pin()])), NOW)

    assert asked == [False, False]
    pinned.refresh_from_db()
    strict.refresh_from_db()
    assert (pinned.host_keys, strict.host_keys) == ("ssh-rsa AAAAB3NzaC1yc2E=", "")


def test_keys_of_a_visit_that_took_another_way_are_not_kept(make, zone, three):
    only = jump(zone, "only", host_keys="", accept_new_host_key=True)
    failure = Failure(code="auth_rejected", message="no")

    for keys in ([], [host_key_pin(), host_key_pin()]):
        again = make.scan(make.host(zone, jump_host=only), in_flight=True)
        failed = report(again, outcome=Outcome.FAILED, failure=failure, presented_jump_keys=keys)
        ingest_report(encode(failed), NOW)

    only.refresh_from_db()
    assert only.host_keys == ""
