"""The command lines and environments of the processes that `manage.py up` keeps running."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from probes.build import SOURCE
from sandfly_web.embedded.paths import DataDir

DEFAULT_ZONE = "default"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
WILDCARD = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised here, bound only when asked for
# A worker opens no database and signs no session, so it is given nothing that could.
WITHHELD_FROM_WORKERS = ("DATABASE_URL", "SANDFLY_SECRET_KEY", "PGPASS", "DJANGO_SETTINGS_MODULE")
# A visit waits for its host nearly all the time, so this bounds memory and open files, not CPU.
WORKER_CONCURRENCY = int(os.environ.get("SANDFLY_WORKER_CONCURRENCY") or 64)
# Workers have nothing to say to each other.
ALONE = ("--without-gossip", "--without-mingle")


@dataclass(frozen=True)
class Service:
    """One process: what to run with which environment; those of a lower `stop_group` end before the others."""

    name: str
    command: list[str]
    environment: dict[str, str]
    stop_group: int = 1


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def worker_environment(environment: dict[str, str], *, redis_url: str, key_file: str) -> dict[str, str]:
    """What a worker gets of ours: broker and zone key, neither database nor secret key."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(WITHHELD_FROM_WORKERS) and name != "SANDFLY_DATA_DIR"
    }
    return kept | {"REDIS_URL": redis_url, "SANDFLY_ZONE_KEY_FILE": key_file}


def worker_command(zone: str, concurrency: int = WORKER_CONCURRENCY) -> list[str]:
    """Celery serving the zone's queue; visits wait for the network, so threads do."""
    return [
        *python("celery", "-A", "scanners.app", "worker"),
        *("--queues", f"zone.{zone}", "--hostname", f"{zone}@%h"),
        *("--pool", "threads", "--concurrency", str(concurrency), *ALONE, "--loglevel", "INFO"),
    ]


def probe_environment(environment: dict[str, str], data: DataDir) -> dict[str, str]:
    """Where probes are built when the checkout is another user's: in the data directory. Else nothing."""
    if "SANDFLY_PROBES_DIR" in environment or os.access(SOURCE, os.W_OK):
        return {}
    return {"SANDFLY_PROBES_DIR": str(data.probes), "GOCACHE": str(data.probes / "cache")}


def web_environment(environment: dict[str, str], data: DataDir, host: str) -> dict[str, str]:
    """Environment of the processes that are Django; names the address in ALLOWED_HOSTS unless that is set."""
    added = {"SANDFLY_DATA_DIR": str(data.root), "DJANGO_SETTINGS_MODULE": "sandfly_web.settings"}
    if "SANDFLY_ALLOWED_HOSTS" not in environment:
        names = ["localhost", "127.0.0.1", "[::1]"]
        if host in WILDCARD:
            names.append(os.uname().nodename)
        elif host not in LOOPBACK:
            names.append(f"[{host}]" if ":" in host else host)
        added["SANDFLY_ALLOWED_HOSTS"] = ",".join(names)
    return environment | added


def web_command(host: str, port: int, graceful_s: int = 3) -> list[str]:
    """Gunicorn at an address; requests under way get `graceful_s` to end."""
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return [
        *python("gunicorn", "sandfly_web.wsgi:application", "--bind", bind),
        *("--workers", "2", "--threads", "4", "--worker-class", "gthread"),
        *("--timeout", "60", "--graceful-timeout", str(graceful_s)),
        *("--log-level", "warning", "--no-control-socket", "--preload"),
    ]


def ingest_command(concurrency: int = 2) -> list[str]:
    """Celery storing reports, and doing what beat asks for."""
    return [
        *python("celery", "-A", "sandfly_web", "worker", "--queues", "ingest,web", "--hostname", "ingest@%h"),
        *("--concurrency", str(concurrency), *ALONE, "--loglevel", "WARNING"),
    ]


def beat_command() -> list[str]:
    return python("celery", "-A", "sandfly_web", "beat", "--loglevel", "WARNING", "--pidfile", "")


def all_services(data: DataDir, *, host: str, port: int, redis_url: str) -> list[Service]:
    """The processes of a whole installation."""
    environment = dict(os.environ)
    web = web_environment(environment, data, host)
    worker = worker_environment(environment, redis_url=redis_url, key_file=str(data.zone_key(DEFAULT_ZONE)))
    return [
        # First of all no more work is handed out.
        Service("beat", beat_command(), web, stop_group=0),
        Service("worker", worker_command(DEFAULT_ZONE), worker),
        Service("ingest", ingest_command(), web),
        Service("web", web_command(host, port), web),
    ]
