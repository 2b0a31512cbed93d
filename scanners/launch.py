"""Starts the staged probe, as root where possible, and hands over the plan.

A password goes out only as the answer to a prompt that is ours, and only once; the plan only after the probe itself has
said that it is there. So a password never ends up in a plan, and a plan never in sudo.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field

from scanners.connection import Connection, RemoteProcess, remaining_s
from scanners.contract import Become, CredentialSecret, Profile
from scanners.diagnosis import safe_words
from scanners.errors import PrivilegeError, ProbeError, ScanError
from scanners.profile import HostTools
from scanners.staging import Staged, script_argv

READY = b"SANDFLY-READY"
# PAM waits some seconds after a wrong password before it says so.
START_TIMEOUT_S = 30.0
MAX_SAID_BYTES = 64 << 10
# su and doas have no prompt of one's own choosing; this is its last word in the C locale, after a mark of ours.
ANY_PROMPT = re.compile(rb"[Pp]assword:? ?$")

# The mark. Whoever it is for may be gone: a shell that SIGPIPE ends would start no probe, and leave it where it is. A
# probe that is started removes itself. (A trap, as what is ignored stays so in whatever the shell starts.)
SAY = 'trap : PIPE; echo "$1" 2>/dev/null;'
# What asks for a password ends with nothing started when the connection ends meanwhile: then nobody comes to remove the
# probe either. The shell's parent is of the connection; a channel alone is closed to try another way with the probe.
# Where the parent cannot be seen to begin with (hidepid), nothing is concluded from not seeing it.
LOOK = "[ -d /proc/$PPID ]; p=$?;"
KEEP = 's=$?; [ "$s" = 0 ] || [ "$p" = 1 ] || [ -d /proc/$PPID ] || rm -rf "${2%/*}"; exit $s'
COMMANDS = {
    Become.NONE: f'{SAY} exec "$2"',
    # -k: neither use nor leave a ticket on the host.
    Become.SUDO: f'LC_ALL=C; export LC_ALL; {SAY} {LOOK} sudo -S -k -p "$3" -- "$2"; {KEEP}',
    # With `persist` it leaves a file even where it asked for nothing; -L takes it back.
    Become.DOAS: f'{SAY} doas -n "$2"; s=$?; doas -L >/dev/null 2>&1; exit $s',
    Become.SU: f'LC_ALL=C; export LC_ALL; {SAY} echo "$3" >&2; {LOOK} su -c "$2" root; {KEEP}',
}
SUDO_WITHOUT_PASSWORD = f'LC_ALL=C; export LC_ALL; {SAY} exec sudo -n -k -- "$2"'

# What doas says that would have to ask, and sudo (`requiretty`) and some su that want a terminal before they ask.
WANTS_TERMINAL = re.compile(rb"Authentication required|a tty|a terminal")
# The same with a terminal that script(1) makes on the host. Only the prompt and the password pass through it: the plan,
# the report and the complaints keep to the pipes that sshd gave, as 3, 4 and 5. The shell's `read` takes the line with
# the password from standard input and no byte more, and hands it on by a built-in: it is in no argument or environment.
# SHELL is what script(1) runs; its -e, the exit status of the command, is not known to every one.
IN_TERMINAL = f"""
LC_ALL=C SHELL=/bin/sh SF_FILE=$2 SF_PROMPT=$3; export LC_ALL SHELL SF_FILE SF_PROMPT;
{SAY} echo "$3" >&2; {LOOK}
command -v script >/dev/null 2>&1 ||
{{ echo "it wants a terminal, and the host has no script(1) to make one" >&2; exit 1; }};
e=; case $(script --version 2>&1 </dev/null) in *util-linux*) e=e;; esac;
exec 3<&0 4>&1 5>&2;
ANSWER | script -q"$e"c 'stty -echo 2>/dev/null; COMMAND' /dev/null >&5 2>&5 4>&4; {KEEP}
"""
TERMINAL_COMMANDS = {
    Become.SUDO: 'exec sudo -S -k -p "$SF_PROMPT" -- "$SF_FILE" <&3 >&4 2>&5',
    Become.DOAS: 'doas "$SF_FILE" <&3 >&4 2>&5; s=$?; doas -L >/dev/null 2>&1; exit $s',
    Become.SU: 'exec su -c "exec $SF_FILE <&3 >&4 2>&5" root',
}
ANSWER = "{ IFS= read -r w <&3 && printf '%s\\n' \"$w\"; }"


@dataclass
class Launched:
    """A probe that waits for its plan. `stdout` and `stderr` are what came already."""

    process: RemoteProcess
    become: Become
    stdout: bytes = b""
    stderr: bytes = b""


def plan_becomes(profile: Profile, tools: HostTools, secret: CredentialSecret | None) -> list[Become]:
    """Ways to run the probe, best first; the last is always the login user itself."""
    wanted = secret.become if secret else Become.AUTO
    if profile.is_root or wanted is Become.NONE:
        return [Become.NONE]
    if wanted is not Become.AUTO:
        return [wanted, Become.NONE]
    ways = [way for way in (Become.SUDO, Become.DOAS) if way.value in tools.names]
    # su asks for root's own password: guessing it with the user's would count against root.
    if not ways and secret and secret.become_password and "su" in tools.names:
        ways = [Become.SU]
    return [*ways, Become.NONE]


def launch(
    connection: Connection, staged: Staged, become: Become, secret: CredentialSecret | None, timeout_s: float
) -> Launched:
    """Starts the probe one way.

    Raises PrivilegeError when root is refused (the probe is then still staged), RefusedPasswordError when it is because
    of the password, ProbeError when it does not start.
    """
    password = _password(become, secret)
    script = SUDO_WITHOUT_PASSWORD if become is Become.SUDO and not password else COMMANDS[become]
    try:
        return _begin(connection, script, staged, Start(become, "" if become is Become.DOAS else password), timeout_s)
    except TerminalWantedError:
        # Without a password doas and su have nothing to be told on a terminal; sudo may want one for its own sake.
        if not password and become is not Become.SUDO:
            raise
    start = Start(become, password, has_terminal=True)
    return _begin(connection, _terminal_script(become, password), staged, start, timeout_s)


def _begin(connection: Connection, script: str, staged: Staged, start: Start, timeout_s: float) -> Launched:
    argv = script_argv(script, start.mark.decode(), staged.path, start.prompt.decode())
    process = connection.start(argv, timeout_s)
    try:
        start.wait_ready(process, min(timeout_s, START_TIMEOUT_S))
    except BaseException:
        process.close()
        raise
    return Launched(process, start.become, start.report_bytes, start.stderr_bytes)


def _terminal_script(become: Become, password: str) -> str:
    """sudo's password goes by standard input, as ever; all it wants of the terminal is that it is there."""
    command = TERMINAL_COMMANDS[become]
    if become is Become.SUDO:
        command = command if password else command.replace('-S -k -p "$SF_PROMPT"', "-n -k")
        return IN_TERMINAL.replace("ANSWER |", "").replace("4>&4", "</dev/null").replace("COMMAND", command)
    return IN_TERMINAL.replace("ANSWER", ANSWER).replace("4>&4", "").replace("COMMAND", command)


