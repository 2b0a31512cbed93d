"""The guard of a host's owner against real sshd hosts: the visit passes, and everything else is refused."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probes.build import ensure, host_arch
from probes.guard import PROGRAMS_DIRECTORY, KitOptions, published_json, write_kit
from scanners.contract import Become, Outcome, ScanReport
from scanners.guard import Guard, parse_guard
from scanners.staging import NAMES_VARIABLE, file_names
from scanners.visit import run_visit
from tests.hosts.host import Host, User, make_host, wait_until
from tests.scanners.standin import LINGER, PLAN, READY, UNLINK, ScriptBuild, make_job, script_build
from tests.scanners.test_real_probe import QUICK_PLAN, statuses

pytestmark = pytest.mark.integration

TOKEN = "0123456789abcdef"
DIRECTORY = "/var/lib/sandfly-guard"
SHOWS_ITSELF = 'echo "I am $(id -u)"; env; cat\n'


@dataclass
class Guarded:
    """A host with the guard for the accounts sandfly and root, and the stand-ins that it allows."""

    host: Host
    shows: ScriptBuild
    lingers: ScriptBuild
    leaves: ScriptBuild
    strange: ScriptBuild
    control: str

    def ask(
        self, command: str, stdin: bytes = b"", options: Sequence[str] = (), username: str = "sandfly"
    ) -> subprocess.CompletedProcess[bytes]:
        """What OpenSSH's client gets for a command; those without options share a connection."""
        shared = [] if options else ["-o", "ControlMaster=auto", "-o", f"ControlPath={self.control}", "-o",
                                     "ControlPersist=60"]  # fmt: skip
        argv = [*ssh_argv(self.host, username, [*shared, *options]), command]
        return subprocess.run(argv, input=stdin, capture_output=True, timeout=20, check=False)

    def put(self, build: ScriptBuild, token: str = TOKEN, data: bytes | None = None) -> str:
        """The guard's answer to an upload."""
        sent = build.path.read_bytes() if data is None else data
        return self.ask(f"exec sandfly-guard put {token} {build.sha256} cat", sent).stdout.decode()

    def kept(self) -> str:
        return self.host.run(f"find {DIRECTORY} -mindepth 1").stdout


