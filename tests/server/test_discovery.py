"""Sweeps over networks: parts, enrolling, hosts that move, clones, hosts that stay away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from sandfly_web.inventory.discovery import ingest, services
from sandfly_web.inventory.discovery.identity import Facts, Verdict, judge, twins_of
from sandfly_web.inventory.discovery.ranges import RangeError, parse_ranges, take
from sandfly_web.inventory.models import CredentialSet, Discovery, Host, HostKey, JumpHost, Sweep, Tag
from sandfly_web.inventory.services import pin_host_keys
from sandfly_web.scans.models import Scan
from scanners.contract import DISCOVER_TASK, Answer, DiscoverReport, Failure, Profile, encode
from tests.server.builders import NOW, failed, host_key_pin, report

MINUTE = timedelta(minutes=1)


# --- networks as numbers -------------------------------------------------------------------------------------------


def test_a_network_of_any_size_is_cut_without_being_written_out():
    spans = parse_ranges("10.0.0.0/8", "10.0.0.0/24")

    assert sum(span.count for span in spans) == 2**24 - 256 - 1
    assert take(spans, 0, 2) == ["10.0.1.0", "10.0.1.1"]
    assert take(spans, 16_000_000, 2) == ["10.244.37.0", "10.244.37.1"]


def test_lines_are_networks_addresses_and_spans_each_address_once():
    spans = parse_ranges("192.0.2.4-192.0.2.6 # lab\n192.0.2.5\n192.0.2.8/31\n2001:db8::/126\n")

    assert take(spans, 0, 99) == [
        "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.8", "192.0.2.9",
        "2001:db8::", "2001:db8::1", "2001:db8::2", "2001:db8::3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.0/33", "line 1"),
        ("\nweb1", "line 2"),
        ("10.0.0.9-10.0.0.1", "lower address"),
        ("::/64", "at most"),
        ("10.0.0.1-2001:db8::1", "lower address"),
    ],
)
def test_what_is_no_network_is_named_by_its_line(text, said):
    with pytest.raises(RangeError, match=said):
        parse_ranges(text)


OFFSETS = st.tuples(st.integers(0, 250), st.integers(0, 5))


@given(
    wanted=st.lists(OFFSETS, min_size=1, max_size=6), excluded=st.lists(OFFSETS, max_size=4), size=st.integers(1, 40)
)
def test_parts_are_the_whole_without_what_is_excluded(wanted, excluded, size):
    def lines(spans):
        return "\n".join(f"10.0.0.{first}-10.0.0.{min(255, first + more)}" for first, more in spans)

    def numbers(spans):
        return {number for first, more in spans for number in range(first, min(255, first + more) + 1)}

    spans = parse_ranges(lines(wanted), lines(excluded))
    total = sum(span.count for span in spans)
    parts = [take(spans, position, size) for position in range(0, total, size)]

    expected = sorted(numbers(wanted) - numbers(excluded))
    assert [address for part in parts for address in part] == [f"10.0.0.{number}" for number in expected]


# --- who is who ----------------------------------------------------------------------------------------------------

ONE = Facts("a" * 32, "boot-1", "web1")


@pytest.mark.parametrize(
    ("known", "found", "there", "verdict"),
    [
        ("a" * 32, ONE, None, Verdict.MOVED),
        ("", ONE, None, Verdict.MOVED),
        ("a" * 32, ONE, Facts("b" * 32, "boot-2", "x"), Verdict.MOVED),
        ("a" * 32, ONE, ONE, Verdict.SECOND_ADDRESS),
        ("a" * 32, ONE, Facts("a" * 32, "boot-2", "web1"), Verdict.CLONE),
        ("a" * 32, ONE, Facts("a" * 32, "boot-1", "web2"), Verdict.CLONE),
        ("a" * 32, ONE, Facts("a" * 32, "", ""), Verdict.CLONE),
        ("b" * 32, ONE, None, Verdict.OTHER),
    ],
)
def test_one_key_at_two_addresses_is_judged_by_machine_id_and_boot(known, found, there, verdict):
    assert judge(known, found, there) == verdict


# --- sweeps --------------------------------------------------------------------------------------------------------


@pytest.fixture
def zone(make):
    return make.zone("edge")


@pytest.fixture
def discovery(make, zone):
    made = Discovery.objects.create(name="office", zone=zone, ranges="10.0.0.0/29", rate_per_s=1000)
    made.credentials.add(make.credential(zone))
    return made


def profile(name="web1", machine="a", boot="1"):
    boot_id = f"{boot * 8}-0000-0000-0000-000000000000"
    return Profile(hostname=name, machine_id=machine * 32, boot_id=boot_id, os_name="Debian", arch="amd64")


def answer(last, key="a", **fields):
    fields.setdefault("profile", profile())
    return Answer(address=f"10.0.0.{last}", banner="SSH-2.0-OpenSSH_9.2", host_key=host_key_pin(key), **fields)


@pytest.fixture
def look(discovery, monkeypatch, django_capture_on_commit_callbacks):
    """A whole sweep in which these answer (`confirming` in its last part); gives the sweep and the jobs."""
    import msgspec

    from scanners.contract import DiscoverJob

    jobs = []

    def keep(name, args, **_options):
        assert name == DISCOVER_TASK
        jobs.append(msgspec.convert(args[0], DiscoverJob))

    monkeypatch.setattr(services.app, "send_task", keep)

    def run(*answers, confirming=(), at=NOW):
        jobs.clear()
        Discovery.objects.update(next_sweep_at=at)
        given = list(answers)
        while True:
            with django_capture_on_commit_callbacks(execute=True):
                sent = services.advance(at)
            if not sent:
                break
            job = jobs[-1]
            given = list(confirming) if Sweep.objects.get(pk=job.sweep_id).is_confirming else given
            wanted = {sought.address for sought in job.sought}
            used = str(discovery.credentials.get().pk)
            told = [msgspec.structs.replace(one, credential=used) for one in given if one.address in wanted]
            done = DiscoverReport(
                sweep_id=job.sweep_id, part=job.part, attempt=job.attempt, started_at=at, finished_at=at, answers=told
            )
            assert ingest.store_report(encode(done), at)
        return Sweep.objects.first(), list(jobs)

    return run


pytestmark = pytest.mark.django_db


def test_what_lets_in_is_enrolled_with_key_credential_tags_and_facts(make, discovery, look):
    schedule = make.schedule()
    schedule.host_tags.add(Tag.objects.create(name="nightly"))
    discovery.tags.add(Tag.objects.create(name="office"))
    discovery.schedules.add(schedule)

    sweep, _ = look(answer(2))

    host = Host.objects.get()
    assert (host.name, host.address, host.state, host.origin) == ("web1", "10.0.0.2", "active", "discovered")
    assert (host.credential, host.machine_id) == (discovery.credentials.get(), "a" * 32)
    assert {tag.name for tag in host.tags.all()} == {"office", "nightly"}
    assert [(key.public_key, key.status) for key in host.host_keys.all()] == [(host_key_pin("a").public_key, "pinned")]
    assert (sweep.status, sweep.answered, sweep.enrolled, sweep.position) == ("done", 1, 1, 6)


def test_what_does_not_let_in_is_told_with_the_reason(look):
    refused = answer(3, profile=None, failure=Failure(code="auth_rejected", message="no credential fits"))

    sweep, _ = look(refused)

    assert not Host.objects.exists()
    assert [(fault["address"], fault["reason"]) for fault in sweep.faults] == [("10.0.0.3", "no credential fits")]


def test_large_networks_go_out_in_parts_of_a_minute(discovery, look):
    Discovery.objects.update(ranges="10.0.0.0/24", rate_per_s=1)

    sweep, jobs = look()

    assert [len(job.sought) for job in jobs] == [60, 60, 60, 60, 14]
    assert sweep.position == sweep.total == 254


def test_a_known_host_is_not_signed_in_to_again(look):
    look(answer(2))

    sweep, jobs = look(answer(2, profile=None), at=NOW + MINUTE)

    (sought,) = [sought for sought in jobs[0].sought if sought.address == "10.0.0.2"]
    assert (sought.sign_in, sought.host_keys) == (False, [host_key_pin("a")])
    assert (sweep.enrolled, Host.objects.count()) == (0, 1)


def test_a_host_that_shows_another_key_is_not_signed_in_to_but_visited_for_a_verdict(make, look):
    make.rule()
    look(answer(2))

    look(answer(2, key="z", profile=None), at=NOW + MINUTE)

    assert Scan.objects.get().host == Host.objects.get()


def test_a_host_at_a_new_address_is_the_same_host(look):
    look(answer(2))
    known = Host.objects.get()

    sweep, jobs = look(answer(5), confirming=[answer(5)], at=NOW + MINUTE)

    host = Host.objects.get()
    assert (host.pk, host.address, host.state) == (known.pk, "10.0.0.5", "active")
    assert "moved here from 10.0.0.2:22" in host.state_reason
    assert {sought.address for sought in jobs[-1].sought} == {"10.0.0.2", "10.0.0.5"}
    assert (sweep.moved, sweep.enrolled) == (1, 0)


def test_two_that_are_alive_at_once_are_clones_and_stay_two(look):
    look(answer(2))

    copy = answer(5, profile=profile("web2", boot="2"))
    look(answer(2, profile=None), copy, confirming=[answer(2), copy], at=NOW + MINUTE)

    first, second = Host.objects.order_by("address")
    assert (first.address, second.address) == ("10.0.0.2", "10.0.0.5")
    assert [(twin.host, twin.shares) for twin in twins_of(first)] == [(second, "SSH host key and machine-id")]


def test_one_system_with_two_addresses_is_one_host(look):
    look(answer(2))

    look(answer(2, profile=None), answer(5), confirming=[answer(2), answer(5)], at=NOW + MINUTE)

    assert Host.objects.get().other_addresses == ["10.0.0.5:22"]


def test_two_hosts_may_swap_their_addresses(look):
    other = profile("db1", machine="b")
    look(answer(2), answer(3, key="b", profile=other))
    web, db = Host.objects.order_by("address")
    swapped = [answer(2, key="b", profile=other), answer(3)]

    look(*[msg_without_profile(one) for one in swapped], confirming=swapped, at=NOW + MINUTE)

    web.refresh_from_db()
    db.refresh_from_db()
    assert (web.address, db.address) == ("10.0.0.3", "10.0.0.2")
    assert Host.objects.count() == 2


def msg_without_profile(one):
    import msgspec

    return msgspec.structs.replace(one, profile=None)


def test_a_host_whose_address_another_one_took_is_kept_without_address(look):
    look(answer(2), answer(3, key="b", profile=profile("db1", machine="b")))
    moved = answer(2, key="b", profile=profile("db1", machine="b"))

    look(msg_without_profile(moved), confirming=[moved], at=NOW + MINUTE)

    web = Host.objects.get(name="web1")
    assert (web.state, web.address) == ("offline", f"{web.pk}.invalid")
    assert "another host answers at its address 10.0.0.2:22" in web.state_reason
    assert Host.objects.get(name="db1").address == "10.0.0.2"


def test_an_image_with_one_key_and_own_machine_ids_makes_hosts_of_their_own(look):
    look(answer(2), answer(3, profile=profile("web2", machine="c")))

    assert Host.objects.count() == 2


def test_a_silent_host_is_offline_with_the_reason_and_retired_in_the_end(discovery, look):
    Discovery.objects.update(retire_after_hours=24)
    look(answer(2))

    look(at=NOW + MINUTE)
    host = Host.objects.get()
    assert (host.state, host.offline_since, host.retired_at) == ("offline", NOW + MINUTE, None)
    assert "did not answer when discovery office looked" in host.state_reason
    look(at=NOW + timedelta(hours=25))

    host.refresh_from_db()
    assert host.offline_since == NOW + MINUTE
    assert host.retired_at is not None


def test_a_retired_host_is_not_visited_and_comes_back_when_it_is_seen(make, discovery, look):
    from sandfly_web.scans.schedules import schedule_hosts

    schedule = make.schedule()
    look(answer(2))
    Host.objects.update(retired_at=NOW, state="offline", offline_since=NOW)
    assert not schedule_hosts(schedule).exists()

    look(answer(2), at=NOW + MINUTE)

    host = Host.objects.get()
    assert (host.state, host.retired_at, host.offline_since) == ("active", None, None)
    assert schedule_hosts(schedule).exists()


def test_the_address_of_a_retired_host_may_be_anothers(look):
    look(answer(2))
    Host.objects.update(retired_at=NOW)

    look(answer(2, key="n", profile=profile("new1", machine="d")), at=NOW + MINUTE)

    assert Host.objects.get(address="10.0.0.2").name == "new1"
    assert Host.objects.get(name="web1").address.endswith(".invalid")


def test_a_visit_that_gets_in_brings_a_retired_host_back(make, ingest):
    host = make.host(retired_at=NOW, offline_since=NOW)

    ingest(report(make.scan(host, in_flight=True)))

    host.refresh_from_db()
    assert (host.retired_at, host.offline_since) == (None, None)


def test_offline_since_is_the_first_visit_that_failed(make, ingest):
    host = make.host()
    for minutes in (0, 30):
        scan = make.scan(host, in_flight=True)
        at = NOW + timedelta(minutes=minutes)
        ingest(failed(scan, "timeout", finished_at=at), at)
        Scan.objects.update(status="failed")

    host.refresh_from_db()
    assert (host.state, host.offline_since) == ("offline", NOW)


def test_hosts_that_others_added_are_never_taken_for_offline_by_a_sweep(make, zone, look):
    mine = make.host(zone, address="10.0.0.4")

    look()

    mine.refresh_from_db()
    assert mine.state == "new"


# --- through jump hosts, with sets of credentials ---


@pytest.fixture
def jump(make, zone, discovery):
    first = JumpHost.objects.create(name="j1", zone=zone, address="192.0.2.1", credential=make.credential(zone))
    pin = host_key_pin("j")
    second = JumpHost.objects.create(
        name="j2", zone=zone, address="192.0.2.2", credential=make.credential(zone), via=first,
        host_keys=f"{pin.key_type} {pin.public_key}", accept_new_host_key=True,
    )  # fmt: skip
    several = CredentialSet.objects.create(name="several", zone=zone, try_all_passwords=True)
    for position in (0, 1):
        several.entries.create(credential=make.credential(zone), position=position)
    discovery.jump_host, discovery.credential_set = second, several
    discovery.save()
    return second


def test_a_sweep_goes_over_the_jump_hosts_and_hosts_are_visited_the_same_way(discovery, jump, look):
    sweep, jobs = look(answer(2))

    job, host = jobs[0], Host.objects.get()
    assert [hop.address for hop in job.jumps] == ["192.0.2.1", "192.0.2.2"]
    # A sweep learns no key of a jump host.
    assert [(len(hop.host_keys), hop.allow_new_host_key) for hop in job.jumps] == [(0, False), (1, False)]
    own, several = discovery.credentials.get(), [entry.credential for entry in discovery.credential_set.entries.all()]
    assert [sealed.id for sealed in job.credentials] == [str(one.pk) for one in (own, *several)]
    assert job.try_all_passwords is True
    assert (host.jump_host, host.credential_set, host.credential) == (jump, discovery.credential_set, own)
    assert sweep.enrolled == 1


def test_the_credential_of_a_set_that_got_in_is_the_hosts(discovery, jump, look):
    one = discovery.credential_set.entries.last().credential
    discovery.credentials.set([one])

    _, jobs = look(answer(2))

    assert Host.objects.get().credential == one
    assert len(jobs[0].credentials) == 2


def test_a_host_reached_another_way_is_not_taken_for_one_that_moved(discovery, jump, look):
    look(answer(2))
    Host.objects.update(jump_host=None)

    sweep, jobs = look(answer(5, profile=profile(boot="2")), at=NOW + MINUTE)

    assert not any(sought.host_keys and sought.sign_in for job in jobs for sought in job.sought)
    assert sorted(Host.objects.values_list("address", flat=True)) == ["10.0.0.2", "10.0.0.5"]
    assert sweep.moved == 0


def test_hosts_behind_a_jump_host_that_stay_silent_are_offline(discovery, jump, look):
    look(answer(2))
    look(at=NOW + MINUTE)

    assert Host.objects.get().state == "offline"


def test_jump_hosts_in_a_loop_end_the_sweep_with_the_reason(discovery, jump, monkeypatch):
    JumpHost.objects.filter(name="j1").update(via=jump)
    monkeypatch.setattr(services.app, "send_task", pytest.fail)
    Discovery.objects.update(next_sweep_at=NOW)

    assert services.advance(NOW) == 0

    assert Sweep.objects.get().status == "failed"
    assert "loop" in Sweep.objects.get().reason


def test_a_host_of_the_inventory_without_pinned_key_is_sent_no_secret(make, zone, look):
    make.host(zone, address="10.0.0.4")

    _, jobs = look()

    assert [sought.sign_in for sought in jobs[0].sought if sought.address == "10.0.0.4"] == [False]


def test_a_report_nobody_waits_for_is_dropped(discovery, look):
    sweep, jobs = look(answer(2))
    again = DiscoverReport(
        sweep_id=sweep.pk, part=jobs[0].part, attempt=1, started_at=NOW, finished_at=NOW, answers=[answer(4, key="q")]
    )

    assert not ingest.store_report(encode(again), NOW)
    assert not ingest.store_report(b"{", NOW)
    assert Host.objects.count() == 1


def test_a_lost_part_is_sent_again_and_given_up_with_the_reason(discovery, monkeypatch):
    monkeypatch.setattr(services.app, "send_task", lambda *_args, **_options: None)
    at = NOW
    for _ in range(4):
        services.advance(at)
        at += timedelta(hours=1)

    sweep = Sweep.objects.last()
    assert (sweep.status, sweep.reason) == ("failed", "no worker of zone edge looked at part 1")


def test_one_sweep_at_a_time_and_a_cancelled_one_ends(discovery, redis):
    sweep = services.start_sweep(discovery, NOW)
    with pytest.raises(ValidationError, match="under way"):
        services.start_sweep(discovery, NOW)

    services.cancel_sweep(sweep, NOW)

    assert redis.exists(f"sandfly:scan:sweep-{sweep.pk}:cancel")
    assert Sweep.objects.get().status == "cancelled"
    with pytest.raises(ValidationError, match="over"):
        services.cancel_sweep(sweep, NOW)


def test_answers_outside_what_was_sought_are_left_out(look, discovery):
    stranger = Answer(address="192.0.2.1", host_key=host_key_pin("s"), profile=profile("evil"))
    sweep = services.start_sweep(discovery, NOW)
    Sweep.objects.update(attempt=1)
    done = DiscoverReport(
        sweep_id=sweep.pk, part=0, attempt=1, started_at=NOW, finished_at=NOW, answers=[stranger, answer(2)]
    )

    assert ingest.store_report(encode(done), NOW)

    assert [host.address for host in Host.objects.all()] == ["10.0.0.2"]


def test_hosts_with_a_shared_key_are_shown_to_each_other(make):
    first, second = make.host(machine_id="a" * 32), make.host(machine_id="b" * 32)
    for host in (first, second):
        pin = host_key_pin("shared")
        pin_host_keys(host, f"{pin.key_type} {pin.public_key}")

    assert HostKey.objects.count() == 2
    assert [(twin.host, twin.shares) for twin in twins_of(first)] == [(second, "SSH host key")]
