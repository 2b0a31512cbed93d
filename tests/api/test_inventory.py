"""Hosts, zones, tags, credentials and jump hosts through the API."""

from __future__ import annotations

import json

import pytest

from tests.api.builders import WebMake

CANARY = "canary-7c1f-secret"


def credential_body(zone: object, **fields: object) -> dict[str, object]:
    return {"name": "fleet", "zone": zone.pk, "username": "root", "password": CANARY, **fields}  # type: ignore[attr-defined]


def test_host_is_added_with_tags_and_named_after_its_endpoint(make: WebMake) -> None:
    from sandfly_web.inventory.models import Tag

    zone = make.zone()
    Tag.objects.create(name="web")

    answer = make.api("operator").post(
        "/api/v1/hosts", {"address": "192.0.2.7", "port": 2222, "zone": zone.pk, "tags": ["web"]}, format="json"
    )

    assert answer.status_code == 201, answer.content
    assert answer.json()["name"] == "192.0.2.7:2222"
    assert answer.json()["tags"] == ["web"]
    assert answer.json()["state"] == "new"


@pytest.mark.parametrize(
    "path", ["opt/scan", "/opt/../etc", "/opt//scan", "/opt/scan/", "/", "/opt/a\x00b", "/opt/a\nb"]
)
def test_a_place_for_the_probe_that_is_no_absolute_path_is_refused(make: WebMake, path: str) -> None:
    api, zone = make.api("operator"), make.zone()

    refused = api.post("/api/v1/hosts", {"address": "a", "zone": zone.pk, "staging_directory": path}, format="json")
    added = api.post("/api/v1/hosts", {"address": "a", "zone": zone.pk, "staging_directory": "/opt/x y"}, format="json")

    assert (refused.status_code, added.status_code) == (400, 201)
    assert "staging_directory" in str(refused.json())
    assert added.json()["staging_directory"] == "/opt/x y"


def test_host_that_is_there_already_is_a_conflict(make: WebMake) -> None:
    host = make.host()

    answer = make.api("operator").post("/api/v1/hosts", {"address": host.address, "zone": host.zone_id}, format="json")

    assert answer.status_code == 409
    assert "already" in answer.json()["detail"]


@pytest.mark.parametrize("address", ["", "10.0.0.0/8", "root@host", "two words", "host:22:33"])
def test_address_that_is_not_one_host_is_refused_at_its_field(make: WebMake, address: str) -> None:
    answer = make.api("operator").post("/api/v1/hosts", {"address": address, "zone": make.zone().pk}, format="json")

    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_credential_of_another_zone_is_refused(make: WebMake) -> None:
    credential = make.credential(make.zone())

    answer = make.api("operator").post(
        "/api/v1/hosts", {"address": "192.0.2.1", "zone": make.zone().pk, "credential": credential.pk}, format="json"
    )

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "credential"


def test_who_added_a_host_is_in_the_audit_log(make: WebMake) -> None:
    from auditlog.models import LogEntry

    from sandfly_web.inventory.models import Host

    user, zone = make.person("operator"), make.zone()

    make.api(user=user).post("/api/v1/hosts", {"address": "192.0.2.9", "zone": zone.pk}, format="json")

    entry = LogEntry.objects.get_for_object(Host.objects.get()).get(action=LogEntry.Action.CREATE)
    assert (entry.actor, entry.changes["zone"]) == (user, ["", str(zone)])


def test_what_a_visit_saw_cannot_be_written(make: WebMake) -> None:
    host = make.host()

    answer = make.api("operator").patch(f"/api/v1/hosts/{host.pk}", {"state": "active", "kernel": "x"}, format="json")

    host.refresh_from_db()
    assert answer.status_code == 200
    assert (host.state, host.kernel) == ("new", "")


def test_hosts_filter_by_state_tag_and_name(make: WebMake) -> None:
    from sandfly_web.inventory.models import Tag

    web, other = make.host(name="web-1", state="offline"), make.host(name="db-1")
    web.tags.add(Tag.objects.create(name="web"))
    client = make.api("viewer")

    for query in ("state=offline", "tag=web", "name_contains=EB-", f"zone={web.zone_id}"):
        found = [row["name"] for row in client.get(f"/api/v1/hosts?{query}").json()["results"]]
        assert found == ["web-1"], query
    assert other.name == "db-1"


def test_credential_secrets_are_in_no_answer(make: WebMake) -> None:
    client, zone = make.api("operator"), make.zone()

    created = client.post("/api/v1/credentials", credential_body(zone, become_password=CANARY), format="json")
    listed = client.get("/api/v1/credentials")
    single = client.get(f"/api/v1/credentials/{created.json()['id']}")

    assert created.status_code == 201, created.content
    for answer in (created, listed, single):
        assert CANARY not in answer.content.decode()
        assert "sealed" not in answer.content.decode()
        assert "password" not in json.dumps(sorted(created.json())).replace("become", "")


def test_credential_secrets_reach_neither_database_nor_audit_log_in_the_clear(make: WebMake) -> None:
    from auditlog.models import LogEntry

    from sandfly_web.inventory.models import Credential

    make.api("operator").post("/api/v1/credentials", credential_body(make.zone()), format="json")

    row = Credential.objects.get(name="fleet")
    entry = LogEntry.objects.get_for_object(row).get()
    assert CANARY not in row.sealed
    assert "sealed" not in entry.changes
    assert CANARY not in str(entry.changes)


