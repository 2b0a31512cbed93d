"""What one behaviour is: how a harmless stand-in enacts it, and which rules must say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Process:
    """A process that sleeps until its host ends, as a child of the first process, without a terminal.

    `exe` is its program file; with `do` it is a copy of the stand-in program, which does these steps first (the verbs
    are those of standin/main.go), else a program that the host has. `argv` is what it calls itself and its arguments.
    """

    exe: str
    argv: tuple[str, ...]
    do: tuple[str, ...] | None = ()
    env: tuple[str, ...] = ()
    uid: int = 0
    cwd: str = "/"
    children: tuple[Process, ...] = ()

    def part(self, ready: str) -> dict[str, Any]:
        """As standin reads it; `ready` is a path that no other process has."""
        return {
            "exe": self.exe, "argv": list(self.argv), "env": list(self.env), "do": list(self.do or ()),
            "uid": self.uid, "gid": self.uid, "cwd": self.cwd, "ready": ready, "copied": self.do is not None,
            "children": [child.part(f"{ready}.{place}") for place, child in enumerate(self.children)],
        }  # fmt: skip


@dataclass(frozen=True)
class Behaviour:
    """One thing that intruders do.

    `does` says it in one sentence. Files are written first (path → text, owned by root, 0644 unless `modes` has
    another), then `shell` runs as root inside the host, then the processes start, then `afterwards` runs.

    `marks` tell its findings from those of others: one of them is in a text of each finding's subject, and no other
    behaviour of the same host leaves such a text. `raises` are all rules of medium level or above that it makes alert,
    and those of low level that must alert too.
    """

    name: str
    techniques: tuple[str, ...]
    does: str
    marks: tuple[str, ...]
    raises: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    shell: str = ""
    processes: tuple[Process, ...] = ()
    afterwards: str = ""
    # Only on the veiled host: paths that no listing shows to the probe ({pid} is the first process), and what is done in
    # the shell that becomes the probe ($$ is its process id).
    veiled: tuple[str, ...] = ()
    before_probe: str = ""
