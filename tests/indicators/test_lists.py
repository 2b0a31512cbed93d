"""Lists in the database: imported whole or not at all, sent out as sets, looked up on return."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.core.exceptions import ValidationError

from sandfly_web.findings.models import Finding
from sandfly_web.rules.indicators import services
from sandfly_web.rules.indicators.compact import holds
from sandfly_web.rules.indicators.kinds import Kind
from sandfly_web.rules.indicators.models import Indicator, IndicatorList, IndicatorSet
from sandfly_web.rules.indicators.services import Source
from sandfly_web.rules.indicators.verify import Listed
from sandfly_web.rules.services import select_rules
from sandfly_web.scans.retention import delete_old
from sandfly_web.scans.services import ensure_plan
from scanners.contract import Candidate, PlanRule, decode_plan, set_key
from tests.server.builders import NOW, match, report

pytestmark = pytest.mark.django_db

WHEN = {"field": "path", "op": "in_set", "values": ["path"]}


@pytest.fixture
def add() -> Any:
    def add_list(text: str, name: str = "feed", **fields: Any) -> IndicatorList:
        row = IndicatorList.objects.filter(name=name).first() or IndicatorList(name=name)
        for key, value in fields.items():
            setattr(row, key, value)
        return services.import_list(row, Source(io.BytesIO(text.encode())), now=NOW)

    return add_list


def listed_rule(make: Any, **fields: Any) -> Any:
    rule = make.rule(**fields)
    rule.plan_rule = msgspec.to_builtins(PlanRule(id=str(rule.pk), subject="process", fields=["path"], when=WHEN))
    rule.save()
    return rule


def entries(row: IndicatorList) -> set[tuple[str, str]]:
    return set(row.indicators.values_list("kind", "value"))


def test_a_list_keeps_entries_faults_and_where_it_came_from(add: Any) -> None:
    text = "192.0.2.1 # scanner\n192.0.2.0/24\n/tmp/x\\y\nhttps://evil.example/\n192.0.2.1\n"

    row = add(text, origin="a report", level="critical")

    assert entries(row) == {("ip", "192.0.2.1"), ("ip", "192.0.2.0/24"), ("path", "/tmp/x\\y")}
    assert row.indicators.get(value="192.0.2.1").description == "scanner"
    assert (row.counts, row.duplicate_count, row.fault_count) == ({"ip": 2, "path": 1}, 1, 1)
    assert row.faults[0][0] == "line 4"
    assert (row.format, row.version, row.digest) == ("text", 1, hashlib.sha256(text.encode()).hexdigest())
    assert row.prefixes == [(4, 24)]


def test_an_import_takes_the_place_of_the_one_before(add: Any) -> None:
    first = add("192.0.2.1\n192.0.2.2\n")

    second = add("192.0.2.2\n192.0.2.3\n")

    assert first.pk == second.pk
    assert entries(second) == {("ip", "192.0.2.2"), ("ip", "192.0.2.3")}
    assert second.version == 2


@pytest.mark.parametrize("text", ["", "{", "https://only.example/\n"])
def test_a_file_that_cannot_be_used_changes_nothing(add: Any, text: str) -> None:
    row = add("192.0.2.1\n")

    with pytest.raises(ValidationError) as raised:
        add(text)

    row.refresh_from_db()
    assert "file" in raised.value.message_dict
    assert (entries(row), row.version) == ({("ip", "192.0.2.1")}, 1)
    with pytest.raises(ValidationError):
        add(text, name="another")
    assert not IndicatorList.objects.filter(name="another").exists()


def test_more_entries_than_a_probe_holds_are_refused(add: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(services, "MAX_ENTRIES", 3)
    add("192.0.2.1\n192.0.2.2\n")

    with pytest.raises(ValidationError, match="4 entries on enabled lists"):
        add("192.0.2.3\n192.0.2.4\n", name="other")

    assert IndicatorList.objects.count() == 1
    add("192.0.2.3\n192.0.2.4\n", name="other", is_enabled=False)


def test_a_preview_says_what_an_import_would_and_keeps_nothing() -> None:
    preview = services.read_preview(Source(io.BytesIO(b"192.0.2.1\nx\n")), NOW)

    assert (preview.entry_count, preview.fault_count, preview.samples[0].value) == (1, 1, "192.0.2.1")
    assert not IndicatorList.objects.exists()


def test_sets_hold_all_active_lists_and_are_made_once(add: Any, django_assert_max_num_queries: Any) -> None:
    add("192.0.2.1\n")
    add("192.0.2.0/24\nevil.example\n", name="second")

    made = services.active_sets(NOW)

    assert {kind: one.spec.count for kind, one in made.items()} == {Kind.DOMAIN: 1, Kind.IP: 2}
    assert holds(made[Kind.IP], "192.0.2.1") and holds(made[Kind.IP], "192.0.2.0/24")
    assert made[Kind.IP].spec.prefixes4 == [24]
    with django_assert_max_num_queries(3):
        assert services.active_sets(NOW) == made


@pytest.mark.parametrize("change", [{"is_enabled": False}, {"expires_at": NOW - timedelta(seconds=1)}])
def test_disabled_and_expired_lists_are_neither_sent_nor_looked_up(add: Any, change: dict[str, Any]) -> None:
    add("192.0.2.1\n")
    add("192.0.2.1\n192.0.2.2\n", name="second", **change)

    assert services.active_sets(NOW)[Kind.IP].spec.count == 1
    assert services.look_up({("ip", "192.0.2.1"), ("ip", "192.0.2.2")}, NOW) == {
        ("ip", "192.0.2.1"): [Listed("feed", "high")]
    }


def test_values_are_looked_up_by_kind_in_all_lists(add: Any) -> None:
    add("/tmp/x # dropper\n")
    add("/tmp/x\n", name="second", level="low")

    found = services.look_up({("path", "/tmp/x"), ("filename", "/tmp/x"), ("path", "/tmp/y")}, NOW)

    assert found == {("path", "/tmp/x"): [Listed("feed", "high", "dropper"), Listed("second", "low")]}


def test_rules_on_lists_run_only_while_there_is_one_or_by_name(add: Any, make: Any) -> None:
    plain, listed = make.rule(), listed_rule(make)

    without = select_rules()
    row = add("/tmp/x\n")
    with_list = select_rules()
    services.remove_list(row)

    assert without == [plain]
    assert set(with_list) == {plain, listed}
    assert select_rules(names=[listed.name]) == [listed]
    assert not Indicator.objects.exists()


def test_plans_change_with_the_lists(add: Any, make: Any) -> None:
    rule = listed_rule(make)
    add("/tmp/x\n")

    first, again = ensure_plan([rule]), ensure_plan([rule])
    add("/tmp/y\n")
    second = ensure_plan([rule])

    assert first.pk == again.pk != second.pk
    assert first.set_digests == [one.digest for one in decode_plan(first.body).sets]
    assert IndicatorSet.objects.count() == 2


def test_dispatch_gives_workers_the_sets_of_a_plan(add: Any, make: Any, tick: Any, redis: Any) -> None:
    add("/tmp/x\n")
    plan = ensure_plan([listed_rule(make)])
    make.scan(plan=plan)

    tick()

    (digest,) = plan.set_digests
    assert redis.get(set_key(digest)) == bytes(IndicatorSet.objects.get(pk=digest).body)
    assert redis.ttl(set_key(digest)) > 3600


def candidate(path: str) -> list[Candidate]:
    return [Candidate(kind="path", field="path", value=path)]


def test_only_verified_values_become_findings_with_the_level_of_their_list(add: Any, make: Any, ingest: Any) -> None:
    add("/tmp/x # dropper\n", level="critical")
    rule = listed_rule(make, explain="{path} is on {indicator.list}: {indicator.about}")
    scan = make.scan(in_flight=True)
    real, near = match(rule, path="/tmp/x"), match(rule, path="/tmp/near")
    seen = [msgspec.structs.replace(one, candidates=candidate(one.record["path"])) for one in (real, near)]

    assert ingest(report(scan, *seen))

    finding = Finding.objects.get()
    assert (finding.level, finding.explanation) == ("critical", "/tmp/x is on feed: dropper")
    assert finding.evidence["indicator.value"] == "/tmp/x"
    scan.refresh_from_db()
    assert (scan.cost["indicator_candidates"], scan.cost["indicator_matches"]) == (2, 1)


def test_a_visit_with_near_misses_alone_has_no_alert(add: Any, make: Any, ingest: Any) -> None:
    add("/tmp/x\n")
    rule = listed_rule(make)
    scan = make.scan(in_flight=True)

    ingest(report(scan, msgspec.structs.replace(match(rule, path="/tmp/near"), candidates=candidate("/tmp/near"))))

    scan.refresh_from_db()
    assert (scan.alert_count, scan.pass_count, Finding.objects.count()) == (0, 1, 0)


def test_sets_go_when_no_plan_and_no_list_needs_them(add: Any, make: Any) -> None:
    rule = listed_rule(make)
    for text in ("/tmp/a\n", "/tmp/b\n", "/tmp/c\n"):
        add(text)
        services.active_sets()
    used = make.plan(rule)
    add("/tmp/d\n")
    services.active_sets()
    make.scan(plan=used)
    IndicatorSet.objects.update(created_at=NOW - timedelta(days=9))

    gone = delete_old(NOW, 90, 365)

    left = set(IndicatorSet.objects.values_list("digest", flat=True))
    assert gone.sets == 2
    assert left == {*used.set_digests, services.active_sets()[Kind.PATH].spec.digest}
