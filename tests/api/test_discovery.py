"""Discoveries and their sweeps through the API; hosts that look alike; retrying."""

from __future__ import annotations

from typing import Any

from tests.api.builders import WebMake


def body(make: WebMake, **fields: Any) -> dict[str, Any]:
    zone = make.zone()
    return {
        "name": "office",
        "zone": zone.pk,
        "ranges": "10.0.0.0/29",
        "credentials": [make.credential(zone).pk],
        **fields,
    }


def test_discovery_is_written_sweeps_and_is_cancelled(make: WebMake, redis: object) -> None:
    client = make.api("operator")

    made = client.post("/api/v1/discoveries", body(make), format="json")
    sweep = client.post(f"/api/v1/discoveries/{made.json()['id']}/sweep")
    again = client.post(f"/api/v1/discoveries/{made.json()['id']}/sweep")
    cancelled = client.post(f"/api/v1/sweeps/{sweep.json()['id']}/cancel")
    listed = make.api("viewer").get("/api/v1/sweeps?status=cancelled").json()["results"]

    assert made.status_code == 201, made.content
    assert (sweep.status_code, sweep.json()["total"], sweep.json()["percent"]) == (202, 6, 0)
    assert again.status_code == 409
    assert cancelled.json()["status"] == "cancelled"
    assert [row["id"] for row in listed] == [sweep.json()["id"]]


def test_discovery_names_what_is_wrong_with_it(make: WebMake) -> None:
    client = make.api("operator")
    stranger = make.credential(make.zone()).pk
    wrong = {
        "ranges": {"ranges": "10.0.0.0/99"},
        "credentials": {"credentials": [stranger]},
        "rate_per_s": {"rate_per_s": 0},
    }

    for field, change in wrong.items():
        answer = client.post("/api/v1/discoveries", body(make, **change), format="json")
        assert answer.status_code == 400, change
        assert answer.json()["errors"][0]["field"] == field


def test_a_discovery_does_not_leave_the_zone_of_its_credentials(make: WebMake) -> None:
    client = make.api("operator")
    made = client.post("/api/v1/discoveries", body(make), format="json").json()

    answer = client.patch(f"/api/v1/discoveries/{made['id']}", {"zone": make.zone().pk}, format="json")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "credentials")


def test_discovery_takes_a_set_of_credentials_and_a_jump_host_of_its_zone(make: WebMake) -> None:
    from sandfly_web.inventory.models import CredentialSet, JumpHost, Zone

    client, other = make.api("operator"), make.zone()
    whole = body(make, credentials=[])
    zone = Zone.objects.get(pk=whole["zone"])
    ways = {}
    for name, at in (("own", zone), ("foreign", other)):
        credential = make.credential(at)
        ways[name] = {
            "credential_set": CredentialSet.objects.create(name=name, zone=at).pk,
            "jump_host": JumpHost.objects.create(name=name, zone=at, address="10.9.9.9", credential=credential).pk,
        }

    nothing = client.post("/api/v1/discoveries", whole, format="json")
    wrong = [
        client.post("/api/v1/discoveries", whole | ways["own"] | {part: ways["foreign"][part]}, format="json")
        for part in ways["own"]
    ]
    made = client.post("/api/v1/discoveries", whole | ways["own"], format="json")

    assert nothing.json()["errors"][0]["field"] == "credentials"
    assert [answer.json()["errors"][0]["field"] for answer in wrong] == ["credential_set", "jump_host"]
    assert made.status_code == 201, made.content
    assert {part: made.json()[part] for part in ways["own"]} == ways["own"]
    assert client.patch(f"/api/v1/discoveries/{made.json()['id']}", {"rate_per_s": 5}, format="json").status_code == 200


def test_viewer_starts_no_sweep(make: WebMake) -> None:
    made = make.api("operator").post("/api/v1/discoveries", body(make), format="json").json()

    assert make.api("viewer").post(f"/api/v1/discoveries/{made['id']}/sweep").status_code == 403


def test_hosts_that_look_alike_are_named(make: WebMake) -> None:
    first, second = make.host(machine_id="a" * 32), make.host(machine_id="a" * 32)

    shown = make.api("viewer").get(f"/api/v1/hosts/{first.pk}").json()

    assert shown["twins"] == [{"host": str(second.pk), "name": second.name, "shares": "machine-id"}]


def test_hosts_in_trouble_are_retried_together(make: WebMake) -> None:
    make.rule()
    for state in ("offline", "auth_failed", "key_changed", "active"):
        make.host(state=state)
    client = make.api("responder")

    usual = client.post("/api/v1/hosts/retry", {}, format="json")
    chosen = client.post("/api/v1/hosts/retry", {"states": ["active"]}, format="json")

    assert (usual.status_code, usual.json()["hosts"]) == (202, 2)
    assert chosen.json()["hosts"] == 1
    assert client.get(f"/api/v1/batches/{usual.json()['batch']}").json()["counts"] == {"queued": 2}
    assert client.post("/api/v1/hosts/retry", {"states": ["unsupported"]}, format="json").status_code == 400


def test_retired_hosts_are_told_apart(make: WebMake) -> None:
    from tests.server.builders import NOW

    gone = make.host(retired_at=NOW)
    make.host()

    listed = make.api("viewer").get("/api/v1/hosts?is_retired=true").json()["results"]

    assert [row["id"] for row in listed] == [str(gone.pk)]
