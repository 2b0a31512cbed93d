"""What intruders want in the end: coins, and disks that cannot be read (ATT&CK T1496, T1486)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour, Process

BEHAVIOURS = (
    Behaviour(
        name="miner_by_command_line",
        techniques=("T1496.001",),
        does="A program is told the address of a mining pool.",
        marks=("203.0.113.101",),
        raises=("process_cryptocurrency_miner",),
        processes=(
            Process("/opt/sys/networkd", ("networkd", "-o", "stratum+tcp://203.0.113.101:3333", "-u", "48x", "-k")),
        ),
    ),
    Behaviour(
        name="miner_by_name",
        techniques=("T1496.001",),
        does="A program has the name of a well known miner.",
        marks=("/opt/sys/kdevtmpfsi",),
        raises=("process_cryptocurrency_miner",),
        processes=(Process("/opt/sys/kdevtmpfsi", ("kdevtmpfsi",)),),
    ),
    Behaviour(
        name="miner_in_memory_with_options",
        techniques=("T1496.001", "T1620"),
        does="A miner runs from memory.",
        marks=("--randomx-no-numa",),
        raises=("process_cryptocurrency_miner", "process_running_memory_file"),
        processes=(Process("/opt/sys/loader", ("-bash", "--randomx-no-numa", "--coin=monero"), ("memfd bash",)),),
    ),
    Behaviour(
        name="connection_to_mining_pool",
        techniques=("T1496.001",),
        does="A program holds a connection to a port of mining pools.",
        marks=("11.22.33.74",),
        raises=("socket_mining_pool_connection",),
        shell="ip addr add 11.22.33.74/32 dev lo",
        processes=(
            Process("/usr/lib/shown/far-side-74", ("/usr/lib/shown/far-side-74",), ("serve 11.22.33.74:3333",)),
            Process("/opt/sys/cache", ("cache",), ("dial 11.22.33.74:3333",)),
        ),
    ),
    Behaviour(
        name="note_asks_for_ransom",
        techniques=("T1486",),
        does="A note beside the data says how to get it back.",
        marks=("/srv/README_TO_DECRYPT.txt",),
        raises=("file_ransom_note",),
        files={
            "/srv/README_TO_DECRYPT.txt": "All your files on this server were encrypted. To buy the decryption tool use Tor Browser: http://example.onion/\n"
        },
    ),
    Behaviour(
        name="updates_led_to_nowhere",
        techniques=("T1562.001", "T1562.006"),
        does="The list of host names leads the server of security updates to nowhere.",
        marks=("security.debian.org",),
        raises=("host_updates_blocked",),
        shell="echo '0.0.0.0 security.debian.org' >> /etc/hosts",
    ),
)
