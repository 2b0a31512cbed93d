"""The SBOM says what is in the programs, and the same again when it is asked again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from probes import build as builder
from probes import cli, sbom
from probes.toolchain import find_go


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_documents_are_the_same_bit_for_bit_whenever_they_are_written(probe: builder.Build, tmp_path: Path) -> None:
    written = [
        {path.name: path.read_bytes() for path in sbom.write_sboms(tmp_path / name, [probe.arch])} for name in "ab"
    ]

    assert written[0] == written[1]
    assert set(written[0]) == {f"probe-{probe.arch}.cdx.json", "server.cdx.json"}


def test_a_probe_is_told_with_its_digest_and_with_what_it_is_linked_from(probe: builder.Build) -> None:
    document = json.loads(sbom.probe_sbom(probe))

    subject = document["metadata"]["component"]
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert subject["hashes"] == [{"alg": "SHA-256", "content": probe.sha256}]
    go = find_go()
    assert go
    # What the linker wrote into the program itself: the version, and no module but ours.
    told = subprocess.run([go, "version", "-m", str(probe.path)], capture_output=True, text=True, check=True).stdout
    assert f"go{document['components'][0]['version']}" in told
    assert "\tdep\t" not in told
    linked = {component["name"] for component in document["components"]}
    assert {"std", "runtime", "encoding/json"} <= linked
    assert not linked & {"net/http", "os/exec", "plugin"}


def test_every_dependency_is_a_component(probe: builder.Build) -> None:
    for text in (sbom.probe_sbom(probe), sbom.server_sbom()):
        document = json.loads(text)
        refs = [component["bom-ref"] for component in document["components"]]
        assert len(set(refs)) == len(refs)
        named = {ref for one in document["dependencies"] for ref in one["dependsOn"]}
        assert named <= set(refs)


def test_the_server_is_told_as_it_is_locked() -> None:
    document = json.loads(sbom.server_sbom())

    versions = {component["name"]: component for component in document["components"]}
    lines = [line for line in sbom.LOCK.read_text().splitlines() if "==" in line and not line.startswith("#")]
    assert len(document["components"]) == len(lines)
    for name in ("django", "celery", "fabric"):
        line = next(line for line in lines if line.startswith(f"{name}=="))
        assert versions[name]["version"] == line.split("==")[1].split()[0]
        assert versions[name]["hashes"]
    direct = next(one["dependsOn"] for one in document["dependencies"] if one["ref"] == "server")
    assert versions["django"]["bom-ref"] in direct
    assert versions["pytest"]["bom-ref"] not in direct


def test_a_lock_that_is_not_understood_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        list(sbom.read_lock("a==1 \\\n--index-url x\n"))


def test_packages_for_some_systems_only_say_so() -> None:
    text = "b==2 ; sys_platform == 'win32' \\\n    --hash=sha256:" + "0" * 64 + "\n"

    assert list(sbom.read_lock(text)) == [sbom.Pinned("b", "2", "sys_platform == 'win32'", ("0" * 64,))]


def test_the_command_writes_them(probe: builder.Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sbom", "--output", str(tmp_path), "host"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / f"probe-{probe.arch}.cdx.json"), str(tmp_path / "server.cdx.json"),
    ]  # fmt: skip
    assert read(tmp_path / "server.cdx.json")["metadata"]["component"]["name"] == "sandfly"
