"""A scan of a host whose kernel seems to lie: the probe, and nothing else, is kept from seeing names and tables.

The probe is not brought over SSH here but started beneath the veil of the stand-in program (standin/veil.go), which
answers getdents64(2) in the kernel's place as rootkits do.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence

import msgspec

from probes.build import ensure, host_arch
from sandfly_web.findings.fingerprint import fingerprint
from scanners.contract import CollectorState, CollectorStatus, Match, ProbeFooter, ProbeRuleStatus, RuleState
from scanners.contract import decode_report_line as decode
from tests.behaviours.behaviour import Behaviour
from tests.behaviours.enact import STAGE, enact, standin
from tests.behaviours.scan import LABEL, Finding, Scanned, detections, whole_plan
from tests.hosts.host import Host

# Where the probe waits, beside the program that deceives it.
PLACE = "/usr/lib/veil"
# Where behaviours lay the tables that the probe is shown.
TABLES = "/run/veil"


def enact_veiled(host: Host, behaviours: Sequence[Behaviour]) -> dict[str, str]:
    """As `enact`, and lays down what the scan needs: the probe, the stand-in program and the paths to be hidden."""
    place = host.root / PLACE.lstrip("/")
    place.mkdir(mode=0o700)
    (host.root / TABLES.lstrip("/")).mkdir(mode=0o700)
    shutil.copy2(standin(), place / "standin")
    shutil.copy2(ensure(host_arch()).path, place / "probe")
    (place / "plan").write_bytes(whole_plan().body + b"\n")
    wrong = enact(host, behaviours, keep_stage=True)
    paths = [path for behaviour in behaviours for path in veiled_paths(host, behaviour)]
    host.run(f"rm -rf {STAGE}")
    steps = [behaviour.before_probe for behaviour in behaviours if behaviour.before_probe]
    (place / "start").write_text("\n".join(["set -e", *steps, f"exec {PLACE}/probe --keep"]) + "\n")
    (place / "paths").write_text("\n".join(paths))
    return wrong


def veiled_paths(host: Host, behaviour: Behaviour) -> list[str]:
    """The paths with the number of the behaviour's first process put in."""
    ready = host.root / f"{STAGE}/ready/{behaviour.name}.0".lstrip("/")
    pid = ready.read_text().strip() if ready.exists() else ""
    return [path.format(pid=pid) for path in behaviour.veiled]


def scan_veiled(host: Host) -> Scanned:
    """Runs the probe beneath the veil with the whole detection set."""
    paths = (host.root / PLACE.lstrip("/") / "paths").read_text().splitlines()
    words = [f"{PLACE}/standin", "veil", *paths, "--", "/bin/sh", f"{PLACE}/start"]
    argv = ["nsenter", f"--target={host.pid}", "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd",
            "/bin/sh", "-c", f"{shlex.join(words)} < {PLACE}/plan"]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    lines = [decode(line) for line in done.stdout.splitlines()]
    if not lines or not isinstance(lines[-1], ProbeFooter) or not lines[-1].complete:
        raise RuntimeError(f"the probe did not come to its end: {done.stderr.decode(errors='replace')}")
    return Scanned(_findings(lines), _faults(lines))


def _findings(lines: Sequence[msgspec.Struct]) -> list[Finding]:
    rules = sorted(detections(), key=lambda rule: rule.id)
    return [
        Finding(
            rules[place].name, rules[place].level, line.record,
            fingerprint(rules[place].id, LABEL, line.subject, line.identity),
        )
        for line in lines
        if isinstance(line, Match)
        for place in line.rules
    ]  # fmt: skip


def _faults(lines: Sequence[msgspec.Struct]) -> list[str]:
    broken = {RuleState.ERROR, RuleState.SKIPPED}
    return [
        str(line)
        for line in lines
        if (isinstance(line, CollectorStatus) and line.state is not CollectorState.OK)
        or (isinstance(line, ProbeRuleStatus) and line.state in broken and line.reason != "no_indicators")
    ]
