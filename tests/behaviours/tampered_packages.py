"""Packaged programs and files exchanged, opened up or removed; tools that should not be installed (ATT&CK T1554)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour


def changed(name: str, path: str, rule: str, *techniques: str) -> Behaviour:
    """A packaged file whose content is another than its package brought; a byte behind its end changes nothing it does."""
    return Behaviour(
        name=f"changed_{name}",
        techniques=("T1554", *techniques),
        does=f"{path} is no longer what its package brought.",
        marks=(path.removeprefix("/usr"),),
        raises=tuple({rule: 0, "package_file_program_changed": 0}),
        shell=f"real=$(readlink -f {path}); cp -p $real /run/copy; printf x >> /run/copy; mv /run/copy $real",
    )


def installed(name: str) -> str:
    """Shell that records a package without files."""
    return f"echo /. > /var/lib/dpkg/info/{name}.list; cat >> /var/lib/dpkg/status <<'END'\n{package(name, 'install ok installed')}END"


def package(name: str, status: str) -> str:
    """dpkg's record of a package."""
    return (
        f"\nPackage: {name}\nStatus: {status}\nPriority: optional\nSection: misc\nMaintainer: X <x@example.org>\n"
        f"Architecture: all\nVersion: 1.0-1\nDescription: {name}\n"
    )


