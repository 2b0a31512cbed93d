"""The worker's application with a stand-in probe from the directory that STANDIN names."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path

import scanners.tasks
from scanners.app import app
from scanners.visit import run_visit
from tests.scanners.standin import ScriptBuild

__all__ = ["app"]


def stand_in(arch: str) -> ScriptBuild:
    path = Path(os.environ["STANDIN"]) / "probe"
    data = path.read_bytes()
    return ScriptBuild(
        path, path.with_suffix(".gz"), path.with_suffix(".xz"), hashlib.sha256(data).hexdigest(), len(data)
    )


scanners.tasks.run_visit = partial(run_visit, get_build=stand_in)  # type: ignore[assignment]
