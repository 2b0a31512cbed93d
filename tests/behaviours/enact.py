"""Enacts behaviours in a running host. Everything they make ends with the host."""

from __future__ import annotations

import functools
import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from probes.build import run_go
from tests.behaviours.behaviour import Behaviour
from tests.hosts.host import Host

SOURCES = sorted(Path(__file__).with_name("standin").glob("*.go"))
# Where the stand-in program and its marks of readiness are while a host is being prepared; gone before the visit.
STAGE = "/run/standin"


@functools.cache
def standin() -> Path:
    """The stand-in program, built for this machine once a session."""
    made = Path(tempfile.mkdtemp(prefix="standin-")) / "standin"
    run_go(["build", "-trimpath", "-ldflags", "-s -w", "-o", str(made), *map(str, SOURCES)])
    return made


class NotEnactedError(Exception):
    """The stand-in did not do what the behaviour needs."""


def prepare(host: Host) -> None:
    """Brings the stand-in program into the host."""
    stage = host.root / STAGE.lstrip("/")
    stage.mkdir(mode=0o711)
    (stage / "ready").mkdir()
    (stage / "ready").chmod(0o777)
    shutil.copy2(standin(), stage / "standin")
    (stage / "standin").chmod(0o755)


def enact(host: Host, behaviours: Sequence[Behaviour], *, keep_stage: bool = False) -> dict[str, str]:
    """Enacts all, each step of each in turn; returns what went wrong by name of the behaviour."""
    wrong: dict[str, str] = {}
    prepare(host)
    for step in (write_files, run_shell, start_processes, run_afterwards):
        for behaviour in behaviours:
            if behaviour.name not in wrong:
                try:
                    step(host, behaviour)
                except (NotEnactedError, OSError, subprocess.SubprocessError) as error:
                    wrong[behaviour.name] = f"{step.__name__}: {error}"
    if not keep_stage:
        host.run(f"rm -rf {STAGE}")
    return wrong


def write_files(host: Host, behaviour: Behaviour) -> None:
    for path, text in behaviour.files.items():
        host.write(path, text, behaviour.modes.get(path, 0o644))


def run_shell(host: Host, behaviour: Behaviour) -> None:
    _run(host, behaviour.shell)


def run_afterwards(host: Host, behaviour: Behaviour) -> None:
    _run(host, behaviour.afterwards)


def start_processes(host: Host, behaviour: Behaviour) -> None:
    if behaviour.processes:
        parts = [
            process.part(f"{STAGE}/ready/{behaviour.name}.{place}") for place, process in enumerate(behaviour.processes)
        ]
        _run(host, f"printf %s {shlex.quote(json.dumps(parts))} | {STAGE}/standin launch")


def _run(host: Host, script: str) -> None:
    if script:
        done = host.run(f"set -e\n{script}")
        if done.returncode != 0:
            raise NotEnactedError(f"exit code {done.returncode}: {done.stderr.strip()}")
