"""A database server: PostgreSQL with replication and backups, MySQL's tools, Redis, auditing."""

from __future__ import annotations

from tests.behaviours.behaviour import Process
from tests.behaviours.clean import noise
from tests.behaviours.clean.host import PROGRAM, CleanHost, Package, daemon
from tests.behaviours.clean.web import CERTIFICATE_KEY

POSTGRES = "/usr/lib/postgresql/17/bin/postgres"
AUDIT = (
    'type=USER_ACCT msg=audit({t}.1:10): pid=900 uid=0 auid=4294967295 ses=4294967295 msg=\'op=PAM:accounting acct="postgres" exe="/usr/sbin/cron" hostname=? addr=? terminal=cron res=success\'\n'
    'type=SYSCALL msg=audit({t}.2:11): arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=55 a2=55 a3=8 items=2 ppid=1 pid=901 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=1 comm="systemctl" exe="/usr/bin/systemctl" key="exec"\n'
    'type=SYSCALL msg=audit({t}.3:12): arch=c000003e syscall=313 success=yes exit=0 a0=3 a1=55 a2=0 a3=3 items=0 ppid=300 pid=902 auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm="systemd-udevd" exe="/usr/bin/udevadm" key="modules"\n'
    'type=CONFIG_CHANGE msg=audit({t}.4:13): op=set audit_backlog_limit=8192 old=64 auid=4294967295 ses=4294967295 res=1\n'
    'type=ANOM_PROMISCUOUS msg=audit({t}.5:14): dev=veth01 prom=256 old_prom=0 auid=4294967295 uid=0 gid=0 ses=4294967295\n'
)  # fmt: skip


def _audit() -> str:
    return "".join(AUDIT.format(t=int(when)) for when, _ in noise.spread([""] * 20))


def backend(title: str, *do: str) -> Process:
    return daemon(POSTGRES, title, do=("name postgres", *do), uid=107)


