"""Who is given a password and who the plan, and when."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scanners.connection import Chunk
from scanners.contract import Become, CredentialSecret, Profile
from scanners.errors import PrivilegeError, ProbeError, ScanError
from scanners.launch import COMMANDS, Launched, launch, plan_becomes
from scanners.profile import HostTools
from scanners.staging import Staged
from tests.scanners.fakes import FakeConnection, FakeProcess

STAGED = Staged("/tmp/.sf-0011223344556677", "/tmp/.sf-0011223344556677/sf")
SECRET = CredentialSecret(username="u", become_password="canary")
READY = b"SANDFLY-READY\n"


class Prompting(FakeConnection):
    """Its process prompts with the marker it was given, as sudo does; `{}` in a script is the marker."""

    def __init__(self, *said: bytes, status: int = 1, answers: list[bytes] | None = None) -> None:
        waiting = list(answers or [])
        self.process = FakeProcess(status=status, on_write=lambda data: self.say(waiting.pop(0)) if waiting else None)
        super().__init__(self.process)
        self.said = list(said)
        self.prompt = b""

    def say(self, text: bytes) -> Chunk:
        return Chunk(stderr=text.replace(b"{}", self.prompt))

    def start(self, argv: list[str], timeout_s: float) -> FakeProcess:  # type: ignore[override]
        super().start(argv, timeout_s)
        self.prompt = argv[-1].encode()
        self.process.chunks = [Chunk(stdout=argv[4].encode() + b"\n"), *map(self.say, self.said)]
        return self.process


def try_launch(connection: FakeConnection, become: Become, secret: CredentialSecret | None = SECRET) -> Launched:
    return launch(connection, STAGED, become, secret, 5)


def refused(connection: FakeConnection, become: Become, secret: CredentialSecret | None = SECRET) -> ScanError:
    with pytest.raises(ScanError) as raised:
        try_launch(connection, become, secret)
    return raised.value


def test_password_answers_our_own_prompt_once() -> None:
    connection = Prompting(b"{}", answers=[READY])

    launched = try_launch(connection, Become.SUDO)

    assert launched.become == Become.SUDO
    assert connection.process.written == b"canary\n"


def test_a_mark_that_comes_after_the_first_word_of_the_probe_is_no_part_of_the_report() -> None:
    class Crossed(Prompting):
        def start(self, argv: list[str], timeout_s: float) -> FakeProcess:  # type: ignore[override]
            process = super().start(argv, timeout_s)
            process.chunks = [Chunk(stderr=READY), Chunk(stdout=argv[4].encode() + b"\n{")]
            return process

    launched = try_launch(Crossed(), Become.NONE)

    assert launched.stdout == b"{"


def test_sudo_that_does_not_ask_is_given_no_password() -> None:
    connection = Prompting(READY)

    try_launch(connection, Become.SUDO)

    assert connection.process.written == b""


def test_prompt_that_is_not_ours_is_not_answered() -> None:
    connection = Prompting(b"Password: ", b"[sudo] password for u: ", b"sf-0000000000000000:")

    assert isinstance(refused(connection, Become.SUDO), PrivilegeError)
    assert connection.process.written == b""


def test_second_prompt_means_no() -> None:
    connection = Prompting(b"{}", answers=[b"Sorry, try again.\n{}"])

    error = refused(connection, Become.SUDO)

    assert (error.code, connection.process.written) == ("become_denied", b"canary\n")
    assert connection.process.is_closed


def test_prompts_that_come_in_one_piece_are_not_answered_twice() -> None:
    connection = Prompting(b"{}{}{}", answers=[b"{}"])

    refused(connection, Become.SUDO)

    assert connection.process.written == b""


def test_sudo_without_password_never_prompts() -> None:
    connection = Prompting(b"sudo: a password is required\n")

    error = refused(connection, Become.SUDO, None)

    assert "sudo -n -k" in connection.commands[0][2]
    assert error.message == "sudo gave no root: sudo: a password is required"


def test_password_is_in_no_command_and_no_error() -> None:
    connection = Prompting(b"{}", answers=[b"canary{}"])

    error = refused(connection, Become.SUDO)

    assert "canary" not in str(connection.commands)
    assert "canary" not in repr(error) + repr(SECRET)


def test_su_is_answered_after_our_mark_only() -> None:
    assert refused(Prompting(b"Password: "), Become.SU).code == "become_denied"
    connection = Prompting(b"{}\nPassword: ", answers=[READY])

    try_launch(connection, Become.SU)

    assert connection.process.written == b"canary\n"


class Terminal(Prompting):
    """Wants a terminal at first, and then says the rest."""

    def __init__(self, wants: bytes, *said: bytes, answers: list[bytes] | None = None) -> None:
        super().__init__(*said, answers=answers)
        self._processes.insert(0, FakeProcess(chunks=[Chunk(stderr=wants)], status=1))

    def start(self, argv: list[str], timeout_s: float) -> FakeProcess:  # type: ignore[override]
        if len(self._processes) == 2:
            return FakeConnection.start(self, argv, timeout_s)  # type: ignore[return-value]
        return super().start(argv, timeout_s)


WANTS = b"doas: Authentication required\n"


def test_doas_is_given_its_password_on_a_terminal() -> None:
    connection = Terminal(WANTS, b"{}\n", b"doas (u@h) password: ", answers=[b"\r\n" + READY])

    assert try_launch(connection, Become.DOAS).become is Become.DOAS

    assert connection.process.written == b"canary\n"
    assert "doas -n" in connection.commands[0][2] and "script" in connection.commands[1][2]
    assert "canary" not in str(connection.commands)


def test_without_a_password_no_terminal_is_made() -> None:
    connection = Terminal(WANTS)

    assert refused(connection, Become.DOAS, None).code == "become_denied"
    assert len(connection.commands) == 1


def test_a_probe_that_starts_without_the_question_that_was_to_come_is_given_no_plan() -> None:
    """A shell on the host still waits for the password, and would take the plan for it."""
    connection = Terminal(WANTS, b"{}\n", READY)

    error = refused(connection, Become.DOAS)

    assert "asked for a password first" in error.message
    assert connection.process.is_closed


def test_an_echo_of_the_password_is_not_told() -> None:
    connection = Terminal(WANTS, b"{}\n", b"Password: ", answers=[b"canary\r\ndoas: canary failed\n"])

    error = refused(connection, Become.DOAS)

    assert error.message == "doas gave no root: doas: *** failed"


@pytest.mark.parametrize(
    "wants",
    [b"sudo: sorry, you must have a tty to run sudo\n", b"su: must be run from a terminal\n",
     b"standard in must be a tty\n", b"doas: a tty is required\n"],
)  # fmt: skip
def test_what_wants_a_terminal_is_known_by_its_words(wants: bytes) -> None:
    connection = Terminal(wants, b"{}\n", b"{}" if wants.startswith(b"sudo") else b"Password: ", answers=[READY])
    ways = {b"sudo": Become.SUDO, b"doas": Become.DOAS}

    try_launch(connection, ways.get(wants[:4], Become.SU))

    assert connection.process.written == b"canary\n"


def test_output_before_the_mark_is_noise_and_after_it_the_report() -> None:
    connection = FakeConnection(process := FakeProcess())
    process.chunks = [Chunk(b"Welcome\n", b"motd\n")]
    start = connection.start

    def start_and_talk(argv: list[str], timeout_s: float) -> FakeProcess:
        process.chunks.append(Chunk(argv[4].encode() + b"\n{first", READY + b"later"))
        return start(argv, timeout_s)  # type: ignore[return-value]

    connection.start = start_and_talk  # type: ignore[method-assign,assignment]

    launched = try_launch(connection, Become.NONE)

    assert (launched.stdout, launched.stderr) == (b"{first", b"\nlater")


@pytest.mark.parametrize(("status", "code"), [(126, "no_exec_dir"), (137, "probe_killed"), (1, "probe_crashed")])
def test_probe_that_does_not_start(status: int, code: str) -> None:
    error = refused(Prompting(b"sh: no\n", status=status), Become.NONE)

    assert isinstance(error, ProbeError)
    assert error.code == code


def test_flood_before_the_start_is_cut_off() -> None:
    error = refused(Prompting(*[b"x" * 30_000] * 4), Become.NONE)

    assert (error.code, "too much" in error.message) == ("probe_crashed", True)


def user(uid: int = 1000) -> Profile:
    return Profile(uid=uid, is_root=uid == 0)


def tools(*names: str) -> HostTools:
    return HostTools(names=frozenset(names))


@pytest.mark.parametrize(
    ("profile", "names", "secret", "ways"),
    [
        (user(0), ["sudo"], SECRET, ["none"]),
        (user(), ["sudo", "su", "doas"], None, ["sudo", "doas", "none"]),
        (user(), ["su"], SECRET, ["su", "none"]),
        (user(), ["su"], CredentialSecret(username="u", password="login"), ["none"]),
        (user(), ["sudo", "su"], CredentialSecret(username="u", become=Become.SU), ["su", "none"]),
        (user(), ["sudo"], CredentialSecret(username="u", become=Become.NONE), ["none"]),
        (user(), [], None, ["none"]),
    ],
)
def test_ways_to_root(profile: Profile, names: list[str], secret: CredentialSecret | None, ways: list[str]) -> None:
    assert plan_becomes(profile, tools(*names), secret) == ways


def test_prompt_is_new_each_time() -> None:
    first, second = Prompting(READY), Prompting(READY)

    try_launch(first, Become.SUDO)
    try_launch(second, Become.SUDO)

    assert first.prompt != second.prompt
    assert re.fullmatch(rb"sf-[0-9a-f]{16}:", first.prompt)


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A directory with a probe that removes itself."""
    directory = tmp_path / ".sf-0011223344556677"
    directory.mkdir()
    probe = directory / "sf"
    probe.write_text('#!/bin/sh\nrm -r -- "${0%/*}"\n')
    probe.chmod(0o700)
    return probe


