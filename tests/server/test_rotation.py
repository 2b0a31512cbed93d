"""A zone gets a new key: the worker seals anew, and whatever is cut short, everything can still be opened."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec
import pytest
from django.core.management import CommandError, call_command

import scanners.tasks
from sandfly_web.celery import app
from sandfly_web.inventory.models import Zone
from sandfly_web.inventory.rotation import build_request, store_rekeyed
from sandfly_web.inventory.services import PlainSecrets, create_zone, store_credential
from scanners import vault
from scanners.contract import REKEYED_TASK, ROTATE_TASK, Rekeyed, SealedCredential, encode, prove_rekeyed
from scanners.vault import KEY_FILE_VARIABLE, generate_keypair, read_zone_key, rotate_key_file, write_private_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def key_file(tmp_path, monkeypatch):
    path = tmp_path / "zone.key"
    write_private_key(path, generate_keypair()[0])
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(path))
    return path


@pytest.fixture
def zone(key_file):
    made = create_zone("office", read_zone_key(key_file).public_key)
    for name in ("one", "two"):
        store_credential(name=name, zone=made, username="root", secrets=PlainSecrets(password=f"canary {name}"))
    return made


@pytest.fixture
def answers(monkeypatch):
    """What the worker sends home."""
    sent = []

    def keep(name, args, queue):
        assert (name, queue) == (REKEYED_TASK, "ingest")
        sent.append(args[0])

    monkeypatch.setattr(scanners.tasks.app, "send_task", keep)
    return sent


def passwords(zone, key_file):
    key = read_zone_key(key_file)
    return [key.unseal(SealedCredential(sealed=row.sealed)).password for row in zone.credentials.order_by("name")]


def rotate(zone):
    scanners.tasks.rotate_key(encode(build_request(zone)).decode())


def test_all_credentials_are_sealed_to_the_new_key_and_open_with_it_alone(zone, key_file, answers):
    old = zone.public_key
    rotate(zone)

    assert store_rekeyed(answers[0])

    zone.refresh_from_db()
    new_line, old_line = key_file.read_text().split()
    key_file.write_text(new_line + "\n")
    assert zone.public_key == read_zone_key(key_file).public_key != old
    assert passwords(zone, key_file) == ["canary one", "canary two"]
    assert old_line != new_line
    assert "canary" not in answers[0]
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_a_rotation_that_was_cut_short_is_done_by_running_it_again(zone, key_file, answers):
    rotate(zone)
    lost = answers.pop()
    assert passwords(zone, key_file) == ["canary one", "canary two"]

    rotate(zone)

    assert len(key_file.read_text().split()) == 2
    assert store_rekeyed(answers[0])
    assert not store_rekeyed(lost)
    assert not store_rekeyed(answers[0])
    assert passwords(zone, key_file) == ["canary one", "canary two"]


def test_a_credential_that_was_changed_meanwhile_keeps_its_new_secret(zone, key_file, answers):
    rotate(zone)
    row = zone.credentials.get(name="two")
    store_credential(name="two", zone=zone, username="root", secrets=PlainSecrets(password="newer"), credential=row)

    assert store_rekeyed(answers[0])

    assert passwords(zone, key_file) == ["canary one", "newer"]


def test_a_worker_without_the_zones_key_changes_nothing(zone, key_file, answers):
    before = list(zone.credentials.values_list("sealed"))
    key_file.unlink()
    write_private_key(key_file, generate_keypair()[0])
    text = key_file.read_text()

    rotate(zone)

    assert not store_rekeyed(answers[0])
    assert key_file.read_text() == text
    assert list(zone.credentials.values_list("sealed")) == before


def test_one_credential_that_cannot_be_opened_keeps_the_whole_zone_as_it_is(zone, key_file, answers):
    zone.credentials.filter(name="two").update(sealed="AAAA")
    rotate(zone)

    assert not store_rekeyed(answers[0])
    assert Zone.objects.get().public_key == zone.public_key


@pytest.mark.parametrize("answer", ["", "{}", "[]", '{"zone":"office","old_public_key":"x","public_key":"y"}'])
def test_an_answer_that_is_none_changes_nothing(zone, answer):
    assert not store_rekeyed(answer)
    assert Zone.objects.get().public_key == zone.public_key


def test_an_answer_of_somebody_who_does_not_hold_the_zones_key_changes_nothing(zone, answers):
    """A stolen worker of another zone can write to the broker, and public keys are no secret."""
    old, theirs = zone.public_key, generate_keypair()[1]
    plain = Rekeyed(zone="office", old_public_key=old, public_key=theirs)
    rotate(zone)
    swapped = msgspec.structs.replace(msgspec.json.decode(answers[0], type=Rekeyed), public_key=theirs)

    for forged in (plain, msgspec.structs.replace(plain, proof=prove_rekeyed(b"", plain)), swapped):
        assert not store_rekeyed(encode(forged).decode())

    assert Zone.objects.get().public_key == old


def test_two_requests_at_once_make_one_key(zone, key_file, monkeypatch):
    both = threading.Barrier(2)

    def generate():
        with suppress(threading.BrokenBarrierError):
            both.wait(0.3)
        return generate_keypair()

    monkeypatch.setattr(vault, "generate_keypair", generate)
    with ThreadPoolExecutor(2) as pool:
        keys = list(pool.map(lambda _: rotate_key_file(key_file, zone.public_key).public_keys, range(2)))

    assert keys[0] == keys[1] == read_zone_key(key_file).public_keys
    assert keys[0][1:] == [zone.public_key]


def test_the_command_waits_for_the_worker(zone, key_file, answers, monkeypatch, capsys):
    def work(name, args, queue, expires):
        assert (name, queue) == (ROTATE_TASK, "zone.office")
        scanners.tasks.rotate_key(args[0])
        store_rekeyed(answers[0])

    monkeypatch.setattr(app, "send_task", work)

    call_command("zone", "rotate-key", "office")

    assert "2 credentials are sealed to it" in capsys.readouterr().out


def test_the_command_says_when_no_worker_answers(zone, monkeypatch):
    monkeypatch.setattr(app, "send_task", lambda *_args, **_keywords: None)

    with pytest.raises(CommandError, match="still has its key"):
        call_command("zone", "rotate-key", "office", "--timeout", "0.3")
    with pytest.raises(CommandError, match="no zone"):
        call_command("zone", "rotate-key", "elsewhere")


def test_a_key_file_that_was_made_ready_by_hand_is_taken(zone, key_file, answers):
    prepared = rotate_key_file(key_file).public_key

    rotate(zone)

    assert store_rekeyed(answers[0])
    assert Zone.objects.get().public_key == prepared
