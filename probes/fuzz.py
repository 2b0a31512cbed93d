"""Runs every fuzz target of the probe for a while: `python -m probes.fuzz [TIME] [PATTERN]`, as `make fuzz` does.

With `--blind` the programs are those of the ordinary tests, which do not tell the fuzzer what they reach: a moment for
each target is over before that could help, and the whole standard library need not be compiled once more.

What is found is left as a file below `testdata/fuzz` of its package, to be committed with the correction; from then on
each run of the Go tests tries it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from probes.build import SOURCE, BuildError, run_go

DEFAULT_TIME = "300ms"
# A target that hangs is stopped; the longest run is meant to be half an hour for each.
TARGET_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True)
class Target:
    """One fuzz target of a package, whose test program lies built at `program`."""

    package: Path
    name: str
    program: Path


def find_targets(pattern: str) -> dict[Path, list[str]]:
    """Package directory → names of its fuzz targets that hold the pattern."""
    found: dict[Path, list[str]] = {}
    for path in sorted(SOURCE.glob("*/**/*_test.go")):
        if "build" in path.relative_to(SOURCE).parts:
            continue
        for name in re.findall(r"^func (Fuzz\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            if re.search(pattern, f"{path.parent.relative_to(SOURCE)}.{name}"):
                found.setdefault(path.parent, []).append(name)
    return found


def build_program(package: Path, names: Sequence[str], scratch: Path, *, is_blind: bool) -> list[Target]:
    """The package's test program; it tells the fuzzer what it reaches unless that is to be blind. Raises BuildError."""
    program = scratch / f"{'-'.join(package.relative_to(SOURCE).parts)}.test"
    how = [] if is_blind else ["-fuzz=."]
    run_go(["test", "-c", "-trimpath", *how, "-o", str(program), f"./{package.relative_to(SOURCE)}"])
    return [Target(package, name, program) for name in names]


def run_target(target: Target, fuzz_time: str, cache: Path) -> str:
    """Fuzzes one target on one core; what went wrong, "" when nothing did."""
    command = [
        str(target.program), "-test.run=^$", f"-test.fuzz=^{target.name}$", f"-test.fuzztime={fuzz_time}",
        f"-test.fuzzcachedir={cache}/{target.package.name}", "-test.parallel=1",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=target.package, capture_output=True, text=True, timeout=TARGET_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not at an end after {TARGET_TIMEOUT_S} s"
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-4000:]


def main(arguments: Sequence[str]) -> int:
    """0 when nothing was found, 1 with what was found on stderr."""
    is_blind = "--blind" in arguments
    fuzz_time, pattern, *_ = [*(argument for argument in arguments if argument != "--blind"), "", ""]
    cores = os.cpu_count() or 1
    begun, problems = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(cores) as pool:
        packages = find_targets(pattern)
        try:
            built = pool.map(
                lambda item: build_program(item[0], item[1], Path(scratch), is_blind=is_blind), packages.items()
            )
            targets = [target for group in built for target in group]
        except BuildError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        cache = Path(scratch) / "cache"
        outcomes = pool.map(lambda target: run_target(target, fuzz_time or DEFAULT_TIME, cache), targets)
        for target, problem in zip(targets, outcomes, strict=True):
            if problem:
                problems += 1
                sys.stderr.write(f"{target.package.relative_to(SOURCE)} {target.name}:\n{problem}\n")
    sys.stdout.write(f"{len(targets)} fuzz targets, {problems} with findings, {time.monotonic() - begun:.0f} s\n")
    return 1 if problems or not targets else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