def ssh_argv(host: Host, username: str, options: Sequence[str] = ()) -> list[str]:
    fixed = ["-F", "none", "-i", str(host.key_path(username)), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=INFO", "-p", str(host.port)]  # fmt: skip
    return ["ssh", *fixed, *options, f"{username}@{host.address}"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    base = tmp_path_factory.mktemp("guard")
    control = f"/tmp/sf-control-{os.getpid()}"
    made: dict[str, ScriptBuild] = {}
    bodies = {"shows": SHOWS_ITSELF, "lingers": READY + LINGER, "leaves": UNLINK, "strange": "echo hello\n"}
    for name, body in bodies.items():
        (base / name).mkdir()
        made[name] = script_build(base / name, body)
    builds: list[Any] = [made["shows"], made["lingers"], made["leaves"], ensure(host_arch())]
    # An owner who lets more of the environment in than usual.
    options = {"AcceptEnv": "LD_PRELOAD EVIL"}
    users = [User("sandfly"), User("free")]
    with make_host("owned", users=users, sshd_options=options) as host:
        write_kit(base / "kit", builds)
        install(host, base / "kit")
        yield Guarded(host, **made, control=control)
        subprocess.run(
            ["ssh", "-o", f"ControlPath={control}", "-O", "exit", host.address], stderr=subprocess.DEVNULL, check=False
        )


def install(host: Host, kit: Path) -> None:
    """As the kit's README says it, for the account and for root."""
    shutil.copytree(kit, host.place("/tmp/kit"))
    done = host.run("/tmp/kit/install.sh")
    assert done.returncode == 0, done.stderr
    line = next(line.strip() for line in done.stdout.splitlines() if "restrict," in line)
    for path in ("/home/sandfly/.ssh/authorized_keys", "/root/.ssh/authorized_keys"):
        file = host.place(path)
        file.write_text(f"{line.partition(' ')[0]} {file.read_text()}")


@pytest.fixture(autouse=True)
def clean(guarded: Guarded) -> Iterator[None]:
    yield
    guarded.host.run(f"rm -rf {DIRECTORY}/.sf-* /tmp/evil")


@pytest.mark.parametrize(("username", "become"), [("sandfly", Become.SUDO), ("root", Become.NONE)])
def test_the_real_visit_passes_as_root_and_by_sudo(guarded: Guarded, username: str, become: Become) -> None:
    report = run_visit(make_job(guarded.host.endpoint), QUICK_PLAN, [guarded.host.secret(username)])

    assert (report.outcome, report.failure, report.cleanup) == (Outcome.DONE, None, None)
    assert statuses(report) == {"host": "alert", "root-user": "alert"}
    assert report.profile is not None
    assert (report.profile.is_root, report.profile.become, report.profile.os_id) == (True, become, "debian")
    assert report.removed == report.created == [path for path in report.created if path.startswith(DIRECTORY)] != []
    assert guarded.kept() == ""


# Everything that the guard's two scripts call; BusyBox's shell takes most of them from itself anyway.
APPLETS = [
    "sh",
    "cat",
    "chmod",
    "env",
    "find",
    "gzip",
    "head",
    "id",
    "logger",
    "ls",
    "mkdir",
    "rm",
    "sha256sum",
    "unxz",
    "wc",
    "xz",
]


@pytest.fixture(scope="module")
def tiny(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A host whose shell and programs are BusyBox's, with doas and without sudo."""
    kit = tmp_path_factory.mktemp("tiny") / "kit"
    write_kit(kit, [guarded.shows, guarded.lingers, ensure(host_arch())])
    with make_host("tiny", users=[User("sandfly"), User("free")], address="127.0.5.2") as host:
        links = "; ".join(f"ln -sf /bin/busybox /usr/bin/{name}" for name in APPLETS)
        done = host.run(f"{links}; rm -f /usr/bin/sudo; readlink /bin/sh")
        assert done.stdout == "/bin/busybox\n", done.stderr
        install(host, kit)
        host.write("/etc/doas.conf", "permit nopass free\n" + (kit / "doas.conf").read_text(), 0o400)
        control = f"/tmp/sf-tiny-{os.getpid()}"
        yield Guarded(host, guarded.shows, guarded.lingers, guarded.leaves, guarded.strange, control)
        subprocess.run(
            ["ssh", "-o", f"ControlPath={control}", "-O", "exit", host.address], stderr=subprocess.DEVNULL, check=False
        )


def test_the_real_visit_passes_by_doas_on_busybox(tiny: Guarded) -> None:
    report = run_visit(make_job(tiny.host.endpoint), QUICK_PLAN, [tiny.host.secret("sandfly")])

    assert (report.outcome, report.failure, report.cleanup) == (Outcome.DONE, None, None)
    assert statuses(report) == {"host": "alert", "root-user": "alert"}
    assert report.removed == report.created == [path for path in report.created if path.startswith(DIRECTORY)] != []
    assert tiny.kept() == ""


def test_every_other_command_is_refused_by_busybox(tiny: Guarded) -> None:
    for command in ABUSES:
        done = tiny.ask(command, b"id; touch /tmp/evil\n")

        assert (done.returncode, b"uid=" in done.stdout) == (77, False), command
        assert b"sandfly-guard: refused" in done.stderr, command
    assert tiny.host.run("ls /tmp/evil").returncode != 0


def test_busybox_keeps_and_runs_only_what_is_published(tiny: Guarded) -> None:
    good = tiny.shows.path.read_bytes()
    for data, reason in ((good[:-1] + b"x", "another digest"), (good + bytes(9 << 20), "not the"), (b"", "not the")):
        assert reason in tiny.put(tiny.shows, data=data)
        assert tiny.kept() == ""

    assert "dir=" in tiny.put(tiny.shows)
    ran = tiny.ask(f"exec sandfly-guard run {TOKEN} {tiny.shows.sha256}", b"a plan").stdout.decode().splitlines()
    tiny.host.run(f"printf '#!/bin/sh\\ntouch /tmp/evil\\n' >{DIRECTORY}/.sf-{TOKEN}/sf")
    exchanged = tiny.ask(f"exec sandfly-guard run {TOKEN} {tiny.shows.sha256}")

    assert (ran[:2], "a plan" in ran[-1]) == ([TOKEN, "I am 0"], True)
    assert exchanged.returncode == 77 and b"another digest" in exchanged.stderr
    assert (tiny.host.run("ls /tmp/evil").returncode != 0, tiny.kept()) == (True, "")


def test_doas_gives_the_account_nothing_else(tiny: Guarded) -> None:
    for command in ("id", "/bin/sh", "/usr/local/sbin/sandfly-guard", "-s"):
        done = tiny.host.run(f'su sandfly -c "doas -n {command}"')
        assert done.returncode == 1 and "uid=" not in done.stdout
    bare = tiny.host.run('su sandfly -c "doas -n /usr/local/sbin/sandfly-guard-root run"')
    assert (bare.returncode, "refused" in bare.stderr) == (77, True)


def visit_with(guarded: Guarded, build: ScriptBuild, **changes: Any) -> ScanReport:
    job = make_job(guarded.host.endpoint)
    return run_visit(job, PLAN, [guarded.host.secret("sandfly")], get_build=lambda arch: build, **changes)


def test_a_probe_that_is_not_published_is_refused_and_said(guarded: Guarded) -> None:
    report = visit_with(guarded, guarded.strange)

    assert report.failure is not None and not report.failure.retryable
    assert report.failure.code == "guard_refused"
    assert "digest is on the list" in report.failure.message
    assert (report.cleanup, report.created, guarded.kept()) == (None, [], "")


def test_a_cancelled_visit_leaves_nothing_under_the_guard(guarded: Guarded) -> None:
    asked = iter(range(100))

    report = visit_with(guarded, guarded.lingers, should_stop=lambda: next(asked) > 5)

    assert (report.outcome, report.cleanup) == (Outcome.CANCELLED, None)
    assert guarded.kept() == ""
    wait_until(lambda: not [line for line in guarded.host.processes().values() if ".sf-" in line])


def test_a_probe_whose_asker_is_gone_is_started_all_the_same_and_removes_itself(guarded: Guarded) -> None:
    assert f"{TOKEN}-end" in guarded.put(guarded.leaves)

    ask = f"exec sandfly-guard run {TOKEN} {guarded.leaves.sha256}"
    guard = f"{PROGRAMS_DIRECTORY}/sandfly-guard"
    # The reader of the pipe is gone before anything is said.
    done = guarded.host.run(f"(sleep 0.3; SSH_ORIGINAL_COMMAND='{ask}' {guard} 2>&1) | true; echo asked")

    assert done.stdout == "asked\n"
    wait_until(lambda: guarded.kept() == "")


def test_a_worker_that_knows_another_contract_is_told_to_renew(guarded: Guarded) -> None:
    script = guarded.host.place("/usr/local/sbin/sandfly-guard")
    text = script.read_text()
    script.write_text(text.replace('p guard "1 ', 'p guard "2 '))
    try:
        report = visit_with(guarded, guarded.lingers)
    finally:
        script.write_text(text)

    assert report.failure is not None and "renew the guard" in report.failure.message


ABUSES = [
    "",
    "id",
    "sh",
    "exec /bin/sh",
    "exec /bin/sh -s",
    "exec /bin/sh -c id",
    "exec /bin/sh -s $(id)",
    f"exec /bin/sh -s {TOKEN}; id",
    f"exec /bin/sh -s {TOKEN}\nid",
    f"exec /bin/sh -s {TOKEN} -c",
    f"exec  /bin/sh -s {TOKEN}",
    f"exec /bin/sh -s {TOKEN[:-1]}",
    f"exec /bin/sh -s {TOKEN.upper()}",
    "exec /bin/sh -s ../../../../../..",
    f"exec sandfly-guard clean ../{TOKEN[:-3]}",
    f"exec sandfly-guard clean {TOKEN} {TOKEN}",
    f"exec sandfly-guard put {TOKEN} {'0' * 64} sh",
    f"exec sandfly-guard put {TOKEN} {'0' * 64}",
    f"exec sandfly-guard put {TOKEN} * cat",
    f"exec sandfly-guard run {TOKEN} {'0' * 63}",
    f"exec sandfly-guard run {TOKEN} {'0' * 64} --keep",
    f"exec sandfly-guard profile {TOKEN}",
    f"exec sandfly-guard-root clean {TOKEN}",
    f"/usr/local/sbin/sandfly-guard clean {TOKEN}",
    f"exec sandfly-guard `id` {TOKEN}",
    f"exec sandfly-guard clean {TOKEN} >/tmp/evil",
    f"exec sandfly-guard clean ${{IFS}}{TOKEN}",
    f"exec sandfly-guard clean {TOKEN} & id",
    f"exec sandfly-guard clean {TOKEN}\t|id",
    "exec sandfly-guard clean 0123456789abcdeé",
    "a" * 100_000,
    "scp -t /tmp/evil",
    "/usr/lib/openssh/sftp-server",
    "sudo -n id",
    "rsync --server . /tmp/evil",
]


@pytest.mark.parametrize("command", ABUSES)
def test_every_other_command_is_refused(guarded: Guarded, command: str) -> None:
    done = guarded.ask(command, b"id; touch /tmp/evil\n")

    assert done.returncode == 77
    assert b"sandfly-guard: refused" in done.stderr
    assert b"uid=" not in done.stdout
    assert guarded.host.run("ls /tmp/evil").returncode != 0


def test_a_script_on_standard_input_is_not_run(guarded: Guarded) -> None:
    done = guarded.ask(f"exec /bin/sh -s {TOKEN}", b"touch /tmp/evil; echo not asked for\n")

    assert f"{TOKEN}-begin" in done.stdout.decode() and b"system=Linux" in done.stdout
    assert b"not asked for" not in done.stdout
    assert guarded.host.run("ls /tmp/evil").returncode != 0


def test_what_is_published_runs_as_root_with_an_empty_environment(guarded: Guarded) -> None:
    put = guarded.put(guarded.shows)
    assert f"dir={DIRECTORY}/.sf-{TOKEN}" in put

    sent = {"env": {**os.environ, "LD_PRELOAD": "/tmp/evil.so", "EVIL": "1"}}
    argv = ssh_argv(guarded.host, "sandfly", ["-o", "SendEnv=LD_PRELOAD EVIL"])
    command = f"exec sandfly-guard run {TOKEN} {guarded.shows.sha256}"
    done = subprocess.run([*argv, command], input=b"a plan", capture_output=True, timeout=20, check=False, **sent)

    said = done.stdout.decode().splitlines()
    assert said[:2] == [TOKEN, "I am 0"]
    assert "a plan" in said[-1]
    names = {line.partition("=")[0] for line in said[2:-1]}
    assert names <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}


def test_the_first_question_is_answered_although_the_environment_is_bent(guarded: Guarded) -> None:
    argv = ssh_argv(guarded.host, "sandfly", ["-o", "SetEnv=EVIL=1"])

    done = subprocess.run([*argv, f"exec /bin/sh -s {TOKEN}"], input=b"", capture_output=True, timeout=20, check=False)

    assert b"guard=1 0.1.0 /var/lib/sandfly-guard" in done.stdout


def test_bytes_that_differ_from_what_is_published_are_not_kept(guarded: Guarded) -> None:
    good = guarded.shows.path.read_bytes()

    for data, reason in (
        (good[:-1] + b"x", "another digest"),
        (good[:-5], "not the"),
        (good + b"\n", "not the"),
        (good + bytes(20 << 20), "not the"),
        (b"", "not the"),
    ):
        assert reason in guarded.put(guarded.shows, data=data)
        assert guarded.kept() == ""


def test_bytes_that_unpack_to_far_more_are_cut_off(guarded: Guarded) -> None:
    zeros = subprocess.run("head -c 50000000 /dev/zero | gzip -1", shell=True, capture_output=True, check=True).stdout

    done = guarded.ask(f"exec sandfly-guard put {TOKEN} {guarded.shows.sha256} gzip", zeros)

    assert b"not the" in done.stdout
    assert guarded.kept() == ""


def test_a_program_that_was_exchanged_after_the_check_is_not_run(guarded: Guarded) -> None:
    guarded.put(guarded.shows)
    file = f"{DIRECTORY}/.sf-{TOKEN}/sf"

    by_account = guarded.host.run(f"su sandfly -c 'echo evil >{file}'; su sandfly -c 'ls {DIRECTORY}'")
    assert by_account.stdout == "" and by_account.stderr.count("ermission denied") == 2
    guarded.host.run(f"printf '#!/bin/sh\\ntouch /tmp/evil\\n' >{file}")
    done = guarded.ask(f"exec sandfly-guard run {TOKEN} {guarded.shows.sha256}")

    assert done.returncode == 77 and b"another digest" in done.stderr
    assert guarded.host.run("ls /tmp/evil").returncode != 0
    assert guarded.kept() == ""


def test_a_token_is_no_way_to_run_or_replace_another_file(guarded: Guarded) -> None:
    guarded.put(guarded.shows)
    assert "taken" in guarded.put(guarded.lingers)

    wrong = guarded.ask(f"exec sandfly-guard run {TOKEN} {guarded.lingers.sha256}")
    absent = guarded.ask(f"exec sandfly-guard run {TOKEN[::-1]} {guarded.lingers.sha256}")

    assert (wrong.returncode, absent.returncode) == (77, 77)


@pytest.mark.parametrize(
    "trap",
    [
        f"mv {DIRECTORY} {DIRECTORY}.old; mkdir /tmp/evil; ln -s /tmp/evil {DIRECTORY}",
        f"mv {DIRECTORY} {DIRECTORY}.old; mkdir {DIRECTORY}; chown sandfly {DIRECTORY}",
        f"mv {DIRECTORY} {DIRECTORY}.old; mkdir -m 777 {DIRECTORY}",
        f"mkdir /tmp/evil; ln -s /tmp/evil {DIRECTORY}/.sf-{TOKEN}; cp -a {DIRECTORY} {DIRECTORY}.old",
        f"cp -a {DIRECTORY} {DIRECTORY}.old; chmod 666 /usr/local/lib/sandfly-guard/probes",
    ],
    ids=["link", "foreign", "open", "linked-token", "open-list"],
)
def test_a_staging_place_that_is_not_roots_own_is_refused(guarded: Guarded, trap: str) -> None:
    guarded.host.run(trap)
    try:
        said = guarded.put(guarded.shows)
    finally:
        restore = f"rm -rf {DIRECTORY}; mv {DIRECTORY}.old {DIRECTORY}; chmod 644 /usr/local/lib/sandfly-guard/probes"
        guarded.host.run(restore)

    assert "refused=" in said and "dir=" not in said
    assert guarded.host.run("ls /tmp/evil/sf").returncode != 0


def test_uploads_do_not_pile_up(guarded: Guarded) -> None:
    answers = [guarded.put(guarded.shows, f"{number:016x}") for number in range(9)]

    assert ["dir=" in answer for answer in answers] == [True] * 8 + [False]
    assert "8 probes already" in answers[8]


@pytest.mark.parametrize(
    "arguments",
    ["", "id", "run", f"put {TOKEN}", f"clean {TOKEN} x", f"clean '../{TOKEN}'", f"run '' {'0' * 64}",
     f"put '{TOKEN[:-1]};' {'0' * 64}", f"refuse {TOKEN} {'0' * 64}", f"sweep {TOKEN}"],
)  # fmt: skip
def test_the_root_half_believes_no_arguments_even_past_the_forced_command(guarded: Guarded, arguments: str) -> None:
    done = guarded.host.run(f'su sandfly -c "sudo -n /usr/local/sbin/sandfly-guard-root {arguments}"')

    assert done.returncode == 77 and "refused" in done.stderr


def test_sudo_gives_the_account_nothing_else(guarded: Guarded) -> None:
    for command in (
        "id",
        "/bin/sh",
        "/usr/local/sbin/sandfly-guard",
        "-e /etc/passwd",
        "LD_PRELOAD=x /usr/local/sbin/sandfly-guard-root",
    ):
        assert guarded.host.run(f'su sandfly -c "sudo -n {command}"').returncode == 1


def test_files_cannot_be_transferred(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("evil")
    where = ["-F", "none", "-P", str(guarded.host.port), "-i", str(guarded.host.key_path("sandfly")), "-o",
             "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]  # fmt: skip
    target = f"sandfly@{guarded.host.address}"

    for argv in (["scp", *where, str(tmp_path / "evil"), f"{target}:/tmp/evil"],
                 ["scp", "-O", *where, f"{target}:/etc/passwd", str(tmp_path / "got")],
                 ["sftp", *where, f"{target}:/etc/passwd", str(tmp_path / "got")]):  # fmt: skip
        assert subprocess.run(argv, capture_output=True, timeout=20, check=False).returncode != 0

    assert guarded.host.run("ls /tmp/evil").returncode != 0
    assert not (tmp_path / "got").exists()


def test_nothing_is_forwarded(guarded: Guarded) -> None:
    here = f"127.0.0.1:{guarded.host.port}"
    out = guarded.ask("", options=["-W", f"{guarded.host.address}:{guarded.host.port}"])
    back = guarded.ask("", options=["-N", "-o", "ExitOnForwardFailure=yes", "-R", f"0:{here}"])

    assert b"administratively prohibited" in out.stderr and b"SSH-2.0" not in out.stdout
    assert back.returncode != 0 and b"remote port forwarding failed" in back.stderr


def test_no_terminal_is_given(guarded: Guarded) -> None:
    done = guarded.ask(f"exec /bin/sh -s {TOKEN}", options=["-tt"])

    assert b"PTY allocation request failed" in done.stderr


def test_no_agent_is_forwarded(guarded: Guarded, tmp_path: Path) -> None:
    with agent(tmp_path) as environment:
        assert "agent" in sockets_during(guarded, environment, "free", "cat")
        guarded.put(guarded.lingers)
        command = f"exec sandfly-guard run {TOKEN} {guarded.lingers.sha256}"
        assert sockets_during(guarded, environment, "sandfly", command) == ""


@contextlib.contextmanager
def agent(directory: Path) -> Iterator[dict[str, str]]:
    path = f"/tmp/sf-agent-{os.getpid()}"
    running = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: Path(path).exists())
        yield {**os.environ, "SSH_AUTH_SOCK": path}
    finally:
        running.terminate()
        running.wait(5)


def sockets_during(guarded: Guarded, environment: dict[str, str], username: str, command: str) -> str:
    """Agent sockets on the host while a command that waits for its input runs."""
    argv = [*ssh_argv(guarded.host, username, ["-A"]), command]
    running = subprocess.Popen(
        argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: any(line.startswith("cat") for line in guarded.host.processes().values()))
        return guarded.host.run("find /tmp /home -name 'agent.*' -o -path '*/.ssh/agent/*'").stdout
    finally:
        if running.stdin:
            running.stdin.close()
        running.wait(10)


def test_an_account_without_the_sudoers_line_is_told(guarded: Guarded) -> None:
    guarded.host.run("mv /etc/sudoers.d/sandfly-guard /root/")
    try:
        report = visit_with(guarded, guarded.lingers)
    finally:
        guarded.host.run("mv /root/sandfly-guard /etc/sudoers.d/")

    assert report.failure is not None and report.failure.code == "guard_refused"
    assert "password is required" in report.failure.message


# --- what is written ---


@pytest.mark.parametrize(
    "options",
    [KitOptions(user="a b"), KitOptions(user="x;id"), KitOptions(directory="/tmp"), KitOptions(directory="/a/../b"),
     KitOptions(directory="/var/lib/x'y"), KitOptions(directory="var/lib")],
)  # fmt: skip
def test_names_that_would_act_in_a_script_make_no_guard(tmp_path: Path, options: KitOptions) -> None:
    with pytest.raises(ValueError, match=r"no (name|absolute)"):
        write_kit(tmp_path / "kit", [script_build(tmp_path)], options)

    assert not (tmp_path / "kit").exists()


def test_a_kit_that_was_damaged_on_its_way_is_not_installed(tmp_path: Path) -> None:
    write_kit(tmp_path / "kit", [script_build(tmp_path)])
    with (tmp_path / "kit/sandfly-guard-root").open("a") as file:
        file.write("exec sh\n")

    done = subprocess.run([tmp_path / "kit/install.sh", "--root", tmp_path / "tree"], capture_output=True, check=False)

    assert done.returncode != 0
    assert not (tmp_path / "tree").exists()


def test_digests_and_names_are_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMES_VARIABLE, "one, two-x")
    file_names.cache_clear()
    build = ensure(host_arch())
    try:
        document = json.loads(published_json())
    finally:
        file_names.cache_clear()

    assert {"arch": build.arch, "sha256": build.sha256, "size": build.size} in document["probes"]
    assert document["process_names"] == ["one", "two-x"]


@pytest.mark.parametrize("said", ["", "x", "1 0.1.0", "1 0.1.0 tmp", "1 0.1.0 /a b", "1 $(id) /a", "99999 1 /a"])
def test_what_a_host_says_of_a_guard_is_believed_only_in_its_form(said: str) -> None:
    assert parse_guard(said) is None
    assert parse_guard("1 0.1.0 /var/lib/x") == Guard(1, "0.1.0", "/var/lib/x")