def test_refused_credential_does_not_echo_its_secret(make: WebMake) -> None:
    answer = make.api("operator").post(
        "/api/v1/credentials", credential_body(make.zone(), private_key=f"not a key {CANARY}"), format="json"
    )

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "private_key"
    assert CANARY not in answer.content.decode()


def test_credential_is_replaced_whole_and_never_in_part(make: WebMake) -> None:
    zone = make.zone()
    credential = make.credential(zone)
    client = make.api("operator")

    part = client.patch(f"/api/v1/credentials/{credential.pk}", {"username": "x"}, format="json")
    without = client.put(
        f"/api/v1/credentials/{credential.pk}", {"name": "n", "zone": zone.pk, "username": "x"}, format="json"
    )
    whole = client.put(f"/api/v1/credentials/{credential.pk}", credential_body(zone, username="x"), format="json")

    assert part.status_code == 405
    assert without.status_code == 400
    assert (whole.status_code, whole.json()["username"]) == (200, "x")


def test_credential_in_use_is_not_deleted(make: WebMake) -> None:
    host = make.host()

    answer = make.api("operator").delete(f"/api/v1/credentials/{host.credential_id}")

    assert answer.status_code == 409
    assert host.name in answer.json()["detail"]


def test_zone_key_stays_while_credentials_are_sealed_to_it(make: WebMake) -> None:
    zone = make.zone()
    make.credential(zone)

    answer = make.api("admin").patch(f"/api/v1/zones/{zone.pk}", {"public_key": make.zone().public_key}, format="json")

    assert answer.status_code == 400
    zone.refresh_from_db()


def test_jump_host_that_leads_to_itself_is_refused(make: WebMake) -> None:
    from sandfly_web.inventory.models import JumpHost
    from tests.server.builders import host_key_pin

    zone, pin = make.zone(), host_key_pin()
    keys = f"{pin.key_type} {pin.public_key}"
    credential = make.credential(zone)
    first, second = (
        JumpHost.objects.create(name=name, zone=zone, address=name, credential=credential, host_keys=keys)
        for name in ("first", "second")
    )
    second.via = first
    second.save()

    answer = make.api("operator").patch(f"/api/v1/jump-hosts/{first.pk}", {"via": second.pk}, format="json")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "via"


def test_changed_host_key_is_accepted_by_its_fingerprint(make: WebMake) -> None:
    from sandfly_web.inventory.models import HostKey
    from tests.server.builders import NOW

    host = make.host(state="key_changed")
    times = {"first_seen_at": NOW, "last_seen_at": NOW}
    for name, status in (("old", "pinned"), ("new", "rejected")):
        HostKey.objects.create(
            host=host, key_type="ssh-ed25519", public_key=name, fingerprint=f"SHA256:{name}", status=status, **times
        )

    answer = make.api("operator").post(
        f"/api/v1/hosts/{host.pk}/accept-host-key", {"fingerprint": "SHA256:new"}, format="json"
    )

    assert answer.status_code == 200, answer.content
    pinned = {key["fingerprint"]: key["status"] for key in answer.json()["host_keys"]}
    assert pinned["SHA256:new"] == "pinned"
    assert pinned.get("SHA256:old") != "pinned"


# --- sets of credentials ---


def test_set_keeps_its_order_and_is_changed_in_parts(make: WebMake) -> None:
    zone = make.zone()
    first, second, third = (make.credential(zone).pk for _ in range(3))
    client = make.api("operator")

    made = client.post(
        "/api/v1/credential-sets", {"name": "lab", "zone": zone.pk, "credentials": [third, first]}, format="json"
    )
    url = f"/api/v1/credential-sets/{made.json()['id']}"
    renamed = client.patch(url, {"name": "laboratory", "try_all_passwords": True}, format="json").json()
    reordered = client.patch(url, {"credentials": [second, first, third]}, format="json").json()

    assert made.status_code == 201, made.content
    assert made.json()["credentials"] == [third, first]
    assert (renamed["name"], renamed["try_all_passwords"], renamed["credentials"]) == (
        "laboratory",
        True,
        [third, first],
    )
    assert reordered["credentials"] == [second, first, third]
    assert client.get(url).json() == reordered
    assert client.get(f"/api/v1/credential-sets?credentials={second}").json()["results"] == [reordered]


def test_set_holds_each_credential_of_its_zone_once_and_no_secret(make: WebMake) -> None:
    zone = make.zone()
    own, stranger = make.credential(zone), make.credential(make.zone())
    client = make.api("operator")
    url = "/api/v1/credential-sets"

    for credentials in ([], [own.pk, own.pk], [own.pk, stranger.pk], [10**9]):
        answer = client.post(url, {"name": "lab", "zone": zone.pk, "credentials": credentials}, format="json")
        assert answer.status_code == 400, credentials
        assert answer.json()["errors"][0]["field"].startswith("credentials")
    made = client.post(url, {"name": "lab", "zone": zone.pk, "credentials": [own.pk]}, format="json").json()
    moved = client.patch(f"{url}/{made['id']}", {"zone": stranger.zone.pk}, format="json")

    assert moved.status_code == 400
    assert own.sealed not in client.get(f"{url}/{made['id']}").content.decode()
    assert client.delete(f"{url}/{made['id']}").status_code == 204


def test_set_that_hosts_use_is_not_deleted(make: WebMake) -> None:
    from sandfly_web.inventory.models import CredentialSet

    zone = make.zone()
    several = CredentialSet.objects.create(name="lab", zone=zone)
    make.host(zone, credential_set=several)

    assert make.api("operator").delete(f"/api/v1/credential-sets/{several.pk}").status_code == 409
