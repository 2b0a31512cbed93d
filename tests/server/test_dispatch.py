"""Due rows become scans, scans become messages, and no host is ever visited twice at once."""

from __future__ import annotations

import json
import logging
import random
import threading
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, connections, transaction
from nacl.public import PrivateKey

from sandfly_web.inventory.models import Host, HostKey, JumpHost
from sandfly_web.inventory.services import pin_host_keys
from sandfly_web.scans.claims import claim_due
from sandfly_web.scans.dispatch import dispatch_due
from sandfly_web.scans.models import Plan, Scan, ScheduledHost
from scanners.contract import ScanJob, cancel_key, plan_key, zone_queue
from tests.server.builders import NOW, host_key_pin

pytestmark = pytest.mark.django_db


def jobs(redis, zone) -> list[ScanJob]:
    """The messages in a zone's queue, oldest first."""
    import base64

    import msgspec

    bodies = [json.loads(raw)["body"] for raw in redis.lrange(zone_queue(zone.name), 0, -1)]
    documents = [json.loads(base64.b64decode(body))[0][0] for body in bodies]
    return [msgspec.convert(document, ScanJob) for document in reversed(documents)]


def due(make, schedule, host, at=NOW):
    return ScheduledHost.objects.create(schedule=schedule, host=host, next_due_at=at)


# --- what is due ---------------------------------------------------------------------------------------------------


def test_a_due_host_is_scanned_and_due_again_an_interval_and_some_jitter_later(make, tick):
    make.rule()
    row = due(make, make.schedule(interval_s=3600, jitter_s=600), make.host())

    assert tick().claimed == 1

    row.refresh_from_db()
    assert timedelta(hours=1) < row.next_due_at - NOW < timedelta(hours=1, minutes=10)
    assert Scan.objects.get().schedule == row.schedule


def test_a_host_that_is_not_due_yet_is_left_alone(make, tick):
    make.rule()
    due(make, make.schedule(), make.host(), NOW + timedelta(seconds=1))

    assert tick().claimed == 0


def test_a_host_with_an_unfinished_scan_of_the_schedule_gets_no_second_one(make, tick):
    make.rule()
    schedule, host = make.schedule(), make.host()
    make.scan(host, schedule=schedule)
    row = due(make, schedule, host)

    assert tick().claimed == 0

    row.refresh_from_db()
    assert row.next_due_at > NOW


def test_an_inactive_host_and_a_schedule_that_is_off_scan_nothing(make, tick):
    make.rule()
    due(make, make.schedule(), make.host(is_active=False))
    due(make, make.schedule(is_enabled=False), make.host())

    assert tick().claimed == 0


def test_a_schedule_without_rules_says_so_and_does_not_stop_others(make, tick, caplog):
    make.rule()
    due(make, make.schedule(rule_types=["incident"], name="empty one"), make.host())
    due(make, make.schedule(), make.host())

    with caplog.at_level(logging.WARNING):
        assert tick().claimed == 1

    assert "schedule empty one scans nothing" in caplog.text


def test_scans_of_one_schedule_share_their_plan(make, tick):
    make.rule()
    schedule = make.schedule()
    for _ in range(3):
        due(make, schedule, make.host())

    tick()

    assert Plan.objects.count() == 1


def test_the_number_of_queries_does_not_depend_on_the_hosts(make, tick, settings):
    settings.DEBUG = True
    make.rule()
    schedule, zone = make.schedule(), make.zone()
    counts = []
    for number in (5, 200):
        for _ in range(number):
            due(make, schedule, make.host(zone))
        before = len(connection.queries_log)
        assert tick().sent == number
        counts.append(len(connection.queries_log) - before)

    # The second tick also follows the scans of the first; finding no plan to make saves it a query or two.
    assert abs(counts[1] - counts[0]) <= 4


def run_together(count, run):
    """The function in that many threads at once; what they return."""
    start, results = threading.Barrier(count), []

    def thread() -> None:
        start.wait()
        try:
            results.append(run())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=thread) for _ in range(count)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_two_dispatchers_at_once_send_every_host_once(make, redis, settings):
    settings.ZONE_QUEUE_LENGTH = 1000
    make.rule()
    schedule, zone = make.schedule(), make.zone()
    for _ in range(120):
        due(make, schedule, make.host(zone))

    for _ in range(3):
        ticks = run_together(2, lambda: dispatch_due(NOW, random.Random(1)))
        assert len(ticks) == 2

    sent = [job.scan_id for job in jobs(redis, zone)]
    assert len(sent) == len(set(sent)) == Scan.objects.count() == 120


