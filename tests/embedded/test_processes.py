"""What the processes of an installation are given, and what a worker is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandfly_web.embedded.paths import DataDir
from sandfly_web.embedded.processes import all_services, probe_environment, web_environment, worker_environment

CANARY = "canary-5d1f"
ROOT = Path(__file__).resolve().parents[2]


def test_a_worker_gets_neither_database_nor_secret_key():
    names = ("DATABASE_URL", "DATABASE_URL_FILE", "SANDFLY_SECRET_KEY", "SANDFLY_SECRET_KEY_FILE", "PGPASSWORD")
    secrets = dict.fromkeys(names, CANARY)

    environment = worker_environment(
        {**secrets, "PATH": "/bin", "SANDFLY_DATA_DIR": "/d"}, redis_url="unix:///r", key_file="/k"
    )

    assert environment == {"PATH": "/bin", "REDIS_URL": "unix:///r", "SANDFLY_ZONE_KEY_FILE": "/k"}


def test_the_process_that_hands_out_work_is_the_first_to_stop(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", CANARY)

    services = all_services(DataDir(Path("/d")), host="127.0.0.1", port=8000, redis_url="unix:///r")

    assert sorted((service.stop_group, service.name) for service in services)[0] == (0, "beat")
    assert {service.name for service in services if CANARY not in service.environment.values()} == {"worker"}


def test_probes_are_built_in_the_data_directory_where_the_checkout_is_another_user_s(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    added = probe_environment({}, DataDir(Path("/d")))

    assert added == {"SANDFLY_PROBES_DIR": "/d/probes", "GOCACHE": "/d/probes/cache"}
    assert probe_environment({"SANDFLY_PROBES_DIR": "/srv"}, DataDir(Path("/d"))) == {}


def test_probes_are_built_in_the_checkout_where_that_is_ours(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: True)

    assert probe_environment({}, DataDir(Path("/d"))) == {}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "localhost,127.0.0.1,[::1]"),
        ("10.0.0.5", "localhost,127.0.0.1,[::1],10.0.0.5"),
        ("fd00::5", "localhost,127.0.0.1,[::1],[fd00::5]"),
        ("0.0.0.0", f"localhost,127.0.0.1,[::1],{os.uname().nodename}"),
    ],
)
def test_the_console_answers_under_the_address_it_listens_on(host, expected):
    assert web_environment({}, DataDir(Path("/d")), host)["SANDFLY_ALLOWED_HOSTS"] == expected


def test_allowed_hosts_that_are_set_stay_as_they_are():
    given = {"SANDFLY_ALLOWED_HOSTS": "console.example"}

    assert web_environment(given, DataDir(Path("/d")), "0.0.0.0")["SANDFLY_ALLOWED_HOSTS"] == "console.example"


def run_worker_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "worker", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_worker_without_its_zone_key_says_which_file(scratch):
    done = run_worker_command("--zone", "dmz", SANDFLY_DATA_DIR=str(scratch))

    assert done.returncode == 1
    assert f"cannot read the zone's private key {scratch}/zones/dmz.key" in done.stderr


def test_worker_refuses_a_zone_name_that_is_none():
    done = run_worker_command("--zone", "../etc")

    assert done.returncode == 1
    assert "is no zone name" in done.stderr


def test_ingest_and_beat_have_their_tasks_and_hold_no_page_of_the_console():
    script = (
        "import sys; from sandfly_web.celery import app; app.loader.import_default_modules(); "
        "print('sandfly_web.scans.ingest' in app.tasks, 'sandfly_web.urls' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CELERY_SKIP_CHECKS"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)

    assert done.stdout.split() == ["True", "False"]
