"""The embedded PostgreSQL: what it keeps, whom it lets in, and what it says when it cannot start."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from sandfly_web.embedded import postgres, programs
from sandfly_web.embedded.datadir import prepare
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.paths import DataDir


def query(data: DataDir, sql: str) -> Any:
    with closing(psycopg2.connect(dbname="sandfly", user="sandfly", host=str(data.run))) as connection:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            rows = cursor.fetchall() if cursor.description else None
        connection.commit()
    return rows


def server_uid(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def test_data_is_kept_over_a_restart(data):
    with postgres.start(data):
        query(data, "CREATE TABLE kept AS SELECT 42 AS answer")

    with postgres.start(data):
        assert query(data, "SELECT answer FROM kept") == [(42,)]


def test_the_cluster_is_utf8_with_checksums_and_the_same_sort_order_everywhere(fresh):
    with postgres.start(fresh):
        encoding = query(fresh, "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale FROM pg_database")
        checksums = query(fresh, "SHOW data_checksums")

    assert set(encoding) == {("UTF8", "b", "C.UTF-8")}
    assert checksums == [("on",)]


def test_nothing_listens_on_the_network(data):
    with postgres.start(data):
        assert query(data, "SHOW listen_addresses") == [("",)]


def test_stop_waits_until_every_process_is_gone(data, processes_of):
    running = postgres.start(data)
    with closing(psycopg2.connect(dbname="sandfly", user="sandfly", host=str(data.run))):
        running.stop()

    assert processes_of(data.root) == []
    assert not running.is_running()


def test_a_second_start_is_refused_and_leaves_the_first_alone(data):
    with postgres.start(data):
        with pytest.raises(EmbeddedError, match=f"postgres already runs on {data.root} .process {os.getpid()}"):
            postgres.start(data)

        assert query(data, "SELECT 1") == [(1,)]


def test_starts_after_its_process_was_killed(data):
    running = postgres.start(data)
    query(data, "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(running.process.pid, signal.SIGKILL)
    running.stop()
    assert (data.cluster / "postmaster.pid").exists()

    with postgres.start(data):
        assert query(data, "SELECT answer FROM kept") == [(42,)]


def test_a_recycled_pid_in_postmaster_pid_does_not_stop_the_start(data):
    postgres.start(data).stop()
    (data.cluster / "postmaster.pid").write_text(f"{os.getppid()}\n{data.cluster}\n0\n5432\n{data.run}\n\n0 0\nready\n")

    with postgres.start(data):
        assert query(data, "SELECT 1") == [(1,)]


START_AND_WAIT = """
import sys, time
from pathlib import Path
from sandfly_web.embedded import postgres, redis
from sandfly_web.embedded.paths import DataDir
data = DataDir(Path(sys.argv[1]))
servers = [postgres.start(data), redis.start(data)]
print(servers[0].process.pid, flush=True)
if sys.argv[2] == "stop":
    for server in servers:
        server.stop()
else:
    time.sleep(60)