@pytest.mark.django_db(transaction=True)
def test_rows_that_another_dispatcher_is_claiming_are_skipped(make, rng):
    make.rule()
    schedule = make.schedule()
    for _ in range(3):
        due(make, schedule, make.host())

    def claim_without_waiting() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        return claim_due(NOW, rng)

    with transaction.atomic():
        assert claim_due(NOW, rng) == 3
        others = run_together(1, claim_without_waiting)

    assert others == [0]
    assert Scan.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_dispatchers_at_once_do_not_overfill_a_queue(make, redis, settings):
    settings.ZONE_QUEUE_LENGTH = 10
    zone, plan = make.zone(), make.plan()
    for _ in range(40):
        make.scan(make.host(zone), plan=plan)

    for _ in range(3):
        run_together(3, lambda: dispatch_due(NOW, random.Random(1)))

    assert redis.llen(zone_queue(zone.name)) == 10


# --- what is sent --------------------------------------------------------------------------------------------------


def test_a_message_holds_what_a_worker_needs_and_no_readable_secret(make, tick, redis):
    host = make.host(port=2222, staging_directory="/opt/scan")
    pin_host_keys(host, f"ssh-ed25519 {host_key_pin().public_key}")
    HostKey.objects.create(
        host=host, key_type="x", public_key="y", fingerprint="z", status="rejected", first_seen_at=NOW, last_seen_at=NOW
    )
    scan = make.scan(host)

    tick()

    [job] = jobs(redis, host.zone)
    assert (job.scan_id, job.attempt, job.zone, job.plan_digest) == (str(scan.pk), 1, host.zone.name, scan.plan_id)
    assert (job.host.address, job.host.port, job.host.host_keys) == (host.address, 2222, [host_key_pin()])
    assert job.host.staging_directory == "/opt/scan"
    assert job.credentials[0].sealed == host.credential.sealed
    assert (job.expires_at, job.allow_new_host_key) == (scan.expires_at, False)


def test_the_plan_is_in_redis_longer_than_the_scan_lives(make, tick, redis):
    scan = make.scan(expires_at=NOW + timedelta(hours=5))

    tick()

    assert redis.get(plan_key(scan.plan_id)).decode() == scan.plan.body
    assert redis.ttl(plan_key(scan.plan_id)) > 5 * 3600


def test_a_scan_that_expires_sooner_does_not_shorten_a_shared_plans_life(make, tick, redis):
    plan = make.plan()
    make.scan(plan=plan, expires_at=NOW + timedelta(hours=5))
    tick()

    make.scan(plan=plan, expires_at=NOW + timedelta(minutes=5))
    tick()

    assert redis.ttl(plan_key(plan.pk)) > 5 * 3600


def test_jump_hosts_are_sent_first_hop_first(make, tick, redis):
    zone = make.zone()
    keys = f"ssh-ed25519 {host_key_pin().public_key}"
    common = {"zone": zone, "credential": make.credential(zone), "host_keys": keys}
    first = JumpHost.objects.create(name="first", address="a", **common)
    second = JumpHost.objects.create(name="second", address="b", via=first, **common)
    make.scan(make.host(zone, jump_host=second))

    tick()

    [job] = jobs(redis, zone)
    assert [jump.address for jump in job.host.jumps] == ["a", "b"]
    assert job.host.jumps[0].host_keys == [host_key_pin()]
    assert job.host.jumps[0].credential.sealed == common["credential"].sealed


def test_jump_hosts_in_a_loop_fail_the_scan_with_a_reason(make, tick):
    zone = make.zone()
    common = {"zone": zone, "credential": make.credential(zone), "address": "a", "host_keys": ""}
    first = JumpHost.objects.create(name="first", **common)
    first.via = JumpHost.objects.create(name="second", via=first, **common)
    first.save()
    scan = make.scan(make.host(zone, jump_host=first))

    tick()

    scan.refresh_from_db()
    assert (scan.status, scan.error_code) == ("failed", "jump_failed")


def test_a_host_without_credential_fails_and_the_others_are_sent(make, tick, redis):
    zone = make.zone()
    without = make.scan(make.host(zone, credential=None))
    make.scan(make.host(zone))

    tick()

    without.refresh_from_db()
    assert (without.status, without.error_code) == ("failed", "credential_missing")
    assert redis.llen(zone_queue(zone.name)) == 1


def test_a_credential_of_another_zone_is_never_sent(make, tick, redis):
    host = make.host()
    Host.objects.filter(pk=host.pk).update(credential=make.credential(make.zone()))
    scan = make.scan(host)

    tick()

    scan.refresh_from_db()
    assert scan.error_code == "credential_unsealable"
    assert not jobs(redis, host.zone)


