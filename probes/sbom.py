"""What is in a release, as CycloneDX 1.6: one document for each probe, one for the server.

The same input gives the same bytes: there is no time and no machine in them, and the serial number follows from the
content. Reference: the CycloneDX specification (ECMA-424) and the package URL specification.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tomllib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probes.build import (
    BUILDS,
    LEGACY,
    LEGACY_GO_SETTINGS,
    SOURCE,
    Build,
    BuildError,
    build_directory,
    ensure,
    load_manifest,
    run_go,
)
from probes.toolchain import unpacked_legacy_go

Json = dict[str, Any]

ROOT = SOURCE.parent
LOCK = ROOT / "requirements.lock"
LICENSE = [{"license": {"id": "Apache-2.0"}}]
# Of the Go Project's own LICENSE.
GO_LICENSE = [{"license": {"id": "BSD-3-Clause"}}]
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:sandfly:sbom")
PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")
HASHED = re.compile(r"^\s+--hash=sha256:([0-9a-f]{64})\s*\\?$")


@dataclass(frozen=True, slots=True)
class Pinned:
    """A package of the lock; `marker` says where it is installed, "" everywhere."""

    name: str
    version: str
    marker: str
    sha256: tuple[str, ...]


def write_sboms(output: Path, arches: Sequence[str]) -> list[Path]:
    """Writes the documents of the probes, which are built where they are not, and of the server. Raises BuildError."""
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in [*((f"probe-{arch}", probe_sbom(ensure(arch))) for arch in arches), ("server", server_sbom())]:
        path = output / f"{name}.cdx.json"
        path.write_text(text)
        written.append(path)
    return written


def probe_sbom(build: Build) -> str:
    """A probe: the program with its digest, and the packages of Go's standard library that it is linked from."""
    version = load_manifest(build.path.parent).builds[build.arch].go.removeprefix("go")
    packages = linked_packages(build.arch)
    program = {
        "type": "application",
        "bom-ref": "probe",
        "name": f"sandfly-probe-{build.arch}",
        "version": build.version,
        "hashes": [_sha256(build.sha256)],
        "licenses": LICENSE,
        "properties": [
            {"name": "sandfly:arch", "value": build.arch},
            {"name": "sandfly:size", "value": str(build.size)},
        ],
    }
    standard = f"pkg:golang/std@{version}"
    components: list[Json] = [
        {"type": "library", "bom-ref": standard, "name": "std", "version": version, "purl": standard,
         "licenses": GO_LICENSE, "scope": "required"},
        *({"type": "library", "bom-ref": f"{standard}#{name}", "group": "std", "name": name, "version": version,
           "purl": f"{standard}#{name}", "scope": "required"} for name in packages),
    ]  # fmt: skip
    linked = [{"ref": standard, "dependsOn": [f"{standard}#{name}" for name in packages]}]
    return _document(program, components, [{"ref": "probe", "dependsOn": [standard]}, *linked])


def linked_packages(arch: str) -> list[str]:
    """Import paths of the standard library's packages in a probe, as Go itself lists them. Raises BuildError.

    All else in it is ours: another module would be an error.
    """
    settings = BUILDS[arch] | (LEGACY_GO_SETTINGS if arch in LEGACY else {})
    flags = ["-modfile=legacy.mod"] if arch in LEGACY else []
    form = "{{if .Standard}}{{.ImportPath}}{{else}}-{{.Module.Path}}{{end}}"
    with unpacked_legacy_go(build_directory()) if arch in LEGACY else contextlib.nullcontext() as go:
        lines = run_go(["list", "-deps", *flags, "-f", form, "./cmd/probe"], settings, go).split()
    own = {line for line in lines if line.startswith("-")}
    if own != {"-sandfly/probes"}:
        raise BuildError(f"The probe is linked from modules that are not ours: {sorted(own)}.")
    return sorted(line for line in lines if not line.startswith("-"))


def server_sbom(lock: Path = LOCK, pyproject: Path = ROOT / "pyproject.toml") -> str:
    """The server: every package of the lock with the digests of its files, as pip holds them to."""
    project = tomllib.loads(pyproject.read_text())["project"]
    direct = {_normal(re.split(r"[<>=!~\[; ]", text, maxsplit=1)[0]) for text in project["dependencies"]}
    pinned = sorted(read_lock(lock.read_text()), key=lambda one: (one.name, one.version, one.marker))
    components = [_package(one) for one in pinned]
    server = {
        "type": "application", "bom-ref": "server", "name": project["name"], "version": project["version"],
        "licenses": LICENSE,
    }  # fmt: skip
    needs = [component["bom-ref"] for component, one in zip(components, pinned, strict=True) if one.name in direct]
    # What packages need among themselves is not in a lock.
    unknown = [{"aggregate": "unknown", "dependencies": [component["bom-ref"] for component in components]}]
    return _document(server, components, [{"ref": "server", "dependsOn": needs}], unknown)


def read_lock(text: str) -> Iterator[Pinned]:
    """The packages of requirements.lock. Raises ValueError for a line that is none of it."""
    name = version = marker = ""
    digests: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if found := HASHED.match(line):
            digests.append(found[1])
        elif found := PINNED.match(line):
            if name:
                yield Pinned(name, version, marker, tuple(sorted(digests)))
            name, version, marker, digests = _normal(found[1]), found[2], found[3] or "", []
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"line {number} of the lock is neither a package nor a hash")
    if name:
        yield Pinned(name, version, marker, tuple(sorted(digests)))


def _package(one: Pinned) -> Json:
    purl = f"pkg:pypi/{one.name}@{one.version}"
    component: Json = {
        "type": "library", "bom-ref": purl, "name": one.name, "version": one.version, "purl": purl,
        "hashes": [_sha256(digest) for digest in one.sha256],
    }  # fmt: skip
    if one.marker:
        component["bom-ref"] = f"{purl}?{hashlib.sha256(one.marker.encode()).hexdigest()[:8]}"
        component["properties"] = [{"name": "sandfly:marker", "value": one.marker}]
    return component


def _sha256(digest: str) -> Json:
    return {"alg": "SHA-256", "content": digest}


def _normal(name: str) -> str:
    """As PyPI spells names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _document(
    subject: Json, components: list[Json], dependencies: list[Json], compositions: Sequence[Json] = ()
) -> str:
    document: Json = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": components,
        "dependencies": dependencies,
    }
    if compositions:
        document["compositions"] = list(compositions)
    serial = uuid.uuid5(NAMESPACE, json.dumps(document, sort_keys=True))
    return json.dumps({**document, "serialNumber": f"urn:uuid:{serial}"}, indent=1, sort_keys=True) + "\n"
