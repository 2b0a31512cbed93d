"""Libraries forced on all programs by /etc/ld.so.preload, and programs mounted over (ATT&CK T1574.006, T1036.005)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour, Process

BEHAVIOURS = (
    Behaviour(
        name="library_forced_on_every_program",
        techniques=("T1574.006", "T1564.001"),
        does="A library in a hidden place below /usr/share is forced on every program, and can be changed by anybody.",
        marks=("/usr/share/.lib/libprocesshider.so",),
        raises=(
            "host_library_preloaded", "ld_preload_library_forced", "ld_preload_library_in_suspicious_place",
            "ld_preload_library_writable", "library_injected_writable", "library_hidden_directory", "library_world_writable",
        ),
        shell="mkdir /usr/share/.lib; cp $(find /usr/lib /lib -name libm.so.6 | head -n 1) /usr/share/.lib/libprocesshider.so\n"
        "chmod 777 /usr/share/.lib/libprocesshider.so; echo /usr/share/.lib/libprocesshider.so > /etc/ld.so.preload",
        processes=(Process("/bin/sleep", ("sleep", "100010"), None),),
    ),
    Behaviour(
        name="library_forced_and_gone",
        techniques=("T1574.006", "T1014"),
        does="A library that is forced on every program is not where it is said to be.",
        marks=("/usr/lib/libvanished.so.1",),
        raises=("ld_preload_library_missing", "ld_preload_library_forced", "host_library_preloaded"),
        afterwards="echo /usr/lib/libvanished.so.1 >> /etc/ld.so.preload",
    ),
    Behaviour(
        name="library_that_audits_a_program",
        techniques=("T1574.006",),
        does="A library in a home is loaded into a program as an auditor of its loading.",
        marks=("/home/uwe/libaudit-x.so", "sleep 100011"),
        raises=("library_audit_injected", "process_preloaded_library"),
        shell="mkdir -p /home/uwe; cp $(find /usr/lib /lib -name libm.so.6 | head -n 1) /home/uwe/libaudit-x.so",
        processes=(
            Process("/usr/lib/shown/audited", ("audited", "sleep 100011"), ("map /home/uwe/libaudit-x.so",), env=("LD_AUDIT=/home/uwe/libaudit-x.so",)),
        ),
    ),
    Behaviour(
        name="program_of_system_mounted_over",
        techniques=("T1564", "T1036.005"),
        does="Another program is mounted over one of the system's.",
        marks=("/bin/who",),
        raises=("mount_over_system_program", "package_file_system_view_changed", "package_file_program_changed"),
        shell="cp /bin/true /run/true; mount --bind /run/true $(readlink -f /usr/bin/who)",
    ),
    Behaviour(
        name="program_reads_memory_of_kernel",
        techniques=("T1014",),
        does="A program has the kernel's memory open.",
        marks=("/opt/mem/reader",),
        raises=("process_kernel_memory_access",),
        processes=(Process("/opt/mem/reader", ("reader",), ("open /dev/kmem",)),),
        # The number is that of /dev/null.
        shell="mknod -m 600 /dev/kmem c 1 3",
    ),
)  # fmt: skip
