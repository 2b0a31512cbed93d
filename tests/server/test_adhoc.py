"""Scans of hosts outside the inventory: their credential lives as long as they do."""

from __future__ import annotations

import base64

import msgspec
import pytest
from django.core.exceptions import ValidationError
from nacl.public import PrivateKey, SealedBox

from sandfly_web.inventory.models import Credential, Host
from sandfly_web.inventory.services import PlainSecrets, create_zone
from sandfly_web.scans.adhoc import AdHoc, OneTime, forget_credentials, request_adhoc
from sandfly_web.scans.jobs import build_job, scans_for_jobs
from sandfly_web.scans.models import Scan, ScanBatch
from sandfly_web.scans.schedules import schedule_hosts
from sandfly_web.scans.services import RuleChoice, cancel_all, request_scans
from scanners.contract import CredentialSecret

pytestmark = pytest.mark.django_db
CANARY = "canary-4f1d"


@pytest.fixture
def zone_key():
    return PrivateKey.generate()


@pytest.fixture
def zone(zone_key):
    return create_zone("edge", base64.b64encode(bytes(zone_key.public_key)).decode())


def wanted(zone, *targets, **fields):
    return AdHoc(targets, zone, OneTime("root", PlainSecrets(password=CANARY)), **fields)


def test_the_workers_get_the_one_time_credential_and_nothing_else_holds_it(make, zone, zone_key):
    make.rule()

    request_adhoc(wanted(zone, "10.9.0.1", "10.9.0.2:2222"), RuleChoice())

    jobs = [build_job(scan, {}) for scan in scans_for_jobs(Scan.objects.all())]
    opened = [SealedBox(zone_key).decrypt(base64.b64decode(job.credentials[0].sealed)) for job in jobs]
    assert {msgspec.json.decode(text, type=CredentialSecret).password for text in opened} == {CANARY}
    assert sorted((job.host.address, job.host.port) for job in jobs) == [("10.9.0.1", 22), ("10.9.0.2", 2222)]
    assert not Credential.objects.exists()
    assert CANARY not in ScanBatch.objects.get().sealed


def test_the_hosts_are_of_no_concern_to_schedules(make, zone):
    make.rule()

    request_adhoc(wanted(zone, "10.9.0.1"), RuleChoice())

    host = Host.objects.get()
    assert (host.origin, host.is_active) == ("ad_hoc", False)
    assert not schedule_hosts(make.schedule()).exists()


def test_a_host_that_is_there_is_scanned_with_the_one_time_credential_and_stays_as_it_is(make, zone):
    make.rule()
    known = make.host(zone, address="10.9.0.1")

    request_adhoc(wanted(zone, "10.9.0.1"), RuleChoice())

    scan = Scan.objects.get()
    assert (scan.host, scan.host.origin, scan.host.is_active) == (known, "added", True)
    assert build_job(scans_for_jobs(Scan.objects.all()).get(), {}).credentials[0].sealed != known.credential.sealed


def test_the_credential_is_forgotten_with_the_last_scan(make, zone, redis):
    make.rule()
    batch = request_adhoc(wanted(zone, "10.9.0.1", "10.9.0.2"), RuleChoice())
    Scan.objects.filter(pk=batch.scans[0].pk).update(status="done")

    assert forget_credentials() == 0
    cancel_all(Scan.objects.all())
    assert forget_credentials() == 1

    assert ScanBatch.objects.get().sealed == ""


def test_other_scans_of_such_a_host_do_not_get_its_credential(make, zone):
    from sandfly_web.scans.jobs import JobError

    make.rule()
    request_adhoc(wanted(zone, "10.9.0.1"), RuleChoice())
    later = request_scans([Host.objects.get()], RuleChoice())

    with pytest.raises(JobError, match="no credential"):
        build_job(scans_for_jobs(Scan.objects.filter(batch=later.id)).get(), {})


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["10.0.0.0/20"], "at most 1000"),
        (["root@10.0.0.1"], "user name"),
        (["local"], "own machine"),
        (["nothing here"], "is no host"),
        ([], "no host"),
    ],
)
def test_targets_that_cannot_be_are_refused_and_leave_nothing(make, zone, targets, said):
    make.rule()

    with pytest.raises(ValidationError, match=said):
        request_adhoc(wanted(zone, *targets), RuleChoice())

    assert not Host.objects.exists()
    assert not ScanBatch.objects.exists()


def test_an_unreadable_key_is_refused_without_repeating_it(make, zone):
    make.rule()
    secrets = PlainSecrets(private_key=f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}")

    with pytest.raises(ValidationError) as raised:
        request_adhoc(AdHoc(["10.9.0.1"], zone, OneTime("root", secrets)), RuleChoice())

    assert CANARY not in str(raised.value)
