"""A small appliance: Dropbear, BusyBox and nothing else."""

from __future__ import annotations

from tests.behaviours.behaviour import Process
from tests.behaviours.clean.host import CleanHost

HOST = CleanHost(
    name="minimal",
    does="A device that measures something and sends it on.",
    flavour="busybox",
    files={
        "/etc/inittab": "::sysinit:/etc/init.d/rcS\n::respawn:/sbin/getty -L ttyS0 115200 vt100\n::askfirst:-/bin/sh\n::ctrlaltdel:/sbin/reboot\n::shutdown:/bin/umount -a -r\n",
        "/etc/init.d/rcS": "#!/bin/sh\nfor i in /etc/init.d/S??*; do [ -x $i ] && $i start; done\n",
        "/etc/init.d/S50dropbear": "#!/bin/sh\n/usr/sbin/dropbear -R\n",
        "/etc/profile": "export PATH=/bin:/sbin:/usr/bin:/usr/sbin\nexport PS1='# '\numask 022\n",
        "/etc/crontabs/root": "*/15 * * * * /usr/bin/measure | nc collector 2003\n0 3 * * * wget -q -O /tmp/firmware.sig http://192.168.1.1/firmware.sig\n",
        "/etc/mdev.conf": "ttyUSB[0-9]* 0:0 660\n",
        "/etc/hosts": "127.0.0.1 localhost\n192.168.1.1 collector\n",
        "/var/log/messages": "Nov 24 00:00:01 dev daemon.info crond[90]: started\n",
        "/etc/udhcpc/default.script": "#!/bin/sh\n[ \"$1\" = bound ] && ip addr add $ip/$mask dev $interface\n",
    },
    modes={"/etc/init.d/rcS": 0o755, "/etc/init.d/S50dropbear": 0o755, "/etc/crontabs/root": 0o600, "/etc/udhcpc/default.script": 0o755},
    shell="mkdir -p /var/run /mnt /srv; touch /tmp/state",
    processes=(
        Process("/bin/busybox", ("sleep", "100000"), None),
        Process("/bin/busybox", ("sh", "-c", "sleep 100000; :"), None),
    ),
)  # fmt: skip
