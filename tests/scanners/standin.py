"""Stand-in probes: shell scripts that keep to the probe's contract, or break it on purpose."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scanners.contract import HostEndpoint, Limits, Plan, PlanRule, ScanJob, encode

PLAN = encode(Plan(rules=[PlanRule(id="rule-a", subject="process", fields=["pid"])]))

UNLINK = 'rm -f "$0"; rmdir "${0%/*}"\n'
READY = "echo SANDFLY-READY >&2\n"
READ_PLAN = "IFS= read -r plan\n"
HEADER = (
    'printf \'{"type":"header","schema":1,"probe_version":"0","arch":"amd64","uid":%s,"started_at":1}\\n\' "$(id -u)"\n'
)
FOOTER_LINE = json.dumps(
    {
        "type": "footer", "complete": True, "passed": [0], "matches": 0, "wall_s": 0.5, "cpu_s": 0.25,
        "max_rss_bytes": 1024,
    }
)  # fmt: skip
FOOTER = f"echo '{FOOTER_LINE}'\n"
# Ends when standard input does, as the probe: the reader in the background tells the script.
LINGER = "cat >/dev/null\n"
WHOLE = UNLINK + READY + READ_PLAN + HEADER + FOOTER


@dataclass(frozen=True)
class ScriptBuild:
    """A shell script in the place of a probe build."""

    path: Path
    gz_path: Path
    xz_path: Path
    sha256: str
    size: int
    bcj_path: Path | None = None


def script_build(
    directory: Path, body: str = WHOLE, *, padding: int = 0, tail: bytes = b"", times: int = 1
) -> ScriptBuild:
    """A probe that runs `body`; `padding` bytes of comment, or a `tail` behind its end `times` over, make it bigger."""
    head = f"#!/bin/sh\n{body}exit 0\n#{'x' * padding}\n".encode()
    path, gz_path, xz_path = directory / "probe", directory / "probe.gz", directory / "probe.xz"
    times = times if tail else 0
    data = head + tail * times
    path.write_bytes(data)
    # Both formats are whole in several parts one after another, so that each part is packed once.
    gz_path.write_bytes(gzip.compress(head, 1) + gzip.compress(tail, 1) * times)
    xz_path.write_bytes(lzma.compress(head, preset=0) + lzma.compress(tail, preset=0) * times)
    return ScriptBuild(path, gz_path, xz_path, hashlib.sha256(data).hexdigest(), len(data))


def make_job(host: HostEndpoint, *, limits: Limits | None = None, **changes: Any) -> ScanJob:
    """A job for one host that expires in an hour."""
    fields: dict[str, Any] = {
        "scan_id": "scan-1",
        "zone": "default",
        "plan_digest": hashlib.sha256(PLAN).hexdigest(),
        "expires_at": datetime.now(UTC) + timedelta(hours=1),
        "limits": limits or Limits(connect_timeout_s=5),
        **changes,
    }
    return ScanJob(host=host, **fields)