def run_start(script: str, probe: Path, path: str = os.environ["PATH"]) -> int:
    """The exit status of a start to which nobody listens and whose standard input is at its end."""
    reading, writing = os.pipe()
    os.close(reading)
    argv = ["sh", "-c", script, "sh", "mark", str(probe), "prompt"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, env={"PATH": path}, check=False
    )
    os.close(writing)
    return done.returncode


def test_a_probe_whose_asker_is_gone_is_started_all_the_same_so_that_it_removes_itself(staged: Path) -> None:
    assert run_start(COMMANDS[Become.NONE], staged) == 0

    assert not staged.parent.exists()


@pytest.fixture
def asking(tmp_path: Path) -> str:
    """PATH with a sudo and an su that want a password and start nothing without."""
    for name in ("sudo", "su"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nread -r password && exec true\nexit 1\n")
        program.chmod(0o700)
    return f"{tmp_path}:{os.environ['PATH']}"


@pytest.mark.parametrize("become", [Become.SUDO, Become.SU])
def test_a_connection_that_ends_before_the_password_leaves_no_probe(asking: str, staged: Path, become: Become) -> None:
    argv = ["sh", "-c", COMMANDS[become], "sh", "mark", str(staged), "prompt"]
    program = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); sys.stdin.read(1)"
    session = subprocess.Popen(
        [sys.executable, "-c", program, *argv],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PATH": asking},
    )  # fmt: skip
    assert session.stdin and session.stdout
    assert session.stdout.readline() == b"mark\n"

    # As sshd's process of the connection: it ends, and with it the other end of standard input.
    session.kill()
    session.wait()
    session.stdin.close()

    session.stdout.read()
    session.stdout.close()
    assert not staged.parent.exists()


@pytest.mark.parametrize("become", [Become.SUDO, Become.SU])
def test_a_refused_password_leaves_the_probe_for_another_way(asking: str, staged: Path, become: Become) -> None:
    """Also when its channel was closed."""
    assert run_start(COMMANDS[become], staged, asking) == 1

    assert staged.exists()
