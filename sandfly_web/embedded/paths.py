"""Where a self-contained installation keeps its data, and the URLs that follow from it. Pure; creates nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

ROOT_UID = 0


def default_data_dir() -> Path:
    """SANDFLY_DATA_DIR, else /var/lib/sandfly as root, else $XDG_DATA_HOME/sandfly."""
    if named := os.environ.get("SANDFLY_DATA_DIR"):
        return Path(named)
    if os.geteuid() == ROOT_UID:
        return Path("/var/lib/sandfly")
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "sandfly"


@dataclass(frozen=True)
class DataDir:
    """The layout under one data directory.

    It is closed to everybody else: mode 0700, or 0710 under root, where the group is the servers' own and may only
    pass through.
    """

    root: Path

    @property
    def run(self) -> Path:
        """Sockets, in a 0700 directory of the servers' user. A Unix socket path holds at most 107 bytes (unix(7))."""
        return self.root / "run"

    @property
    def postgres(self) -> Path:
        """Settings of PostgreSQL and, in `cluster`, its data."""
        return self.root / "postgres"

    @property
    def cluster(self) -> Path:
        return self.postgres / "cluster"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def redis_version(self) -> Path:
        """Version of the server that wrote the queue."""
        return self.root / "redis.version"

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis.sock"

    @property
    def secret_key(self) -> Path:
        return self.root / "secret_key"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def programs(self) -> Path:
        """Copies of server programs that their user cannot reach where they are installed."""
        return self.root / "programs"

    @property
    def probes(self) -> Path:
        """Probe builds where the checkout is not this user's."""
        return self.root / "probes"

    @property
    def layout(self) -> Path:
        """Version of this layout; marks the directory as ours."""
        return self.root / "LAYOUT"

    def lock(self, name: str) -> Path:
        """File locked while the named program runs on this directory."""
        return self.root / f"{name}.lock"

    def zone_key(self, zone: str) -> Path:
        """Private key of a zone; only workers of that zone read it."""
        return self.root / "zones" / f"{zone}.key"

    @property
    def database_url(self) -> str:
        return f"postgresql:///sandfly?user=sandfly&host={quote(str(self.run))}"

    @property
    def redis_url(self) -> str:
        return f"unix://{self.redis_socket}"
