"""What a rootkit takes out of listings and tables (ATT&CK T1014, T1564). Enacted beneath a veil: see veil.py."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour, Process

BEHAVIOURS = (
    Behaviour(
        name="process_missing_from_listing",
        techniques=("T1014", "T1564"),
        does="A process runs, and the listing of /proc has no number of it.",
        marks=("hidden-one",),
        raises=("hidden_process",),
        processes=(Process("/opt/dark/hidden-one", ("hidden-one",)),),
        veiled=("/proc/{pid}",),
    ),
    Behaviour(
        name="process_covered_by_another",
        techniques=("T1564.013", "T1564"),
        does="An empty file system is mounted over the files of a process.",
        marks=("cover-of-a-process", "has no files of a process"),
        raises=("hidden_process_covered", "mount_over_process"),
        processes=(Process("/opt/dark/covered", ("covered",)),),
        afterwards="mount -t tmpfs cover-of-a-process /proc/$(cat /run/standin/ready/process_covered_by_another.0)",
    ),
    Behaviour(
        name="rootkit_file_missing_from_listing",
        techniques=("T1014", "T1564.001"),
        does="A file at a place of a known rootkit exists when it is asked for and is in no listing.",
        marks=("/usr/include/proc.h",),
        raises=("hidden_directory_entry",),
        files={"/usr/include/proc.h": "x\n"},
        veiled=("/usr/include/proc.h",),
    ),
    Behaviour(
        name="directory_missing_from_listing",
        techniques=("T1014", "T1564.001"),
        does="A directory below /var/tmp is in no listing; its parent has a link more than it shows.",
        marks=("/var/tmp",),
        raises=("hidden_directory_count", "directory_entries_concealed"),
        shell="mkdir /var/tmp/dark",
        veiled=("/var/tmp/dark",),
    ),
    Behaviour(
        name="name_left_only_in_the_blocks_of_the_disk",
        techniques=("T1014", "T1564.001"),
        does="A file on a disk is in no listing; the blocks of its directory have it.",
        marks=("/srv/payload.bin",),
        raises=("hidden_directory_entry",),
        shell="mknod -m 600 /dev/loop-control c 10 237\n"
        "for number in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do mknod -m 600 /dev/loop$number b 7 $number; done\n"
        "truncate -s 8M /run/disk.img; mkfs.ext4 -q -F /run/disk.img; mount -o loop /run/disk.img /srv\n"
        "echo x > /srv/payload.bin; sync",
        veiled=("/srv/payload.bin",),
    ),
    Behaviour(
        name="listening_port_taken_out_of_the_table",
        techniques=("T1014", "T1205"),
        does="The table of connections lacks a port that waits, and the kernel's own answer has it.",
        marks=("127.0.0.1:55443", "/veil"),
        raises=("hidden_socket", "mount_over_process"),
        processes=(Process("/opt/dark/port", ("port",), ("listen tcp 127.0.0.1:55443",)),),
        before_probe="for table in tcp tcp6 udp udp6 raw raw6 udplite udplite6 unix packet netlink icmp icmp6; do\n"
        "  [ -e /proc/net/$table ] && grep -v ':D893 00000000:0000' /proc/net/$table > /run/veil/$table\ndone\n"
        # Mounted over by the next behaviour, too, once it has added its line.
        ":",
    ),
    Behaviour(
        name="port_kept_from_the_kernels_own_answer",
        techniques=("T1014", "T1205"),
        does="The kernel's answer to those who ask it for sockets lacks one that the table has.",
        marks=("127.0.0.1:55444",),
        raises=("hidden_socket_from_netlink",),
        before_probe="head -n 1 /run/veil/tcp > /run/veil/tcp.new\n"
        "echo '   9: 0100007F:D894 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 999999999 1 0000000000000000 100 0 0 10 0' >> /run/veil/tcp.new\n"
        "tail -n +2 /run/veil/tcp >> /run/veil/tcp.new; mv /run/veil/tcp.new /run/veil/tcp\n"
        "mount --bind /run/veil /proc/$$/net",
    ),
    Behaviour(
        name="table_of_kernel_symbols_mounted_over",
        techniques=("T1014", "T1564"),
        does="Another file is mounted over the list of the kernel's symbols.",
        marks=("/proc/kallsyms",),
        raises=("hidden_mount_over_kernel_table",),
        shell="echo '0000000000000000 T _text' > /run/kallsyms; mount --bind /run/kallsyms /proc/kallsyms",
    ),
    Behaviour(
        name="file_of_host_names_reads_other_than_it_is",
        techniques=("T1014", "T1564"),
        does="A file that programs trust gives another content than its size says.",
        marks=("/etc/hosts",),
        raises=("hidden_file_content",),
        shell="mount --bind /proc/version /etc/hosts",
    ),
)
