"""Baselines: gathered from model hosts, enforced at ingest, tuned by people."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from sandfly_web.findings.drift import services
from sandfly_web.findings.models import Baseline, Finding, HostRisk
from sandfly_web.inventory.models import Tag
from scanners.contract import RuleState, RuleStatus
from tests.server.builders import NOW, Make, match, report


class Fleet:
    """A model host that was visited, a covered one, and a baseline of processes."""

    def __init__(self, make: Make, ingest: Any, strictness: str = "loose", **fields: Any) -> None:
        self.make, self.ingest = make, ingest
        self.rule = make.rule("recon", fields=["path", "cmdline", "uid", "sha256"])
        self.tag = Tag.objects.create(name="web")
        self.ended_at = NOW - timedelta(seconds=30)
        self.model, self.host = make.host(), make.host()
        self.host.tags.add(self.tag)
        self.visit(self.model, self.process("/usr/sbin/sshd", cmdline="sshd -D", sha256="aa"))
        self.baseline = Baseline.objects.create(name="Web", subjects={"process": strictness}, **fields)
        self.baseline.model_hosts.add(self.model)
        self.baseline.tags.add(self.tag)
        services.gather(self.baseline, None)
        services.enforce(self.baseline)

    def process(self, path: str, **record: Any) -> Any:
        return match(self.rule, path=path, **record)

    def visit(self, host: Any, *matches: Any, is_complete: bool = True) -> None:
        state = RuleStatus(rule_id=str(self.rule.pk), state=RuleState.ALERT, matched=1, truncated=not is_complete)
        # Each ends after the one before.
        self.ended_at += timedelta(seconds=1)
        scan = self.make.scan(host, status="running", in_flight=True)
        self.ingest(report(scan, *matches, rules=[state], finished_at=self.ended_at))

    def drift(self, host: Any = None) -> list[tuple[str, str]]:
        found = Finding.objects.filter(rule_name="drift", host=host or self.host, status="open")
        return sorted((finding.evidence["drift_kind"], finding.identity["path"]) for finding in found)


def test_what_the_baseline_has_is_no_drift_and_what_it_has_not_is(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)

    fleet.visit(fleet.host, fleet.process("/usr/sbin/sshd", cmdline="sshd -D -p 22"), fleet.process("/opt/new"))

    assert fleet.drift() == [("new", "/opt/new")]
    assert "nothing like it" in Finding.objects.get(rule_name="drift").explanation


def test_a_moderate_baseline_says_how_the_nearest_entry_differs(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest, "moderate")

    fleet.visit(fleet.host, fleet.process("/usr/sbin/sshd", cmdline="sshd -D -p 2222"))

    assert fleet.drift() == [("changed", "/usr/sbin/sshd")]
    assert Finding.objects.get().evidence["drift_differs"] == ["cmdline: expected sshd -D, seen sshd -D -p 2222"]


@pytest.mark.parametrize(("sha256", "found"), [("aa", []), ("bb", [("changed", "/usr/sbin/sshd")])])
def test_a_strict_baseline_compares_every_fact(make: Make, ingest: Any, sha256: str, found: list[Any]) -> None:
    fleet = Fleet(make, ingest, "strict")

    fleet.visit(fleet.host, fleet.process("/usr/sbin/sshd", cmdline="sshd -D", sha256=sha256, pid=77))

    assert fleet.drift() == found


def test_a_strict_baseline_does_not_compare_what_the_visit_did_not_ask_for(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest, "strict")

    fleet.visit(fleet.host, fleet.process("/usr/sbin/sshd", cmdline="sshd -D"))

    assert fleet.drift() == []


@pytest.mark.parametrize(("is_complete", "found"), [(True, [("missing", "/usr/sbin/sshd")]), (False, [])])
def test_what_is_missing_is_drift_only_where_everything_was_looked_at(
    make: Make, ingest: Any, is_complete: bool, found: list[Any]
) -> None:
    fleet = Fleet(make, ingest, report_missing=True)

    fleet.visit(fleet.host, is_complete=is_complete)

    assert fleet.drift() == found


@pytest.mark.parametrize(("ignores", "found"), [(True, 0), (False, 1)])
def test_containers_can_be_ignored(make: Make, ingest: Any, ignores: bool, found: int) -> None:
    fleet = Fleet(make, ingest, ignore_containers=ignores)
    fleet.rule.plan_rule["fields"].append("in_container")
    fleet.rule.save()

    fleet.visit(fleet.host, fleet.process("/app/server", in_container=True))

    assert len(fleet.drift()) == found


def test_an_accepted_difference_is_right_on_every_host(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)
    other = make.host()
    other.tags.add(fleet.tag)
    for host in (fleet.host, other):
        fleet.visit(host, fleet.process("/opt/new"))
    (row,) = services.differences(fleet.baseline)

    closed = services.accept(fleet.baseline, row["key"], None, "release 12")
    fleet.visit(fleet.host, fleet.process("/opt/new"))

    assert (row["hosts"], closed, fleet.drift()) == (2, 2, [])
    assert [version.action for version in fleet.baseline.versions.all()] == ["accept", "gather"]


def test_an_accepted_absence_leaves_the_baseline(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest, report_missing=True)
    fleet.visit(fleet.host)
    (row,) = services.differences(fleet.baseline)

    services.accept(fleet.baseline, row["key"], None, "retired")
    fleet.visit(fleet.host)

    assert (row["kind"], fleet.drift()) == ("missing", [])


def test_drift_that_is_over_closes_by_itself_and_opens_again_when_it_is_back(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)
    right = fleet.process("/usr/sbin/sshd", cmdline="sshd -D")
    fleet.visit(fleet.host, right, fleet.process("/opt/new"))
    fleet.visit(fleet.host, right)

    finding = Finding.objects.get(rule_name="drift")
    assert (finding.status, finding.close_reason) == ("closed", "the host agrees with baseline Web again")
    assert [(event.kind, event.actor) for event in finding.events.all()] == [("created", None), ("closed", None)]
    assert HostRisk.objects.get(host=fleet.host).risk == 0

    fleet.visit(fleet.host, right, fleet.process("/opt/new"))

    assert fleet.drift() == [("new", "/opt/new")]


def test_a_visit_that_did_not_look_at_everything_ends_no_drift(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest, report_missing=True)
    fleet.visit(fleet.host, fleet.process("/opt/new"))

    fleet.visit(fleet.host, is_complete=False)

    assert fleet.drift() == [("missing", "/usr/sbin/sshd"), ("new", "/opt/new")]


def test_what_is_no_longer_missing_is_closed_and_the_rest_stays(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest, report_missing=True)
    fleet.visit(fleet.host, fleet.process("/opt/new"))

    fleet.visit(fleet.host, fleet.process("/opt/new"), fleet.process("/usr/sbin/sshd", cmdline="sshd -D"))

    assert fleet.drift() == [("new", "/opt/new")]


def test_a_baseline_that_holds_it_now_ends_the_drift_of_the_next_visit(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)
    seen = (fleet.process("/usr/sbin/sshd", cmdline="sshd -D"), fleet.process("/opt/new"))
    fleet.visit(fleet.host, *seen)
    fleet.visit(fleet.model, *seen)
    services.gather(fleet.baseline, None)

    fleet.visit(fleet.host, *seen)

    assert Finding.objects.get(rule_name="drift").status == "closed"


def test_drift_of_a_baseline_that_is_paused_is_left_alone(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)
    fleet.visit(fleet.host, fleet.process("/opt/new"))
    services.pause(fleet.baseline)

    fleet.visit(fleet.host, fleet.process("/usr/sbin/sshd"))

    assert fleet.drift() == [("new", "/opt/new")]


def test_what_model_hosts_add_is_right_when_the_baseline_says_so(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest, auto_append=True)
    fleet.model.tags.add(fleet.tag)

    for host in (fleet.model, fleet.host):
        fleet.visit(host, fleet.process("/opt/new"))

    assert (fleet.drift(), fleet.drift(fleet.model)) == ([], [])
    assert fleet.baseline.versions.first().action == "auto-append"


def test_what_a_full_baseline_cannot_take_in_is_drift_and_the_report_is_stored(
    make: Make, ingest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(make, ingest, auto_append=True)
    fleet.model.tags.add(fleet.tag)
    monkeypatch.setattr(services, "MAX_ENTRIES", 1)

    fleet.visit(fleet.model, fleet.process("/opt/new"))

    assert fleet.drift(fleet.model) == [("new", "/opt/new")]
    assert fleet.model.scans.latest("created_at").status == "done"


def test_many_instances_of_one_program_are_one_difference_where_only_the_program_counts(
    make: Make, ingest: Any
) -> None:
    fleet = Fleet(make, ingest)

    fleet.visit(fleet.host, *(fleet.process("/opt/new", cmdline=f"new {number}") for number in range(210)))

    assert fleet.drift() == [("new", "/opt/new")]
    assert not Finding.objects.filter(subject="baseline").exists()


def test_a_paused_baseline_and_hosts_without_its_tag_are_left_alone(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)
    fleet.visit(fleet.model, fleet.process("/opt/new"))
    services.pause(fleet.baseline)

    fleet.visit(fleet.host, fleet.process("/opt/new"))

    assert not Finding.objects.exists()


def test_a_host_that_is_all_different_is_told_so_once(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)

    fleet.visit(fleet.host, *(fleet.process(f"/opt/{number}") for number in range(210)))

    kinds = [row["kind"] for row in services.differences(fleet.baseline)]
    assert Finding.objects.filter(rule_name="drift").count() == 201
    assert Finding.objects.get(subject="baseline").explanation.startswith("More than 200 things differ")
    assert set(kinds) <= {"new", "flood"}


def test_queries_do_not_depend_on_how_much_drifts(
    make: Make, ingest: Any, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    fleet = Fleet(make, ingest)
    fleet.visit(fleet.host, fleet.process("/opt/0"))
    scan = make.scan(fleet.host, status="running", in_flight=True)
    first = report(scan, fleet.process("/opt/a"), finished_at=NOW - timedelta(seconds=5))
    with django_assert_max_num_queries(60) as few:
        ingest(first)
    things = [fleet.process(f"/opt/b{number}") for number in range(50)]
    second = report(make.scan(fleet.host, status="running", in_flight=True), *things)

    with django_assert_num_queries(len(few)):
        ingest(second)


def test_kernel_threads_are_the_same_on_a_host_with_more_processors(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)
    thread = {"identity": {"path": "", "name": "kworker/0:1", "cmdline": "", "uid": 0}, "data": {}}
    entries = [{"subject": "process", "rule_ids": [], **thread}]
    exported = services.export(fleet.baseline) | {"name": "Other", "entries": entries}

    entry = services.load(exported, None).entries.get()

    other = {**thread["identity"], "name": "kworker/7:0-events"}
    assert entry.key == services.same_key("process", "moderate", other)


def test_a_baseline_moves_to_another_server(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)
    document = services.export(fleet.baseline)
    fleet.baseline.delete()

    moved = services.load(document, None)

    assert services.export(moved) == document
    assert moved.state == Baseline.State.DRAFT


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"subjects": {"nothing": "loose"}},
        {"subjects": {"process": "lax"}},
        {"name": ""},
        {"entries": 3},
        {"entries": [3]},
        {"entries": [{"subject": "user", "identity": {}, "data": {}}]},
        {"entries": [{"subject": "process", "identity": {"path": "\0"}, "data": {}}]},
        {"entries": [{"subject": "process", "identity": {"path": "\ud800"}, "data": {}}]},
        {"entries": [{"subject": "process", "identity": {}, "data": {"uid": 10**40}}]},
        {"entries": [{"subject": "process", "identity": {}, "data": {}, "rule_ids": ["\ud800"]}]},
        {"level": "awful"},
    ],
)
def test_a_document_that_is_no_baseline_is_refused(make: Make, ingest: Any, change: dict[str, Any]) -> None:
    document = services.export(Fleet(make, ingest).baseline) | {"name": "Other"} | change

    with pytest.raises(ValidationError):
        services.load(document, None)


def test_an_empty_baseline_is_not_enforced(make: Make) -> None:
    baseline = Baseline.objects.create(name="Web", subjects={"process": "loose"})

    with pytest.raises(ValidationError, match="gather it first"):
        services.enforce(baseline)
    with pytest.raises(ValidationError, match="scan them"):
        services.gather(baseline, None)


@pytest.mark.parametrize(("ignores", "found"), [(True, []), (False, [("new", "/opt/agent")])])
def test_what_an_allow_list_entry_of_the_subject_allows_is_no_drift_unless_asked(
    make: Make, ingest: Any, ignores: bool, found: list[Any]
) -> None:
    from sandfly_web.findings.allowlist.services import Proposal, create

    fleet = Fleet(make, ingest, ignore_allowed=ignores)
    detection = "detection:\n  selection:\n    path: /opt/agent\n  condition: selection"
    create(Proposal(title="Agent", reason="ours", subject="process", detection=detection), None)

    fleet.visit(fleet.host, fleet.process("/opt/agent"), fleet.process("/usr/sbin/sshd"))

    assert fleet.drift() == found


def test_drift_of_a_baseline_that_is_deleted_is_closed_with_the_reason(make: Make, ingest: Any) -> None:
    fleet, person = Fleet(make, ingest), make.user()
    fleet.visit(fleet.host, fleet.process("/tmp/miner"))

    services.delete(fleet.baseline, person)

    finding = Finding.objects.get(rule_name="drift")
    assert (finding.status, finding.close_reason) == ("closed", "baseline Web was deleted")
    assert finding.events.get(kind="closed").actor == person
    assert not HostRisk.objects.filter(risk__gt=0)


def test_a_model_hosts_later_state_is_gathered_anew_as_a_version(make: Make, ingest: Any) -> None:
    fleet = Fleet(make, ingest)
    fleet.visit(fleet.model, fleet.process("/usr/sbin/sshd"), fleet.process("/usr/sbin/nginx"))

    services.gather(fleet.baseline, None)
    fleet.visit(fleet.host, fleet.process("/usr/sbin/nginx"))

    assert fleet.drift() == []
    assert [version.action for version in fleet.baseline.versions.all()] == ["gather", "gather"]


def test_every_template_names_subjects_and_strictnesses_that_there_are() -> None:
    for subjects in services.TEMPLATES.values():
        services.check_subjects(subjects)


def test_drift_evidence_names_rules_and_baseline_for_people(make: Make, ingest: Any) -> None:
    from sandfly_web.findings.drift.evidence import readable

    fleet = Fleet(make, ingest)
    fleet.visit(fleet.host, fleet.process("/tmp/miner"))
    evidence = Finding.objects.get(rule_name="drift").evidence

    shown = readable(evidence)

    assert (shown["drift_baseline"], shown["drift_rules"]) == ("Web", [fleet.rule.name])
    assert "drift_key" not in shown
    assert readable(evidence | {"drift_rules": ["x"]})["drift_rules"] == ["x"]
