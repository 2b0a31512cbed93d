"""What a schedule visits when: spreading, blackouts, drawn rules, limits; pausing, going on and aborting."""

from __future__ import annotations

from datetime import time, timedelta
from itertools import pairwise

import pytest
from django.core.exceptions import ValidationError

from sandfly_web.inventory.services import set_tags
from sandfly_web.scans.jobs import build_job, scans_for_jobs
from sandfly_web.scans.models import Scan, ScheduledHost
from sandfly_web.scans.schedules import (
    abort_schedule,
    plan_for_schedule,
    replan_schedule,
    resume_schedule,
    rules_of,
    run_schedule_now,
    sync_schedule,
)
from sandfly_web.scans.services import pause
from scanners.contract import cancel_key
from tests.server.builders import NOW

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def due_times(schedule):
    return list(ScheduledHost.objects.filter(schedule=schedule).order_by("pk").values_list("next_due_at", flat=True))


def hosts(make, number):
    zone = make.zone()
    return [make.host(zone) for _ in range(number)]


# --- spreading -----------------------------------------------------------------------------------------------------


def test_spread_hosts_find_their_places_over_the_whole_interval_after_their_first_visit(make, tick, rng):
    make.rule()
    schedule = make.schedule(interval_s=86400, jitter_s=60)
    hosts(make, 48)
    sync_schedule(schedule, NOW, rng)

    tick(NOW + timedelta(minutes=2))

    hours = {int((moment - NOW).total_seconds() // 3600) for moment in due_times(schedule)}
    assert len(hours) > 15


def test_hosts_that_are_not_spread_are_due_at_one_moment_run_after_run(make, tick, rng):
    make.rule()
    schedule = make.schedule(interval_s=3600, jitter_s=600, is_trickle=False)
    hosts(make, 5)
    sync_schedule(schedule, NOW, rng)

    moments = []
    at = NOW
    for _ in range(3):
        tick(at)
        Scan.objects.update(status="done", dispatched_at=None)
        (at,) = set(due_times(schedule))
        moments.append(at)

    gaps = [later - before for before, later in pairwise([NOW, *moments])]
    assert all(HOUR <= gap <= HOUR + timedelta(minutes=10) for gap in gaps)
    assert Scan.objects.count() == 15


def test_a_host_added_later_joins_the_common_run(make, tick, rng):
    make.rule()
    schedule = make.schedule(interval_s=3600, is_trickle=False)
    hosts(make, 1)
    sync_schedule(schedule, NOW, rng)
    tick(NOW)
    hosts(make, 1)
    schedule.refresh_from_db()

    sync_schedule(schedule, NOW + timedelta(minutes=5), rng)

    assert len(set(due_times(schedule))) == 1


def test_a_run_by_hand_leaves_spread_hosts_their_regular_times(make, tick, rng):
    make.rule()
    schedule = make.schedule(interval_s=86400)
    hosts(make, 3)
    sync_schedule(schedule, NOW, rng)
    ScheduledHost.objects.update(then_due_at=None)
    regular = [NOW + hour * HOUR for hour in (3, 9, 20)]
    for row, moment in zip(ScheduledHost.objects.order_by("pk"), regular, strict=True):
        ScheduledHost.objects.filter(pk=row.pk).update(next_due_at=moment)

    assert run_schedule_now(schedule, NOW, rng) == 3
    assert tick(NOW).claimed == 3

    assert due_times(schedule) == regular


def test_zones_narrow_what_a_schedule_covers(make, rng):
    schedule, inside, outside = make.schedule(), make.host(), make.host()
    set_tags([inside, outside], ["web"])
    schedule.host_tags.set(inside.tags.all())
    schedule.zones.add(inside.zone)

    sync_schedule(schedule, NOW, rng)

    assert ScheduledHost.objects.get().host == inside


# --- blackout ------------------------------------------------------------------------------------------------------


def blacked_out(make, **fields):
    """No visits from 11 to 15 UTC; NOW is noon."""
    return make.schedule(blackout_start=time(11), blackout_end=time(15), time_zone="UTC", **fields)


def test_no_visit_begins_in_a_blackout(make, tick, rng):
    make.rule()
    schedule = blacked_out(make)
    host = make.host()
    ScheduledHost.objects.create(schedule=schedule, host=host, next_due_at=NOW - HOUR)
    waiting = make.scan(make.host(host.zone), schedule=schedule, expires_at=NOW + 9 * HOUR)

    assert (tick(NOW).claimed, tick(NOW).sent) == (0, 0)
    after = tick(NOW + 3 * HOUR)

    waiting.refresh_from_db()
    assert (after.claimed, after.sent) == (1, 2)


def test_what_falls_into_a_blackout_is_spread_after_it(make, rng):
    schedule = blacked_out(make, interval_s=86400, jitter_s=600)
    hosts(make, 30)

    sync_schedule(schedule, NOW, rng)

    times = due_times(schedule)
    assert min(times) >= NOW + 3 * HOUR
    assert max(times) - min(times) > 10 * HOUR


def test_a_schedule_in_its_blackout_is_not_run_by_hand(make, rng):
    with pytest.raises(ValidationError, match=r"no host until 15:00 UTC"):
        run_schedule_now(blacked_out(make), NOW, rng)


def test_half_a_blackout_is_refused(make):
    schedule = make.schedule()
    schedule.blackout_start = time(8)

    with pytest.raises(ValidationError, match="a start and another end"):
        schedule.full_clean()


def test_a_time_zone_that_does_not_exist_is_refused(make):
    schedule = make.schedule()
    schedule.time_zone = "Europe/Atlantis"

    with pytest.raises(ValidationError, match="is no time zone"):
        schedule.full_clean()


def test_a_new_blackout_moves_hosts_that_are_not_due_yet_out_of_it(make, rng):
    schedule = make.schedule(interval_s=86400)
    hosts(make, 20)
    sync_schedule(schedule, NOW - 10 * HOUR, rng)
    ScheduledHost.objects.update(next_due_at=NOW + HOUR)
    schedule.blackout_start, schedule.blackout_end = time(11), time(15)
    schedule.save()

    replan_schedule(schedule, NOW, rng)

    assert not any(schedule.blackout.holds_at(moment) for moment in due_times(schedule))


# --- which rules ---------------------------------------------------------------------------------------------------


def test_rules_are_chosen_by_type_and_tag_and_left_out_by_tag_and_name(make):
    kept = make.rule(tags=["attack.t1059", "attack.execution"])
    make.rule(tags=["attack.t1059", "attack.discovery"])
    named = make.rule(tags=["attack.t1059"])
    make.rule(tags=["attack.t1014"])
    schedule = make.schedule(rule_tags=["t1059"], excluded_rule_tags=["discovery"], excluded_rules=[named.name])

    assert rules_of(schedule) == [kept]


def test_a_part_of_the_rules_is_drawn_anew_every_quarter_of_an_hour_and_always_has_those_that_always_run(make):
    rules = [make.rule() for _ in range(20)]
    always = make.rule(type="policy")
    schedule = make.schedule(rule_percent=25, always_rules=[always.name])

    drawn = [set(plan_for_schedule(schedule, NOW + timedelta(minutes=minute)).rule_ids) for minute in range(0, 300, 15)]
    same = set(plan_for_schedule(schedule, NOW + timedelta(minutes=290)).rule_ids)

    assert {len(part) for part in drawn} == {6}
    assert all(str(always.pk) in part for part in drawn)
    assert set().union(*drawn) == {str(rule.pk) for rule in [*rules, always]}
    assert same == drawn[-1]


def test_visits_of_a_schedule_have_its_priority_and_limits(make, tick):
    make.rule()
    schedule = make.schedule(priority=2, nice=5, cpu_percent=10, deadline_s=600)
    ScheduledHost.objects.create(schedule=schedule, host=make.host(), next_due_at=NOW)

    tick()

    scan = scans_for_jobs(Scan.objects.all()).get()
    limits = build_job(scan, {}).limits
    assert scan.priority == 2
    assert (limits.nice, limits.cpu_percent, limits.probe_deadline_s) == (5, 10, 600)
    assert limits.probe_deadline_s < limits.visit_deadline_s


# --- pausing, going on, aborting -----------------------------------------------------------------------------------


def test_a_paused_schedule_begins_nothing_and_loses_nothing(make, tick, rng):
    make.rule()
    schedule = make.schedule()
    waiting = make.scan(schedule=schedule, expires_at=NOW + HOUR)
    ScheduledHost.objects.create(schedule=schedule, host=make.host(), next_due_at=NOW)
    pause(schedule, "maintenance")

    quiet = tick(NOW + 2 * HOUR)
    waiting.refresh_from_db()

    assert (quiet.claimed, quiet.sent, quiet.ended) == (0, 0, 0)
    assert waiting.status == "queued"
    with pytest.raises(ValidationError, match="paused"):
        run_schedule_now(schedule, NOW, rng)


def test_a_schedule_that_goes_on_sends_what_waited_and_spreads_what_became_due(make, tick, rng):
    make.rule()
    schedule = make.schedule(interval_s=3600, jitter_s=600)
    waiting = make.scan(schedule=schedule)
    for host in hosts(make, 10):
        ScheduledHost.objects.create(schedule=schedule, host=host, next_due_at=NOW - HOUR)
    pause(schedule, "maintenance")

    resume_schedule(schedule, NOW, rng)

    waiting.refresh_from_db()
    assert schedule.paused_at is None
    assert waiting.expires_at > NOW + HOUR
    assert len(set(due_times(schedule))) == 10
    assert tick(NOW).sent == 1


def test_pausing_twice_and_resuming_what_runs_are_told_apart(make, rng):
    schedule = make.schedule()
    with pytest.raises(ValidationError, match="not paused"):
        resume_schedule(schedule, NOW, rng)
    pause(schedule, "x")
    with pytest.raises(ValidationError, match="paused already"):
        pause(schedule, "y")


def test_aborting_stops_all_scans_of_the_schedule_and_no_others(make, redis, rng):
    schedule = make.schedule()
    waiting, running = make.scan(schedule=schedule), make.scan(schedule=schedule, in_flight=True, status="running")
    done, other = make.scan(schedule=schedule, status="done"), make.scan()
    row = ScheduledHost.objects.create(schedule=schedule, host=make.host(), next_due_at=NOW)

    assert abort_schedule(schedule, NOW, rng) == 2

    for scan in (waiting, running, done, other, row):
        scan.refresh_from_db()
    assert [scan.status for scan in (waiting, running, done, other)] == ["cancelled", "running", "done", "queued"]
    assert running.cancel_requested_at
    assert redis.exists(cancel_key(str(running.pk)))
    assert row.next_due_at > NOW + 23 * HOUR


# --- drift checks --------------------------------------------------------------------------------------------------


def drift_baseline(make, **fields):
    from sandfly_web.findings.models import Baseline
    from sandfly_web.inventory.models import Tag

    tag = Tag.objects.create(name="web")
    baseline = Baseline.objects.create(**{"name": "Web", "subjects": {"user": "loose"}, "state": "enforced"} | fields)
    baseline.tags.add(tag)
    return tag


def test_a_drift_check_gathers_just_what_enforced_baselines_compare_on_hosts_that_they_cover(make, tick, rng):
    users = make.rule("recon", subject="user")
    make.rule("recon", subject="process")
    make.rule("detection", subject="user")
    tag = drift_baseline(make)
    covered, _other = hosts(make, 2)
    covered.tags.add(tag)
    schedule = make.schedule(is_drift_check=True, rule_types=[])
    sync_schedule(schedule, NOW, rng)

    tick(NOW + timedelta(days=1))

    scan = Scan.objects.get()
    assert (scan.host, scan.schedule) == (covered, schedule)
    assert [rule.pk for rule in rules_of(schedule)] == [users.pk]


def test_a_drift_check_without_an_enforced_baseline_visits_no_host(make, rng):
    make.rule("recon", subject="user")
    tag = drift_baseline(make, state="paused")
    for host in hosts(make, 2):
        host.tags.add(tag)
    schedule = make.schedule(is_drift_check=True)

    assert sync_schedule(schedule, NOW, rng) == 0
    with pytest.raises(ValidationError, match="no enabled rule"):
        plan_for_schedule(schedule, NOW)
