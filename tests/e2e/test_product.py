"""From an API call to findings in the API, with real workers that die in the middle."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.planted import EXPECTED, plant
from tests.e2e.product import ROOT, Product, run_product
from tests.hosts.host import Host, make_host, wait_until
from tests.hosts.seed import User

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def probes_on(host: Host) -> list[str]:
    """Process ids, as the host has them, of probes that have removed themselves and so are at work."""
    running = [pid for pid, line in host.processes().items() if line.split(" ")[0].endswith("/sf")]
    return [str(pid) for pid in running if is_deleted(host.root / "proc" / str(pid) / "exe")]


def is_deleted(exe: Path) -> bool:
    try:
        return str(exe.readlink()).endswith(" (deleted)")
    except OSError:
        return False


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with run_product() as running:
        yield running


def test_an_api_call_ends_in_findings_in_the_api(product: Product) -> None:
    with make_host("first", address="127.0.9.1") as host, plant(host):
        host_id = product.add_host(host, product.add_credential("first", private_key=host.key_path().read_text()))

        scan = product.scan(host_id)

        assert scan["status"] == "done", scan
        assert scan["is_root"] is True
        assert {finding["rule_name"] for finding in product.findings(host_id)} >= EXPECTED
        assert host.leftovers() == []


def test_the_same_thing_seen_again_is_one_finding_seen_twice(product: Product) -> None:
    with make_host("again", address="127.0.9.2") as host, plant(host):
        host_id = product.add_host(host, product.add_credential("again", private_key=host.key_path().read_text()))
        product.scan(host_id)
        first = product.findings(host_id)

        product.scan(host_id)

        second = product.findings(host_id)
        assert {finding["id"] for finding in second} == {finding["id"] for finding in first}
        assert {finding["count"] for finding in second} == {2}


def test_a_scan_whose_worker_is_killed_runs_again_without_duplicates_or_leftovers(product: Product) -> None:
    with make_host("killed", address="127.0.9.3") as host, plant(host):
        host_id = product.add_host(host, product.add_credential("killed", private_key=host.key_path().read_text()))
        scan_id = product.start_scan(host_id)
        wait_until(lambda: any("/sf" in line for line in host.processes().values()), 30)

        product.kill_workers()

        assert host.wait_clean(10) == []
        scan = product.wait_for_scan(scan_id, 120)
        assert (scan["status"], scan["attempt"]) == ("done", 2), scan
        findings = product.findings(host_id)
        assert {finding["rule_name"] for finding in findings} >= EXPECTED
        assert {finding["count"] for finding in findings} == {1}
        assert host.leftovers() == []


def test_a_soar_goes_from_an_alert_over_forensics_to_a_closed_finding(product: Product) -> None:
    with make_host("soar", address="127.0.9.7") as host, plant(host):
        host_id = product.add_host(host, product.add_credential("soar", private_key=host.key_path().read_text()))
        product.scan(host_id)
        [alert] = product.results(f"findings?host={host_id}&rule_name=process_running_deleted_executable&status=open")

        product.call("POST", f"findings/{alert['id']}/acknowledge", {"comment": "playbook 7 took it"})
        asked = product.call("POST", f"findings/{alert['id']}/collect", {"rules": []})
        scan = product.wait_for_scan(asked["scan"])

        assert (scan["status"], scan["finding"], scan["error_count"]) == ("done", alert["id"], 0), scan
        records = product.results(f"forensic-records?finding={alert['id']}&subject=process&page_size=500")
        assert "/tmp/gone 601" in {record["identity"]["cmdline"] for record in records}
        assert host.leftovers() == []

        closed = product.call("POST", f"findings/{alert['id']}/close", {"reason": "host is rebuilt"})
        kinds = [event["kind"] for event in closed["events"]]
        assert kinds == ["created", "acknowledged", "collected", "closed"]


def examples(text: str) -> str:
    """The Python blocks of a page, one after another."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def test_the_examples_of_the_python_client_do_what_they_say(
    product: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = examples((ROOT / "sandfly_web" / "api" / "client" / "README.md").read_text(encoding="utf-8"))
    monkeypatch.setenv("SANDFLY_URL", f"http://127.0.0.1:{product.port}")
    monkeypatch.setenv("SANDFLY_TOKEN", product.token)
    with make_host("client", address="127.0.9.8") as host, plant(host):
        for documented, real in {
            '"192.0.2.10", port=22': f'"{host.address}", port={host.port}',
            '"/etc/soar/scan_key"': repr(str(host.key_path())),
        }.items():
            assert code.count(documented) == 1
            code = code.replace(documented, real)
        exec(code, {})

    said = capsys.readouterr().out
    assert said.startswith("admin\nweb-1 done")
    assert "closed ['created', 'commented', 'closed']" in said
    assert int(re.findall(r"^(\d+) findings$", said, re.MULTILINE)[0]) >= len(EXPECTED)
    assert "['port']" in said
    assert re.search(r"^404 [0-9a-f]{16}$", said, re.MULTILINE)


