"""Indicators from a list to findings, in one process and through the whole product, against a real SSH host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.e2e.indicators import FOUND, Planted, plant_indicators, write_list
from tests.e2e.product import manage, run_product
from tests.e2e.test_scan_command import arguments_for, only, scan
from tests.hosts.host import Host, make_host

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with make_host("listed", address="10.99.9.2", own_network=True) as made:
        yield made


@pytest.fixture(scope="module")
def planted(host: Host) -> Iterator[Planted]:
    with plant_indicators(host, peer="10.99.9.1") as made:
        yield made


def check(findings: Iterable[tuple[str, str]], planted: Planted) -> None:
    """All that is listed is found and named, nothing that is only near; findings are rule and explanation."""
    listed: dict[str, str] = defaultdict(str)
    for name, text in findings:
        if "_indicator_" in name:
            listed[name] += text + "\n"
    assert listed.keys() == FOUND.keys()
    assert {name: part in listed[name] for name, part in FOUND.items()} == dict.fromkeys(FOUND, True)
    assert "dropper of autumn" in listed["file_indicator_hash"]
    near = ("unlisted", "notevil", "/opt/other", planted.near_miss)
    assert [text for text in near if any(text in said for said in listed.values())] == []


def test_a_scan_with_a_file_of_indicators_finds_what_is_on_it_and_no_near_miss(
    host: Host, planted: Planted, tmp_path: Path
) -> None:
    done = scan(*arguments_for(host, tmp_path, "--indicators", str(write_list(planted, tmp_path))))

    findings = only(done.stdout, "finding")
    check(((one["rule"]["name"], one["explanation"]) for one in findings), planted)
    assert {one["subject"]["indicator.list"] for one in findings if "indicator.list" in one["subject"]} == {"feed.txt"}
    (entry,) = only(done.stdout, "host")
    # The near miss was sent home and has vanished.
    assert entry["cost"]["indicator_candidates"] > entry["cost"]["indicator_matches"] >= len(FOUND)
    assert done.returncode == 1


def test_a_host_without_anything_on_the_list_is_silent(host: Host, planted: Planted, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("192.0.2.77\n/opt/nowhere\n" + "ab" * 32 + "\n")

    done = scan(*arguments_for(host, tmp_path, "--indicators", str(tmp_path / "other.txt")))

    assert not [one for one in only(done.stdout, "finding") if "_indicator_" in one["rule"]["name"]]


def test_a_file_that_is_no_list_stops_the_scan_before_it_begins(host: Host, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("https://evil.example/\n")

    done = scan(*arguments_for(host, tmp_path, "--indicators", str(tmp_path / "bad.txt")))

    assert done.returncode == 2
    assert "bad.txt: line 1: a URL" in done.stderr
    assert "no line can be used" in done.stderr


def test_lists_of_the_server_reach_workers_and_become_findings(host: Host, planted: Planted, tmp_path: Path) -> None:
    with run_product() as product:
        host_id = product.add_host(host, product.add_credential("listed", private_key=host.key_path().read_text()))
        said = manage(
            product.data, "indicators", "import", "feed", str(write_list(planted, tmp_path)), "--level", "critical"
        )

        scanned = product.scan(host_id)

        findings = product.findings(host_id)
        assert "50000 path" in said
        assert scanned["status"] == "done", scanned
        check(((one["rule_name"], one["explanation"]) for one in findings), planted)
        assert {one["level"] for one in findings if "_indicator_" in one["rule_name"]} == {"critical"}
        assert scanned["cost"]["indicator_candidates"] > scanned["cost"]["indicator_matches"] >= len(FOUND)
