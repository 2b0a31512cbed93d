"""Findings that are put off: asleep until a time, and awake by themselves, whatever runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from sandfly_web.findings import services, snoozing
from sandfly_web.findings.models import Finding, FindingEvent, HostRisk
from tests.server.builders import match, report

pytestmark = pytest.mark.django_db

TOMORROW = timezone.now() + timedelta(days=1)


@pytest.fixture
def seen(make, ingest):
    """Let a visit see one thing, with this evidence; returns the finding."""
    host, rule = make.host(), make.rule(fields=["path", "cmdline", "cwd"])

    def run(cmdline="/tmp/a -q", **facts):
        ingest(report(make.scan(host, in_flight=True), match(rule, path="/tmp/a", cmdline=cmdline, **facts)))
        return Finding.objects.get(rule=rule)

    run.rule = rule
    return run


def kinds(finding):
    return list(finding.events.values_list("kind", flat=True))


def is_asleep(finding):
    return Finding.objects.filter(snoozing.asleep(timezone.now()), pk=finding.pk).exists()


def test_a_snoozed_finding_sleeps_with_its_reason_in_the_history_and_still_weighs(make, seen):
    finding, analyst = seen(), make.user()
    risk = HostRisk.objects.get().risk

    services.snooze([finding], analyst, TOMORROW, "after the release")

    event = finding.events.get(kind="snoozed")
    assert is_asleep(finding)
    assert (event.actor, event.comment) == (analyst, f"until {TOMORROW:%Y-%m-%d %H:%M} UTC\nafter the release")
    assert HostRisk.objects.get().risk == risk > 0


def test_a_visit_that_sees_the_same_lets_it_sleep(seen):
    finding = seen()
    services.snooze([finding], None, TOMORROW, "later")

    seen()

    assert is_asleep(finding)
    assert "woke" not in kinds(finding)


def test_evidence_it_never_had_wakes_it_at_once(seen):
    finding = seen()
    services.snooze([finding], None, TOMORROW, "later")

    woken = seen(cwd="/root")

    assert not is_asleep(finding)
    assert (woken.snoozed_until, woken.woke_at is not None) == (None, True)
    assert kinds(finding)[-1] == "woke"


def test_evidence_it_had_before_wakes_nobody(seen):
    finding = seen()
    seen(cwd="/root")
    services.snooze([finding], None, TOMORROW, "later")

    seen()

    assert is_asleep(finding)


def test_a_higher_severity_wakes_it_and_a_lower_one_does_not(seen):
    finding = seen()
    services.snooze([finding], None, TOMORROW, "later")

    type(seen.rule).objects.filter(pk=seen.rule.pk).update(level="low")
    seen()
    assert is_asleep(finding)
    type(seen.rule).objects.filter(pk=seen.rule.pk).update(level="critical")
    seen()

    assert not is_asleep(finding)


def test_it_is_awake_when_its_time_is_over_also_while_beat_is_down(seen):
    finding = seen()
    services.snooze([finding], None, TOMORROW, "later")

    later = TOMORROW + timedelta(seconds=1)

    assert list(Finding.objects.filter(snoozing.awake(later))) == [finding]
    assert list(Finding.objects.filter(snoozing.woke(later))) == [finding]
    assert not Finding.objects.filter(snoozing.woke(timezone.now()))


def test_the_history_tells_once_that_its_time_was_over(seen):
    finding = seen()
    services.snooze([finding], None, TOMORROW, "later")
    assert snoozing.tell_woken(TOMORROW - timedelta(minutes=1)) == 0

    told = [snoozing.tell_woken(TOMORROW + timedelta(days=2)) for _ in range(2)]

    finding.refresh_from_db()
    assert told == [1, 0]
    assert (finding.snoozed_until, finding.woke_at) == (None, TOMORROW)
    assert FindingEvent.objects.get(kind="woke").comment == "its time is over"
    assert Finding.objects.filter(snoozing.woke(TOMORROW + timedelta(days=2))).exists()


@pytest.mark.parametrize(
    "step",
    [
        lambda rows: services.acknowledge(rows, None),
        lambda rows: services.close(rows, None, "gone"),
        lambda rows: services.mark_false_positive(rows, None, "ours"),
        lambda rows: services.unsnooze(rows, None),
    ],
)
def test_who_deals_with_it_ends_the_snooze(seen, step):
    finding = seen()
    services.snooze([finding], None, TOMORROW, "later")

    step([finding])

    finding.refresh_from_db()
    assert (finding.snoozed_until, finding.woke_at) == (None, None)


@pytest.mark.parametrize(
    ("until", "reason", "said"),
    [
        (timedelta(days=1), " ", "say why"),
        (timedelta(seconds=-1), "later", "is over"),
        (timedelta(days=367), "later", "at most 366 days"),
    ],
)
def test_no_snooze_without_a_reason_or_for_an_impossible_time(seen, until, reason, said):
    with pytest.raises(ValidationError, match=said):
        services.snooze([seen()], None, timezone.now() + until, reason)


def test_what_is_closed_is_not_snoozed_and_what_is_awake_is_not_woken(seen):
    finding = seen()
    with pytest.raises(ValidationError, match="is not snoozed"):
        services.unsnooze([finding], None)
    services.close([finding], None, "gone")
    with pytest.raises(ValidationError, match="is closed, so it cannot be snoozed"):
        services.snooze([finding], None, TOMORROW, "later")
