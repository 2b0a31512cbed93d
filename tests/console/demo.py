"""A console with something to see: an installation of its own, throw-away hosts in several states, findings in triage.

    .venv/bin/python -m tests.console.demo DIRECTORY    # as root; writes the pictures of the documentation there
    .venv/bin/python -m tests.console.demo --serve      # leaves it running until Enter, for looking around

Everything is gone afterwards. The hosts are those of `tests/hosts`, what is found on them is planted and harmless.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.planted import plant
from tests.e2e.product import ROOT, Product, manage, run_product
from tests.hosts.host import Host, make_host, wait_until
from tests.hosts.seed import User

USER = "maria"
ADDRESSES = {name: f"10.99.7.{4 * place + 2}" for place, name in enumerate(("web1", "db1", "build1", "edge1", "mail1"))}
HIDDEN = (str(ROOT), "/root", *map(str, Path("/usr").glob("**/dist-packages")))
TAGS = {"web1": "web", "web2": "web", "db1": "database", "build1": "internal", "edge1": "edge"}
# File name → page, width and theme of the picture.
PICTURES = {
    "start-light.png": ("start", "1280x900", "light"),
    "finding-light.png": ("finding=/findings/finding/?q=temporary .field-shown_title a", "1280x900", "light"),
    "host-dark.png": ("host=/inventory/host/?q=web1 .field-shown_name a", "1280x900", "dark"),
    "scan-light.png": ("scan", "1280x900", "light"),
    "rules-light.png": ("rules", "1280x900", "light"),
}
# An installation that was started two weeks ago; runs in its `manage.py shell`.
AGE = """
from datetime import timedelta
from django.contrib.auth.models import Group, User
from sandfly_web.findings.models import Finding, FindingEvent
from sandfly_web.inventory.models import Host
Host.objects.filter(transport="local").delete()
Host.objects.exclude(kernel="").update(kernel="6.1.0-26-amd64")
for place, finding in enumerate(Finding.objects.order_by("id").only("first_seen_at")):
    first = finding.first_seen_at - timedelta(days=place * place % 13, hours=place % 7)
    Finding.objects.filter(pk=finding.pk).update(first_seen_at=first, count=1 + place * place % 13)
    FindingEvent.objects.filter(finding=finding, kind="created").update(created_at=first)
user = User.objects.create_user("{user}", password="{password}", is_staff=True)
user.groups.add(Group.objects.get(name="admin"))
"""


@contextmanager
def database_server(host: Host) -> Iterator[None]:
    """Ten children of one server whose program was replaced by an update: one rule, ten findings."""
    host.run("mkdir -p /opt/pg/bin && cp /bin/sleep /opt/pg/bin/postgres")
    running = [host.spawn(f"exec /opt/pg/bin/postgres {7000 + place}") for place in range(10)]
    wait_until(lambda: sum("/opt/pg" in line for line in host.processes().values()) >= len(running))
    host.run("rm /opt/pg/bin/postgres")
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def start_hosts(stack: ExitStack) -> dict[str, Host]:
    """Each in a network of its own, so that addresses look like those of a fleet."""
    users = {"build1": [User("ci")], "mail1": [User("ops", password=secrets.token_urlsafe(9))]}
    hosts = {}
    for place, (name, address) in enumerate(ADDRESSES.items()):
        host = make_host(name, address=address, port=22, own_network=True, users=users.get(name, []), hide=HIDDEN)
        hosts[name] = stack.enter_context(host)
        # What this machine has of its own is nothing to show.
        hosts[name].run(f"rm -f /usr/sbin/policy-rc.d; echo {place:032x} > /etc/machine-id")
    stack.enter_context(plant(hosts["web1"]))
    stack.enter_context(database_server(hosts["db1"]))
    hosts["build1"].run("mkdir -p /var/tmp/.cache && cp /bin/sh /var/tmp/.cache/sh && chmod 4755 /var/tmp/.cache/sh")
    return hosts


def enrol(product: Product, hosts: dict[str, Host]) -> dict[str, str]:
    """Host name → id; mail1 has a password that is wrong, build1 a user without root, backup1 is not there."""
    ids = {}
    for name, host in hosts.items():
        login = {"build1": "ci", "mail1": "ops"}.get(name, "root")
        secret = {"password": "not-the-one"} if name == "mail1" else {"private_key": host.key_path(login).read_text()}
        ids[name] = product.add_host(host, product.add_credential(f"{name}-{login}", username=login, **secret))
    zone = product.results("zones?name=default")[0]["id"]
    credential = product.results("credentials")[0]["id"]
    gone = {"name": "backup1", "address": hosts["web1"].address, "port": 2222, "zone": zone, "credential": credential}
    ids["backup1"] = product.call("POST", "hosts", gone)["id"]
    ids["web2"] = product.call("POST", "hosts", gone | {"name": "web2", "address": "web2.example.net", "port": 22})[
        "id"
    ]
    for tag in sorted(set(TAGS.values())):
        product.call("POST", "tags", {"name": tag})
    for name, tag in TAGS.items():
        product.call("PATCH", f"hosts/{ids[name]}", {"tags": [tag]})
    return ids


def scan_all(product: Product, hosts: dict[str, Host], ids: dict[str, str]) -> None:
    """Once each; edge1 again after its host key changed."""
    for name, host_id in ids.items():
        if name == "web2":
            continue  # Never scanned.
        scan = product.call("POST", "scans", {"hosts": [host_id], "types": ["detection", "recon"], "priority": "high"})
        product.wait_for_scan(scan["scans"][0]["id"])
    hosts["edge1"].rekey()
    product.scan(ids["edge1"])


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


@contextmanager
def run_demo(password: str) -> Iterator[Product]:
    # A host that does not answer is not tried again for minutes.
    os.environ["SANDFLY_SCAN_ATTEMPTS"] = "1"
    with ExitStack() as stack:
        product = stack.enter_context(run_product())
        hosts = start_hosts(stack)
        scan_all(product, hosts, enrol(product, hosts))
        triage(product)
        manage(product.data, "shell", "-c", AGE.format(user=USER, password=password))
        yield product


def take_pictures(product: Product, password: str, directory: Path) -> None:
    environment = os.environ | {"SANDFLY_PASSWORD": password}
    for name, (page, size, theme) in PICTURES.items():
        with tempfile.TemporaryDirectory() as scratch:
            argv = [
                sys.executable,
                "-m",
                "tests.console.screenshots",
                f"http://127.0.0.1:{product.port}",
                USER,
                scratch,
            ]
            argv += ["--page", page, "--size", size, "--theme", theme]
            subprocess.run(argv, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
            picture = f"{page.partition('=')[0]}-{size.partition('x')[0]}-{theme}.png"
            (directory / name).write_bytes((Path(scratch) / picture).read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a console with hosts and findings for pictures or a look around.")
    parser.add_argument("directory", type=Path, nargs="?", help="where the pictures go")
    parser.add_argument("--serve", action="store_true", help="wait for Enter before everything is taken away")
    options = parser.parse_args()
    if os.geteuid() != 0 or not (options.directory or options.serve):
        parser.error("run it as root, with a directory or --serve")
    password = secrets.token_urlsafe(15)
    with run_demo(password) as product:
        if options.directory:
            options.directory.mkdir(parents=True, exist_ok=True)
            take_pictures(product, password, options.directory)
        if options.serve:
            input(f"http://127.0.0.1:{product.port}  {USER}  {password}\nEnter ends it. ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
