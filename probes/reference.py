"""The field reference: `fields.json` and the tables of `README.md`, both written from what the probe itself says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from probes.build import SOURCE, Build, BuildError, ensure, host_arch

FIELDS: Path = SOURCE / "fields.json"
README: Path = SOURCE / "README.md"
HEADING = "## Subjects and fields\n"
PARENT = "parent."
DESCRIBE_TIMEOUT_S = 60


def describe(probe: Build | None = None) -> str:
    """What `probe --describe` prints; the probe of this machine is built when needed. Raises BuildError."""
    probe = probe or ensure(host_arch())
    try:
        done = subprocess.run([probe.path, "--describe"], capture_output=True, timeout=DESCRIBE_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"The probe does not describe itself: {error}.") from error
    return done.stdout.decode()


def render_tables(description: str) -> str:
    """The Markdown below the heading for what `--describe` printed."""
    sections = [_section(subject) for subject in json.loads(description)["subjects"]]
    return "\n".join(["", *sections])


def _section(subject: dict[str, Any]) -> str:
    lines = [
        f"### {subject['name']}",
        f"{subject['doc'][:1].upper()}{subject['doc'][1:].rstrip('.')}.",
        "",
        f"Identity: {_names(subject['identity'])}. Sent with every match: {_names(subject['evidence'])}.",
        "",
        "| field | type | cost | meaning | source |",
        "|---|---|---|---|---|",
    ]
    names = {field["name"] for field in subject["fields"]}
    of_parent = {name for name in names if name.startswith(PARENT) and name.removeprefix(PARENT) in names}
    lines += [_row(field) for field in subject["fields"] if field["name"] not in of_parent]
    if of_parent:
        lines.append(
            f"| `{PARENT}`… | as there | at least cheap | of the parent: each of the {len(of_parent)} fields that do "
            "not begin with `ancestors.`; absent when it has none any more | the parent's record |"
        )
    return "\n".join(lines) + "\n"


def _row(field: dict[str, str]) -> str:
    kind = f"{field['type']}, {field['unit']}" if field.get("unit") else field["type"]
    cells = [f"`{field['name']}`", kind, field["cost"], field["doc"], field["source"]]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "the identity only"


def with_tables(readme: str, description: str) -> str:
    """The README with its tables written anew. Raises BuildError when the heading is missing."""
    before, heading, _ = readme.partition(HEADING)
    if not heading:
        raise BuildError(f"README.md has lost its heading {HEADING.strip()!r}.")
    return before + heading + render_tables(description)


def write_reference() -> list[str]:
    """Writes both files."""
    description = describe()
    FIELDS.write_text(description, encoding="utf-8")
    README.write_text(with_tables(_read(README), description), encoding="utf-8")
    return []


def check_reference() -> list[str]:
    """What is not current, as sentences."""
    description = describe()
    current = {FIELDS: description, README: with_tables(_read(README), description)}
    hint = "run `python -m probes.build reference`"
    return [f"{path.name} is not what the probe says: {hint}." for path, text in current.items() if _read(path) != text]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
