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
    """The layout under one data directory (mode 0700)."""

    root: Path

    @property
    def run(self) -> Path:
        """Sockets and pid files. A Unix socket path holds at most 107 bytes (unix(7))."""
        return self.root / "run"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis.sock"

    @property
    def secret_key(self) -> Path:
        return self.root / "secret_key"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def zone_key(self, zone: str) -> Path:
        """Private key of a zone; only workers of that zone read it."""
        return self.root / "zones" / f"{zone}.key"

    @property
    def database_url(self) -> str:
        return f"postgresql:///sandfly?user=sandfly&host={quote(str(self.run))}"

    @property
    def redis_url(self) -> str:
        return f"unix://{self.redis_socket}"
