"""Every build runs: natively where this machine can, else under QEMU's user mode emulation (qemu-user-static)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from probes.build import ARCHES, ensure, host_arch
from scanners import contract

QEMU = {
    "amd64": "x86_64",
    "386": "i386",
    "arm64": "aarch64",
    "armv5": "arm",
    "armv6": "arm",
    "armv7": "arm",
    "mips": "mips",
    "mipsle": "mipsel",
    "mips64": "mips64",
    "mips64le": "mips64el",
    "ppc64": "ppc64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "loong64": "loongarch64",
}
# An x86-64 kernel runs 32-bit programs itself, and QEMU's i386 mode cannot hold the threads of a Go program.
NATIVE = {"amd64": {"amd64", "386"}}

PLAN = contract.Plan(
    limits=contract.PlanLimits(cpu_percent=100, deadline_s=60),
    rules=[
        contract.PlanRule(id="host", subject="host", fields=["hostname"]),
        contract.PlanRule(
            id="hashed",
            subject="file",
            when={"field": "sha256", "op": "exists", "values": [True]},
            scope=contract.Scope(paths=["/etc/passwd"]),
            fields=["sha256", "mode", "size"],
        ),
    ],
)


def command(arch: str, program: Path) -> list[str]:
    native = NATIVE.get(host_arch(), {host_arch()})
    return [str(program)] if arch in native else [f"qemu-{QEMU[arch]}-static", str(program)]


@pytest.mark.integration
@pytest.mark.parametrize("arch", ARCHES)
def test_the_probe_of_each_architecture_reports_and_removes_itself(arch: str) -> None:
    directory = Path(tempfile.mkdtemp(prefix=".sf-"))
    program = Path(shutil.copy(ensure(arch).path, directory / "p"))

    done = subprocess.run(
        command(arch, program), input=contract.encode(PLAN), capture_output=True, timeout=120, check=False
    )

    header, *_, footer = [contract.decode_report_line(line) for line in done.stdout.splitlines()]
    assert isinstance(header, contract.ProbeHeader)
    assert isinstance(footer, contract.ProbeFooter)
    assert (done.returncode, header.arch, footer.complete, footer.matches) == (0, arch, True, 2)
    assert not directory.exists()