HOST = CleanHost(
    name="database",
    does="Keeps databases, copies them to another host and saves them each night.",
    accounts=(
        "postgres:x:107:107:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash",
        "dba:x:1000:1000:DBA:/home/dba:/bin/bash",
    ),
    packages=(
        Package(
            "postgresql-15",
            {
                POSTGRES: PROGRAM,
                "/lib/systemd/system/postgresql-main@.service": "[Service]\nType=forking\nExecStart=-/usr/bin/pg_ctlcluster --skip-systemctl-redirect %i start\nOOMScoreAdjust=-900\n",
                "/lib/systemd/system-generators/postgresql-generator": "#!/bin/sh\nset -eu\nln -s x y\n",
            },
            {"/lib/systemd/system-generators/postgresql-generator": 0o755},
        ),
        Package("redis", {"/usr/bin/redis-check": PROGRAM}),
        Package("mongodb-org-server", {"/usr/bin/mongod": PROGRAM}),
        Package("auditd", {"/usr/sbin/auditd": PROGRAM, "/etc/audit/auditd.conf": "log_file = /var/log/audit/audit.log\n"}),
    ),
    files={
        "/var/lib/postgresql/15/main/PG_VERSION": "15\n",
        "/var/lib/postgresql/15/main/postgresql.auto.conf": "archive_command = 'pgbackrest --stanza=main archive-push %p'\n",
        "/var/lib/postgresql/.ssh/id_ed25519": CERTIFICATE_KEY,
        "/var/lib/postgresql/.ssh/known_hosts": "|1|aGFzaGhhc2hoYXNoaGFzaGhhcw==|aGFzaGhhc2hoYXNoaGFzaGhhcw== ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "S" * 43 + "\n",
        "/var/lib/postgresql/.ssh/authorized_keys": "no-port-forwarding,no-X11-forwarding ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "T" * 43 + " barman@backup\n",
        "/var/lib/postgresql/.psql_history": "select count(*) from pg_stat_activity;\n\\dt+\nALTER USER app WITH PASSWORD 'x';\n",
        "/var/lib/postgresql/.bash_history": "psql\npg_lsclusters\npg_dump -Fc app > /var/backups/app.dump\nrm -f /tmp/app.dump\n",
        "/var/spool/cron/crontabs/postgres": "30 1 * * * pgbackrest --stanza=main --type=diff backup\n0 2 * * 0 pg_dumpall | gzip -9 | gpg --batch -e -r backup@example.org > /var/backups/all.sql.gz.gpg\n"
        "*/15 * * * * psql -qAtc 'select now()' > /var/lib/postgresql/last 2>&1\n",
        "/etc/cron.d/mongo": "0 * * * * root find /var/log/mongodb -name '*.log.*' -mtime +14 -delete\n5 4 * * * root /usr/local/bin/backup-mongo.sh | logger -t mongo\n",
        "/usr/local/bin/backup-mongo.sh": "#!/bin/bash\nset -euo pipefail\nmongodump --archive | zstd | ssh backup@192.0.2.9 'cat > mongo.zst'\n",
        "/etc/systemd/system/disable-thp.service": "[Unit]\nDescription=No huge pages\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo never > /sys/kernel/mm/transparent_hugepage/enabled'\n[Install]\nWantedBy=multi-user.target\n",
        "/etc/systemd/system/postgresql-main@.service.d/limits.conf": "[Service]\nLimitNOFILE=65536\nEnvironment=LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2\n",
        "/etc/sysctl.d/30-postgresql.conf": "vm.overcommit_memory = 2\n",
        "/etc/security/limits.d/pg.conf": "postgres soft nofile 65536\n",
        "/etc/rc.local": "#!/bin/sh -e\necho never > /sys/kernel/mm/transparent_hugepage/defrag\nexit 0\n",
        "/etc/udev/rules.d/99-oracle-asm.rules": 'KERNEL=="sd?1", SUBSYSTEM=="block", PROGRAM=="/lib/udev/scsi_id -g -u -d /dev/$parent", RESULT=="36000c29", OWNER="postgres", MODE="0660"\n',
        "/etc/modprobe.d/blacklist-fs.conf": "install cramfs /bin/true\ninstall udf /bin/false\nblacklist usb-storage\n",
        "/home/dba/.bashrc": "case $- in *i*) ;; *) return;; esac\nHISTCONTROL=ignoreboth\nshopt -s histappend\nHISTSIZE=100000\nexport PGHOST=/var/run/postgresql\nexport PROMPT_COMMAND='history -a'\nalias psql='sudo -u postgres psql'\n",
        "/home/dba/.my.cnf": "[client]\nuser=root\n",
        "/home/dba/.bash_history": "sudo -i -u postgres\nsudo systemctl stop postgresql\nsudo systemctl start postgresql\nredis-cli monitor\ncat /dev/null > /tmp/out.log\nrm -rf /var/log/postgresql/*.gz\ntcpdump -i any port 5432\nnc -l 9999 > dump.sql\nhistory | grep pg_dump\nsudo chmod 2775 /srv/dumps\n",
        "/var/log/auth.log": noise.auth("db1", "dba"),
        "/var/log/syslog": noise.system("db1"),
        "/var/log/audit/audit.log": _audit(),
        "/dev/shm/PostgreSQL.2843658914": "\0" * 4096,
        "/tmp/.s.PGSQL.5432.lock": "600\n/var/lib/postgresql/15/main\n",
        "/srv/dumps/app-2026-11-23.sql": "-- PostgreSQL database dump\nCREATE TABLE x();\nCOPY hosts FROM stdin;\n203.0.113.4\n\\.\n",
    },
    modes={
        "/var/lib/postgresql/.ssh/id_ed25519": 0o600,
        "/var/lib/postgresql/.ssh/authorized_keys": 0o600,
        "/var/spool/cron/crontabs/postgres": 0o600,
        "/usr/local/bin/backup-mongo.sh": 0o755,
        "/etc/rc.local": 0o755,
        "/var/log/audit/audit.log": 0o600,
        "/dev/shm/PostgreSQL.2843658914": 0o600,
    },
    binaries={"/var/log/wtmp": noise.wtmp(["dba"]), "/var/log/btmp": noise.btmp()},
    shell="""
chown -R 107:107 /var/lib/postgresql /dev/shm/PostgreSQL.2843658914 /tmp/.s.PGSQL.5432.lock
chown -R 1000:1000 /home/dba
chmod 700 /var/lib/postgresql/.ssh
chmod 1777 /srv/dumps
""",
    processes=(
        daemon(
            POSTGRES, POSTGRES, "-D", "/var/lib/postgresql/15/main", "-c", "config_file=/etc/postgresql/15/main/postgresql.conf",
            do=("listen tcp :5432", "listen unix /tmp/.s.PGSQL.5432", "name postgres", "open /dev/shm/PostgreSQL.2843658914"), uid=107,
            children=(
                backend("postgres: 15/main: checkpointer "), backend("postgres: 15/main: walwriter "),
                backend("postgres: 15/main: app app 192.0.2.10(51612) idle", "rwx"),
                backend("postgres: 15/main: walsender replicator 192.0.2.11(40122) streaming 0/3000148"),
                backend("postgres: 15/main: archiver last was 0000000100000000000000A1"),
            ),
        ),
        daemon("/usr/bin/mongod", "/usr/bin/mongod", "--config", "/etc/mongod.conf", do=("listen tcp 127.0.0.1:27017",), uid=107),
        daemon("/usr/sbin/auditd", "/sbin/auditd"),
        # A program that was replaced by an update while it ran.
        daemon("/usr/bin/redis-check", "/usr/bin/redis-server 127.0.0.1:6379", do=("listen tcp 127.0.0.1:6379", "name redis-server"), uid=107),
    ),
)  # fmt: skip
