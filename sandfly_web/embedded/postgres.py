"""The embedded PostgreSQL: made on first use, reached through a Unix socket by nobody but the user who started it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2  # type: ignore[import-untyped]

from sandfly_web.embedded.account import Account, initdb_account
from sandfly_web.embedded.datadir import check_space, prepare, take_lock, write_private
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.programs import Program, find_postgres, reachable_postgres
from sandfly_web.embedded.server import Launch, Running, end_leftovers, guarded, server_environment, start_failure

if TYPE_CHECKING:
    from sandfly_web.embedded.paths import DataDir

NAME = "PostgreSQL"
DATABASE = "sandfly"
INITDB_TIMEOUT_S = 120
# "Fast shutdown": sessions are ended, the data is checkpointed. SIGTERM would wait for every session to end by itself.
FAST_SHUTDOWN = signal.SIGINT
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a mount point, not a temporary file
# Containers give /dev/shm 64 MB, which parallel queries overrun.
SMALL_SHARED_MEMORY = 256 << 20
CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
STATUS_LINE = 7


def start(data: DataDir) -> Running:
    """Start PostgreSQL on the data directory; creates the cluster and the database on first use.

    Returns once it answers. Raises EmbeddedError with a sentence when it cannot.
    """
    account = prepare(data)
    lock = take_lock(data, "postgres")
    try:
        process = _start_locked(data, account)
    except BaseException:
        os.close(lock)
        raise
    running = Running(NAME, data.database_url, process, FAST_SHUTDOWN, lock)
    try:
        _ensure_database(data)
    except BaseException:
        running.stop()
        raise
    return running


def _start_locked(data: DataDir, account: Account) -> subprocess.Popen[bytes]:
    check_space(data)
    program = reachable_postgres(find_postgres(read_major(data.cluster)), data, account)
    if not data.cluster.exists():
        _create_cluster(data, account, program)
    end_leftovers(data.cluster, frozenset({"postgres"}), FAST_SHUTDOWN)
    _remove_recycled_pid(data.cluster)
    _write_settings(data, account)
    launch = Launch(
        name=NAME,
        command=[str(program.path), "-D", str(data.cluster), "-c", f"config_file={data.postgres / 'postgresql.conf'}"],
        account=account,
        log=data.logs / "postgres.log",
        stop_signal=FAST_SHUTDOWN,
        is_ready=lambda process: is_ready(data.cluster, process.pid),
    )
    return launch.start()


def read_major(cluster: Path) -> int | None:
    """Major version that wrote the cluster; None when there is none yet. Raises EmbeddedError when it is damaged."""
    if not cluster.exists():
        return None
    try:
        return int((cluster / "PG_VERSION").read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise EmbeddedError(f"{cluster} is no PostgreSQL cluster: restore it, or move it away to begin anew") from None


def _create_cluster(data: DataDir, account: Account, program: Program) -> None:
    """Run initdb beside the final place, so that one cut short is never taken for a database."""
    maker = initdb_account(account)
    fresh = data.postgres / "cluster.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    os.chown(fresh, maker.uid, maker.gid)
    _run_initdb(program.path.with_name("initdb"), fresh, maker, data.logs / "postgres.log")
    for directory, names, files in os.walk(fresh):
        for name in (".", *names, *files):
            os.chown(Path(directory, name), account.uid, account.gid, follow_symlinks=False)
    fresh.rename(data.cluster)


def _run_initdb(initdb: Path, target: Path, maker: Account, log: Path) -> None:
    command = [
        str(initdb),
        f"--pgdata={target}",
        f"--username={DATABASE}",
        "--auth=peer",
        "--encoding=UTF8",
        # The same order of text on every system, whatever its C library.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--data-checksums",
        "--no-instructions",
    ]
    done = subprocess.run(
        guarded(command, signal.SIGKILL, maker),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=INITDB_TIMEOUT_S,
        check=False,
        cwd="/",
        env=server_environment(),
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower() or "fatal" in line.lower()]
        raise EmbeddedError(start_failure(NAME, " / ".join(lines[:3]) or done.stderr.strip()[-300:], log))


def _remove_recycled_pid(cluster: Path) -> None:
    """Forget a postmaster.pid whose number now is some other program's; PostgreSQL would take that for a server.

    Safe only because the lock is held and no PostgreSQL process is left in the cluster.
    """
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _write_settings(data: DataDir, account: Account) -> None:
    """Settings are ours, written anew on each start: the server's user may read but not change them."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    files = {
        "postgresql.conf": "".join(f"{name} = {value}\n" for name, value in settings(data).items()),
        "pg_hba.conf": f"local all {DATABASE} peer map={DATABASE}\n",
        "pg_ident.conf": f'{DATABASE} "{user}" {DATABASE}\n',
    }
    for name, text in files.items():
        write_private(data.postgres / name, text, mode=0o640, gid=account.gid)


def settings(data: DataDir) -> dict[str, str]:
    """postgresql.conf for this machine: an eighth of its memory, at most 512 MB, as buffers."""
    memory = memory_bytes() >> 20
    return {
        "hba_file": quoted(data.postgres / "pg_hba.conf"),
        "ident_file": quoted(data.postgres / "pg_ident.conf"),
        "listen_addresses": "''",
        "unix_socket_directories": quoted(data.run),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": f"{min(max(memory // 8, 32), 512)}MB",
        "effective_cache_size": f"{max(memory // 2, 64)}MB",
        "work_mem": "8MB",
        "maintenance_work_mem": f"{min(max(memory // 32, 16), 256)}MB",
        "dynamic_shared_memory_type": "mmap" if has_small_shared_memory() else "posix",
        "max_wal_size": "1GB",
        "min_wal_size": "80MB",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "log_line_prefix": "'%m [%p] '",
        "log_min_messages": "warning",
        "cluster_name": "'sandfly'",
    }


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def memory_bytes() -> int:
    """Memory of this machine or, if that is less, of the container around this process."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(physical, int(CGROUP_MEMORY.read_text(encoding="ascii")))
    except (OSError, ValueError):
        # No such control group, or "max".
        return physical


def has_small_shared_memory() -> bool:
    return not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).total < SMALL_SHARED_MEMORY


def is_ready(cluster: Path, pid: int) -> bool:
    """Whether the postmaster with this pid says so in the last line of postmaster.pid."""
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE].strip() == "ready"


def _ensure_database(data: DataDir) -> None:
    try:
        connection = psycopg2.connect(dbname="postgres", user=DATABASE, host=str(data.run))
    except psycopg2.Error as error:
        raise EmbeddedError(f"PostgreSQL runs but refuses its own user: {str(error).strip()}") from None
    with closing(connection), connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if cursor.fetchone() is None:
            cursor.execute(f'CREATE DATABASE "{DATABASE}"')
