"""What only few hosts have: programs, listeners, keys, services, kernel modules; in the console and through the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.api.builders import WebMake

# Kind → what every host has, and what one has alone.
THINGS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "programs": ("process", {"path": "/usr/sbin/sshd"}, {"path": "/tmp/miner"}),
    "listeners": (
        "socket",
        {"local_port": 22, "protocol": "tcp", "process.path": "/usr/sbin/sshd"},
        {"local_port": 31337, "protocol": "tcp", "process.path": "/tmp/miner"},
    ),
    "keys": ("authorized_key", {"fingerprint": "SHA256:all"}, {"fingerprint": "SHA256:one"}),
    "services": ("systemd_unit", {"name": "ssh.service"}, {"name": "miner.service"}),
    "modules": ("kernel_module", {"name": "ext4"}, {"name": "diamorphine"}),
}


def fleet(make: WebMake, kind: str) -> list[Any]:
    """Three hosts that have the same, and one of them something of its own."""
    subject, common, own = THINGS[kind]
    hosts = [make.host() for _ in range(3)]
    for host in hosts:
        make.record(host, subject=subject, **common)
    make.record(hosts[0], subject=subject, **own)
    return hosts


@pytest.mark.parametrize("kind", THINGS)
def test_what_one_host_has_alone_is_found_and_what_all_have_is_not(make: WebMake, kind: str) -> None:
    host, *_others = fleet(make, kind)
    own = {name: str(value) for name, value in THINGS[kind][2].items()}

    found = make.api("viewer").get(f"/api/v1/records/rare?kind={kind}").json()

    [rare] = found["rare"]
    assert (rare["facts"], rare["host_count"]) == (own, 1)
    assert rare["hosts"] == [{"id": str(host.pk), "name": host.name}]
    assert (found["known_hosts"], found["is_cut"]) == (3, False)
    everything = make.api("viewer").get(f"/api/v1/records/rare?kind={kind}&hosts=3").json()["rare"]
    assert [one["host_count"] for one in everything] == [1, 3]


def test_what_is_gone_and_open_connections_are_not_rare(make: WebMake) -> None:
    host = make.host()
    gone = make.record(host, subject="process", path="/tmp/gone")
    type(gone).objects.filter(pk=gone.pk).update(is_current=False)
    make.record(host, subject="socket", local_port=50000, protocol="tcp", state="ESTABLISHED")
    client = make.api("viewer")

    for kind in ("programs", "listeners"):
        assert client.get(f"/api/v1/records/rare?kind={kind}").json()["rare"] == []


def test_wrong_questions_are_refused(make: WebMake) -> None:
    client = make.api("viewer")

    for query in ("", "kind=everything", "kind=keys&hosts=0", "kind=keys&hosts=100000", "kind=keys&limit=0"):
        assert client.get(f"/api/v1/records/rare?{query}").status_code == 400


def test_page_shows_what_is_rare_inert_and_says_when_nothing_is_known(make: WebMake) -> None:
    client = Client()
    client.force_login(make.person("viewer"))
    assert "Nothing is known of them yet" in client.get("/findings/record/rare/").content.decode()
    host = make.host(name="web1")
    make.record(host, subject="process", path="/tmp/<b>x")
    make.record(make.host(), subject="process", path="/bin/sh")

    page = client.get("/findings/record/rare/?kind=programs&hosts=1").content.decode()

    assert "/tmp/&lt;b&gt;x" in page
    assert "web1" in page
    assert "among 2 hosts" in page
    assert client.get("/findings/record/rare/?kind=x&hosts=9999").status_code == 200


def test_whoever_is_limited_to_hosts_compares_those(make: WebMake) -> None:
    from sandfly_web.findings.rarity.services import Kind, find_rare
    from sandfly_web.inventory.models import Tag
    from sandfly_web.inventory.scope import limited_to

    mine, *_others = fleet(make, "programs")
    tag = Tag.objects.create(name="mine")
    mine.tags.add(tag)

    with limited_to((frozenset({tag.pk}),)):
        found = find_rare(Kind.PROGRAMS)

    assert found.known_hosts == 1
    assert {host["name"] for one in found.rare for host in one.hosts} == {mine.name}
