"""SSH keys in the console: the inventory, a key, a host, zones, removals; and what they draw."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from sandfly_web.findings.ssh_keys.graph import MAX_NODES, draw, key_node
from sandfly_web.findings.ssh_keys.models import KeyRemoval, KeyZone, SshAccount, SshKey
from sandfly_web.findings.ssh_keys.paths import Reached
from sandfly_web.inventory.models import Host, Tag
from tests.api.builders import WebMake
from tests.api.test_ssh_keys import key, place
from tests.server.keys import mark, public_key

HOSTILE = '"><script>alert(1)</script>\u202e'


def signed_in(make: WebMake, role: str) -> Client:
    client = Client()
    client.force_login(make.person(role))
    return client


def text(client: Client, name: str, *args: Any, **query: str) -> str:
    answer = client.get(reverse(f"admin:{name}", args=args), query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def test_the_list_shows_keys_of_people_and_names_those_that_are_dead(make: WebMake) -> None:
    viewer, host = signed_in(make, "viewer"), make.host()
    place(key("ops", name="Ops laptop"), host, "root")
    place(key("gone", comment="left"), host, "root", is_current=False)
    key("identity", use="host", comment="identity of a host")

    listed = text(viewer, "ssh_keys_sshkey_changelist")

    assert "Ops laptop" in listed
    assert "dead" in listed
    assert "identity of a host" not in listed
    assert "identity of a host" in text(viewer, "ssh_keys_sshkey_changelist", use="all")
    assert "Ops laptop" not in text(viewer, "ssh_keys_sshkey_changelist", live="no")


def test_a_key_that_visits_saw_gets_a_name_notes_and_tags(make: WebMake) -> None:
    row = key("ops")
    address = reverse("admin:ssh_keys_sshkey_edit", args=[row.pk])
    analyst = signed_in(make, "analyst")

    page = analyst.get(address)
    saved = analyst.post(address, {"name": "Ops laptop", "notes": "Of Ann", "tag_names": "ops, prod"})

    row.refresh_from_db()
    assert (page.status_code, saved.status_code) == (200, 302)
    assert (row.name, row.notes) == ("Ops laptop", "Of Ann")
    assert sorted(tag.name for tag in row.tags.all()) == ["ops", "prod"]


def test_empty_pages_say_what_to_do(make: WebMake) -> None:
    operator = signed_in(make, "operator")

    assert "Scan hosts with recon rules" in text(operator, "ssh_keys_sshkey_changelist")
    assert "Give keys their tags" in text(operator, "ssh_keys_keyzone_changelist")
    assert "Ask for one on the page of a key" in text(operator, "ssh_keys_keyremoval_changelist")
    assert "scan this host with them" in text(operator, "inventory_host_ssh", make.host().pk)


def test_the_page_of_a_key_draws_how_far_it_reaches_and_tells_it_in_a_table(make: WebMake) -> None:
    row, first, second = key("ops"), make.host(name="first"), make.host(name="second")
    place(row, first, "root")
    place(other := key("next", comment="next-key"), first, "root", "private_key", is_encrypted=True)
    place(other, second, "deploy")

    page = text(signed_in(make, "viewer"), "ssh_keys_sshkey_change", row.pk)

    assert "gets into 2 hosts, into 1 of them without anything more" in page
    assert page.count('class="sf-node ') == 4
    assert page.count("sf-edge sf-weak") == 2
    assert "SHA512:" in page
    assert 'href="/inventory/host/' in page


def test_hostile_names_are_shown_inert(make: WebMake) -> None:
    row, host = key("ops", comment=HOSTILE, name=""), make.host(name=HOSTILE)
    place(row, host, f"root{HOSTILE}", comment=HOSTILE, path=f"/x{HOSTILE}", options=[f'command="{HOSTILE}"'])
    place(row, host, f"root{HOSTILE}", "private_key", path=HOSTILE)
    operator = signed_in(make, "operator")
    removal = KeyRemoval.objects.create(key=row, host=host, reason=HOSTILE)

    for page in (
        text(operator, "ssh_keys_sshkey_changelist"),
        text(operator, "ssh_keys_sshkey_change", row.pk),
        text(operator, "inventory_host_ssh", host.pk),
        text(operator, "inventory_host_ssh", host.pk, direction="to"),
        text(operator, "ssh_keys_keyremoval_changelist"),
        text(operator, "ssh_keys_keyremoval_change", removal.pk),
    ):
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize("role", ["analyst", "viewer"])
def test_banning_is_an_analysts_work_and_needs_a_reason(make: WebMake, role: str) -> None:
    row, client = key("ops"), signed_in(make, role)
    address = reverse("admin:ssh_keys_sshkey_command", args=[row.pk, "ban"])

    client.post(address, {"text": ""})
    row.refresh_from_db()
    assert row.standing == ""
    client.post(address, {"text": "stolen"})

    row.refresh_from_db()
    assert row.standing == ("banned" if role == "analyst" else "")


def test_a_key_is_added_by_hand_and_tagged_with_others(make: WebMake) -> None:
    operator = signed_in(make, "operator")
    form = {"key_line": f"ssh-ed25519 {public_key('new')} me", "name": "New", "notes": "", "tag_names": "a, b"}
    wrong = operator.post(reverse("admin:ssh_keys_sshkey_add"), form | {"key_line": "ssh-ed25519 AAAA"})
    operator.post(reverse("admin:ssh_keys_sshkey_add"), form)
    other = key("other")

    bulk = {
        "action": "tag_selected",
        "_selected_action": [str(pk) for pk in SshKey.objects.values_list("pk", flat=True)],
    }
    asked = operator.post(reverse("admin:ssh_keys_sshkey_changelist"), bulk)
    operator.post(reverse("admin:ssh_keys_sshkey_changelist"), bulk | {"apply": "1", "add": "c", "remove": "a"})

    assert "one public key" in wrong.content.decode()
    assert "Change tags" in asked.content.decode()
    added = SshKey.objects.get(fingerprint=mark("new"))
    assert sorted(added.tags.values_list("name", flat=True)) == ["b", "c"]
    assert list(other.tags.values_list("name", flat=True)) == ["c"]


def test_a_zone_is_made_and_its_state_is_shown_at_every_place(make: WebMake) -> None:
    operator, prod = signed_in(make, "operator"), Tag.objects.create(name="prod")
    form = {"name": "Production", "host_tags": [prod.pk], "key_tag_names": "ops", "level": "high"}
    operator.post(
        reverse("admin:ssh_keys_keyzone_add"),
        form | {"confines_keys": "on", "refuses_strangers": "on", "is_enabled": "on"},
    )
    inside, outside = make.host(), make.host()
    inside.tags.add(prod)
    row, guest, free = key("ops"), key("guest"), key("free")
    row.tags.set(KeyZone.objects.get().key_tags.all())
    for where in (inside, outside):
        place(row, where, "root")
    place(guest, inside, "eve")
    place(free, outside, "bob")

    states = {
        (of.pk, state)
        for of in (row, guest, free)
        for state in ("in its zone", "out of its zone", "stranger in a zone", "no zone")
        if f">{state}</span>" in text(operator, "ssh_keys_sshkey_change", of.pk)
    }

    assert states == {
        (row.pk, "in its zone"),
        (row.pk, "out of its zone"),
        (guest.pk, "stranger in a zone"),
        (free.pk, "no zone"),
    }


def test_a_removal_is_asked_for_on_the_page_of_a_key_and_confirmed_by_an_operator(make: WebMake) -> None:
    analyst, operator, host = signed_in(make, "analyst"), signed_in(make, "operator"), make.host()
    row = key("ops")
    where = place(row, host, "root").account
    address = reverse("admin:ssh_keys_sshkey_command", args=[row.pk, "ask-removal"])
    asked = {"kind": "remove", "where": f"account:{where.pk}", "text": "left"}

    analyst.post(address, asked)
    assert not KeyRemoval.objects.exists()  # It is the last key.
    place(key("other"), host, "root")
    analyst.post(address, asked)
    removal = KeyRemoval.objects.get()
    refused = analyst.post(reverse("admin:ssh_keys_keyremoval_command", args=[removal.pk, "confirm"]))
    operator.post(reverse("admin:ssh_keys_keyremoval_command", args=[removal.pk, "confirm"]))

    assert refused.status_code == 403
    page = text(operator, "ssh_keys_keyremoval_change", removal.pk)
    assert "0 of 1 places are done" in page
    assert "awk" in page
    assert "awk" not in text(analyst, "ssh_keys_keyremoval_change", removal.pk)


def test_pages_ask_no_more_for_many_keys_than_for_few(make: WebMake) -> None:
    viewer, host = signed_in(make, "viewer"), make.host()
    stolen = key("stolen")
    place(stolen, host, "root")
    pages = [
        ("ssh_keys_sshkey_changelist", ()),
        ("ssh_keys_sshkey_change", (stolen.pk,)),
        ("inventory_host_ssh", (host.pk,)),
    ]
    counts = []
    for number in (2, 30):
        for one in range(number):
            row = key(f"{number}-{one}")
            place(row, host, f"u{number}-{one}")
            place(row, host, "root", "private_key")
            place(row, make.host(), "root")
        found = []
        for name, args in pages:
            with CaptureQueriesContext(connection) as captured:
                text(viewer, name, *args)
            found.append(len(captured))
        counts.append(found)

    assert counts[0] == counts[1]


def test_a_drawing_has_room_for_every_box_and_never_too_many() -> None:
    start = key_node(SshKey(pk=1, fingerprint="SHA256:x", algorithm="ssh-ed25519"))
    reached = [
        Reached(
            SshAccount(pk=number, username="root", host=Host(name=f"h{number}")), SshKey(pk=1), None, 1, number % 2 == 0
        )
        for number in range(200)
    ]

    graph = draw(reached, start)

    assert (len(graph.nodes), graph.is_cut) == (MAX_NODES, True)
    spots = {(node.x, node.y) for node in graph.nodes}
    assert len(spots) == MAX_NODES
    assert all(0 <= node.x <= graph.width - 190 and 0 <= node.y <= graph.height - 40 for node in graph.nodes)