def test_the_local_machine_needs_no_credential(make, tick, redis):
    host = make.host(transport="local", address="local")
    make.scan(host)

    tick()

    assert jobs(redis, host.zone)[0].host.transport == "local"


def test_urgent_scans_go_first_then_the_oldest(make, tick, redis, settings):
    settings.ZONE_QUEUE_LENGTH = 3
    zone, plan = make.zone(), make.plan()
    low, normal, later, high = (make.scan(make.host(zone), plan=plan, priority=priority) for priority in (0, 1, 1, 2))

    tick()

    assert [job.scan_id for job in jobs(redis, zone)] == [str(scan.pk) for scan in (high, normal, later)]
    low.refresh_from_db()
    assert low.dispatched_at is None


def test_one_scan_of_a_host_is_in_flight_at_a_time_the_most_urgent_first(make, tick, redis):
    host, plan = make.host(), make.plan()
    make.scan(host, plan=plan)
    urgent = make.scan(host, plan=plan, priority=2)

    assert [tick().sent, tick().sent] == [1, 0]

    assert [job.scan_id for job in jobs(redis, host.zone)] == [str(urgent.pk)]


def test_the_next_scan_of_a_host_goes_out_when_the_first_is_over(make, tick):
    host, plan = make.host(), make.plan()
    first, _ = make.scan(host, plan=plan), make.scan(host, plan=plan)
    tick()

    Scan.objects.filter(pk=first.pk).update(status="done")

    assert tick().sent == 1


def test_the_database_refuses_a_second_scan_in_flight(make):
    host, plan = make.host(), make.plan()
    make.scan(host, plan=plan, in_flight=True)

    with pytest.raises(IntegrityError), transaction.atomic():
        make.scan(host, plan=plan, in_flight=True)


def test_a_host_with_many_waiting_scans_does_not_hold_up_the_zone(make, tick, settings):
    settings.ZONE_QUEUE_LENGTH = 2
    zone, plan = make.zone(), make.plan()
    busy = make.host(zone)
    for _ in range(5):
        make.scan(busy, plan=plan)
    other = make.scan(make.host(zone), plan=plan)

    tick()

    other.refresh_from_db()
    assert other.dispatched_at == NOW


def test_a_full_zone_does_not_hold_up_another(make, tick, settings):
    settings.ZONE_QUEUE_LENGTH = 1
    full, plan = make.zone(), make.plan()
    make.scan(make.host(full), plan=plan, in_flight=True, dispatched_at=NOW)
    make.scan(make.host(full), plan=plan)
    other = make.scan(make.host(make.zone()), plan=plan)

    assert tick().sent == 1

    other.refresh_from_db()
    assert other.dispatched_at == NOW


def test_a_retry_waits_for_its_time(make, tick):
    scan = make.scan(not_before=NOW + timedelta(seconds=30))

    assert tick().sent == 0
    assert tick(NOW + timedelta(seconds=31)).sent == 1

    scan.refresh_from_db()
    assert scan.dispatched_at == NOW + timedelta(seconds=31)


# --- what ends -----------------------------------------------------------------------------------------------------


def test_a_scan_that_waited_too_long_expires(make, tick):
    scan = make.scan(expires_at=NOW)

    tick()

    scan.refresh_from_db()
    assert (scan.status, scan.error_code, scan.finished_at) == ("expired", "expired", NOW)


def test_a_sent_scan_that_nobody_began_expires_and_no_worker_begins_it(make, tick, redis):
    scan = make.scan(in_flight=True, expires_at=NOW)

    tick()

    scan.refresh_from_db()
    assert scan.status == "expired"
    assert redis.exists(cancel_key(str(scan.pk)))


def test_a_running_scan_gets_time_for_its_report_after_expiry(make, tick, settings):
    scan = make.scan(in_flight=True, status="running", heartbeat_at=NOW, expires_at=NOW - timedelta(seconds=5))

    tick()
    scan.refresh_from_db()
    assert scan.status == "running"

    tick(NOW + timedelta(seconds=settings.SCAN_SILENCE_S))
    scan.refresh_from_db()
    assert scan.status == "expired"


def test_cancelling_is_repeated_for_workers_that_redis_forgot_to_tell(make, tick, redis):
    scan = make.scan(in_flight=True, status="running", heartbeat_at=NOW, cancel_requested_at=NOW)

    tick()

    scan.refresh_from_db()
    assert scan.status == "running"
    assert redis.exists(cancel_key(str(scan.pk)))


