"""Throw-away SSH hosts for tests: a real sshd (or Dropbear on a bare BusyBox) in fresh namespaces over a copy-on-write
view of this machine. Needs root. Starts in well under two seconds and always takes everything with it.

    with make_host("web1", users=[User("scan", sudo="nopasswd")]) as host:
        report = visit(host.endpoint, [host.secret("scan")])
        assert host.leftovers() == []
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scanners.contract import CredentialSecret, HostEndpoint, HostKeyPin
from tests.hosts import seed
from tests.hosts.seed import User

# Hosts start in a tenth of a second; a machine that is busy with other tests may need long.
START_TIMEOUT_S = 120.0
REPOSITORY = Path(__file__).resolve().parents[2]
SCRATCH_DIRECTORIES = ("dev/shm", "tmp", "var/tmp", "run")

# What a ForceCommand may be to make a host hostile.
GARBAGE = "head -c 300000 /dev/urandom"
FLOOD = "cat /dev/zero"
HANG = "sleep 1000000"


@dataclass
class Host:
    """A running host. `address` and `port` are where its sshd listens."""

    name: str
    address: str
    port: int
    directory: Path
    users: dict[str, User]
    flavour: str
    launcher: subprocess.Popen[bytes]
    pid: int
    host_keys: list[HostKeyPin] = field(default_factory=list)
    has_own_network: bool = False

    @property
    def root(self) -> Path:
        """The host's / as seen from outside; absolute symlinks in it would lead back to this machine."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def endpoint(self) -> HostEndpoint:
        """Where to connect, with the host's true keys pinned."""
        return HostEndpoint(address=self.address, port=self.port, host_keys=self.host_keys)

    @property
    def unpinned_endpoint(self) -> HostEndpoint:
        return HostEndpoint(address=self.address, port=self.port)

    def key_path(self, username: str = "root") -> Path:
        """Private key file on this machine that the host accepts for the user."""
        return self.directory / "keys" / username

    def secret(self, username: str = "root", **changes: str) -> CredentialSecret:
        """The user's key as a credential; `changes` replaces fields, `private_key=""` leaves the key out."""
        fields = {"private_key": self.key_path(username).read_text(), "passphrase": self.users[username].passphrase}
        return CredentialSecret(username=username, **{**fields, **changes})  # type: ignore[arg-type]

    def password_secret(self, username: str, **changes: str) -> CredentialSecret:
        """The user's password as a credential."""
        fields = {"password": self.users[username].password, **changes}
        return CredentialSecret(username=username, **fields)  # type: ignore[arg-type]

    def run(self, command: str, timeout_s: float = 20) -> subprocess.CompletedProcess[str]:
        """A shell command inside, as root, without SSH."""
        argv = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd",
                "/bin/sh", "-c", command]  # fmt: skip
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)

    def spawn(self, command: str) -> subprocess.Popen[bytes]:
        """As `run`, in the background; it ends with the host at the latest."""
        argv = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd",
                "/bin/sh", "-c", command]  # fmt: skip
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def place(self, path: str) -> Path:
        """Where a path of the host is as seen from outside, its links followed as the host follows them.

        Joined to `root` as it is, a path through an absolute link would lead to this machine's own file.
        """
        left, done, links = path.split("/"), self.root, 0
        while left:
            name = left.pop(0)
            if name == "..":
                done = done.parent if done != self.root else done
            elif name not in {"", "."} and (done / name).is_symlink():
                links += 1
                if links > 40:
                    raise OSError(f"{path}: too many links")
                target = str((done / name).readlink())
                left = target.split("/") + left
                done = self.root if target.startswith("/") else done
            elif name not in {"", "."}:
                done /= name
        return done

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file inside; `path` is absolute as the host sees it."""
        target = self.place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def log(self) -> str:
        """What the host's sshd said so far."""
        return (self.root / "var/log/sshd.log").read_text(errors="replace")

    def authentications(self) -> list[str]:
        """Lines of the sshd log that tell of an attempt to sign in."""
        words = ("Accepted ", "Failed ", "attempt from", "auth succeeded", "attempt for", "Partial ")
        return [line for line in self.log().splitlines() if any(word in line for word in words)]

    def processes(self) -> dict[int, str]:
        """Command lines by process id inside, without process 1, its sleep and the listening sshd."""
        found = {}
        for entry in (self.root / "proc").iterdir():
            if entry.name.isdigit() and entry.name != "1":
                with contextlib.suppress(OSError):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        idle = ("sleep 100000", "[listener]", "dropbear ", "/usr/sbin/sshd -f")
        return {pid: line for pid, line in found.items() if line and not any(word in line for word in idle)}

    def leftovers(self) -> list[str]:
        """Everything of a visit that is still there: staged files and processes that run from them."""
        files = [str(path) for place in self._scratch() for path in place.glob("**/.sf-*")]
        processes = [f"{pid} {line}" for pid, line in self._all_processes() if ".sf-" in line]
        return files + processes

    def _scratch(self) -> Iterator[Path]:
        homes = ["root", *(f"home/{name}" for name in self.users)]
        for name in (*SCRATCH_DIRECTORIES, *homes):
            if (self.root / name).is_dir():
                yield self.root / name

    def _all_processes(self) -> Iterator[tuple[int, str]]:
        for entry in (self.root / "proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit():
                    executable = (entry / "exe").readlink()
                    yield int(entry.name), f"{executable} {(entry / 'cmdline').read_bytes()!r}"

    def wait_clean(self, timeout_s: float = 5) -> list[str]:
        """Leftovers once there are none or time is up."""
        deadline = time.monotonic() + timeout_s
        while (left := self.leftovers()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def rekey(self) -> None:
        """New host keys, as after a fresh installation or with somebody in between."""
        self.host_keys = seed.write_host_keys(self.directory / "rekeyed")
        for path in (self.directory / "rekeyed").iterdir():
            self.write(f"/etc/ssh/{path.name}", path.read_text(), 0o600)
        self.run("kill $(cat /run/sshd.pid)")
        wait_until(lambda: not _is_listening(self.address, self.port))
        self.run(seed.START_SSHD)
        wait_until(lambda: _is_listening(self.address, self.port))

    def cut_sessions(self) -> None:
        """Kills the server's side of every SSH connection, as when a line or a machine between dies."""
        for pid, line in self.processes().items():
            if line.startswith("sshd: ") and "[listener]" not in line:
                self.run(f"kill -9 {pid}")

    def stop(self) -> None:
        """Kills process 1 and with it everything inside."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.launcher.kill()
        self.launcher.wait(10)
        if self.has_own_network:
            # Sockets that still try to send keep the namespace, and with it the pair, for many minutes.
            subprocess.run(["ip", "link", "del", f"sf{self.pid}"], capture_output=True, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def make_host(
    name: str,
    *,
    address: str = "127.0.5.1",
    port: int = 0,
    users: Sequence[User] = (),
    sshd_options: Mapping[str, str] | None = None,
    noexec: Sequence[str] = (),
    flavour: str = "openssh",
    hide: Sequence[str] = (str(REPOSITORY), "/root"),
    own_network: bool = False,
    before_start: str = "true",
) -> Iterator[Host]:
    """A host that lives as long as the block.

    `users` come beside root (key only). `noexec` names scratch directories (/tmp, /dev/shm, /var/tmp) that are mounted
    so. `flavour` is openssh, or busybox: Dropbear, BusyBox and nothing else. `hide` are directories of this machine
    that the host sees empty. With `own_network` the host has its own network namespace behind a veth pair, and
    `address` must be in a free /30 such as 10.99.0.2. `before_start` is a shell command that may add to the host's own
    files; it runs where they lie. The host dies with the thread that started it.
    """
    host = start_host(
        name, address=address, port=port, users=users, sshd_options=sshd_options or {}, noexec=noexec, flavour=flavour,
        hide=hide, own_network=own_network, before_start=before_start,
    )  # fmt: skip
    try:
        yield host
    finally:
        host.stop()


def start_host(
    name: str, *, address: str, port: int, users: Sequence[User], sshd_options: Mapping[str, str],
    noexec: Sequence[str], flavour: str, hide: Sequence[str], own_network: bool,
    before_start: str = "true",
) -> Host:  # fmt: skip
    """As `make_host`, for callers that stop it themselves."""
    port = port or free_port("127.0.0.1" if own_network else address)
    directory = Path(tempfile.mkdtemp(prefix=f"host-{name}-"))
    people = {user.name: user for user in (User("root"), *users)}
    tree = seed.Seed(directory, name, list(people.values()), "0.0.0.0" if own_network else address, port)
    host_keys = tree.write(flavour, sshd_options)
    subprocess.run(["/bin/sh", "-c", before_start], cwd=tree.tree, check=True)
    launcher = _launch(directory, name, flavour, hide, noexec, own_network=own_network)
    try:
        pid = _inner_pid(launcher)
        host = Host(name, address, port, directory, people, flavour, launcher, pid, host_keys, own_network)
        if own_network:
            _plug(host)
        wait_until(lambda: _is_listening(address, port) or launcher.poll() is not None)
    except BaseException:
        launcher.kill()
        shutil.rmtree(directory, ignore_errors=True)
        raise
    if launcher.poll() is not None:
        said = (directory / "boot.log").read_text()
        host.stop()
        raise RuntimeError(f"the host did not start: {said}")
    return host


def _launch(
    directory: Path, name: str, flavour: str, hide: Sequence[str], noexec: Sequence[str], *, own_network: bool
) -> subprocess.Popen[bytes]:
    base = directory / "base"
    base.mkdir()
    environment = {
        "PATH": os.environ["PATH"], "BASE": str(base), "SEED": str(directory / "seed"), "FLAVOUR": flavour,
        "HOST_NAME": name, "HIDE": " ".join(hide) if flavour == "openssh" else "", "NOEXEC": " ".join(noexec),
        "START": seed.START_SSHD if flavour == "openssh" else seed.START_DROPBEAR,
    }  # fmt: skip
    # A test run that is killed takes its hosts with it.
    argv = [
        "setpriv",
        "--pdeathsig=KILL",
        "unshare",
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--fork",
        "--kill-child=SIGKILL",
        "--propagation=private",
    ]
    argv += ["--net"] * own_network + ["/bin/sh", str(Path(__file__).with_name("boot.sh"))]
    with (directory / "boot.log").open("wb") as log:
        return subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _inner_pid(launcher: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    wait_until(lambda: launcher.poll() is not None or bool(children.read_text().split()))
    return int(children.read_text().split()[0])


def _plug(host: Host) -> None:
    """A veth pair: `address` inside, the address before it outside."""
    outside = f"sf{host.pid}"
    first, last = host.address.rsplit(".", 1)
    for command in (
        f"ip link add {outside} type veth peer name eth0 netns {host.pid}",
        f"ip addr add {first}.{int(last) - 1}/30 dev {outside}",
        f"ip link set {outside} up",
        f"nsenter --target={host.pid} --net ip addr add {host.address}/30 dev eth0",
        f"nsenter --target={host.pid} --net ip link set eth0 up",
        f"nsenter --target={host.pid} --net ip link set lo up",
    ):
        subprocess.run(command.split(), check=True)


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nothing listens on right now."""
    with socket.socket() as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


def wait_until(condition: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> None:
    """Raises TimeoutError when the condition does not come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s} s")
        time.sleep(0.01)


def _is_listening(address: str, port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(0.5)
        return sock.connect_ex((address, port)) == 0
