"""Hunts: what a condition finds in stored records, and that nothing it could find is left out before it is decided."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandfly_web.findings.hunting import services
from sandfly_web.findings.hunting.services import Hunt, run_hunt
from sandfly_web.findings.models import Record, SavedHunt
from sandfly_web.inventory.models import Tag
from tests.server.builders import NOW, match, report

LATER = NOW + timedelta(hours=1)
FIELDS = ["path", "cmdline", "uid", "name", "pid", "fd_targets", "on_disk"]


@pytest.fixture
def recon(make):
    return make.rule("recon", fields=FIELDS)


@pytest.fixture
def visit(make, ingest, recon):
    def run(host, *matches, at=NOW):
        from scanners.contract import RuleState, RuleStatus

        scan = make.scan(host, plan=make.plan(recon), in_flight=True)
        statuses = [RuleStatus(rule_id=str(recon.pk), state=RuleState.ALERT, matched=len(matches))]
        assert ingest(report(scan, *matches, finished_at=at, rules=statuses), at)

    return run


def detection(**selection):
    lines = "".join(f"    {name}: {value}\n" for name, value in selection.items())
    return f"detection:\n  it:\n{lines}  condition: it\n"


def paths(found):
    return sorted(record.identity["path"] for record in found.records)


@pytest.mark.django_db
class TestHunt:
    def test_the_whole_fleet_is_looked_through(self, make, visit, recon):
        first, second = make.host(), make.host()
        visit(first, match(recon, path="/opt/miner"), match(recon, path="/usr/bin/vi"))
        visit(second, match(recon, path="/OPT/Miner"))

        found = run_hunt(Hunt(subject="process", detection=detection(**{"path|endswith": "/miner"})))

        assert paths(found) == ["/OPT/Miner", "/opt/miner"]
        assert (found.matched, found.host_count, dict(found.hosts)) == (2, 2, {first.pk: 1, second.pk: 1})
        assert found.is_complete

    def test_lists_and_numbers_are_looked_into(self, make, visit, recon):
        visit(
            make.host(), match(recon, path="/a", fd_targets=["/dev/null", "/dev/mem"]), match(recon, path="/b", uid=7)
        )

        assert paths(run_hunt(Hunt(subject="process", detection=detection(fd_targets="/dev/mem")))) == ["/a"]
        assert paths(run_hunt(Hunt(subject="process", detection=detection(uid=7)))) == ["/b"]

    def test_now_and_then(self, make, visit, recon):
        host = make.host()
        visit(host, match(recon, path="/old"))
        visit(host, match(recon, path="/new"), at=LATER)
        anything = detection(**{"path|startswith": "/"})

        assert paths(run_hunt(Hunt(subject="process", detection=anything))) == ["/new"]
        assert paths(run_hunt(Hunt(subject="process", detection=anything, at=NOW))) == ["/old"]

    def test_hosts_and_tags_narrow_it(self, make, visit, recon):
        here, there = make.host(), make.host()
        tag = Tag.objects.create(name="web")
        there.tags.add(tag)
        visit(here, match(recon, path="/here"))
        visit(there, match(recon, path="/there"))
        anything = detection(**{"path|startswith": "/"})

        assert paths(run_hunt(Hunt(subject="process", detection=anything, hosts=[here]))) == ["/here"]
        assert paths(run_hunt(Hunt(subject="process", detection=anything, tags=[tag]))) == ["/there"]

    def test_what_no_rule_collects_is_said_to_be_undecided_not_absent(self, make, visit, recon):
        visit(make.host(), match(recon, path="/a"), match(recon, path="/b"))

        found = run_hunt(Hunt(subject="process", detection=detection(**{"environ|contains": "LD_PRELOAD"})))

        assert (found.matched, dict(found.undecided)) == (0, {"environ": 2})

    def test_what_a_rule_collects_and_a_thing_has_not_is_absent(self, make, visit, recon):
        visit(make.host(), match(recon, path="/a"), match(recon, path="/b", name="b"))

        found = run_hunt(Hunt(subject="process", detection=detection(name="null")))

        assert (paths(found), dict(found.undecided)) == (["/a"], {})

    def test_a_rule_is_tried_on_what_is_stored(self, make, visit, recon):
        rule = make.rule(plan_rule={"when": {"field": "path", "op": "startswith", "values": ["/tmp/"]}})
        visit(make.host(), match(recon, path="/tmp/x"), match(recon, path="/usr/x"))

        assert paths(run_hunt(Hunt(rule=rule))) == ["/tmp/x"]

    def test_a_rule_over_several_records_is_refused(self, make):
        rule = make.rule(plan_rule={"correlation": {"type": "event_count"}})

        with pytest.raises(ValidationError, match="several records at once"):
            run_hunt(Hunt(rule=rule))

    def test_a_hunt_that_takes_too_long_says_so(self, make, visit, recon):
        visit(make.host(), match(recon, path="/a"))

        found = run_hunt(Hunt(subject="process", detection=detection(path="/a")), budget_s=-1)

        assert (found.is_complete, found.looked_at) == (False, 0)

    def test_more_than_the_limit_is_counted(self, make, visit, recon):
        visit(make.host(), *(match(recon, path=f"/a{place}") for place in range(5)))

        found = run_hunt(Hunt(subject="process", detection=detection(**{"path|startswith": "/a"})), limit=2)

        assert (found.matched, len(found.records)) == (5, 2)

    @pytest.mark.parametrize(
        ("hunt", "message"),
        [
            (Hunt(), "choose what to look among"),
            (Hunt(subject="process"), "say what to look for"),
            (Hunt(subject="process", detection="detection: {it: {pth: x}, condition: it}"), "did you mean"),
        ],
    )
    def test_faults_say_what_to_do(self, db, hunt, message):
        with pytest.raises(ValidationError, match=message):
            run_hunt(hunt)

    def test_a_saved_hunt_is_replaced_by_its_name(self, make):
        user = make.user()
        for path in ("/a", "/b"):
            services.save_hunt("miners", Hunt(subject="process", detection=detection(path=path)), user)

        saved = SavedHunt.objects.get()
        assert (saved.name, saved.owner, "/b" in saved.detection) == ("miners", user, True)


TEXTS = st.sampled_from(["", "a", "A", "/tmp/x", "10", "010", "1e1", "a b", 'a"b', "a\\b", "é", "[", "true"])
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "path": TEXTS,
        "name": TEXTS,
        "fd_targets": st.lists(TEXTS, max_size=3),
        "pid": st.integers(0, 12),
        "on_disk": st.booleans(),
    },
)
LEAVES = st.builds(
    lambda field, op, values, want_all, cased: {
        "field": field, "op": op, "values": values, "all": want_all, "cased": cased
    },
    st.sampled_from(["path", "name", "fd_targets", "pid", "on_disk", "cwd"]),
    st.sampled_from(["eq", "contains", "startswith", "endswith"]),
    st.lists(TEXTS, min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
)  # fmt: skip
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=5,
)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions=st.lists(CONDITIONS, min_size=4, max_size=8), stored=st.lists(RECORDS, min_size=1, max_size=8))
def test_the_database_leaves_out_nothing_that_fits_or_is_undecided(make, conditions, stored):
    """Against deciding the condition on every record."""
    from sandfly_web.rules.evaluate import evaluate

    Record.objects.all().delete()
    host, recon = make.host(), make.rule("recon", fields=["path", "name", "fd_targets", "pid", "on_disk"])
    rows = [
        Record(
            host=host, subject="process", identity_digest=f"{place}", digest="d", identity={}, data=data,
            rule_ids=[str(recon.pk)], first_seen_at=NOW, last_seen_at=NOW,
        )
        for place, data in enumerate(stored)
    ]  # fmt: skip
    Record.objects.bulk_create(rows)
    carried = {*FIELDS, "path"}

    for condition in conditions:
        rule = make.rule(plan_rule={"when": condition})
        found = run_hunt(Hunt(rule=rule))

        truths = [evaluate(condition, data, {"cwd"} - carried) for data in stored]
        assert found.matched == truths.count(True)
        assert (sum(found.undecided.values()) > 0) == (None in truths)