"""


def run_servers(data: DataDir, then: str, *prefix: str) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", START_AND_WAIT, str(data.root), then]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(is_so: Any, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_servers_end_with_the_process_that_started_them(data, processes_of):
    owner = run_servers(data, "wait")
    with owner:
        assert owner.stdout.readline().strip().isdigit()
        owner.kill()

    assert wait_until(lambda: processes_of(data.root) == [])


def test_a_server_left_behind_is_ended_before_the_next_start(data):
    first = postgres.start(data)
    # As if the process that started it had been killed: nobody holds the lock any more.
    os.close(first.lock)
    first.lock = -1

    with postgres.start(data) as second:
        assert first.process.wait(10) == 0
        assert second.is_running()


def test_a_cluster_of_another_major_version_is_named(fresh):
    account = prepare(fresh)
    fresh.cluster.mkdir()
    os.chown(fresh.cluster, account.uid, account.gid)
    (fresh.cluster / "PG_VERSION").write_text("12\n")

    with pytest.raises(EmbeddedError, match="written by PostgreSQL 12 and this version of sandfly brings 18"):
        postgres.start(fresh)


def test_a_directory_that_is_no_cluster_is_not_touched(fresh):
    prepare(fresh)
    fresh.cluster.mkdir()
    (fresh.cluster / "letters.txt").write_text("mine")

    with pytest.raises(EmbeddedError, match="is no PostgreSQL cluster"):
        postgres.start(fresh)
    assert (fresh.cluster / "letters.txt").read_text() == "mine"


def test_an_initdb_cut_short_begins_anew(fresh):
    account = prepare(fresh)
    half = fresh.postgres / "cluster.new"
    half.mkdir()
    os.chown(half, account.uid, account.gid)
    (half / "base").write_text("")

    with postgres.start(fresh):
        assert query(fresh, "SELECT 1") == [(1,)]


@pytest.mark.integration
def test_a_full_disk_is_said_before_anything_is_written(scratch, fresh):
    fresh.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(fresh.root)], check=True)
    try:
        with pytest.raises(EmbeddedError, match=r"the disk under .* is full: \d+ MB free"):
            postgres.start(fresh)
        assert not fresh.cluster.exists()
    finally:
        subprocess.run(["umount", str(fresh.root)], check=True)


@pytest.mark.integration
def test_under_root_the_server_is_nobody_else_s_user_and_cannot_read_our_secrets(data):
    with postgres.start(data) as running:
        uid = server_uid(running.process.pid)
        private = query(data, "SELECT pg_read_file('postgresql.conf') IS NOT NULL")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(data, f"SELECT pg_read_file('{data.root}/LAYOUT')")

    assert uid != 0
    assert private == [(True,)]
    with pytest.raises(KeyError):
        __import__("pwd").getpwuid(uid)


@pytest.mark.integration
def test_another_user_cannot_reach_the_socket(data, as_nobody):
    connect = f"import psycopg2; psycopg2.connect(dbname='sandfly', user='sandfly', host={str(data.run)!r})"
    with postgres.start(data):
        denied = subprocess.run(
            [*as_nobody, sys.executable, "-c", connect], capture_output=True, text=True, check=False
        )

    assert "Permission denied" in denied.stderr


@pytest.mark.integration
def test_a_normal_user_runs_the_servers_himself(fresh, processes_of, as_nobody):
    fresh.root.mkdir()
    os.chown(fresh.root, 65534, 65534)

    done = run_servers(fresh, "stop", *as_nobody)
    output, errors = done.communicate(timeout=60)

    assert (done.returncode, errors) == (0, "")
    assert output.strip().isdigit()
    assert fresh.cluster.stat().st_uid == 65534
    assert stat.S_IMODE(fresh.root.stat().st_mode) == 0o700
    assert processes_of(fresh.root) == []


@pytest.mark.integration
def test_programs_under_a_closed_directory_are_copied_once(scratch, data, monkeypatch):
    closed = scratch / "closed"
    package = programs.package_directory(programs.POSTGRES_PACKAGE)
    copy_installation(package, closed)
    monkeypatch.setattr(programs, "package_directory", lambda name: closed / programs.POSTGRES_PACKAGE)

    with postgres.start(data):
        program = query(data, "SELECT 1") and next(data.programs.glob("postgres-18*"))
        made_at = program.stat().st_ctime_ns
    with postgres.start(data) as running:
        executable = Path(f"/proc/{running.process.pid}/exe").readlink()

    assert executable.is_relative_to(program)
    assert program.stat().st_ctime_ns == made_at


def copy_installation(package: Path, closed: Path) -> None:
    """The newest PostgreSQL of the package, below a directory that only root may enter."""
    closed.mkdir(mode=0o700)
    (closed / package.name).mkdir()
    subprocess.run(["cp", "-a", str(package / "pginstall18"), str(closed / package.name)], check=True)
    subprocess.run(["cp", "-a", str(package.parent / f"{package.name}.libs"), str(closed)], check=True)


@pytest.mark.integration
def test_a_data_directory_below_a_closed_one_is_refused_with_a_sentence(scratch):
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(EmbeddedError, match="closed to other users"):
        postgres.start(DataDir(closed / "d"))
