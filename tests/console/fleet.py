"""The hosts of the demo: who signs in to them with which key, what somebody left there, and what changed later."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.e2e.planted import plant
from tests.e2e.product import ROOT
from tests.hosts.host import Host, make_host, wait_until
from tests.hosts.seed import User

NAMES = ("web1", "db1", "build1", "edge1", "mail1", "db2", "cache1")
ADDRESSES = {name: f"10.99.7.{4 * place + 2}" for place, name in enumerate(NAMES)}
# Nobody entered it; a discovery finds it.
UNKNOWN = "cache1"
HIDDEN = (str(ROOT), "/root", *map(str, Path("/usr").glob("**/dist-packages")))
TAGS = {"web1": "web", "web2": "web", "db1": "database", "db2": "database", "build1": "internal", "edge1": "edge"}
DATABASES = ("db1", "db2")


@dataclass(frozen=True)
class Pair:
    """An SSH key as files hold it."""

    private: str
    public: str


def make_pair(comment: str, *options: str) -> Pair:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "key"
        argv = ["ssh-keygen", "-q", "-f", str(path), "-C", comment, "-N", "", *(options or ("-t", "ed25519"))]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        return Pair(path.read_text(), path.with_suffix(".pub").read_text())


def authorize(host: Host, pair: Pair, options: str = "") -> None:
    """Root of the host may be signed in to with the key."""
    line = f"{options} {pair.public}".strip()
    host.run(f"cat >> /root/.ssh/authorized_keys <<'LINE'\n{line}\nLINE")


def leave_private_key(host: Host, home: str, owner: str, pair: Pair) -> None:
    host.write(f"{home}/.ssh/id_ed25519", pair.private, 0o600)
    host.run(f"chown -R {owner}: {home}/.ssh && chmod 700 {home}/.ssh")


def hand_out_keys(hosts: dict[str, Host]) -> dict[str, Pair]:
    """Ways from the build server to the databases and on to the edge, and two keys that should be nowhere."""
    pairs = {
        "deploy": make_pair("deploy@build1"),
        "backup": make_pair("backup@db1"),
        "left": make_pair("j.smith@laptop"),
        "old": make_pair("root@appliance-2009", "-t", "rsa", "-b", "1024"),
    }
    leave_private_key(hosts["build1"], "/home/ci", "ci", pairs["deploy"])
    leave_private_key(hosts["db1"], "/root", "root", pairs["backup"])
    for name in ("web1", *DATABASES):
        authorize(hosts[name], pairs["deploy"])
    authorize(hosts["edge1"], pairs["backup"])
    authorize(hosts["db2"], pairs["backup"], 'from="10.99.7.6"')
    authorize(hosts["web1"], pairs["left"])
    authorize(hosts["edge1"], pairs["left"])
    authorize(hosts["mail1"], pairs["old"])
    authorize(hosts["db2"], pairs["old"])
    return pairs


def guess_a_password(host: Host) -> None:
    """Lines as sshd writes them when a guess succeeds in the end."""
    begun = datetime.now(UTC) - timedelta(hours=5)
    lines = [
        f"{begun + timedelta(seconds=7 * place):%Y-%m-%dT%H:%M:%S}+00:00 {host.name} sshd[{2200 + place}]: "
        f"Failed password for backup from 203.0.113.44 port {40000 + place} ssh2"
        for place in range(14)
    ]
    last = begun + timedelta(seconds=103)
    lines.append(
        f"{last:%Y-%m-%dT%H:%M:%S}+00:00 {host.name} sshd[2300]: "
        "Accepted password for backup from 203.0.113.44 port 40100 ssh2"
    )
    host.write("/var/log/auth.log", "\n".join(lines) + "\n", 0o640)


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


def change_databases(hosts: dict[str, Host]) -> None:
    """After their baseline was gathered: an account and a job on both, one more program on the second."""
    for name in DATABASES:
        hosts[name].run("echo 'metrics:x:1199:1199::/var/lib/metrics:/bin/bash' >> /etc/passwd")
        hosts[name].write("/etc/cron.d/metrics", "*/10 * * * * metrics /usr/local/bin/push-metrics --all\n")
    hosts["db2"].write("/etc/sudoers.d/metrics", "metrics ALL=(ALL) NOPASSWD: ALL\n", 0o440)


def start_hosts(stack: ExitStack) -> tuple[dict[str, Host], dict[str, Pair]]:
    """Each in a network of its own, so that addresses look like those of a fleet."""
    users = {"build1": [User("ci")], "mail1": [User("ops", password=secrets.token_urlsafe(9))]}
    hosts = {}
    for place, (name, address) in enumerate(ADDRESSES.items()):
        host = make_host(name, address=address, port=22, own_network=True, users=users.get(name, []), hide=HIDDEN)
        hosts[name] = stack.enter_context(host)
        # What this machine has of its own is nothing to show.
        hosts[name].run(f"rm -f /usr/sbin/policy-rc.d; echo {place:032x} > /etc/machine-id")
        hosts[name].run("mkdir -p /root/.ssh && chmod 700 /root/.ssh")
    pairs = hand_out_keys(hosts)
    stack.enter_context(plant(hosts["web1"]))
    stack.enter_context(database_server(hosts["db1"]))
    guess_a_password(hosts["edge1"])
    hosts["build1"].run("mkdir -p /var/tmp/.cache && cp /bin/sh /var/tmp/.cache/sh && chmod 4755 /var/tmp/.cache/sh")
    return hosts, pairs
