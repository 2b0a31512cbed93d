"""A visit in a process of its own, for tests that kill it: ADDRESS PORT KEY_FILE PROBE_DIRECTORY."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scanners.contract import CredentialSecret, HostEndpoint, Phase
from scanners.visit import run_visit
from tests.scanners.standin import PLAN, ScriptBuild, make_job


def main(address: str, port: str, key_file: str, directory: str) -> None:
    probe = Path(directory) / "probe"
    data = probe.read_bytes()
    build = ScriptBuild(
        probe, probe.with_suffix(".gz"), probe.with_suffix(".xz"), hashlib.sha256(data).hexdigest(), len(data)
    )
    secret = CredentialSecret(username="root", private_key=Path(key_file).read_text())
    job = make_job(HostEndpoint(address=address, port=int(port)), allow_new_host_key=True)
    run_visit(job, PLAN, [secret], get_build=lambda arch: build, on_phase=tell)


def tell(phase: Phase) -> None:
    sys.stdout.write(f"{phase.value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
