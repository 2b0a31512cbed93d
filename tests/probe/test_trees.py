"""The whole report of the probe for small committed trees, compared field by field with what it was before.

UPDATE_GOLDEN=1 writes the golden reports anew. A golden report names the fields that there were when it was written: a
field that came later does not fail it and is compared from the next renewal on.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from probes.build import Build
from probes.reference import FIELDS
from scanners import contract
from tests.probe.trees import FIXTURES, Tree, make_tree

NAMES = ("debian", "rhel", "alpine", "el6")
SUBJECTS: dict[str, dict[str, str]] = {
    subject["name"]: {field["name"]: field.get("unit", "") for field in subject["fields"]}
    for subject in json.loads(FIELDS.read_text())["subjects"]
}
WALKED = ["/etc/passwd", "/etc/shadow", "/tmp", "/usr/bin", "/home", "/var/www"]
# What depends on the file system below the tests, on when they run, and on who else uses the machine.
VOLATILE = re.compile(
    r"(parent\.)?((.+_)?age_s|password_words_(tried|left)|atime|btime|(.+_)?ctime|inode|device|device_number|immutable|append_only|(file|exe)_(immutable|ctime)|links|clock|elapsed_time"
    r"|mount_point|mount_type|changed_after_install|size_stat|is_open|open_by|entropy)"
)


def plan() -> contract.Plan:
    """Every field of every subject, from the places of each but for files, which are many."""
    scope = contract.Scope(paths=WALKED)
    return contract.Plan(
        limits=contract.PlanLimits(cpu_percent=100, deadline_s=60),
        rules=[
            contract.PlanRule(
                id=name, subject=name, fields=list(fields), scope=scope if name in ("file", "directory") else None
            )
            for name, fields in SUBJECTS.items()
        ],
    )


def scan(probe: Build, root: Path) -> list[dict[str, Any]]:
    """The report's lines, each strictly valid by the wire contract and by JSON without duplicate names."""
    done = subprocess.run(
        [probe.path, "--keep", "--root", root],
        input=contract.encode(plan()),
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith(b"SANDFLY-AT ")]
    assert (done.returncode, said) == (0, [b"SANDFLY-READY"])
    assert done.stdout.endswith(b"\n")
    lines = done.stdout.splitlines()
    for line in lines:
        contract.decode_report_line(line)
    return [json.loads(line, object_pairs_hook=_without_duplicates) for line in lines]


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs), f"a name stands twice in {pairs}"
    return dict(pairs)


def settled(lines: list[dict[str, Any]], tree: Tree) -> list[dict[str, Any]]:
    """Records and what could not be looked at, in a fixed order and without what differs from run to run."""
    kept = []
    for line in lines:
        if line["type"] == "match":
            subject = line["subject"]
            record = {
                name: _settle(value, SUBJECTS[subject][name], tree)
                for name, value in (line["identity"] | line["record"]).items()
                if not VOLATILE.fullmatch(name)
                and value is not None
                and not (subject == "directory" and name == "size")
            }
            kept.append({"subject": subject, **record, "unknown": line.get("unknown", {})})
        elif line["type"] == "collector" and line["state"] != "ok":
            kept.append({name: line.get(name) for name in ("subject", "state", "reason", "detail")})
    return sorted(kept, key=lambda item: json.dumps(item, sort_keys=True))


def _settle(value: Any, unit: str, tree: Tree) -> Any:
    if isinstance(value, list):
        return [_settle(item, unit, tree) for item in value]
    if isinstance(value, int) and unit == "epoch seconds" and value - tree.now in tree.offsets:
        return f"now{value - tree.now:+d}"
    if isinstance(value, str):
        value = value.replace(str(tree.root), "")
        for text, place in tree.written.items():
            value = value.replace(text, place)
    return value


def golden_path(name: str) -> Path:
    return FIXTURES / f"{name}.golden.jsonl"


def write_golden(name: str, found: list[dict[str, Any]]) -> None:
    fields = {subject: sorted(names) for subject, names in SUBJECTS.items()}
    lines = [json.dumps({"fields": fields}), *(json.dumps(item, ensure_ascii=False) for item in found)]
    golden_path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.integration
@pytest.mark.parametrize("name", NAMES)
def test_a_tree_gives_the_report_that_it_gave_before(probe: Build, tmp_path: Path, name: str) -> None:
    tree = make_tree(name, tmp_path)

    found = settled(scan(probe, tmp_path), tree)

    if os.environ.get("UPDATE_GOLDEN"):
        write_golden(name, found)
    first, *golden = [json.loads(line) for line in golden_path(name).read_text(encoding="utf-8").splitlines()]
    # Unicode order and dictionary order are not the point; what is in the records is.
    known = {
        subject: {"subject", "unknown", "state", "reason", "detail", *names}
        for subject, names in first["fields"].items()
    }
    found = [
        {key: value for key, value in item.items() if key in known[item["subject"]]}
        for item in found
        if item["subject"] in known
    ]
    by_text = lambda item: json.dumps(item, sort_keys=True)  # noqa: E731
    assert sorted(found, key=by_text) == sorted(golden, key=by_text), "look, then renew with UPDATE_GOLDEN=1"


@pytest.mark.integration
def test_what_linux_2_6_32_does_not_tell_is_no_error(probe: Build, tmp_path: Path) -> None:
    make_tree("el6", tmp_path)

    lines = scan(probe, tmp_path)

    assert [line for line in lines if line["type"] == "collector" and line["state"] != "ok"] == []
    assert [line["unknown"] for line in lines if line.get("unknown")] == []
    processes = {
        line["record"]["pid"]: line["record"]
        for line in lines
        if line["type"] == "match" and line["subject"] == "process"
    }
    assert set(processes) == {1, 500}
    assert [name for name in ("login_uid", "seccomp", "no_new_privs", "container_id") if name in processes[500]] == []
    assert processes[500]["listening_ports"] == [22]
