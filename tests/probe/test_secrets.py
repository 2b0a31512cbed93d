"""What the probe promises to keep on a host: hashes, bodies of private keys, secrets in environments and settings.

Every secret below holds a canary; the probe is asked for every field of every subject, and no canary may leave. Only
who asks for the content of a file gets it as it is, but for hashes and keys.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from probes.build import Build
from tests.probe.test_hidden import records_of
from tests.probe.test_trees import scan

pytestmark = pytest.mark.integration

CANARY = "CaNaRy"  # of hashes and keys
VALUE = "vAlUeS"  # of variables and settings
LONG = CANARY * 8
HASH = f"$6$salt${LONG}"
PEOPLE = (
    "root:x:0:0:root:/root:/bin/bash\nweb:x:1000:1000::/home/web:/bin/bash\nold:CaNaRyCaNaRy1:1001:1001::/:/bin/sh\n"
)


@dataclass(frozen=True)
class Secret:
    """A file that holds one, and what of it must be told all the same."""

    path: str
    text: str
    told: str


def key(kind: str) -> str:
    return f"-----BEGIN {kind}-----\n{LONG}\n{LONG}\n-----END {kind}-----\n"


SECRETS = [
    Secret("etc/shadow", f"root:{HASH}:19000:0:99999:7:::\nweb:$y$j9T$s${LONG}:19000::::::\n", "yescrypt"),
    Secret("etc/gshadow", f"root:{HASH}::\n", "root"),
    Secret("tmp/shadow.bak", f"root:{HASH}:19000:0:99999:7:::\nweb:CaNaRyCaNaRy1:19000:0:::::\n", "shadow.bak"),
    Secret("var/www/.htpasswd", f"web:$apr1$salt${LONG}\n", ".htpasswd"),
    Secret("home/web/set.sh", f"usermod -p '{HASH}' web\n", "usermod -p '$6$"),
    Secret("home/web/.ssh/id_rsa", key("RSA PRIVATE KEY"), "id_rsa"),
    Secret("home/web/.ssh/id_ed25519", key("OPENSSH PRIVATE KEY"), "id_ed25519"),
    Secret("tmp/server.key", key("ENCRYPTED PRIVATE KEY"), "server.key"),
    Secret("tmp/secret.asc", key("PGP PRIVATE KEY BLOCK"), "secret.asc"),
    Secret("tmp/login.ppk", f"PuTTY-User-Key-File-3: x\nPrivate-Lines: 1\n{LONG}\nPrivate-MAC: 00\n", "login.ppk"),
    Secret("etc/crontab", f"DB_PASSWORD={VALUE}\n1 1 * * * root /bin/true\n", "DB_PASSWORD=[redacted 6]"),
    Secret("var/spool/cron/crontabs/web", f"URL=ftp://u:{VALUE}@h/\n@daily true\n", "ftp://u:[redacted 6]@h/"),
    Secret(
        "var/spool/cron/atjobs/a0000101c30e8c",
        f"#!/bin/sh\n# atrun uid=0 gid=0\n# mail root 0\numask 22\nAPI_TOKEN={VALUE}; export API_TOKEN\n"
        "cd /root || {\n\t echo 'Execution directory inaccessible' >&2\n\t exit 1\n}\n/bin/true\n",
        "API_TOKEN=[redacted 6]",
    ),
    Secret(
        "etc/systemd/system/app.service",
        f'[Service]\nEnvironment="AWS_SECRET_ACCESS_KEY={VALUE}" DSN=amqp://u:{VALUE}@mq/\nExecStart=/bin/true\n',
        "amqp://u:[redacted 6]@mq/",
    ),
    Secret("etc/environment", f'MYSQL_PWD="{VALUE}"\n', "MYSQL_PWD"),
    Secret("home/web/.bashrc", f"export GITHUB_TOKEN={VALUE}\nURL=https://u:{VALUE}@h\n", "GITHUB_TOKEN=[redacted 6]"),
    Secret("home/web/.bash_history", f"mysql -u root -p{VALUE}\nexport API_KEY={VALUE}\n", "mysql -u root -p"),
    Secret("etc/snmp/snmpd.conf", f"rocommunity {VALUE}\n", "rocommunity"),
    Secret("etc/redis/redis.conf", f"requirepass {VALUE}\n", "requirepass"),
]  # fmt: skip


@pytest.fixture(scope="module")
def report(probe: Build, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of everything that can be asked."""
    root = tmp_path_factory.mktemp("host")
    files = {secret.path: secret.text for secret in SECRETS} | {"etc/passwd": PEOPLE, "etc/group": "root:x:0:\n"}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        (root / path).chmod(0o700 if path.endswith("0e8c") else 0o600)
    return [json.dumps(line, ensure_ascii=False) for line in scan(probe, root)]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.path)
def test_what_is_secret_stays_and_the_rest_is_told(report: list[str], secret: Secret) -> None:
    about = [line for line in report if f"/{secret.path}" in line or secret.told in line]

    assert any(secret.told in line for line in about)
    assert leaks(about) == []


def test_no_line_of_the_report_has_a_secret(report: list[str]) -> None:
    assert leaks(report) == []


def leaks(lines: list[str]) -> list[str]:
    return [line for line in lines if CANARY in line or (VALUE in line and '"subject": "file"' not in line)]


def test_secrets_of_a_process_stay_while_its_other_arguments_are_told(probe: Build) -> None:
    environment = {"VAULT_TOKEN": VALUE, "DATABASE_URL": f"postgres://u:{VALUE}@db/x", "LANG": "C.UTF-8"}
    argv = [sys.executable, "-c", "import time; time.sleep(60)", HASH, key("PRIVATE KEY"), "--verbose"]
    process = subprocess.Popen(argv, env=environment)
    try:
        found = records_of(probe, "process", ["pid", "cmdline", "environ"])
    finally:
        process.kill()
        process.wait()

    record = next(record for record in found if record["pid"] == process.pid)
    assert leaks([json.dumps(record)]) == []
    assert {"VAULT_TOKEN=[redacted 6]", "DATABASE_URL=postgres://u:[redacted 6]@db/x", "LANG=C.UTF-8"} <= set(
        record["environ"]
    )
    assert record["cmdline"].endswith("--verbose")
    assert "$6$[concealed]" in record["cmdline"]
