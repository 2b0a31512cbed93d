"""SSH keys through the API: inventory, standing, tags, zones, paths, removal."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from sandfly_web.findings.ssh_keys.models import SshAccount, SshKey, SshKeyPlace
from tests.api.builders import WebMake
from tests.server.builders import NOW
from tests.server.keys import mark, public_key


def key(seed: str, /, **fields: Any) -> SshKey:
    given = {"algorithm": "ssh-ed25519", "bits": 256, "public_key": public_key(seed), "first_seen_at": NOW}
    return SshKey.objects.create(fingerprint=mark(seed), **{**given, **fields})


def place(of: SshKey, host: Any, user: str, kind: str = "authorized_key", **fields: Any) -> SshKeyPlace:
    account, _ = SshAccount.objects.get_or_create(host=host, username=user, defaults={"is_root": user == "root"})
    number = SshKeyPlace.objects.count()
    given = {"path": f"/home/{user}/.ssh/{kind}", "identity_digest": str(number), "copies": 1}
    if kind == "private_key":
        given |= {"is_encrypted": False, "copies": None}
    return SshKeyPlace.objects.create(
        key=of, host=host, account=account, kind=kind, first_seen_at=NOW, last_seen_at=NOW, **{**given, **fields}
    )


@pytest.fixture
def api(make: WebMake) -> APIClient:
    return make.api("operator")


def results(api: APIClient, path: str) -> list[dict[str, Any]]:
    answer = api.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["results"]
    return rows


def test_the_inventory_is_filtered_named_and_tagged(make: WebMake, api: APIClient) -> None:
    host = make.host()
    ops, dead = key("ops"), key("dead")
    place(ops, host, "root")
    place(dead, host, "root", is_current=False)

    changed = api.patch(f"/api/v1/ssh-keys/{ops.pk}", {"name": "Ops", "tags": ["prod", "prod"]}, format="json").json()
    tagged = api.post(
        "/api/v1/ssh-keys/tag", {"keys": [ops.pk, dead.pk], "add": ["old"], "remove": ["prod"]}, format="json"
    )

    assert (changed["name"], changed["tags"], changed["host_count"]) == ("Ops", ["prod"], 1)
    assert changed["hashes"]["SHA256"] == mark("ops")
    assert tagged.json() == {"changed": 2}
    assert [row["id"] for row in results(api, "ssh-keys?is_live=false")] == [dead.pk]
    assert [row["tags"] for row in results(api, f"ssh-keys?host={host.pk}")] == [["old"]]
    assert len(results(api, "ssh-keys?tag=old")) == 2
    assert [row["username"] for row in results(api, f"ssh-key-places?key={ops.pk}&is_current=true")] == ["root"]


def test_a_key_is_added_before_it_is_seen_and_forgotten_only_while_it_was_not(make: WebMake, api: APIClient) -> None:
    line = f"ssh-ed25519 {public_key('new')} ops@laptop"

    added = api.post("/api/v1/ssh-keys", {"public_key": line, "name": "New"}, format="json")
    again = api.post("/api/v1/ssh-keys", {"public_key": line}, format="json")
    place(seen := key("seen"), make.host(), "root")

    assert (added.status_code, added.json()["fingerprint"], again.status_code) == (201, mark("new"), 400)
    assert api.delete(f"/api/v1/ssh-keys/{seen.pk}").status_code == 409
    assert api.delete(f"/api/v1/ssh-keys/{added.json()['id']}").status_code == 204


def test_banning_needs_a_reason_and_is_taken_back(make: WebMake, api: APIClient) -> None:
    row = key("stolen")

    assert api.post(f"/api/v1/ssh-keys/{row.pk}/ban", {}, format="json").status_code == 400
    banned = api.post(f"/api/v1/ssh-keys/{row.pk}/ban", {"reason": "stolen"}, format="json").json()
    released = api.post(f"/api/v1/ssh-keys/{row.pk}/release").json()

    assert (banned["standing"], banned["standing_reason"]) == ("banned", "stolen")
    assert (released["standing"], released["standing_reason"]) == ("", "")
    assert make.api("viewer").post(f"/api/v1/ssh-keys/{row.pk}/ban", {"reason": "x"}).status_code == 403


def test_zones_are_made_of_tags(make: WebMake, api: APIClient) -> None:
    api.post("/api/v1/tags", {"name": "prod"}, format="json")
    body = {"name": "Production", "host_tags": ["prod"], "key_tags": ["ops"], "refuses_strangers": True}

    made = api.post("/api/v1/key-zones", body, format="json")

    assert (made.status_code, made.json()["key_tags"], made.json()["confines_keys"]) == (201, ["ops"], True)
    assert make.api("analyst").post("/api/v1/key-zones", body, format="json").status_code == 403


def test_paths_are_told_from_both_ends(make: WebMake, api: APIClient) -> None:
    first, second = make.host(name="first"), make.host(name="second")
    row = key("a")
    place(row, first, "alice", "private_key")
    place(row, second, "root")

    onward = api.get(f"/api/v1/ssh-paths?host={first.pk}").json()
    back = api.get(f"/api/v1/ssh-paths?host={second.pk}&direction=to").json()
    radius = api.get(f"/api/v1/ssh-keys/{row.pk}/reach").json()

    assert [(one["host_name"], one["username"], one["hops"], one["is_sure"]) for one in onward["reached"]] == [
        ("second", "root", 1, True)
    ]
    assert [(one["host_name"], one["username"]) for one in back["reached"]] == [("first", "alice")]
    assert (radius["host_count"], radius["is_cut"], radius["reached"][0]["from_account"]) == (1, False, None)
    assert api.get("/api/v1/ssh-paths").status_code == 400
    assert api.get("/api/v1/ssh-paths?account=999999").status_code == 404


def test_a_soar_asks_for_a_removal_and_carries_it_out(make: WebMake, api: APIClient) -> None:
    host, row = make.host(name="web-1"), key("ops")
    place(row, host, "root")
    place(key("other"), host, "root")
    body = {"key": row.pk, "host": str(host.pk), "reason": "left the company"}

    asked = make.api("analyst").post("/api/v1/key-removals", body, format="json")
    address = f"/api/v1/key-removals/{asked.json()['id']}"
    refused = make.api("analyst").post(f"{address}/confirm", {}, format="json")
    confirmed = api.post(f"{address}/confirm", {}, format="json").json()
    (commands,) = api.get(f"{address}/commands").json()

    assert (asked.status_code, refused.status_code) == (201, 403)
    assert (confirmed["state"], confirmed["step_count"], confirmed["done_count"]) == ("confirmed", 1, 0)
    assert (commands["host_name"], commands["paths"]) == ("web-1", ["/home/root/.ssh/authorized_key"])
    assert public_key("ops").rstrip("=") in commands["script"]
    assert api.post("/api/v1/key-removals", body, format="json").status_code == 409


def test_who_is_limited_knows_of_keys_and_counts_on_own_hosts_alone(make: WebMake) -> None:
    from sandfly_web.accounts.services import create_token
    from sandfly_web.inventory.models import Tag

    mine, other = make.host(name="mine"), make.host(name="other")
    tag = Tag.objects.create(name="mine")
    mine.tags.add(tag)
    shared, hidden = key("shared"), key("hidden")
    for host in (mine, other):
        place(shared, host, "root")
    place(shared, mine, "alice", "private_key")
    place(hidden, other, "root")
    _row, token = create_token(make.person("admin", is_superuser=True), "limited", host_tags=[tag])
    limited = APIClient()
    limited.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    assert [(row["id"], row["host_count"]) for row in results(limited, "ssh-keys")] == [(shared.pk, 1)]
    assert [row["host_name"] for row in results(limited, "ssh-key-places?kind=authorized_key")] == ["mine"]
    reached = limited.get(f"/api/v1/ssh-paths?host={mine.pk}").json()
    assert [one["host_name"] for one in reached["reached"]] == []
    assert limited.get(f"/api/v1/ssh-keys/{hidden.pk}/reach").status_code == 404
    assert limited.get(f"/api/v1/ssh-paths?host={other.pk}").status_code == 404
    assert limited.post(f"/api/v1/ssh-keys/{shared.pk}/ban", {"reason": "x"}, format="json").status_code == 403
    assert limited.get("/api/v1/key-removals").status_code == 403
