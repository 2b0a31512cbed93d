"""Rules on logins and logs from the bytes of the files on, through the real probe: what intruders leave is seen, and a
day on stock servers is silent."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from sandfly_web.rules.compiled import CompiledRule, Level, RuleType
from sandfly_web.rules.plan import build_plan
from scanners.contract import Limits

SUBJECTS = frozenset({"login", "log_line", "log_file"})
PASSWD = (
    "root:x:0:0::/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/bash\n"
)
NOW = int(time.time())
MESSAGES = yaml.safe_load((Path(__file__).parent / "logs.yml").read_text(encoding="utf-8"))
INTRUDER, DAY = MESSAGES["intruder"], MESSAGES["day"]

Look = Callable[[Mapping[str, bytes | str]], set[str]]


@pytest.fixture
def look(tmp_path: Path, catalog: list[CompiledRule], probe: Path) -> Look:
    """Write the files of a host, let the probe look at them, give the names of the detections that alert."""
    rules = [rule for rule in catalog if rule.subject in SUBJECTS and rule.type is RuleType.DETECTION]
    by_id = {rule.id: rule for rule in rules}
    plan = build_plan(rules, Limits())

    def run(files: Mapping[str, bytes | str]) -> set[str]:
        for name, content in files.items():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        done = subprocess.run(
            [probe, "--keep", "--root", tmp_path], input=plan.body + b"\n", capture_output=True, check=True, timeout=60
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines[-1]["complete"]
        assert [line for line in lines if line["type"] == "collector" and line["state"] != "ok"] == []
        alerts = {place for line in lines if line["type"] == "match" for place in line["rules"]}
        return {by_id[plan.plan.rules[place].id].name for place in alerts}

    return run


def syslog(*messages: str) -> str:
    """Lines of syslog, one a second, the last one now; times are UTC, as the tree names no zone."""
    times = (time.gmtime(NOW - len(messages) + place) for place in range(1, len(messages) + 1))
    return "".join(
        f"{time.strftime('%b %e %H:%M:%S', at)} web {text}\n" for at, text in zip(times, messages, strict=True)
    )


def audit(*records: str) -> str:
    return "".join(
        f"type={record.split(' ', 1)[0]} msg=audit({NOW}.1:{place}): {record.split(' ', 1)[1]}\n"
        for place, record in enumerate(records, 1)
    )


def access(*requests: str) -> str:
    """Lines of the combined format; a request is `METHOD uri status size` and may bring its user agent."""
    at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(NOW))
    out = []
    for request in requests:
        method, uri, status, size, *agent = request.split(" ", 4)
        out.append(
            f'203.0.113.9 - - [{at}] "{method} {uri} HTTP/1.1" {status} {size} "-" "{"".join(agent) or "curl/8"}"\n'
        )
    return "".join(out)


def utmp(kind: int, user: str, line: str = "pts/0", at: int = NOW, address: bytes = b"", host: str = "") -> bytes:
    """One record of wtmp as 64-bit x86 writes it."""
    head = struct.pack(
        "<hxxi32s4s32s256shhiii", kind, 99, line.encode(), b"", user.encode(), host.encode(), 0, 0, 0, at, 0
    )
    return (head + address.ljust(16, b"\0")).ljust(384, b"\0")


SEEN_IN_SYSLOG = {
    "log_line_ssh_root_password", "log_line_ssh_service_account", "log_line_sudo_service_account",
    "log_line_sudo_escape",
    "log_line_sudo_temporary", "log_line_sudo_any_id", "log_line_sudo_log_wiped", "log_line_sudo_defence_stopped",
    "log_line_su_service_account", "log_line_account_uid_zero", "log_line_account_odd_home",
    "log_line_account_service_shell", "log_line_account_admin_group", "log_line_cron_temporary",
    "log_line_cron_download",
    "log_line_kernel_crash_privileged", "log_line_kernel_bpf_write", "log_line_promiscuous_mode",
    "log_line_preload_broken", "log_line_reverse_shell",
}  # fmt: skip


def test_what_intruders_leave_in_syslog_is_seen(look: Look) -> None:
    assert look({"var/log/auth.log": syslog(*INTRUDER["syslog"])}) >= SEEN_IN_SYSLOG


def test_a_packed_log_shows_the_same(look: Look) -> None:
    assert look({"var/log/auth.log.1.gz": gzip.compress(syslog(*INTRUDER["syslog"]).encode())}) >= SEEN_IN_SYSLOG


def test_what_intruders_leave_in_the_audit_log_is_seen(look: Look) -> None:
    assert look({"var/log/audit/audit.log": audit(*INTRUDER["audit"])}) >= {
        "log_line_audit_exec_temporary", "log_line_audit_exec_memory", "log_line_audit_module_load",
        "log_line_audit_injection", "log_line_audit_disabled",
    }  # fmt: skip


def test_what_intruders_leave_in_access_logs_is_seen(look: Look) -> None:
    assert look({"var/log/nginx/site.access.log": access(*INTRUDER["web"])}) >= {
        "log_line_web_traversal", "log_line_web_shell_upload", "log_line_web_shell_command", "log_line_web_shell_name",
        "log_line_web_secret_file", "log_line_web_log4shell", "log_line_web_shellshock", "log_line_web_sql_injection",
    }  # fmt: skip


def test_wiped_and_strange_logins_are_seen(look: Look, tmp_path: Path) -> None:
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "var/log/btmp").symlink_to("/dev/null")
    lastlog = bytes(292 * 1000) + struct.pack("=i32s256s", NOW - 500, b"pts/0", b"")
    records = [
        utmp(2, "reboot", "~", NOW - 9000),
        bytes(384),
        utmp(7, "www-data", at=NOW - 800),
        utmp(7, "sysd", at=NOW - 700),
        utmp(7, "root", at=NOW - 600, address=bytes([203, 0, 113, 9])),
    ]

    alerts = look({
        "etc/passwd": PASSWD + "sysd:x:0:0::/root:/bin/bash\n",
        "var/log/wtmp": b"".join(records), "var/log/lastlog": lastlog,
    })  # fmt: skip

    assert alerts >= {
        "login_service_account", "login_root_twin", "login_root_from_internet", "log_file_zeroed_records",
        "log_file_discarded", "log_file_login_lost",
    }  # fmt: skip


def test_a_day_on_stock_servers_is_silent(look: Look, catalog: list[CompiledRule]) -> None:
    loud = {rule.name for rule in catalog if rule.level.rank >= Level.MEDIUM.rank}

    alerts = look({
        "etc/passwd": PASSWD, "var/log/auth.log": syslog(*DAY["auth"]), "var/log/syslog": syslog(*DAY["syslog"]),
        "var/log/kern.log": syslog(*DAY["kernel"]), "var/log/audit/audit.log": audit(*DAY["audit"]),
        "var/log/nginx/access.log": access(*DAY["web"]),
        "var/log/wtmp": b"".join([
            utmp(2, "reboot", "~", NOW - 9000), utmp(7, "ann", at=NOW - 800, address=bytes([203, 0, 113, 5])),
            utmp(8, "", at=NOW - 100),
        ]),
        "var/log/btmp": b"".join(utmp(6, name, "ssh:notty", NOW - 50) for name in ("root", "admin", "mysql", "bin")),
        "var/log/lastlog": bytes(292 * 1000) + struct.pack("=i32s256s", NOW - 800, b"pts/0", b"203.0.113.5"),
    })  # fmt: skip

    assert alerts & loud == set()
