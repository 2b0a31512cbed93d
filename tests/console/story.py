"""What people did in the demo, through the API: enrolling, triage, SSH keys, drift, schedules, discovery."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any

from tests.console.fleet import ADDRESSES, DATABASES, TAGS, UNKNOWN, Pair, change_databases
from tests.e2e.product import Product
from tests.hosts.host import Host

TYPES = ["detection", "recon"]


def zone_id(product: Product) -> int:
    return int(product.results("zones?name=default")[0]["id"])


def enrol(product: Product, hosts: dict[str, Host]) -> dict[str, str]:
    """Host name → id; mail1 has a password that is wrong, build1 a user without root, backup1 is not there."""
    ids = {}
    for name in hosts.keys() - {UNKNOWN}:
        host = hosts[name]
        login = {"build1": "ci", "mail1": "ops"}.get(name, "root")
        secret = {"password": "not-the-one"} if name == "mail1" else {"private_key": host.key_path(login).read_text()}
        ids[name] = product.add_host(host, product.add_credential(f"{name}-{login}", username=login, **secret))
    credential = product.results("credentials")[0]["id"]
    gone = {"name": "backup1", "address": hosts["web1"].address, "port": 2222, "zone": zone_id(product),
            "credential": credential}  # fmt: skip
    ids["backup1"] = product.call("POST", "hosts", gone)["id"]
    unvisited = gone | {"name": "web2", "address": "web2.example.net", "port": 22}
    ids["web2"] = product.call("POST", "hosts", unvisited)["id"]
    for tag in sorted(set(TAGS.values())):
        product.call("POST", "tags", {"name": tag})
    for name, tag in TAGS.items():
        product.call("PATCH", f"hosts/{ids[name]}", {"tags": [tag]})
    return ids


def visit(product: Product, hosts: list[str]) -> None:
    """One batch over these hosts, until its last scan is final."""
    answer = product.call("POST", "scans", {"hosts": hosts, "types": TYPES, "priority": "high"})
    for scan in answer["scans"]:
        product.wait_for_scan(scan["id"], 300)


def change_host_key(product: Product, hosts: dict[str, Host], ids: dict[str, str]) -> None:
    """The next visit meets another machine, or another key of the same."""
    hosts["edge1"].rekey()
    product.scan(ids["edge1"])


def fingerprint(pair: Pair) -> str:
    digest = hashlib.sha256(base64.b64decode(pair.public.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def govern_keys(product: Product, pairs: dict[str, Pair]) -> None:
    """Names and tags for the known ones, a zone that refuses others, one key banned and asked to be removed."""
    known = {key["fingerprint"]: key["id"] for key in product.results("ssh-keys?page_size=100")}
    ids = {name: known[fingerprint(pair)] for name, pair in pairs.items()}
    rest = [key for key in known.values() if key not in ids.values()]
    product.call("POST", "ssh-keys/tag", {"keys": rest, "add": ["sandfly"]})
    product.call("POST", "ssh-keys/tag", {"keys": [ids["deploy"]], "add": ["production"]})
    product.call("POST", "ssh-keys/tag", {"keys": [ids["backup"]], "add": ["production", "backup"]})
    product.call("PATCH", f"ssh-keys/{ids['deploy']}", {"name": "Deployment", "notes": "Owned by the release team."})
    product.call("PATCH", f"ssh-keys/{ids['backup']}", {"name": "Nightly backup"})
    product.call("POST", f"ssh-keys/{ids['left']}/ban", {"reason": "J. Smith left in June; laptop not returned."})
    product.call("POST", f"ssh-keys/{ids['backup']}/protect", {"reason": "Without it there is no backup of edge1."})
    product.call("POST", "key-removals", {"key": ids["left"], "reason": "Left in June."})
    zone = {"description": "What signs in to the databases is decided by the database team.", "level": "high",
            "host_tags": ["database"], "key_tags": ["production", "sandfly"], "refuses_strangers": True,
            "confines_keys": False}  # fmt: skip
    product.call("POST", "key-zones", {"name": "Databases", **zone})
    edge = {"host_tags": ["edge", "database"], "key_tags": ["backup"], "confines_keys": True, "level": "critical"}
    product.call("POST", "key-zones", {"name": "Backup", "description": "The way to the edge.", **edge})


def drift(product: Product, hosts: dict[str, Host], ids: dict[str, str]) -> None:
    """What is right on databases, as db1 shows it, and what then changes on both."""
    subjects = {"process": "loose", "user": "moderate", "cron_job": "moderate", "sudo_rule": "moderate",
                "kernel_module": "moderate", "authorized_key": "moderate"}  # fmt: skip
    body = {"name": "Databases", "description": "As db1 was when the team signed it off.", "subjects": subjects,
            "model_hosts": [ids["db1"]], "tags": ["database"], "level": "medium"}  # fmt: skip
    baseline = product.call("POST", "baselines", body)["id"]
    product.call("POST", f"baselines/{baseline}/gather")
    product.call("POST", f"baselines/{baseline}/enforce")
    change_databases(hosts)
    draft = body | {"name": "Build servers", "description": "", "model_hosts": [ids["build1"]], "tags": ["internal"]}
    product.call("POST", "baselines", draft)


def stop_schedules(product: Product) -> None:
    """What a fresh installation brings: its visits would come between."""
    for schedule in product.results("schedules"):
        product.call("PATCH", f"schedules/{schedule['id']}", {"is_enabled": False})


def make_schedules(product: Product) -> None:
    """They are due at once: hosts are on their way while the last pictures are taken."""
    product.call("POST", "schedules", {"name": "Hunting, every six hours", "interval_s": 6 * 3600, "jitter_s": 1800,
                 "rule_types": ["detection"], "host_tags": ["web", "edge"], "rule_percent": 60, "priority": "normal",
                 "is_trickle": False})  # fmt: skip
    product.call("POST", "schedules", {"name": "Posture and inventory, nightly", "interval_s": 24 * 3600,
                 "rule_types": ["policy", "recon"], "blackout_start": "07:00", "blackout_end": "19:00",
                 "is_trickle": True, "cpu_percent": 10})  # fmt: skip


def discover(product: Product, hosts: dict[str, Host]) -> None:
    """A discovery and its first sweep, until the host that nobody entered is there."""
    credential = product.add_credential("discovery-root", private_key=hosts[UNKNOWN].key_path("root").read_text())
    body = {"name": "Server networks", "zone": zone_id(product), "ranges": "10.99.7.0/27", "excluded": "10.99.7.1",
            "port": 22, "credentials": [credential], "tags": ["internal"], "rate_per_s": 200, "timeout_s": 1,
            "interval_s": 12 * 3600, "retire_after_hours": 72}  # fmt: skip
    product.call("POST", "discoveries", body)
    deadline = time.monotonic() + 300
    while not product.results(f"hosts?address={ADDRESSES[UNKNOWN]}"):
        assert time.monotonic() < deadline, "the sweep found no host"
        time.sleep(0.5)


def triage(product: Product) -> None:
    findings: list[dict[str, Any]] = product.results("findings?page_size=100")
    by_rule = {finding["rule_name"]: finding["id"] for finding in findings}
    for rule, action, body in (
        (
            "process_running_deleted_executable",
            "comment",
            {"comment": "Packages were updated at 06:00; asked the team."},
        ),
        ("user_uid_zero_twin", "acknowledge", {"comment": "Nobody knows this account. Host is being isolated."}),
        ("directory_name_deceptive", "close", {"reason": "Removed with the rest of the kit."}),
    ):
        if rule in by_rule:
            product.call("POST", f"findings/{by_rule[rule]}/{action}", body)
    if "authorized_key_forced_command_shell" in by_rule:
        finding = by_rule["authorized_key_forced_command_shell"]
        draft = product.call("POST", "allowlist/draft", {"finding": finding, "draft": "exact"})
        words = {"title": "Console of the vault appliance", "reason": "CHG-1482: its vendor signs in this way."}
        product.call("POST", "allowlist", {**words, **draft})


def tell(product: Product, hosts: dict[str, Host], ids: dict[str, str], pairs: dict[str, Pair]) -> None:
    """All of it but the schedules, in the order in which it happens."""
    stop_schedules(product)
    visit(product, [host_id for name, host_id in ids.items() if name != "web2"])
    change_host_key(product, hosts, ids)
    govern_keys(product, pairs)
    drift(product, hosts, ids)
    discover(product, hosts)
    visit(product, [ids[name] for name in ("web1", *DATABASES)])
    triage(product)
