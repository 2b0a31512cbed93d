"""What is published of a release's probes: their digests and names, and the guard that lets only them be run.

The guard's files are `deploy/guard/` with the release's own values; its answer to the first question is the worker's
own script, so that the two cannot differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from probes.build import BUILDS, VERSION, Build, build_directory, find_current
from scanners.guard import CONTRACT
from scanners.profile import SCRIPT
from scanners.staging import DIRECTORY_PATTERN, file_names

TEMPLATES: Path = Path(__file__).resolve().parent.parent / "deploy" / "guard"
PROGRAMS_DIRECTORY = "/usr/local/sbin"
LIST_PATH = "/usr/local/lib/sandfly-guard/probes"
MODES = {"sandfly-guard": 0o755, "sandfly-guard-root": 0o755, "install.sh": 0o755}
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_DIRECTORY = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}){2,6}")


@dataclass(frozen=True, slots=True)
class KitOptions:
    """The account on the host, and the directory there that probes are put into."""

    user: str = "sandfly"
    directory: str = "/var/lib/sandfly-guard"


# A slotted dataclass has no class attributes to take defaults from.
DEFAULTS = KitOptions()


def write_kit(output: Path, builds: Iterable[Build], options: KitOptions = DEFAULTS) -> list[Path]:
    """Writes the guard that allows these builds; returns the files. Raises ValueError, OSError."""
    if not _USER.fullmatch(options.user):
        raise ValueError(f"{options.user!r} is no name of an account")
    if not _DIRECTORY.fullmatch(options.directory) or "/." in options.directory:
        raise ValueError(f"{options.directory!r} is no absolute path that a script can hold as it is")
    allowed = "".join(f"{build.sha256} {build.size} {getattr(build, 'arch', 'probe')} {VERSION}\n" for build in builds)
    if not allowed:
        raise ValueError("there is no probe to allow")
    values = {
        "RELEASE": VERSION, "CONTRACT": str(CONTRACT), "PROGRAMS": PROGRAMS_DIRECTORY, "LIST": LIST_PATH,
        "USER": options.user, "DIRECTORY": options.directory, "PROFILE": _own_profile(options),
    }  # fmt: skip
    output.mkdir(parents=True, exist_ok=True)
    files = {path.name: _fill(path.read_text(), values) for path in sorted(TEMPLATES.iterdir())} | {"probes": allowed}
    sums = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in files.items())
    for name, text in (files | {"SHA256SUMS": sums}).items():
        (output / name).write_text(text)
        (output / name).chmod(MODES.get(name, 0o644))
    return [output / name for name in (*files, "SHA256SUMS")]


def _own_profile(options: KitOptions) -> str:
    """The worker's first question as a part of the guard, which adds that it is one."""
    script = SCRIPT.strip().replace("MARK", "$mark")
    said = f'p guard "{CONTRACT} {VERSION} {options.directory}"'
    body, end, rest = script.rpartition('echo "$mark-end"')
    return f"{body}{said}\n{end}{rest}"


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def published_json(directory: Path | None = None) -> str:
    """For other security tools of a host: digests of the current builds, and how the probe looks while it runs."""
    builds = [found for arch in BUILDS if (found := find_current(arch, directory or build_directory()))]
    document = {
        "release": VERSION,
        "process_names": list(file_names()),
        "path_pattern": f"(?:{DIRECTORY_PATTERN})/(?:{'|'.join(re.escape(name) for name in file_names())})",
        "probes": [{"arch": build.arch, "sha256": build.sha256, "size": build.size} for build in builds],
    }
    return json.dumps(document, indent=1) + "\n"
