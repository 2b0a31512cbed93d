"""The commands of `python -m probes.build`.

build [ARCH…|all|host|legacy]   builds what is not current; without a word `all`, which leaves out the `legacy` ones
                         for Linux before 3.2
list [--format json]     architectures with size and SHA-256; as JSON also with the names that other tools will see
guard --output DIR [ARCH…]  writes the files of the guard for owners of hosts; without a word for all and legacy builds
sbom --output DIR [ARCH…]  writes CycloneDX documents of these probes (all without a word) and of the server
reference                writes fields.json and the tables of README.md from what the probe says of itself
check                    exit code 1 when these are not current
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from probes.build import (
    ARCHES,
    LEGACY,
    Build,
    BuildError,
    build,
    build_directory,
    ensure,
    find_current,
    host_arch,
    load_manifest,
)
from probes.guard import DEFAULTS, KitOptions, published_json, write_kit
from probes.reference import check_reference, write_reference
from probes.sbom import write_sboms


def main(arguments: Sequence[str]) -> int:
    """Runs one command; 0 when all went well, 1 with sentences on stderr, 2 when there is no such command."""
    word, *rest = arguments or ["build"]
    commands: dict[str, Callable[[], list[str]]] = {
        "build": lambda: _build(rest),
        "list": lambda: _list(rest),
        "guard": lambda: _guard(rest),
        "sbom": lambda: _sbom(rest),
        "reference": write_reference,
        "check": check_reference,
    }
    if word not in commands:
        sys.stderr.write(f"{word!r} is none of: {', '.join(commands)}\n")
        return 2
    try:
        problems = commands[word]()
    except BuildError as error:
        problems = [str(error)]
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


def _build(names: Sequence[str]) -> list[str]:
    arches = [arch for name in names or ["all"] for arch in _meant(name)]
    for arch in dict.fromkeys(arches):
        build([arch])
        _show(ensure(arch))
    return []


def _meant(name: str) -> list[str]:
    if name in ("all", "legacy"):
        return list(ARCHES if name == "all" else LEGACY)
    return [host_arch() if name == "host" else name]


def _guard(rest: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(prog="probes guard")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--user", default=DEFAULTS.user)
    parser.add_argument("--directory", default=DEFAULTS.directory)
    chosen = parser.parse_args(rest)
    arches = [arch for name in chosen.names or ["all", "legacy"] for arch in _meant(name)]
    build(list(dict.fromkeys(arches)))
    builds = [ensure(arch) for arch in dict.fromkeys(arches)]
    try:
        written = write_kit(chosen.output, builds, KitOptions(user=chosen.user, directory=chosen.directory))
    except (OSError, ValueError) as error:
        return [f"The guard cannot be written: {error}"]
    sys.stdout.writelines(f"{path}\n" for path in written)
    return []


def _sbom(rest: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(prog="probes sbom")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--output", type=Path, required=True)
    chosen = parser.parse_args(rest)
    arches = dict.fromkeys(arch for name in chosen.names or ["all"] for arch in _meant(name))
    try:
        sys.stdout.writelines(f"{path}\n" for path in write_sboms(chosen.output, list(arches)))
    except (OSError, ValueError) as error:
        return [f"The SBOM cannot be written: {error}"]
    return []


def _list(rest: Sequence[str] = ()) -> list[str]:
    if list(rest) == ["--format", "json"]:
        sys.stdout.write(published_json())
        return []
    builds = load_manifest().builds
    for arch in [*ARCHES, *(arch for arch in LEGACY if arch in builds)]:
        found = find_current(arch, build_directory())
        if found is not None:
            _show(found)
        else:
            sys.stdout.write(f"{arch:<15} {'outdated' if arch in builds else 'not built'}\n")
    return []


def _show(made: Build) -> None:
    sizes = f"{made.size:>10,} bytes {made.gz_size:>10,} gzip {made.xz_size:>10,} xz"
    sizes += f" {made.bcj_size:>10,} xz --x86" if made.bcj_size else ""
    sys.stdout.write(f"{made.arch:<15} {sizes}  {made.sha256}\n")
    sys.stdout.flush()
