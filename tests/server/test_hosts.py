"""Hosts are added from lists; which keys they may show is decided once and changed only by somebody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sandfly_web.findings.models import Finding
from sandfly_web.inventory.hostkeys import fingerprint, parse_host_keys
from sandfly_web.inventory.models import Host, HostKey, Tag
from sandfly_web.inventory.services import (
    HostOptions,
    accept_host_key,
    add_host,
    add_hosts,
    pin_host_keys,
    remove_tags,
    set_tags,
)
from scanners.contract import Profile
from tests.server.builders import NOW, failed, host_key_pin, report

pytestmark = pytest.mark.django_db


def line(name="a"):
    return f"ssh-ed25519 {host_key_pin(name).public_key}"


def print_of(name):
    return fingerprint(host_key_pin(name).public_key)


# --- adding --------------------------------------------------------------------------------------------------------


def test_hosts_are_added_from_names_ports_and_networks(make):
    options = HostOptions(make.zone(), tags=("web",))

    added = add_hosts(["web1", "web2:2222  # the old one", "", "10.9.0.0/30", "[fe80::1]:2022"], options)

    rows = set(Host.objects.values_list("address", "port", "name"))
    assert rows == {
        ("web1", 22, "web1"),
        ("web2", 2222, "web2:2222"),
        ("10.9.0.1", 22, "10.9.0.1"),
        ("10.9.0.2", 22, "10.9.0.2"),
        ("fe80::1", 2022, "[fe80::1]:2022"),
    }
    assert (len(added.created), added.existing) == (5, 0)
    assert Host.objects.filter(tags__name="web").count() == 5


def test_hosts_that_are_there_stay_as_they_are(make):
    zone = make.zone()
    add_host("web1", HostOptions(zone), name="the shop")

    added = add_hosts(["web1", "web2"], HostOptions(zone, credential=make.credential(zone)))

    assert (len(added.created), added.existing) == (1, 1)
    assert Host.objects.get(address="web1").name == "the shop"
    assert Host.objects.get(address="web1").credential is None


def test_the_same_address_may_be_in_two_zones(make):
    for _ in range(2):
        add_host("10.0.0.1", HostOptions(make.zone()))

    assert Host.objects.count() == 2


def test_a_network_is_added_in_a_fixed_number_of_queries(make):
    counts = []
    for network in ("10.1.0.0/29", "10.2.0.0/24"):
        options = HostOptions(make.zone(), tags=("net",))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            add_hosts([network], options)
        counts.append(len(queries))

    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["ok", "no host!"], "line 2"),
        (["10.0.0.0/8"], "more than 65536"),
        (["web:99999"], "port"),
        (["root@web1"], "belongs into the credential"),
    ],
)
def test_a_list_with_a_fault_adds_nothing_and_names_the_line(make, lines, message):
    with pytest.raises(ValidationError, match=message):
        add_hosts(lines, HostOptions(make.zone()))

    assert not Host.objects.exists()


def test_a_credential_of_another_zone_is_refused(make):
    with pytest.raises(ValidationError, match="belongs to zone"):
        add_hosts(["web1"], HostOptions(make.zone(), credential=make.credential(make.zone())))


def test_tags_are_added_and_taken_away(make):
    hosts = [make.host(), make.host()]
    set_tags(hosts, ["web", "dmz", "web"])
    set_tags(hosts[:1], ["web"])

    remove_tags(hosts[:1], ["web"])

    assert [sorted(host.tags.values_list("name", flat=True)) for host in hosts] == [["dmz"], ["dmz", "web"]]


def test_a_tag_with_odd_characters_is_refused(make):
    with pytest.raises(ValidationError):
        set_tags([make.host()], ["<script>"])

    assert not Tag.objects.exists()


# --- host keys -----------------------------------------------------------------------------------------------------


def test_keys_are_read_as_ssh_keyscan_and_known_hosts_have_them():
    text = f"# web1:22 SSH-2.0\nweb1,10.0.0.1 {line()} comment\n|1|c2FsdA==|aGFzaA== {line('b')}\n{line()}\n"

    assert parse_host_keys(text) == [host_key_pin("a"), host_key_pin("b")]


@pytest.mark.parametrize(
    "text",
    ["web1 ssh-ed25519 AAAA", "ssh-rsa " + host_key_pin().public_key, "@cert-authority * " + line(), "nonsense"],
)
def test_a_line_that_is_no_host_key_is_refused_by_number(text):
    with pytest.raises(ValueError, match="line 1"):
        parse_host_keys(text)


def test_pinning_is_in_the_audit_log(make):
    host, operator = make.host(), make.user()

    pin_host_keys(host, line(), operator)

    assert HostKey.objects.get(host=host).status == "pinned"
    entry = LogEntry.objects.get_for_object(host).filter(actor=operator).get()
    assert print_of("a") in str(entry.changes)


def test_a_host_that_may_enrol_gets_its_key_pinned_once(make, ingest):
    host = make.host(accept_new_host_key=True)

    ingest(report(make.scan(host, in_flight=True), presented_host_keys=[host_key_pin()]))

    host.refresh_from_db()
    assert HostKey.objects.get().status == "pinned"
    assert not host.accept_new_host_key


def test_a_host_that_may_not_enrol_gets_no_key_pinned(make, ingest):
    scan = make.scan(in_flight=True)

    ingest(failed(scan, "host_key_unknown", presented_host_keys=[host_key_pin()]))

    assert HostKey.objects.get().status == "rejected"
    assert not Finding.objects.exists()


def test_a_key_shown_while_unknown_is_pinned_when_the_host_may_enrol_then(make, ingest):
    host = make.host()
    ingest(failed(make.scan(host, in_flight=True), "host_key_unknown", presented_host_keys=[host_key_pin()]))
    Host.objects.update(accept_new_host_key=True)

    ingest(report(make.scan(host, in_flight=True), presented_host_keys=[host_key_pin()]))

    assert HostKey.objects.get().status == "pinned"


def test_a_pinned_key_that_is_shown_again_moves_last_seen(make, ingest):
    host = make.host()
    pin_host_keys(host, line())
    HostKey.objects.update(first_seen_at=NOW - timedelta(days=1), last_seen_at=NOW - timedelta(days=1))

    ingest(report(make.scan(host, in_flight=True), presented_host_keys=[host_key_pin()]))

    key = HostKey.objects.get()
    assert (key.status, key.first_seen_at, key.last_seen_at) == ("pinned", NOW - timedelta(days=1), NOW)


@pytest.fixture
def changed(make, ingest):
    """A host with key a pinned that showed key b."""
    host = make.host(hostname="web1")
    pin_host_keys(host, line("a"))
    ingest(failed(make.scan(host, in_flight=True), "host_key_changed", presented_host_keys=[host_key_pin("b")]))
    host.refresh_from_db()
    return host


def test_a_changed_key_is_a_critical_finding_with_both_fingerprints(changed):
    finding = Finding.objects.get()
    assert (finding.rule, finding.rule_name, finding.level) == (None, "host_key_changed", "critical")
    assert print_of("a") in finding.explanation
    assert print_of("b") in finding.explanation
    assert finding.evidence["expected"] == [f"ssh-ed25519 {print_of('a')}"]
    assert changed.state == "key_changed"


def test_a_changed_key_is_never_pinned_even_if_the_host_may_enrol(make, ingest):
    host = make.host(accept_new_host_key=True)
    pin_host_keys(host, line("a"))

    ingest(failed(make.scan(host, in_flight=True), "host_key_changed", presented_host_keys=[host_key_pin("b")]))

    assert HostKey.objects.get(fingerprint=print_of("b")).status == "rejected"


def test_a_changed_key_seen_again_is_the_same_finding(make, ingest, changed):
    ingest(failed(make.scan(changed, in_flight=True), "host_key_changed", presented_host_keys=[host_key_pin("b")]))

    assert Finding.objects.get().count == 2


def test_another_changed_key_is_another_finding(make, ingest, changed):
    ingest(failed(make.scan(changed, in_flight=True), "host_key_changed", presented_host_keys=[host_key_pin("c")]))

    assert Finding.objects.count() == 2


def test_accepting_a_changed_key_replaces_the_old_one_and_says_who_did_it(make, changed):
    operator = make.user()

    accept_host_key(changed.host_keys.get(fingerprint=print_of("b")), operator)

    changed.refresh_from_db()
    assert dict(changed.host_keys.values_list("fingerprint", "status")) == {
        print_of("a"): "rejected",
        print_of("b"): "pinned",
    }
    assert changed.state == "new"
    finding = Finding.objects.get()
    assert (finding.status, finding.events.last().actor) == ("closed", operator)
    assert LogEntry.objects.get_for_object(changed).filter(actor=operator).count() == 1


def test_a_pinned_key_cannot_be_accepted(make, changed):
    with pytest.raises(ValidationError, match="pinned already"):
        accept_host_key(changed.host_keys.get(fingerprint=print_of("a")), make.user())


def test_a_presented_key_that_is_none_does_not_stop_the_report(make, ingest):
    import msgspec

    scan = make.scan(in_flight=True)
    key = msgspec.structs.replace(host_key_pin(), public_key="***")

    assert ingest(report(scan, presented_host_keys=[key], profile=Profile(hostname="web9")))

    assert Host.objects.get().hostname == "web9"
    assert not HostKey.objects.exists()
