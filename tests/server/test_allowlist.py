"""What an allow-list entry hides, for how long, and what it never hides."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from sandfly_web.findings import services as triage
from sandfly_web.findings.allowlist import services
from sandfly_web.findings.allowlist.drafts import Draft, draft_detection
from sandfly_web.findings.allowlist.services import Proposal
from sandfly_web.findings.models import AllowlistEntry, Finding, FindingEvent
from sandfly_web.inventory.models import Tag
from sandfly_web.rules.condition import parse_condition
from sandfly_web.rules.evaluate import evaluate
from tests.server.builders import NOW, match, report

LATER = NOW + timedelta(hours=1)
BACKUP = "detection:\n  it:\n    path: /opt/backup/agent\n  condition: it\n"


@pytest.fixture
def fleet(make, ingest):
    """Visits of any host, each a scan of its own."""
    plan = make.plan()

    def run(host, *matches, at=NOW):
        scan = make.scan(host, plan=plan, in_flight=True)
        assert ingest(report(scan, *matches, finished_at=at), at)
        return scan

    return run


def proposal(rule=None, **changes):
    defaults = {"title": "Backup agent", "reason": "ours", "rule": rule, "detection": BACKUP}
    return Proposal(**{**defaults, **changes})


def statuses():
    return dict(Finding.objects.values_list("identity__path", "status"))


@pytest.mark.django_db
class TestHiding:
    def test_what_is_there_already_and_what_comes_later_is_hidden(self, make, fleet):
        rule, host, other = make.rule(), make.host(), make.host()
        fleet(host, match(rule, path="/opt/backup/agent"), match(rule, path="/tmp/x"))

        entry = services.create(proposal(rule), owner=None)
        fleet(other, match(rule, path="/opt/backup/agent"))

        hidden = Finding.objects.filter(status="allowed")
        assert {finding.host for finding in hidden} == {host, other}
        assert {finding.allowed_by for finding in hidden} == {entry}
        assert statuses()["/tmp/x"] == "open"
        kinds = FindingEvent.objects.filter(finding__in=hidden, kind=FindingEvent.Kind.ALLOWED)
        assert kinds.count() == 2

    def test_seen_again_it_stays_hidden_and_is_counted(self, make, fleet):
        rule, host = make.rule(), make.host()
        services.create(proposal(rule), owner=None)

        fleet(host, match(rule, path="/opt/backup/agent"))
        fleet(host, match(rule, path="/opt/backup/agent"), at=LATER)

        finding = Finding.objects.get()
        assert (finding.status, finding.count, finding.last_seen_at) == ("allowed", 2, LATER)
        assert finding.events.filter(kind="allowed").count() == 1

    def test_content_that_is_no_longer_what_was_allowed_opens_the_finding(self, make, fleet):
        rule, host = make.rule(fields=["path", "cmdline", "exe_sha256"]), make.host()
        detection = "detection:\n  it:\n    path: /opt/a\n    exe_sha256: 'aa'\n  condition: it\n"
        services.create(proposal(rule, detection=detection), owner=None)
        fleet(host, match(rule, path="/opt/a", exe_sha256="aa"))
        assert statuses() == {"/opt/a": "allowed"}

        fleet(host, match(rule, path="/opt/a", exe_sha256="bb"), at=LATER)

        finding = Finding.objects.get()
        assert (finding.status, finding.allowed_by, finding.closed_at) == ("open", None, None)

    def test_a_second_process_with_the_same_identity_is_not_hidden_by_the_first(self, make, fleet):
        """Whoever names his program like one that is allowed stays visible beside it."""
        rule, host = make.rule(fields=["path", "cmdline", "exe_sha256"]), make.host()
        detection = "detection:\n  it:\n    exe_sha256: 'aa'\n  condition: it\n"
        services.create(proposal(rule, detection=detection), owner=None)

        good, bad = (match(rule, path="/opt/a", exe_sha256=value) for value in ("aa", "bb"))
        fleet(host, good, bad)
        fleet(host, bad, good, at=LATER)

        finding = Finding.objects.get()
        assert (finding.status, finding.evidence["exe_sha256"]) == ("open", "bb")

    def test_a_closed_finding_that_comes_back_is_hidden_instead_of_opened(self, make, fleet):
        rule, host = make.rule(), make.host()
        fleet(host, match(rule, path="/opt/backup/agent"))
        triage.close(Finding.objects.all(), None, "gone")
        services.create(proposal(rule), owner=None)
        assert statuses() == {"/opt/backup/agent": "closed"}

        fleet(host, match(rule, path="/opt/backup/agent"), at=timezone.now() + timedelta(hours=1))

        assert statuses() == {"/opt/backup/agent": "allowed"}

    def test_a_false_positive_stays_one(self, make, fleet):
        rule, host = make.rule(), make.host()
        fleet(host, match(rule, path="/opt/backup/agent"))
        triage.mark_false_positive(Finding.objects.all(), None, "harmless")

        services.create(proposal(rule), owner=None)
        fleet(host, match(rule, path="/opt/backup/agent"), at=LATER)

        assert statuses() == {"/opt/backup/agent": "false_positive"}

    def test_another_rule_s_finding_on_the_same_thing_stays(self, make, fleet):
        rule, other = make.rule(), make.rule()
        services.create(proposal(rule), owner=None)

        fleet(make.host(), match(rule, other, path="/opt/backup/agent"))

        assert dict(Finding.objects.values_list("rule__name", "status")) == {rule.name: "allowed", other.name: "open"}

    def test_without_a_rule_every_rule_of_the_subject_is_meant(self, make, fleet):
        rules = [make.rule(), make.rule()]
        services.create(proposal(None, subject="process"), owner=None)

        fleet(make.host(), match(*rules, path="/opt/backup/agent"))

        assert list(Finding.objects.values_list("status", flat=True)) == ["allowed", "allowed"]

    def test_without_a_condition_everything_of_the_rule_is_hidden(self, make, fleet):
        rule = make.rule()
        services.create(proposal(rule, detection=""), owner=None)

        fleet(make.host(), match(rule, path="/tmp/x"))

        assert statuses() == {"/tmp/x": "allowed"}

    def test_a_changed_host_key_is_never_hidden(self, make):
        host = make.host()
        finding = Finding.objects.create(
            host=host, rule=None, rule_name="host_key_changed", fingerprint="f", subject="host_key", title="t",
            level="critical", level_rank=4, explanation="e", evidence_digest="d", first_seen_at=NOW, last_seen_at=NOW,
        )  # fmt: skip

        with pytest.raises(ValidationError, match="name a rule or a subject"):
            services.create(proposal(None, subject="host_key"), owner=None)

        finding.refresh_from_db()
        assert finding.status == "open"


@pytest.mark.django_db
class TestScope:
    def test_hosts(self, make, fleet):
        rule, here, there = make.rule(), make.host(), make.host()
        services.create(proposal(rule, scope="hosts", hosts=[here]), owner=None)

        for host in (here, there):
            fleet(host, match(rule, path="/opt/backup/agent"))

        assert dict(Finding.objects.values_list("host", "status")) == {here.pk: "allowed", there.pk: "open"}

    def test_tags(self, make, fleet):
        rule, here, there = make.rule(), make.host(), make.host()
        tag = Tag.objects.create(name="backup")
        here.tags.add(tag)
        for host in (here, there):
            fleet(host, match(rule, path="/opt/backup/agent"))

        services.create(proposal(rule, scope="tags", tags=[tag]), owner=None)
        for host in (here, there):
            fleet(host, match(rule, path="/opt/backup/agent", cmdline="again"), at=LATER)

        found = set(Finding.objects.values_list("host", "status"))
        assert found == {(here.pk, "allowed"), (there.pk, "open")}

    def test_an_entry_whose_hosts_are_gone_hides_nothing_elsewhere(self, make, fleet):
        rule, host, other = make.rule(), make.host(), make.host()
        services.create(proposal(rule, scope="hosts", hosts=[host]), owner=None)
        host.delete()

        fleet(other, match(rule, path="/opt/backup/agent"))

        assert statuses() == {"/opt/backup/agent": "open"}


@pytest.mark.django_db
class TestWhatIsNotSure:
    def test_a_fact_that_was_cut_or_unknown_hides_nothing(self, make, fleet):
        rule, host = make.rule(), make.host()
        services.create(
            proposal(rule, detection="detection:\n  bad:\n    cmdline|contains: evil\n  condition: not bad\n"), None
        )
        cut = match(rule, path="/opt/a")
        cut.truncated.append("cmdline")
        dark = match(rule, path="/opt/b")
        dark.unknown["cmdline"] = "needs_root"

        fleet(host, cut, dark, match(rule, path="/opt/c"))

        assert statuses() == {"/opt/a": "open", "/opt/b": "open", "/opt/c": "allowed"}

    def test_a_fact_that_the_finding_does_not_carry_hides_nothing(self, make, fleet):
        """Of another rule of the subject, which does not ask for the environment: it may be anything."""
        detection = "detection:\n  bad:\n    environ|contains: LD_PRELOAD\n  condition: not bad\n"
        services.create(proposal(None, subject="process", detection=detection), owner=None)

        fleet(make.host(), match(make.rule(), path="/opt/a"))

        assert statuses() == {"/opt/a": "open"}


@pytest.mark.django_db
class TestEnding:
    def test_ended_everything_is_open_again_and_stays_so(self, make, fleet):
        rule, host, user = make.rule(), make.host(), make.user("ada")
        fleet(host, match(rule, path="/opt/backup/agent"))
        entry = services.create(proposal(rule), owner=user)

        opened = services.end(entry, user)
        fleet(host, match(rule, path="/opt/backup/agent"), at=LATER)

        finding = Finding.objects.get()
        assert (opened, finding.status, finding.allowed_by) == (1, "open", None)
        assert finding.events.filter(kind="reopened", actor=user).count() == 1
        with pytest.raises(ValidationError, match="has ended already"):
            services.end(entry, user)

    def test_expired_it_hides_nothing_new_and_releases_what_it_hid(self, make, fleet):
        rule, host, other = make.rule(), make.host(), make.host()
        expires_at = timezone.now() + timedelta(days=1)
        entry = services.create(proposal(rule, expires_at=expires_at), owner=None)
        fleet(host, match(rule, path="/opt/backup/agent"))

        after = expires_at + timedelta(seconds=1)
        fleet(other, match(rule, path="/opt/backup/agent"), at=after)
        assert services.end_expired(after) == 1

        assert set(Finding.objects.values_list("status", flat=True)) == {"open"}
        entry.refresh_from_db()
        assert (entry.ended_at, entry.ended_by) == (after, None)
        assert services.end_expired(after) == 0

    def test_findings_of_a_deleted_rule_s_entry_are_open_again(self, make, fleet):
        rule = make.rule()
        services.create(proposal(rule), owner=None)
        fleet(make.host(), match(rule, path="/opt/backup/agent"))
        rule.delete()

        services.end_expired(timezone.now())

        assert statuses() == {"/opt/backup/agent": "open"}


@pytest.mark.django_db
class TestProposals:
    def test_the_preview_says_what_would_be_hidden_and_changes_nothing(self, make, fleet):
        rule, hosts = make.rule(), [make.host(), make.host()]
        for host in hosts:
            fleet(host, match(rule, path="/opt/backup/agent"), match(rule, path="/tmp/x"))

        found = services.preview(proposal(rule))

        assert (len(found.hidden), found.host_count, found.looked_at, found.is_cut) == (2, 2, 4, False)
        assert found.levels == {"high": 2}
        assert set(statuses().values()) == {"open"}
        assert not AllowlistEntry.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"title": " "}, "give it a title"),
            ({"reason": ""}, "say why it is harmless"),
            ({"rule": None, "subject": "nonsense"}, "name a rule or a subject"),
            ({"rule": None, "subject": "process", "detection": ""}, "say what is allowed"),
            ({"scope": "hosts"}, "name at least one"),
            ({"scope": "everything"}, "use all, hosts, tags"),
            ({"expires_at": NOW - timedelta(days=9999)}, "is over already"),
            ({"detection": "detection:\n  it:\n    pth: /x\n  condition: it"}, r'detection:3: .*did you mean "path"'),
            ({"detection": "detection: ["}, "not valid YAML"),
            ({"detection": "detection:\n  it: '*'\n  condition: it"}, "every record would match"),
            ({"detection": "title: x\ndetection:\n  it: {path: x}\n  condition: it"}, "only `detection` stands here"),
            ({"detection": "detection:\n  it: {environ|contains: x}\n  condition: it"}, "do not carry environ"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_with_what_to_do(self, make, changes, message):
        given_rule = {"rule": make.rule()} | changes

        with pytest.raises(ValidationError) as caught:
            services.create(proposal(**given_rule), owner=None)

        assert re.search(message, " ".join(caught.value.messages))
        assert not AllowlistEntry.objects.exists()


CARRIED = frozenset({"path", "cmdline", "uid", "pid", "exe_sha256"})
IDENTITY = {"path": "/opt/a*b", "cmdline": "a \\* ? \\", "uid": 0, "pid": 7}


class TestDrafts:
    def test_exactly_this_names_identity_and_content_but_nothing_volatile(self):
        text = draft_detection(
            Draft.EXACT, "process", IDENTITY, {"exe_sha256": "aa", "gid": 5, "environ": ["A=1"]}, CARRIED
        )

        condition = parse_condition(text, "process")
        assert evaluate(condition, {**IDENTITY, "exe_sha256": "aa"}) is True
        assert evaluate(condition, {**IDENTITY, "exe_sha256": "bb"}) is False
        assert evaluate(condition, {**IDENTITY, "pid": 99, "exe_sha256": "aa"}) is True

    def test_the_same_thing_may_have_other_content(self):
        condition = parse_condition(
            draft_detection(Draft.THING, "process", IDENTITY, {"exe_sha256": "aa"}, CARRIED), "process"
        )

        assert evaluate(condition, {**IDENTITY, "exe_sha256": "bb"}) is True
        assert evaluate(condition, {**IDENTITY, "path": "/opt/axb"}) is False

    def test_everything_of_the_rule_needs_no_condition(self):
        assert draft_detection(Draft.RULE, "process", IDENTITY, {}, CARRIED) == ""

    @example(path="\x85", command="")
    @given(path=st.text(max_size=30), command=st.text(st.sampled_from("ab*?\\\n "), max_size=12))
    def test_a_draft_fits_its_finding_whatever_is_in_it(self, path, command):
        identity = {"path": path, "cmdline": command, "uid": 0}

        condition = parse_condition(draft_detection(Draft.THING, "process", identity, {}, CARRIED), "process")

        assert evaluate(condition, identity) is True
        assert evaluate(condition, {**identity, "cmdline": command + "x"}) is False