def test_a_changed_host_key_stops_the_scan_and_is_a_critical_finding(product: Product) -> None:
    with make_host("rekeyed", address="127.0.9.4") as host:
        host_id = product.add_host(host, product.add_credential("rekeyed", private_key=host.key_path().read_text()))
        assert product.scan(host_id)["status"] == "done"
        host.rekey()
        before = len(host.authentications())

        scan = product.scan(host_id)

        assert (scan["status"], scan["error_code"]) == ("failed", "host_key_changed")
        assert len(host.authentications()) == before
        alarm = [finding for finding in product.findings(host_id) if finding["rule_name"] == "host_key_changed"]
        assert [finding["level"] for finding in alarm] == ["critical"]
        assert product.call("GET", f"hosts/{host_id}")["state"] == "key_changed"


def test_a_wrong_password_is_tried_once_and_the_host_says_so(product: Product) -> None:
    with make_host("locked", address="127.0.9.5", users=[User("scan", password="right")]) as host:
        credential = product.add_credential("locked", username="scan", password="wrong")
        host_id = product.add_host(host, credential)

        scan = product.scan(host_id)

        assert (scan["status"], scan["error_code"], scan["attempt"]) == ("failed", "auth_rejected", 1)
        assert len([line for line in host.authentications() if "Failed password" in line]) == 1
        assert product.call("GET", f"hosts/{host_id}")["state"] == "auth_failed"


def test_keys_on_two_hosts_end_as_an_inventory_and_a_path_between_them(product: Product, tmp_path: Path) -> None:
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "deploy", "-f", str(tmp_path / "k")]
    subprocess.run(made, check=True)
    private, public = (shlex.quote((tmp_path / name).read_text()) for name in ("k", "k.pub"))
    with make_host("keys-a", address="127.0.9.20") as first, make_host("keys-b", address="127.0.9.21") as second:
        first.run(f"mkdir -p /root/.ssh && umask 077 && printf %s {private} > /root/.ssh/id_deploy")
        second.run(f"mkdir -p /root/.ssh && printf %s {public} >> /root/.ssh/authorized_keys")
        ids = []
        for host in (first, second):
            credential = product.add_credential(host.name, private_key=host.key_path().read_text())
            ids.append(product.add_host(host, credential))
            scan = product.call("POST", "scans", {"hosts": [ids[-1]], "types": ["recon"], "priority": "high"})
            assert product.wait_for_scan(scan["scans"][0]["id"])["status"] == "done"

    (key,) = [row for row in product.results("ssh-keys?page_size=100") if row["comment"] == "deploy"]
    places = {(row["host"], row["kind"]) for row in product.results(f"ssh-key-places?key={key['id']}")}
    reached = product.call("GET", f"ssh-paths?host={ids[0]}")["reached"]

    assert places == {(ids[0], "private_key"), (ids[1], "authorized_key")}
    assert (ids[1], "root", key["fingerprint"], True) in {
        (one["host"], one["username"], one["fingerprint"], one["is_sure"]) for one in reached
    }
    assert len(key["hashes"]) == 4


def test_a_cancelled_scan_ends_and_leaves_nothing(product: Product) -> None:
    with make_host("cancelled", address="127.0.9.6") as host:
        host_id = product.add_host(host, product.add_credential("cancelled", private_key=host.key_path().read_text()))
        scan_id = product.start_scan(host_id)
        wait_until(lambda: bool(probes_on(host)), 30)
        # Held once it has its plan, so that the scan cannot end by itself before the request has come to the worker.
        time.sleep(0.3)
        held = probes_on(host)
        host.run("kill -STOP " + " ".join(held))

        product.call("POST", f"scans/{scan_id}/cancel")

        assert product.wait_for_scan(scan_id)["status"] == "cancelled"
        host.run("kill -CONT " + " ".join(held))
        assert host.wait_clean(10) == []


def test_the_worker_holds_neither_the_database_nor_the_secret_key(product: Product) -> None:
    (pid, *_) = product.processes("scanners.app")

    environ = Path(f"/proc/{pid}/environ").read_bytes()

    assert b"DATABASE_URL" not in environ
    assert b"SECRET_KEY" not in environ
