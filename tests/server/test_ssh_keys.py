"""Keys and places as visits see them, and what policies say of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sandfly_web.findings.models import Finding
from sandfly_web.findings.ssh_keys.models import KeyTag, KeyZone, SshAccount, SshKey, SshKeyPlace, is_live
from sandfly_web.findings.ssh_keys.services import add_key, hashes, set_standing
from sandfly_web.inventory.models import Tag
from sandfly_web.scans.ingest import ingest_reports
from scanners.contract import encode
from tests.server.builders import Make
from tests.server.keys import Keys, mark, public_key


@pytest.fixture
def keys(make: Make, ingest: Any) -> Keys:
    return Keys(make, ingest)


def current() -> list[tuple[str, str]]:
    places = SshKeyPlace.objects.filter(is_current=True).select_related("account")
    return sorted((place.kind, place.account.username) for place in places)


def open_findings() -> list[str]:
    return sorted(Finding.objects.filter(status="open").values_list("rule_name", flat=True))


def test_a_visit_ends_as_keys_accounts_and_places(keys: Keys) -> None:
    host = keys.make.host()

    keys.visit(host, keys.authorized("root", "ops"), keys.private("eve", "own"), keys.known("eve", "hk", "db1"))

    ops = SshKey.objects.get(fingerprint=mark("ops"))
    assert (ops.algorithm, ops.bits, ops.public_key, ops.comment) == ("ssh-ed25519", 256, public_key("ops"), "ops")
    assert ops.first_seen_at == keys.now
    assert current() == [("authorized_key", "root"), ("known_host", "eve"), ("private_key", "eve")]
    assert sorted(SshAccount.objects.values_list("username", "is_root")) == [("eve", False), ("root", True)]
    assert SshKey.objects.get(fingerprint=mark("hk")).use == "host"


def test_a_key_that_goes_is_remembered_and_one_that_comes_back_begins_anew(keys: Keys) -> None:
    host = keys.make.host()
    seen = keys.authorized("root", "ops")
    keys.visit(host, seen)
    first = keys.now
    keys.visit(host, seen)
    keys.visit(host)

    dead = SshKey.objects.annotate(live=is_live()).get()
    gone = SshKeyPlace.objects.get()
    assert (dead.live, gone.is_current, gone.ended_at) == (False, False, keys.now)
    assert (gone.first_seen_at, gone.last_seen_at) == (first, first + timedelta(minutes=1))

    keys.visit(host, seen)

    assert SshKey.objects.annotate(live=is_live()).get().live
    assert list(SshKeyPlace.objects.values_list("is_current", flat=True)) == [True, False]


def test_a_line_that_moves_is_the_same_place(keys: Keys) -> None:
    host = keys.make.host()
    keys.visit(host, keys.authorized("root", "ops", line_number=1))
    began = keys.now

    keys.visit(host, keys.authorized("root", "ops", line_number=7, options=['command="id"']))

    place = SshKeyPlace.objects.get()
    assert (place.line_number, place.is_restricted, place.first_seen_at) == (7, True, began)


def test_what_was_not_looked_at_is_not_gone(keys: Keys) -> None:
    host = keys.make.host()
    keys.visit(host, keys.authorized("root", "ops"))

    keys.visit(host, is_complete=False)

    assert SshKeyPlace.objects.get().is_current


def test_a_private_key_that_hides_its_public_half_is_a_place_without_a_key(keys: Keys) -> None:
    keys.visit(keys.make.host(), keys.private("eve", None, is_encrypted=True, format="pem"))

    place = SshKeyPlace.objects.get()
    assert (place.key, place.is_encrypted) == (None, True)
    assert not SshKey.objects.exists()


def test_a_visit_that_changes_nothing_asks_no_more_for_many_keys_than_for_one(keys: Keys) -> None:
    counts = []
    for number in (1, 40):
        host = keys.make.host()
        seen = [keys.authorized("root", f"k{place}", path=f"/root/k{place}") for place in range(number)]
        keys.visit(host, *seen)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            keys.visit(host, *seen)
        counts.append(len([query for query in captured if "ssh_keys" in query["sql"]]))

    assert counts[0] == counts[1] <= 4


def test_keys_of_many_hosts_stored_together_are_asked_for_as_those_of_two(keys: Keys) -> None:
    KeyZone.objects.create(name="Web").host_tags.add(tag := Tag.objects.create(name="web"))
    hosts = [keys.make.host() for _ in range(6)]
    for host in hosts:
        host.tags.add(tag)
        keys.visit(host, keys.authorized("root", "k"))
    set_standing(SshKey.objects.get(fingerprint=mark("k")), "banned", "leaked", None)
    counts = []
    for number in (2, 6):
        sent = [encode(keys.report(host, keys.authorized("root", "k"))) for host in hosts[:number]]
        with CaptureQueriesContext(connection) as captured:
            ingest_reports(sent, keys.now)
        counts.append(len([query for query in captured if "ssh_keys" in query["sql"]]))

    assert counts[0] == counts[1] <= 3
    assert set(Finding.objects.filter(title="Banned SSH key").values_list("host", flat=True)) == {
        host.pk for host in hosts
    }


@pytest.mark.parametrize(
    "facts",
    [
        {"fingerprint": 7, "options": "x", "bits": -4, "uid": "root"},
        {"comment": "\u202e<script>", "line_number": 2**40, "options": [{"a": 1}, None]},
        {"key_type": "x" * 500, "comment": "y" * 9000, "public_key": ["z"], "copies": True},
    ],
)
def test_hostile_facts_are_bounded_and_stored(keys: Keys, facts: dict[str, Any]) -> None:
    keys.visit(keys.make.host(), keys.authorized("root", "ops", **facts))

    assert SshKeyPlace.objects.get().kind == "authorized_key"


def test_a_banned_key_is_one_finding_wherever_it_is_and_however_often_it_is_seen(keys: Keys) -> None:
    hosts = [keys.make.host(), keys.make.host()]
    seen = keys.authorized("root", "stolen"), keys.authorized("root", "fine")
    keys.visit(hosts[0], *seen)
    set_standing(SshKey.objects.get(fingerprint=mark("stolen")), "banned", "laptop was stolen", keys.now)

    for host in (*hosts, *hosts):
        keys.visit(host, *seen)

    assert open_findings() == ["ssh_key_banned", "ssh_key_banned"]
    finding = Finding.objects.filter(host=hosts[0]).get()
    assert (finding.count, finding.level, finding.identity["fingerprint"]) == (2, "critical", mark("stolen"))
    assert "laptop was stolen" in finding.explanation


def test_a_closed_finding_of_a_key_comes_back_only_when_the_key_is_seen_again(keys: Keys) -> None:
    from sandfly_web.findings.services import close

    host = keys.make.host()
    keys.visit(host, keys.authorized("root", "stolen"))
    set_standing(SshKey.objects.get(), "banned", "stolen", keys.now)
    keys.visit(host, keys.authorized("root", "stolen"))
    close([Finding.objects.get()], None, "removed")
    Finding.objects.update(closed_at=keys.now)

    keys.visit(host)
    assert open_findings() == []

    keys.visit(host, keys.authorized("root", "stolen"))
    assert open_findings() == ["ssh_key_banned"]


def zone(name: str, host_tag: Tag, key_tag: KeyTag, **fields: Any) -> KeyZone:
    row = KeyZone.objects.create(name=name, **fields)
    row.host_tags.add(host_tag)
    row.key_tags.add(key_tag)
    return row


def test_zones_find_keys_that_left_them_and_strangers_in_them(keys: Keys) -> None:
    prod, team = Tag.objects.create(name="prod"), KeyTag.objects.create(name="prod-ops")
    inside, outside = keys.make.host(), keys.make.host()
    inside.tags.add(prod)
    seen = keys.authorized("root", "ops"), keys.authorized("eve", "guest"), keys.known("eve", "hk", "x")
    keys.visit(inside, *seen)
    SshKey.objects.get(fingerprint=mark("ops")).tags.add(team)
    zone("Production", prod, team, refuses_strangers=True, level="medium")

    for host in (inside, outside):
        keys.visit(host, *seen)

    found = {(finding.host_id, finding.rule_name): finding.identity["fingerprint"] for finding in Finding.objects.all()}
    assert found == {
        (inside.pk, "ssh_key_stranger_in_zone"): mark("guest"),
        (outside.pk, "ssh_key_out_of_zone"): mark("ops"),
    }
    assert {finding.level for finding in Finding.objects.all()} == {"medium"}


def test_a_protected_key_that_goes_is_found_until_it_is_back(keys: Keys) -> None:
    host = keys.make.host()
    keys.visit(host, keys.authorized("root", "break-glass"))
    keys.visit(host)
    set_standing(SshKey.objects.get(), "protected", "break glass", keys.now + timedelta(seconds=1))
    keys.visit(host, keys.authorized("root", "other"))
    assert open_findings() == []  # It was gone before it was protected.

    keys.visit(host, keys.authorized("root", "break-glass"))
    keys.visit(host, is_complete=False)
    assert open_findings() == []

    keys.visit(host, keys.authorized("root", "other"))
    assert open_findings() == ["ssh_key_protected_missing"]


def test_an_allow_list_entry_about_the_subject_hides_what_a_zone_finds(keys: Keys) -> None:
    from sandfly_web.findings.allowlist.services import Proposal, create

    team, prod = KeyTag.objects.create(name="ops"), Tag.objects.create(name="prod")
    host = keys.make.host()
    keys.visit(host, keys.authorized("root", "ops"))
    SshKey.objects.get().tags.add(team)
    zone("Production", prod, team)
    text = f"detection:\n  s:\n    fingerprint: {mark('ops')}\n  condition: s\n"
    create(
        Proposal(
            title="migration", reason="until friday", rule=None, subject="authorized_key", detection=text, scope="all"
        ),
        None,
    )

    keys.visit(host, keys.authorized("root", "ops"))

    assert Finding.objects.get().status == "allowed"


def test_a_key_is_added_before_it_is_seen_and_recognised_then(keys: Keys) -> None:
    key = add_key(f"ssh-ed25519 {public_key('ops')} ops@laptop", name="Ops laptop")
    by_mark = add_key(mark("leaked"), name="Leaked")
    set_standing(by_mark, "banned", "in the news", keys.now)

    keys.visit(keys.make.host(), keys.authorized("root", "ops"), keys.authorized("eve", "leaked"))

    key.refresh_from_db()
    by_mark.refresh_from_db()
    assert (key.name, key.bits, key.first_seen_at) == ("Ops laptop", 256, keys.now)
    assert by_mark.public_key == public_key("leaked")
    assert open_findings() == ["ssh_key_banned"]


@pytest.mark.parametrize(
    "text", ["", "ssh-ed25519", "ssh-rsa " + public_key("x"), "SHA256:short", "-----BEGIN OPENSSH PRIVATE KEY-----"]
)
def test_what_is_no_public_key_is_not_added(db: None, text: str) -> None:
    with pytest.raises(ValidationError):
        add_key(text)

    assert not SshKey.objects.exists()


def test_a_key_has_four_hashes_as_tools_print_them(db: None) -> None:
    key = add_key(f"ssh-ed25519 {public_key('ops')}")

    found = hashes(key)

    assert list(found) == ["MD5", "SHA1", "SHA256", "SHA512"]
    assert found["SHA256"] == mark("ops")
    assert found["MD5"].count(":") == 16
