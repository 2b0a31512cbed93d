"""Thousands of SSH hosts on this machine: any address of 127.0.0.0/8 on one port. Needs root.

    with make_fleet() as fleet:
        report = run_visit(make_job(fleet.endpoint("127.22.0.7")), plan, [fleet.secret])

Every connection gets a real sshd, in front of one throw-away host that all of them show; host key, host name and
machine id are those of the address, and so is what is wrong with it (`kinds.py`). A connection costs about what it
costs any sshd; a visit of an idle host costs nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scanners.contract import CredentialSecret, HostEndpoint
from tests.fleet.kinds import pin_of
from tests.hosts.host import REPOSITORY, Host, free_port, make_host, wait_until

SSHD = """
LogLevel VERBOSE
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxSessions {sessions}
AuthorizedKeysFile .ssh/authorized_keys
"""


@dataclass
class Fleet:
    """A running fleet. `host` is what every one of its addresses shows."""

    host: Host
    port: int
    server: subprocess.Popen[str]
    log: Path

    @property
    def secret(self) -> CredentialSecret:
        """Root's key, good for every address."""
        return self.host.secret()

    def endpoint(self, address: str) -> HostEndpoint:
        """Where to connect, with the host's own key pinned."""
        return HostEndpoint(address=address, port=self.port, host_keys=[pin_of(address)])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Visits to hosts of the kind `held` go on until their probe has run, and no further before the block ends."""
        with (self.host.root / "run/fleet/hold").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def leftovers(self) -> list[str]:
        """What visits left, on whichever address."""
        return self.host.leftovers()

    def sign_ins(self, address: str) -> int:
        """How often somebody got in."""
        log = self.host.root / "run/fleet" / f"{address}.log"
        return log.read_text(errors="replace").count("Accepted publickey ") if log.exists() else 0

    def connections(self) -> Counter[str]:
        """How many connections each address has taken so far."""
        return Counter(event["address"] for event in self._events() if event["event"] == "open")

    def most_at_once(self) -> int:
        """The largest number of connections that were open at a time."""
        now = most = 0
        for event in self._events():
            now += 1 if event["event"] == "open" else -1
            most = max(most, now)
        return most

    def open_now(self) -> int:
        """Connections that are open."""
        return sum(1 if event["event"] == "open" else -1 for event in self._events())

    def _events(self) -> Iterator[dict[str, str]]:
        for line in self.log.read_bytes().splitlines():
            yield json.loads(line)


@contextlib.contextmanager
def make_fleet(port: int = 0, *, max_sessions: int = 10) -> Iterator[Fleet]:
    """A fleet that lives as long as the block."""
    port = port or free_port()
    with make_host("fleet", address="127.0.5.9") as host:
        host.write("/etc/ssh/sshd_fleet", SSHD.format(sessions=max_sessions))
        (host.root / "run/fleet").mkdir()
        (host.root / "run/fleet/hold").touch()
        log = host.directory / "connections.log"
        log.touch()
        config = json.dumps({"port": port, "host": host.pid, "log": str(log)})
        # The server dies with whoever asked for the fleet.
        argv = ["setpriv", "--pdeathsig=TERM", sys.executable, "-m", "tests.fleet.server", config]
        server = subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout
            if server.stdout.readline() != "ready\n":
                raise RuntimeError(f"the server of the fleet did not start: exit status {server.wait(5)}")
            yield Fleet(host, port, server, log)
        finally:
            server.terminate()
            server.wait(10)


def wait_quiet(fleet: Fleet, timeout_s: float = 30) -> None:
    """Until no connection is open any more. Raises TimeoutError."""
    wait_until(lambda: fleet.open_now() == 0, timeout_s)
