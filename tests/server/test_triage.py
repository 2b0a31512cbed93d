"""What people say of findings, and what they may not say."""

from __future__ import annotations

import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from sandfly_web.findings import services
from sandfly_web.findings.models import Finding, FindingEvent
from tests.server.builders import match, report

pytestmark = pytest.mark.django_db


@pytest.fixture
def found(make, ingest):
    """Make open findings of one host."""

    def run(number=1):
        rule = make.rule()
        ingest(report(make.scan(in_flight=True), *[match(rule, path=f"/tmp/{n}") for n in range(number)]))
        return list(Finding.objects.filter(rule=rule).order_by("pk"))

    return run


@pytest.mark.parametrize(
    ("step", "status", "kind"),
    [
        (lambda rows, who: services.acknowledge(rows, who, "looking"), "acknowledged", "acknowledged"),
        (lambda rows, who: services.close(rows, who, "removed"), "closed", "closed"),
        (lambda rows, who: services.mark_false_positive(rows, who, "ours"), "false_positive", "false_positive"),
        (lambda rows, who: services.add_comment(rows, who, "odd"), "open", "commented"),
        (lambda rows, who: services.assign(rows, who, who), "open", "assigned"),
    ],
)
def test_every_step_changes_the_finding_and_says_who_did_it(make, found, step, status, kind):
    rows, analyst = found(2), make.user()

    step(rows, analyst)

    assert set(Finding.objects.values_list("status", flat=True)) == {status}
    assert FindingEvent.objects.filter(kind=kind, actor=analyst).count() == 2


def test_closing_keeps_the_reason_and_opening_again_drops_it(make, found):
    [finding] = found()
    services.close([finding], None, "removed")
    finding.refresh_from_db()
    assert (finding.close_reason, finding.closed_at is not None) == ("removed", True)

    services.reopen([finding], None, "not gone")

    finding.refresh_from_db()
    assert (finding.status, finding.close_reason, finding.closed_at) == ("open", "", None)


def test_an_assignee_is_set_and_taken_away(make, found):
    [finding] = found()
    analyst = make.user("ada")
    services.assign([finding], None, analyst)
    finding.refresh_from_db()
    assert finding.assignee == analyst

    services.assign([finding], analyst, None)

    finding.refresh_from_db()
    assert finding.assignee is None
    assert list(finding.events.values_list("comment", flat=True))[1:] == ["to ada", "to nobody"]


@pytest.mark.parametrize("reason", ["", "  \n"])
@pytest.mark.parametrize("step", [services.close, services.mark_false_positive])
def test_nothing_is_resolved_without_a_reason(found, step, reason):
    with pytest.raises(ValidationError, match="say why"):
        step(found(), None, reason)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (lambda rows: services.close(rows, None, "x"), lambda rows: services.close(rows, None, "x"), "is closed"),
        (lambda rows: services.close(rows, None, "x"), lambda rows: services.acknowledge(rows, None), "is closed"),
        (lambda rows: services.acknowledge(rows, None), lambda rows: services.acknowledge(rows, None), "acknowledged"),
        (lambda rows: rows, lambda rows: services.reopen(rows, None), "is open"),
        (
            lambda rows: services.mark_false_positive(rows, None, "x"),
            lambda rows: services.close(rows, None, "x"),
            "false positive",
        ),
        (lambda rows: services.close(rows, None, "x"), lambda rows: services.assign(rows, None, None), "is closed"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused_with_the_reason(found, first, second, message):
    rows = found()
    first(rows)

    with pytest.raises(ValidationError, match=message):
        second(rows)


def test_one_finding_that_cannot_change_holds_back_all(found):
    rows = found(3)
    services.close(rows[:1], None, "x")

    with pytest.raises(ValidationError):
        services.close(rows, None, "x")

    assert Finding.objects.filter(status="closed").count() == 1
    assert FindingEvent.objects.filter(kind="closed").count() == 1


def test_an_inactive_user_gets_nothing_assigned(make, found):
    gone = make.user()
    gone.is_active = False

    with pytest.raises(ValidationError, match="not active"):
        services.assign(found(), None, gone)


def test_an_empty_or_endless_comment_is_refused(found):
    rows = found()
    for text in (" ", "x" * 20_000):
        with pytest.raises(ValidationError):
            services.add_comment(rows, None, text)


def test_a_thousand_findings_take_as_many_queries_as_ten(found):
    counts = []
    for number in (10, 1000):
        rows = found(number)
        with CaptureQueriesContext(connection) as queries:
            services.acknowledge(rows, None)
        counts.append(len(queries))

    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_two_people_closing_the_same_findings_close_them_once(found):
    rows = found(20)
    start, refused = threading.Barrier(2), []

    def run(order):
        start.wait()
        try:
            services.close(order, None, "gone")
        except ValidationError as error:
            refused.append(error)
        connections.close_all()

    threads = [threading.Thread(target=run, args=[order]) for order in (rows, rows[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    assert FindingEvent.objects.filter(kind="closed").count() == 20