def test_a_sent_scan_that_nobody_began_is_cancelled_at_once(make, tick):
    scan = make.scan(in_flight=True, dispatched_at=NOW, cancel_requested_at=NOW)

    tick()

    scan.refresh_from_db()
    assert (scan.status, scan.error_code) == ("cancelled", "cancelled")


# --- without a broker ----------------------------------------------------------------------------------------------


def test_without_redis_rows_stay_as_they_are_and_one_line_says_so(make, rng, settings, caplog):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    make.rule()
    row = due(make, make.schedule(), make.host())
    scan = make.scan(expires_at=NOW)

    with caplog.at_level(logging.WARNING):
        dispatch_due(NOW, rng)

    row.refresh_from_db()
    scan.refresh_from_db()
    assert (row.next_due_at, scan.status) == (NOW, "queued")
    assert [record.message.split(",")[0] for record in caplog.records] == ["the broker is away"]


def test_what_cannot_be_sent_waits_again(make, tick, redis, monkeypatch):
    zone, plan = make.zone(), make.plan()
    scans = [make.scan(make.host(zone), plan=plan) for _ in range(3)]
    sent = []

    def send(job, outgoing, producer):
        if sent:
            raise ConnectionError("gone")
        sent.append(job.scan_id)

    monkeypatch.setattr("sandfly_web.scans.dispatch._send", send)
    tick()

    waiting = Scan.objects.filter(dispatched_at__isnull=True)
    assert {str(scan.pk) for scan in waiting} == {str(scan.pk) for scan in scans} - set(sent)


def test_a_sealed_credential_opens_only_with_the_zones_key(make, tick, redis):
    import base64

    from sandfly_web.inventory.services import PlainSecrets, create_zone, store_credential
    from scanners.vault import unseal

    key = PrivateKey.generate()
    zone = create_zone("sealed", base64.b64encode(bytes(key.public_key)).decode())
    credential = store_credential(
        name="c", zone=zone, username="scan", secrets=PlainSecrets(password="pass-word"), become="sudo"
    )
    make.scan(make.host(zone, credential=credential))

    tick()

    [job] = jobs(redis, zone)
    secret = unseal(job.credentials[0], base64.b64encode(bytes(key)).decode())
    assert (secret.username, secret.password, secret.become) == ("scan", "pass-word", "sudo")


# --- whose turn it is ----------------------------------------------------------------------------------------------


def test_a_small_schedule_does_not_wait_for_a_large_one(make, tick, settings):
    settings.ZONE_QUEUE_LENGTH = 6
    make.rule()
    zone, large, small = make.zone(), make.schedule(), make.schedule()
    for _ in range(30):
        make.scan(make.host(zone), schedule=large)
    for _ in range(2):
        make.scan(make.host(zone), schedule=small)

    tick()

    sent = Scan.objects.filter(dispatched_at__isnull=False)
    assert (sent.filter(schedule=large).count(), sent.filter(schedule=small).count()) == (4, 2)


def test_batches_take_turns_too_and_priority_goes_before_turns(make, tick, settings):
    settings.ZONE_QUEUE_LENGTH = 4
    make.rule()
    zone, batches = make.zone(), [uuid.uuid4(), uuid.uuid4()]
    for batch in batches:
        for _ in range(5):
            make.scan(make.host(zone), batch=batch)
    urgent = [make.scan(make.host(zone), batch=batches[1], priority=Scan.Priority.HIGH) for _ in range(2)]

    tick()

    sent = Scan.objects.filter(dispatched_at__isnull=False)
    assert {scan.pk for scan in urgent} <= set(sent.values_list("pk", flat=True))
    rest = sent.exclude(priority=Scan.Priority.HIGH)
    assert sorted(rest.values_list("batch", flat=True)) == sorted(batches)


def test_a_zone_whose_queue_is_full_does_not_hold_up_another(make, tick, settings):
    settings.ZONE_QUEUE_LENGTH = 2
    make.rule()
    busy, idle = make.zone(), make.zone()
    for _ in range(10):
        make.scan(make.host(busy))
    late = make.scan(make.host(idle))

    assert tick().sent == 3

    late.refresh_from_db()
    assert late.dispatched_at is not None


@pytest.mark.parametrize(("reports", "sent"), [(0, 8), (50, 8), (75, 4), (100, 0), (400, 0)])
def test_fewer_visits_begin_while_reports_pile_up(make, tick, redis, settings, reports, sent):
    settings.ZONE_QUEUE_LENGTH, settings.INGEST_BACKLOG = 8, 100
    make.rule()
    zone = make.zone()
    for _ in range(10):
        make.scan(make.host(zone))
    for _ in range(reports):
        redis.rpush("ingest", "report")

    assert tick().sent == sent
