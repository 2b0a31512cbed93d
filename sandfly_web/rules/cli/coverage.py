"""`./manage.py rules coverage`: techniques of ATT&CK that are proven, tested or missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandfly_web.rules import coverage
from sandfly_web.rules.coverage import Row, State
from sandfly_web.rules.shipped import load_shipped

_STYLES = {State.PROVEN: "green", State.TESTED: "yellow", State.MISSING: "dim"}
FORMATS = ("table", "json", "navigator")


def run(console: Console, options: dict[str, Any]) -> None:
    proven = coverage.read_proven()
    rules = load_shipped()
    rows = coverage.build_rows(rules, proven)
    stale = sorted(set(proven) - {rule.name for rule in rules})
    target = options["output"]
    if target is None:
        _write(console, console.file, rows, options["format"])
    else:
        with target.open("w", encoding="utf-8") as stream:
            _write(Console(file=stream, width=console.width), stream, rows, options["format"])
        console.print(f"wrote {target}: {_sentence(rows)}", soft_wrap=True)
    if stale and options["format"] == "table":
        console.print(f"proven.json names rules that are not here: {', '.join(stale)}", soft_wrap=True)


def _write(console: Console, stream: IO[str], rows: Sequence[Row], form: str) -> None:
    if form == "table":
        _print_table(console, rows)
        return
    document = coverage.as_object(rows) if form == "json" else coverage.as_navigator_layer(rows)
    stream.write(json.dumps(document, indent=1, sort_keys=form == "json") + "\n")


def _print_table(console: Console, rows: Sequence[Row]) -> None:
    for tactic, found in coverage.by_tactic(rows):
        table = Table(box=None, pad_edge=False, header_style="bold", title=Text(tactic), title_justify="left")
        for heading in ("technique", "name", "state", "rules", "proven by"):
            table.add_column(heading, overflow="fold")
        for row in found:
            table.add_row(
                row.id,
                row.name,
                Text(_state(row), _STYLES[row.state]),
                str(len(row.rules) or ""),
                str(len(row.behaviours) or ""),
            )
        console.print(table)
        console.print()
    console.print(_sentence(rows), soft_wrap=True)


def _state(row: Row) -> str:
    """What is found of sub-techniques stands beside a technique without rules of its own."""
    if row.state is State.MISSING and row.below is not State.MISSING:
        return f"missing (below: {row.below})"
    return str(row.state)


def _sentence(rows: Sequence[Row]) -> str:
    parts = [
        f"{platform}: {counts[State.PROVEN]} proven, {counts[State.TESTED]} tested, {counts[State.MISSING]} missing of "
        f"{counts['total']} techniques"
        for platform, counts in sorted(coverage.summarise(rows).items(), reverse=True)
    ]
    return f"ATT&CK {coverage.ATTACK_VERSION}, {'; '.join(parts)}"