def _password(become: Become, secret: CredentialSecret | None) -> str:
    if secret is None or become is Become.NONE:
        return ""
    if become is Become.SU:
        return secret.become_password
    return secret.become_password or secret.password


class RefusedPasswordError(PrivilegeError):
    """The password was given, and there was no root for it."""


class TerminalWantedError(PrivilegeError):
    """Nothing was asked, as there is no terminal to ask on."""


def _new_prompt() -> bytes:
    return f"sf-{secrets.token_hex(8)}:".encode()


@dataclass
class Start:
    """Conversation up to the probe's first word."""

    become: Become
    password: str = ""
    mark: bytes = field(default_factory=lambda: secrets.token_hex(8).encode())
    prompt: bytes = field(default_factory=_new_prompt)
    has_terminal: bool = False
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    is_password_sent: bool = False

    @property
    def report_bytes(self) -> bytes:
        return bytes(self.out.partition(self.mark + b"\n")[2])

    @property
    def stderr_bytes(self) -> bytes:
        return bytes(self.err.partition(READY)[2])

    @property
    def is_ready(self) -> bool:
        """Both streams are where the report begins: the mark may be read after the word that follows it elsewhere."""
        return READY in self.err and self.mark + b"\n" in self.out

    def wait_ready(self, process: RemoteProcess, timeout_s: float) -> None:
        """Raises PrivilegeError, ProbeError, ConnectError."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready:
            try:
                chunk = process.read(remaining_s(deadline))
            except TimeoutError:
                raise self._failure("did not start in time", None) from None
            self.out += chunk.stdout
            self.err += chunk.stderr
            if len(self.out) + len(self.err) > MAX_SAID_BYTES:
                raise self._failure("said too much before it started", None)
            if chunk.ended and not self.is_ready:
                raise self._ended(process, deadline)
            self._answer(process, deadline)
        if self.has_terminal and self.become is not Become.SUDO and not self.is_password_sent:
            # On the host a shell still waits for a line with a password, and would take the plan for it.
            raise self._denied("it asked for a password first and then did not")

    def _answer(self, process: RemoteProcess, deadline: float) -> None:
        """Answers a prompt of ours once; being asked again means no."""
        if self.become is Become.SUDO:
            # A terminal's script says the text once before, as the place from where on it counts.
            asked = max(0, self.err.count(self.prompt) - self.has_terminal)
        elif self.become is Become.SU or self.has_terminal:
            asked = self._any_prompts()
        else:
            return
        if asked == 1 and self.password and not self.is_password_sent:
            self.is_password_sent = True
            process.write(self.password.encode() + b"\n", remaining_s(deadline))
        elif asked > 1 or (asked and not self.password):
            raise self._denied("the password was refused" if self.password else "it asks for a password")

    def _any_prompts(self) -> int:
        # BusyBox prompts on standard output.
        said = bytes(self.err.partition(self.prompt)[2]), self.report_bytes
        return sum(1 for text in said if ANY_PROMPT.search(text))

    def _ended(self, process: RemoteProcess, deadline: float) -> ScanError:
        try:
            status = process.wait(remaining_s(deadline))
        except TimeoutError:
            status = None
        return self._failure("ended before it started", status)

    def _failure(self, what: str, status: int | None) -> ScanError:
        if self.become is not Become.NONE:
            return self._denied(self._said())
        if status == 126:
            return ProbeError("no_exec_dir", "the host refuses to run a program from that directory")
        if status is not None and status > 128:
            return ProbeError("probe_killed", f"the host killed the probe with signal {status - 128} as it started")
        return ProbeError("probe_crashed", f"the probe {what}: {self._said() or f'exit status {status}'}")

    def _denied(self, reason: str) -> PrivilegeError:
        kind = PrivilegeError
        if self.is_password_sent:
            kind = RefusedPasswordError
        elif not self.has_terminal and WANTS_TERMINAL.search(self.err):
            kind = TerminalWantedError
        return kind("become_denied", f"{self.become.value} gave no root: {reason or 'no reason given'}")

    def _said(self) -> str:
        said = bytes(self.err).replace(self.prompt, b"")
        if self.password:
            # A terminal that echoes although it was told not to.
            said = said.replace(self.password.encode(), b"***")
        text = said.decode("utf-8", "backslashreplace")
        return safe_words(text.strip().rsplit("\n", 1)[-1])
