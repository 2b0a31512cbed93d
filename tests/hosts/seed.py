"""The files that make one throw-away host different from this machine: users, keys, sshd, sudo."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from scanners.contract import HostKeyPin

START_SSHD = "/usr/sbin/sshd -f /etc/ssh/sshd_test -E /var/log/sshd.log"
START_DROPBEAR = (
    "dropbear -R -E -r /etc/dropbear/key -P /run/dropbear.pid -p $(cat /etc/dropbear/listen) 2>/var/log/sshd.log"
)
BUSYBOX = "/bin/busybox"
# What a small appliance has. BusyBox's shell can still find its other applets (gzip, sha256sum) in itself.
APPLETS = (
    *("cat", "chmod", "chown", "find", "head", "id", "kill", "ls", "mkdir", "mount", "ps", "rm", "rmdir", "sh"),
    *("sleep", "su", "touch", "uname", "wc"),
)


@dataclass(frozen=True)
class User:
    """An account of a host. `sudo` is none, nopasswd or password; without `password` only the key gets in."""

    name: str
    password: str = ""
    passphrase: str = ""
    sudo: str = "none"
    shell: str = "/bin/sh"
    uid: int = 0
    bashrc: str = ""


def write_host_keys(directory: Path) -> list[HostKeyPin]:
    """An ed25519 and an ECDSA key pair as sshd reads them."""
    directory.mkdir(parents=True, exist_ok=True)
    pins = []
    for name, key in (
        ("ed25519", ed25519.Ed25519PrivateKey.generate()),
        ("ecdsa", ec.generate_private_key(ec.SECP256R1())),
    ):
        path = directory / f"test_{name}_key"
        path.write_bytes(_private_text(key, ""))
        path.chmod(0o600)
        pins.append(_pin(_public_text(key)))
    return pins


def _private_text(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey, passphrase: str) -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, encryption)


def _public_text(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    encoding, layout = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(encoding, layout).decode()


def _pin(text: str) -> HostKeyPin:
    key_type, blob = text.split()[:2]
    base64.b64decode(blob, validate=True)
    return HostKeyPin(key_type=key_type, public_key=blob)


@dataclass
class Seed:
    """Writes `directory`/seed, which is laid over the host's tree, and `directory`/keys, which stays outside."""

    directory: Path
    name: str
    users: list[User]
    listen: str
    port: int

    @property
    def tree(self) -> Path:
        return self.directory / "seed"

    def write(self, flavour: str, sshd_options: Mapping[str, str]) -> list[HostKeyPin]:
        """All files; returns the host's keys."""
        (self.directory / "keys").mkdir()
        self.tree.mkdir()
        self._put("etc/hostname", self.name + "\n")
        self._put("etc/machine-id", os.urandom(16).hex() + "\n")
        (self.tree / "var/log").mkdir(parents=True)
        if flavour == "busybox":
            self._write_busybox()
        self._write_accounts("" if flavour == "busybox" else Path("/etc/passwd").read_text())
        for user in self.users:
            self._write_home(user)
        if flavour == "busybox":
            return self._write_dropbear()
        self._write_sudoers()
        self._write_sshd(sshd_options)
        return write_host_keys(self.tree / "etc/ssh")

    def _put(self, path: str, text: str, mode: int = 0o644) -> Path:
        target = self.tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    def uid(self, user: User) -> int:
        """The user's id; those that name none get 2000 and up."""
        if user.name == "root":
            return 0
        return user.uid or 2000 + [other.name for other in self.users].index(user.name)

    def _write_accounts(self, passwd: str) -> None:
        others = [user for user in self.users if user.name != "root"]
        passwd = passwd or "root:x:0:0:root:/root:/bin/sh\n"
        group = "" if passwd.count("\n") == 1 else Path("/etc/group").read_text()
        shadow = "root:*:19000:0:99999:7:::\n"
        for user in others:
            uid = self.uid(user)
            passwd += f"{user.name}:x:{uid}:{uid}::/home/{user.name}:{user.shell}\n"
            group += f"{user.name}:x:{uid}:\n"
            shadow += f"{user.name}:{_hash(user.password)}:19000:0:99999:7:::\n"
        root = next(user for user in self.users if user.name == "root")
        if root.password:
            shadow = shadow.replace("root:*:", f"root:{_hash(root.password)}:")
        self._put("etc/passwd", passwd)
        self._put("etc/group", group or "root:x:0:\n")
        self._put("etc/shadow", shadow, 0o600)

    def _write_home(self, user: User) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        private = self.directory / "keys" / user.name
        private.write_bytes(_private_text(key, user.passphrase))
        private.chmod(0o600)
        home = "root" if user.name == "root" else f"home/{user.name}"
        self._put(f"{home}/.ssh/authorized_keys", _public_text(key) + f" {user.name}\n", 0o600)
        if user.bashrc:
            self._put(f"{home}/.bashrc", user.bashrc)
        (self.tree / home).chmod(0o700)
        (self.tree / home / ".ssh").chmod(0o700)
        subprocess.run(["chown", "-R", f"{self.uid(user)}:{self.uid(user)}", self.tree / home], check=True)

    def _write_sudoers(self) -> None:
        lines = ["Defaults !lecture"]
        for user in self.users:
            if user.sudo != "none":
                lines.append(f"{user.name} ALL=(ALL) {'NOPASSWD: ' if user.sudo == 'nopasswd' else ''}ALL")
        self._put("etc/sudoers.d/test", "\n".join(lines) + "\n", 0o440)

    def _write_sshd(self, options: Mapping[str, str]) -> None:
        settings = {
            "Port": str(self.port), "ListenAddress": self.listen, "PidFile": "/run/sshd.pid", "LogLevel": "VERBOSE",
            "PermitRootLogin": "yes", "PasswordAuthentication": "yes", "KbdInteractiveAuthentication": "no",
            "UsePAM": "no", "MaxStartups": "100:30:200", "MaxAuthTries": "6", "UseDNS": "no", "StrictModes": "yes",
            "PrintMotd": "no", **options,
        }  # fmt: skip
        keys = "".join(f"HostKey /etc/ssh/test_{name}_key\n" for name in ("ed25519", "ecdsa"))
        self._put("etc/ssh/sshd_test", keys + "".join(f"{name} {value}\n" for name, value in settings.items()))

    def _write_busybox(self) -> None:
        binaries = self.tree / "bin"
        binaries.mkdir()
        shutil.copy2(BUSYBOX, binaries / "busybox")
        for applet in APPLETS:
            (binaries / applet).symlink_to("busybox")
        (self.tree / "usr").mkdir()
        (self.tree / "usr/bin").symlink_to("../bin")
        (self.tree / "sbin").symlink_to("bin")
        self._put("etc/shells", "/bin/sh\n")
        self._put("etc/os-release", 'NAME="Tiny"\nID=tiny\nVERSION_ID="1.0"\n')
        dropbear = Path(shutil.which("dropbear") or "/usr/sbin/dropbear")
        shutil.copy2(dropbear, binaries / "dropbear")
        for library in _libraries(dropbear):
            target = self.tree / library.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(library, target)

    def _write_dropbear(self) -> list[HostKeyPin]:
        key = self.tree / "etc/dropbear/key"
        key.parent.mkdir(parents=True)
        made = subprocess.run(
            ["dropbearkey", "-t", "ed25519", "-f", key], check=True, capture_output=True, text=True
        ).stdout
        self._put("etc/dropbear/listen", f"{self.listen}:{self.port}\n")
        return [_pin(line) for line in made.splitlines() if line.startswith("ssh-ed25519 ")]


def _hash(password: str) -> str:
    if not password:
        return "*"
    argv = ["openssl", "passwd", "-6", "-stdin"]
    return subprocess.run(argv, input=password, check=True, capture_output=True, text=True).stdout.strip()


def _libraries(program: Path) -> list[Path]:
    text = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    words = [word for line in text.splitlines() for word in line.split() if word.startswith("/")]
    return [Path(word) for word in words]