BEHAVIOURS = (
    changed("program_that_shows_processes", "/usr/bin/tail", "package_file_system_view_changed", "T1014"),
    changed("shell", "/usr/bin/dash", "package_file_shell_changed", "T1059.004"),
    changed("program_of_passwords", "/usr/bin/passwd", "package_file_login_program_changed", "T1556"),
    changed("package_manager", "/usr/bin/dpkg-deb", "package_file_package_manager_changed"),
    changed("archiver", "/usr/bin/tar", "package_file_network_tool_changed"),
    changed("ssh_client", "/usr/bin/ssh-keyscan", "package_file_ssh_client_changed"),
    changed("ordinary_program", "/usr/bin/tac", "package_file_program_changed"),
    Behaviour(
        name="changed_module_of_pam",
        techniques=("T1556.003", "T1554"),
        does="A packaged module of PAM lets somebody in who knows a word.",
        marks=("/security/pam_unix.so",),
        raises=("package_file_pam_module_changed",),
        shell="real=$(find /usr/lib /lib -name pam_unix.so | head -n 1); cp -p $real /run/pam; printf x >> /run/pam; mv /run/pam $real",
    ),
    Behaviour(
        name="changed_library_of_all_programs",
        techniques=("T1554", "T1574.006"),
        does="A library that most programs load is no longer what its package brought.",
        marks=("/libcrypt.so.1",),
        raises=("package_file_core_library_changed", "package_file_library_changed"),
        shell="real=$(readlink -f $(find /usr/lib /lib -name libcrypt.so.1 | head -n 1)); cp -p $real /run/lib; printf x >> /run/lib; mv /run/lib $real",
    ),
    Behaviour(
        name="changed_packaged_library",
        techniques=("T1554", "T1574.006"),
        does="A packaged library is no longer what its package brought.",
        marks=("/libsmartcols.so",),
        raises=("package_file_library_changed",),
        shell="real=$(readlink -f $(find /usr/lib /lib -name libsmartcols.so.1 | head -n 1)); cp -p $real /run/lib; printf x >> /run/lib; mv /run/lib $real",
    ),
    Behaviour(
        name="packaged_program_belongs_to_user",
        techniques=("T1222.002", "T1554"),
        does="A packaged program belongs to an ordinary account, who can exchange it.",
        marks=("/bin/nproc",),
        raises=("package_file_owner_changed",),
        shell="chown 1000 $(readlink -f /usr/bin/nproc)",
    ),
    Behaviour(
        name="packaged_program_open_for_everybody",
        techniques=("T1222.002",),
        does="A packaged program can be changed by anybody.",
        marks=("/bin/arch",),
        raises=("package_file_world_writable", "file_world_writable_system_path"),
        shell="chmod 777 $(readlink -f /usr/bin/arch)",
    ),
    Behaviour(
        name="packaged_program_made_immutable",
        techniques=("T1222.002", "T1554"),
        does="A packaged program cannot be updated any more.",
        marks=("/bin/factor",),
        raises=("package_file_immutable", "file_immutable_system_path"),
        shell="real=$(readlink -f /usr/bin/factor); cp -p $real /run/factor; mv /run/factor $real; chattr +i $real",
    ),
    Behaviour(
        name="packaged_program_replaced_by_link",
        techniques=("T1036.005", "T1554"),
        does="A packaged program is now a link to a program in /var/lib.",
        marks=("/bin/users",),
        raises=("package_file_replaced_by_link",),
        shell="real=$(readlink -f /usr/bin/users); rm $real; ln -s /var/lib/misc/users $real",
    ),
    Behaviour(
        name="packaged_program_replaced_by_directory",
        techniques=("T1554", "T1564"),
        does="A directory has the place of a packaged program.",
        marks=("/bin/pinky",),
        raises=("package_file_replaced_by_other_type",),
        shell="real=$(readlink -f /usr/bin/pinky); rm $real; mkdir $real",
    ),
    Behaviour(
        name="tool_that_shows_processes_removed",
        techniques=("T1562.001", "T1070.004"),
        does="A program that shows what happens on the host is gone though its package is installed.",
        marks=("/bin/sha256sum",),
        raises=("package_file_security_tool_missing", "package_file_program_missing"),
        shell="rm $(readlink -f /usr/bin/sha256sum)",
    ),
    Behaviour(
        name="packaged_unit_changed",
        techniques=("T1543.002",),
        does="A unit that a package brought starts something else.",
        marks=("/systemd/system/ssh.service",),
        raises=("package_file_unit_changed",),
        shell="file=$(readlink -f /lib/systemd/system/ssh.service); cp $file /run/unit; echo '# x' >> /run/unit; mv /run/unit $file",
    ),
    Behaviour(
        name="packaged_script_changed",
        techniques=("T1554",),
        does="A packaged script has a line more.",
        marks=("/bin/which.debianutils",),
        raises=("package_file_script_changed",),
        shell="file=$(readlink -f /usr/bin/which.debianutils); cp -p $file /run/script; echo ': x' >> /run/script; mv /run/script $file",
    ),
    Behaviour(
        name="packaged_program_got_suid_bit",
        techniques=("T1548.001",),
        does="A packaged program got the SUID bit.",
        marks=("/bin/shuf",),
        raises=("package_file_suid_unusual",),
        shell="chmod 4755 $(readlink -f /usr/bin/shuf)",
    ),
    Behaviour(
        name="security_agent_removed",
        techniques=("T1562.001",),
        does="A security agent was removed; only its settings are left.",
        marks=("wazuh-agent",),
        raises=("package_security_agent_removed",),
        shell=f"cat >> /var/lib/dpkg/status <<'END'\n{package('wazuh-agent', 'deinstall ok config-files')}END",
    ),
    Behaviour(
        name="miner_installed_as_package",
        techniques=("T1496",),
        does="A miner was installed as a package.",
        marks=("xmrig",),
        raises=("package_cryptocurrency_miner",),
        shell=installed("xmrig"),
    ),
    Behaviour(
        name="password_breaker_installed_as_package",
        techniques=("T1046",),
        does="A program that breaks passwords was installed as a package.",
        marks=("hashcat",),
        raises=("package_attack_tool",),
        shell=installed("hashcat"),
    ),
    Behaviour(
        name="tunnel_installed_as_package",
        techniques=("T1572", "T1090"),
        does="A tunnel that hides in name lookups was installed as a package.",
        marks=("iodine",),
        raises=("package_tunnel_tool",),
        shell=installed("iodine"),
    ),
)
