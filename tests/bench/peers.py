"""Gets the programs to compare with: Debian packages on this machine, Python ones in a directory of their own.

Nothing of it touches the project's own environment; what is there already is used as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.clock import Clock

PACKAGES = {
    "rkhunter": "rkhunter",
    "chkrootkit": "chkrootkit",
    "lynis": "lynis",
    "unhide": "unhide",
    "find": "findutils",
}


def install_programs(clock: Clock) -> str:
    """Installs what is missing of the Debian packages, as root where there is apt-get; says why not, or ""."""
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not missing:
        return ""
    wish = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"not installed: {', '.join(missing)}; `{wish}` does that"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["apt-get", "-q", "update"], [*wish.split(), "-y", "-q"]):
        try:
            subprocess.run(argv, env=env, check=True, capture_output=True, timeout=max(1, clock.at_most(120)))
        except (subprocess.SubprocessError, OSError) as error:
            return f"`{wish}` failed ({type(error).__name__})"
    return ""


def python_peer(program: str, packages: Sequence[str], clock: Clock) -> Path | str:
    """The program from a virtual environment in the user's cache, made when need be; or why it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sandfly-bench"
    wanted = cache / "bin" / program
    if wanted.exists():
        return wanted
    pip = [cache / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    try:
        subprocess.run([sys.executable, "-m", "venv", cache], check=True, capture_output=True, timeout=60)
        subprocess.run(pip, check=True, capture_output=True, timeout=max(1, clock.at_most(150)))
    except (subprocess.SubprocessError, OSError) as error:
        return f"{' and '.join(packages)} cannot be installed here ({type(error).__name__})"
    return wanted
