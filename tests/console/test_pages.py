"""Every page of the console answers, with and without data, and shows what it is for."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.api.builders import WebMake
from tests.server.builders import NOW

LISTS = [
    "findings_finding",
    "findings_record",
    "findings_allowlistentry",
    "inventory_host",
    "inventory_credential",
    "inventory_jumphost",
    "inventory_zone",
    "inventory_tag",
    "scans_scan",
    "scans_schedule",
    "rules_rule",
    "indicators_indicatorlist",
    "accounts_apitoken",
    "auth_user",
    "auditlog_logentry",
]
FORMS = [
    "findings_allowlistentry",
    "inventory_host",
    "inventory_credential",
    "inventory_jumphost",
    "inventory_zone",
    "inventory_tag",
    "scans_schedule",
    "indicators_indicatorlist",
    "accounts_apitoken",
    "auth_user",
]


def sign_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def console(make: WebMake) -> Client:
    return sign_in(make.person("admin"))


def fill(make: WebMake) -> dict[str, Any]:
    """One of everything that has a page, related to each other."""
    from auditlog.models import LogEntry

    from sandfly_web.accounts.services import create_token
    from sandfly_web.inventory.models import HostKey, JumpHost, Tag
    from sandfly_web.rules.indicators.models import IndicatorList
    from sandfly_web.rules.indicators.services import Source, import_list

    host, rule = make.host(name="web-1", os_name="Debian GNU/Linux 12", last_seen_at=NOW), make.rule()
    tag = Tag.objects.create(name="web")
    host.tags.add(tag)
    HostKey.objects.create(
        host=host, key_type="ssh-ed25519", public_key="k", fingerprint="SHA256:k", first_seen_at=NOW, last_seen_at=NOW
    )
    scan = make.scan(
        host,
        status="done",
        timings_s={"connect": 0.3, "run": 1.2},
        cost={"probe_cpu_s": 0.4, "probe_wall_s": 1.2, "probe_max_rss_bytes": 30 << 20, "clock_skew_s": -61.4},
        collectors=[{"subject": "process", "state": "ok", "records": 9, "wall_s": 0.1}],
        created_paths=["/dev/shm/.a", "/dev/shm/.b"],
        removed_paths=["/dev/shm/.a"],
    )
    make.outcome(scan, rule)
    finding = make.finding(host, rule=rule, last_scan=scan)
    schedule = make.schedule()
    token, _ = create_token(make.person("viewer"), "soar")
    jump = JumpHost.objects.create(
        name="bastion", zone=host.zone, address="192.0.2.1", credential=host.credential, host_keys="x"
    )
    listed = import_list(IndicatorList(name="feed"), Source(io.BytesIO(b"192.0.2.1\nhttps://a.example/\n")))
    return {
        "findings_finding": finding,
        "findings_record": make.record(host),
        "findings_allowlistentry": make.allowed(rule, hosts=[host]),
        "inventory_host": host,
        "inventory_credential": host.credential,
        "inventory_jumphost": jump,
        "inventory_zone": host.zone,
        "inventory_tag": tag,
        "scans_scan": scan,
        "scans_schedule": schedule,
        "rules_rule": rule,
        "indicators_indicatorlist": listed,
        "accounts_apitoken": token,
        "auth_user": token.user,
        "auditlog_logentry": LogEntry.objects.first(),
    }


@pytest.mark.parametrize("name", LISTS)
def test_list_answers_empty_and_with_data_and_to_a_search(make: WebMake, console: Client, name: str) -> None:
    url = reverse(f"admin:{name}_changelist")

    assert console.get(url).status_code == 200
    fill(make)
    assert console.get(url).status_code == 200
    assert console.get(url, {"q": "web"}).status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_page_of_one_thing_answers(make: WebMake, console: Client, name: str) -> None:
    thing = fill(make)[name]

    assert console.get(reverse(f"admin:{name}_change", args=[thing.pk])).status_code == 200


@pytest.mark.parametrize("name", FORMS)
def test_form_answers(console: Client, name: str) -> None:
    assert console.get(reverse(f"admin:{name}_add")).status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_page_of_what_is_not_there_is_a_404(console: Client, name: str) -> None:
    url = reverse(f"admin:{name}_change", args=["00000000-0000-0000-0000-000000000000"])

    assert console.get(url).status_code in {302, 404}


@pytest.mark.parametrize("filters", ["level=high", "status=all", "status=closed", "subject=process", "tag=t1059.004"])
def test_finding_filters_answer(make: WebMake, console: Client, filters: str) -> None:
    fill(make)

    assert console.get(f"{reverse('admin:findings_finding_changelist')}?{filters}").status_code == 200


def test_rule_page_lists_its_unresolved_findings(make: WebMake, console: Client) -> None:
    rule = make.rule()
    make.finding(rule=rule, title="Seen on this host")

    page = console.get(reverse("admin:rules_rule_change", args=[rule.pk])).content.decode()

    assert "Seen on this host" in page


def test_empty_console_teaches_the_first_three_steps(console: Client) -> None:
    page = console.get("/").content.decode()

    assert "Add your first host" in page
    assert reverse("admin:inventory_credential_add") in page
    assert reverse("admin:inventory_host_add") in page


def test_start_page_counts_what_is_unresolved_and_says_why_hosts_fail(make: WebMake, console: Client) -> None:
    host = make.host(name="db-1", state="offline", state_reason="no answer within 15 s")
    make.finding(host, level="critical", title="A planted one")
    make.finding(host, level="critical", status="closed", title="Dealt with")
    scan = make.scan(host, status="failed", error_code="timeout")
    type(scan).objects.update(created_at=NOW.now(tz=NOW.tzinfo))

    page = console.get("/")

    counts = {tile.name: tile.count for tile in page.context["severities"]}
    assert counts["critical"] == 1
    text = page.content.decode()
    assert "A planted one" in text
    assert "Dealt with" not in text
    assert "No answer within 15 s" in text
    assert "timeout" in text
    assert page.context["risky_hosts"][0]["risk"] == 60


def test_start_page_and_host_page_ask_a_fixed_number_of_questions(make: WebMake, console: Client) -> None:
    host = make.host()

    def grow() -> None:
        for _ in range(6):
            make.finding(host, rule=make.rule())
            make.finding(make.host())
            make.scan(host, status="done")
            make.record(host, subject="user")
            make.record(host, subject="mount")

    assert_constant(grow, lambda: console.get("/"), most=25)
    assert_constant(grow, lambda: console.get(reverse("admin:inventory_host_change", args=[host.pk])), most=25)


@pytest.mark.parametrize("name", ["findings_finding", "inventory_host", "scans_scan", "rules_rule", "scans_schedule"])
def test_list_asks_a_fixed_number_of_questions(make: WebMake, console: Client, name: str) -> None:
    url = reverse(f"admin:{name}_changelist")

    def grow() -> None:
        for _ in range(5):
            host = make.host()
            make.finding(host, rule=make.rule())
            make.scan(host)
            make.schedule()

    assert_constant(grow, lambda: console.get(url), most=15)


def assert_constant(grow: Callable[[], None], ask: Callable[[], Any], *, most: int) -> None:
    counts = []
    for _ in range(2):
        grow()
        with CaptureQueriesContext(connection) as captured:
            assert ask().status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]
    assert counts[1] <= most


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("index", "Overview"),
        ("rules_rule_changelist", "Rules"),
        ("rules_attack_changelist", "ATT&CK"),
        ("scans_queue_changelist", "Queue"),
        ("scans_schedule_add", "Schedules"),
    ],
)
def test_one_entry_of_the_sidebar_says_where_a_page_belongs(console: Client, name: str, title: str) -> None:
    page = console.get(reverse(f"admin:{name}"))

    groups = page.context["sidebar_navigation"]
    assert [item["title"] for group in groups for item in group["items"] if item["active"]] == [title]


def test_sidebar_and_start_page_leave_out_what_a_role_may_not_see(make: WebMake) -> None:
    fill(make)
    viewer = sign_in(make.person("viewer"))

    page = viewer.get("/").content.decode()

    assert reverse("admin:findings_finding_changelist") in page
    assert reverse("admin:inventory_credential_changelist") not in page
    assert viewer.get(reverse("admin:inventory_credential_changelist")).status_code == 403
    assert viewer.get(reverse("admin:auditlog_logentry_changelist")).status_code == 403


def test_pages_load_nothing_from_outside(make: WebMake, console: Client) -> None:
    things = fill(make)
    urls = ["/", "/login/", *(reverse(f"admin:{name}_change", args=[things[name].pk]) for name in LISTS)]

    for url in urls:
        text = console.get(url, follow=True).content.decode()
        for attribute in ('src="http', 'src="//', 'href="http', "url(http"):
            assert attribute not in text, url


def test_scan_page_names_what_was_not_seen_to_be_removed(make: WebMake, console: Client) -> None:
    scan = fill(make)["scans_scan"]

    page = console.get(reverse("admin:scans_scan_change", args=[scan.pk]))

    assert page.context["leftovers"] == ["/dev/shm/.b"]
    assert "Not seen to be removed" in page.content.decode()


def test_lists_renew_themselves_only_while_a_scan_is_unfinished(make: WebMake, console: Client) -> None:
    url, scan = reverse("admin:scans_scan_changelist"), make.scan(status="done")

    assert "data-sf-live" not in console.get(url).content.decode()
    type(scan).objects.update(status="running", dispatched_at=NOW)
    assert "data-sf-live" in console.get(url).content.decode()


def test_scan_page_says_how_much_was_not_looked_at_and_what_to_do(make: WebMake, console: Client) -> None:
    scan = make.scan(status="done", collectors=[{"subject": "process", "state": "ok", "records": 118}])
    make.outcome(scan, make.rule(title="Odd parent"), state="error", reason="denied", unknown={"denied": 1})

    page = console.get(reverse("admin:scans_scan_change", args=[scan.pk])).content.decode()

    assert "1 rule could not decide about 1 of 118 processes: refused even to root." in page
    assert "Odd parent" in page


def test_scan_page_names_the_steps_in_their_order_and_the_total_apart(make: WebMake, console: Client) -> None:
    from sandfly_web.console.scanpage import steps

    timed = {"total": 9.0, "run": 2.0, "auth": 1.0, "connect": 1.0, "cleanup": 0.5, "stage": 1.0, "start": 0.5}
    scan = make.scan(status="done", timings_s=timed)

    page = console.get(reverse("admin:scans_scan_change", args=[scan.pk])).content.decode()

    labels = ["Connect", "Sign in", "Upload the probe", "Start the probe", "Run the rules", "Remove and check"]
    assert [step.label for step in steps(timed)] == labels
    assert "<dt>In all</dt><dd>9.00 s</dd>" in page


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("web", {"On web"}),
        ("Rule named", {"Of the rule"}),
        ("/opt/x", {"By text"}),
        ("web /opt/x", set()),
        ("pt/x", set()),
        ("OPT", {"By text"}),
        ("%", set()),
        ("ünd", {"In words"}),
        ("runs ünd", {"In words"}),
    ],
)
def test_findings_are_searched_by_hosts_and_rules_else_by_explanation(
    make: WebMake, console: Client, words: str, found: set[str]
) -> None:
    other = make.host(name="db-1")
    make.finding(make.host(name="web-1"), title="On web", rule=make.rule(title="A"))
    make.finding(other, title="Of the rule", rule=make.rule(title="Rule named so"))
    make.finding(other, title="By text", rule=make.rule(title="B"), explanation="runs /opt/x")
    make.finding(other, title="In words", rule=make.rule(title="C"), explanation="it runs ünd walks")

    page = console.get(reverse("admin:findings_finding_changelist"), {"q": words})

    assert {finding.title for finding in page.context["cl"].result_list} == found


@pytest.mark.parametrize(
    ("skew_s", "words"),
    [
        (None, ""),
        (0.4, "agrees with the worker's"),
        (-4.9, "agrees with the worker's"),
        (3600.2, "3600 s ahead of the worker's"),
        (-61.4, "61 s behind the worker's"),
        ("x", ""),
        (True, ""),
    ],
)
def test_the_hosts_clock_is_told_against_the_workers(skew_s: object, words: str) -> None:
    from sandfly_web.console.scanpage import clock_words

    assert clock_words(skew_s) == words
