"""How sign-in itself is bent: PAM, resolver modules, the loader's configuration (ATT&CK T1556, T1574.006)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour

BEHAVIOURS = (
    Behaviour(
        name="pam_lets_everybody_in",
        techniques=("T1556.003",),
        does="The stack of a service says yes before the password is asked for.",
        marks=("/etc/pam.d/vsftpd",),
        raises=("pam_rule_permit_lets_in",),
        files={
            "/etc/pam.d/vsftpd": "auth sufficient pam_permit.so\nauth required pam_unix.so\naccount required pam_unix.so\n"
        },
    ),
    Behaviour(
        name="pam_lets_users_of_a_list_in",
        techniques=("T1556.003", "T1078.003"),
        does="Whoever has a certain name needs no password.",
        marks=("/etc/pam.d/ppp",),
        raises=("pam_rule_condition_lets_in",),
        files={"/etc/pam.d/ppp": "auth sufficient pam_succeed_if.so user = support\nauth required pam_unix.so\n"},
    ),
    Behaviour(
        name="pam_hands_passwords_to_a_program",
        techniques=("T1556.003", "T1056.001"),
        does="Each password that is typed goes to a program.",
        marks=("/etc/pam.d/imap",),
        raises=("pam_rule_exec_gets_password", "pam_rule_exec_at_sign_in"),
        files={
            "/etc/pam.d/imap": "auth optional pam_exec.so quiet expose_authtok /usr/local/sbin/pam-stats\nauth required pam_unix.so\n"
        },
    ),
    Behaviour(
        name="pam_starts_program_in_tmp",
        techniques=("T1556.003", "T1546"),
        does="Each session starts a program from /tmp as root.",
        marks=("/etc/pam.d/smtp",),
        raises=("pam_rule_exec_unsafe_program", "pam_rule_exec_at_sign_in"),
        files={"/etc/pam.d/smtp": "session optional pam_exec.so seteuid /tmp/session.sh\n"},
    ),
    Behaviour(
        name="pam_module_from_elsewhere",
        techniques=("T1556.003",),
        does="A stack loads a module that does not lie where modules are.",
        marks=("/etc/pam.d/rsync",),
        raises=("pam_rule_module_outside_module_directory",),
        files={"/etc/pam.d/rsync": "auth sufficient /usr/local/share/locale/pam_lang.so\nauth required pam_unix.so\n"},
    ),
    Behaviour(
        name="pam_module_added_among_the_packaged",
        techniques=("T1556.003",),
        does="A module that no package owns lies beside those of PAM.",
        marks=("/security/pam_unlx.so",),
        raises=("file_unowned_pam_module",),
        shell="directory=$(dirname $(find /usr/lib /lib -name pam_unix.so | head -n 1))\ncp $directory/pam_deny.so $directory/pam_unlx.so",
    ),
    Behaviour(
        name="pam_records_what_is_typed",
        techniques=("T1056.001", "T1556.003"),
        does="A stack makes the audit system record passwords.",
        marks=("/etc/pam.d/xserver",),
        raises=("pam_rule_records_typed_passwords",),
        files={"/etc/pam.d/xserver": "session required pam_tty_audit.so enable=* log_passwd\n"},
    ),
    Behaviour(
        name="pam_root_needs_no_password_over_the_network",
        techniques=("T1556.003",),
        does="The stack of a network service trusts whoever is root already.",
        marks=("/etc/pam.d/dovecot",),
        raises=("pam_rule_rootok_on_network_service",),
        files={"/etc/pam.d/dovecot": "auth sufficient pam_rootok.so\nauth required pam_unix.so\n"},
    ),
    Behaviour(
        name="pam_file_writable_by_everybody",
        techniques=("T1556.003", "T1222.002"),
        does="A stack of PAM can be changed by anybody.",
        marks=("/etc/pam.d/uucp",),
        raises=("pam_rule_file_writable_by_others", "file_world_writable_system_path"),
        files={"/etc/pam.d/uucp": "auth required pam_unix.so\n"},
        modes={"/etc/pam.d/uucp": 0o666},
    ),
    Behaviour(
        name="resolver_module_added",
        techniques=("T1574.006", "T1556"),
        does="A module of the name service that no package owns is loaded into each program that asks for a user.",
        marks=("libnss_cached.so.2",),
        raises=("file_unowned_resolver_module",),
        shell="library=$(find /usr/lib /lib -name 'libnss_files.so.2' | head -n 1)\ncp $library $(dirname $library)/libnss_cached.so.2",
    ),
    Behaviour(
        name="loader_looks_in_tmp",
        techniques=("T1574.006",),
        does="The dynamic loader looks for libraries in a directory below /tmp.",
        marks=("/tmp/lib-override",),
        raises=("ld_preload_directory_in_user_place", "ld_preload_directory_writable"),
        files={"/etc/ld.so.conf.d/zz-local.conf": "/tmp/lib-override\n"},
        shell="mkdir -m 777 /tmp/lib-override",
    ),
    Behaviour(
        name="loader_configuration_writable",
        techniques=("T1574.006", "T1222.002"),
        does="A file that tells the loader where libraries are can be changed by anybody.",
        marks=("/etc/ld.so.conf.d/vendor.conf",),
        raises=("ld_preload_configuration_writable", "file_world_writable_system_path"),
        files={"/etc/ld.so.conf.d/vendor.conf": "/usr/lib/vendor\n"},
        modes={"/etc/ld.so.conf.d/vendor.conf": 0o666},
    ),
)
