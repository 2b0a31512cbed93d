"""What a clean host is: packages with their records, files, accounts, processes, and the noise of its days."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field

from tests.behaviours.behaviour import Process
from tests.behaviours.enact import STAGE, NotEnactedError, prepare, run_shell, standin, start_processes, write_files
from tests.hosts.host import Host

# The content of a program: a copy of the stand-in, which the host's processes run.
PROGRAM = "\x7fprogram"


@dataclass(frozen=True)
class Package:
    """An installed package: its files (path → text, or PROGRAM) and the records that dpkg keeps of it."""

    name: str
    files: dict[str, str]
    modes: dict[str, int] = field(default_factory=dict)
    version: str = "1.4-2"


@dataclass(frozen=True)
class CleanHost:
    """A host of one trade. Accounts are lines of passwd; `processes` and `files` are as in a behaviour."""

    name: str
    does: str
    accounts: tuple[str, ...] = ()
    packages: tuple[Package, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    shell: str = ""
    processes: tuple[Process, ...] = ()
    binaries: dict[str, bytes] = field(default_factory=dict)
    flavour: str = "openssh"


def furnish(host: Host, clean: CleanHost) -> dict[str, str]:
    """Makes the host what it is; returns what went wrong, by step."""
    prepare(host)
    steps = (add_accounts, install, write_files, write_binaries, run_shell, start_processes)
    for step in steps:
        try:
            step(host, clean)  # type: ignore[arg-type]
        except (NotEnactedError, OSError) as error:
            return {step.__name__: str(error)}
    host.run(f"rm -rf {STAGE}")
    return {}


def add_accounts(host: Host, clean: CleanHost) -> None:
    for line in clean.accounts:
        name, _, uid, gid, _, home, _ = line.split(":")
        # This machine may have an account of that name or number.
        host.run(f"sed -i -E '/^{name}:|^[^:]*:x:{uid}:/d' /etc/passwd; sed -i -E '/^{name}:/d' /etc/group /etc/shadow")
        for path, text in (
            ("etc/passwd", line),
            ("etc/group", f"{name}:x:{gid}:"),
            ("etc/shadow", f"{name}:!:19000:0:99999:7:::"),
        ):
            with host.place(path).open("a") as file:
                file.write(text + "\n")
        if home.startswith(("/home/", "/var/")):
            host.place(home).mkdir(parents=True, exist_ok=True)
            host.run(f"chown {uid}:{gid} {home}")


def install(host: Host, clean: CleanHost) -> None:
    """Lays the packages' files down and writes dpkg's records of them, as an installation does."""
    for package in clean.packages:
        name = f"{package.name}-of-{clean.name}"
        info = host.place("/var/lib/dpkg/info") / name
        sums = []
        disown(host, list(package.files))
        for path, text in package.files.items():
            if text == PROGRAM:
                target = host.place(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(standin(), target)
                target.chmod(package.modes.get(path, 0o755))
            else:
                host.write(path, text, package.modes.get(path, 0o644))
            content = host.place(path).read_bytes()
            sums.append(f"{hashlib.md5(content).hexdigest()}  {path.lstrip('/')}\n")
        info.with_name(f"{name}.md5sums").write_text("".join(sums))
        info.with_name(f"{name}.list").write_text("/.\n" + "".join(f"{path}\n" for path in package.files))
        with host.place("/var/lib/dpkg/status").open("a") as status:
            status.write(
                f"\nPackage: {name}\nStatus: install ok installed\nPriority: optional\nSection: misc\n"
                f"Maintainer: Distribution <dist@example.org>\nArchitecture: all\nVersion: {package.version}\n"
                f"Description: {package.name}\n"
            )


def disown(host: Host, paths: list[str]) -> None:
    """This machine may have the real package: its records must not speak of files that are now others."""
    there = [path for path in paths if host.place(path).exists()]
    for path in there:
        host.run(f"sed -i '\\|  {path.lstrip('/')}$|d' /var/lib/dpkg/info/*.md5sums")


def write_binaries(host: Host, clean: CleanHost) -> None:
    for path, content in clean.binaries.items():
        target = host.place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def daemon(exe: str, *argv: str, do: tuple[str, ...] = (), uid: int = 0, children: tuple[Process, ...] = ()) -> Process:
    """A process of a packaged program that is there already."""
    return Process(exe, argv or (exe,), do, uid=uid, children=children)
