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
# su has no prompt of one's own choosing; this is its last word in the C locale, after a mark of ours.
SU_PROMPT = re.compile(rb"[Pp]assword:? ?$")

COMMANDS = {
    Become.NONE: 'echo "$1"; exec "$2"',
    # -k: neither use nor leave a ticket on the host.
    Become.SUDO: 'echo "$1"; exec sudo -S -k -p "$3" -- "$2"',
    # doas asks for passwords only on a terminal.
    Become.DOAS: 'echo "$1"; exec doas -n "$2"',
    Become.SU: 'LC_ALL=C; export LC_ALL; echo "$1"; echo "$3" >&2; exec su -c "$2" root',
}
SUDO_WITHOUT_PASSWORD = 'echo "$1"; exec sudo -n -k -- "$2"'  # noqa: S105


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

    Raises PrivilegeError when root is refused (the probe is then still staged), ProbeError when it does not start.
    """
    password = _password(become, secret)
    mark, prompt = secrets.token_hex(8), f"sf-{secrets.token_hex(8)}:"
    script = SUDO_WITHOUT_PASSWORD if become is Become.SUDO and not password else COMMANDS[become]
    process = connection.start(script_argv(script, mark, staged.path, prompt), timeout_s)
    start = Start(process, become, password, mark.encode(), prompt.encode())
    try:
        start.wait_ready(min(timeout_s, START_TIMEOUT_S))
    except BaseException:
        process.close()
        raise
    return Launched(process, become, start.report_bytes, start.stderr_bytes)


def _password(become: Become, secret: CredentialSecret | None) -> str:
    if secret is None or become in (Become.NONE, Become.DOAS):
        return ""
    if become is Become.SU:
        return secret.become_password
    return secret.become_password or secret.password


@dataclass
class Start:
    """Conversation up to the probe's first word."""

    process: RemoteProcess
    become: Become
    password: str
    mark: bytes
    prompt: bytes
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

    def wait_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.is_ready:
            try:
                chunk = self.process.read(remaining_s(deadline))
            except TimeoutError:
                raise self._failure("did not start in time", None) from None
            self.out += chunk.stdout
            self.err += chunk.stderr
            if len(self.out) + len(self.err) > MAX_SAID_BYTES:
                raise self._failure("said too much before it started", None)
            if chunk.ended and not self.is_ready:
                raise self._ended(deadline)
            self._answer(deadline)

    def _answer(self, deadline: float) -> None:
        """Answers a prompt of ours once; being asked again means no."""
        if self.become is Become.SUDO:
            asked = self.err.count(self.prompt)
        elif self.become is Become.SU:
            asked = self._su_prompts()
        else:
            return
        if asked == 1 and self.password and not self.is_password_sent:
            self.is_password_sent = True
            self.process.write(self.password.encode() + b"\n", remaining_s(deadline))
        elif asked > 1 or (asked and not self.password):
            raise self._denied("the password was refused" if self.password else "it asks for a password")

    def _su_prompts(self) -> int:
        # BusyBox prompts on standard output.
        said = bytes(self.err.partition(self.prompt)[2]), self.report_bytes
        return sum(1 for text in said if SU_PROMPT.search(text))

    def _ended(self, deadline: float) -> ScanError:
        try:
            status = self.process.wait(remaining_s(deadline))
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
        return PrivilegeError("become_denied", f"{self.become.value} gave no root: {reason or 'no reason given'}")

    def _said(self) -> str:
        text = bytes(self.err).replace(self.prompt, b"").decode("utf-8", "backslashreplace")
        return safe_words(text.strip().rsplit("\n", 1)[-1])
