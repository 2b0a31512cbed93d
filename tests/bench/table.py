"""The one table: a row for each thing that was measured, with its ratio, its budget and whether that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

WIDTH = 110


@dataclass(frozen=True)
class Row:
    """One line; `wire_bytes` is what it printed or sent. Without a budget it is only there to be compared with."""

    what: str
    cpu_s: float | None = None
    wall_s: float | None = None
    memory_bytes: int | None = None
    wire_bytes: int | None = None
    ratio: str = ""
    budget: str = ""
    is_kept: bool | None = None


@dataclass
class Section:
    """Rows about one part of the product, and sentences about what could not be measured."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def at_most(value: float, limit: float, unit: str, budget: str) -> dict[str, object]:
    """Ratio, budget and verdict of a value that should not be above a limit."""
    return {"ratio": f"{value:.2f}{unit}", "budget": budget, "is_kept": value <= limit}


def at_least(value: float, limit: float, unit: str, budget: str) -> dict[str, object]:
    """The same for a value that should not be below it."""
    return {"ratio": f"{value:,.0f}{unit}", "budget": budget, "is_kept": value >= limit}


def print_table(sections: Sequence[Section], console: Console | None = None) -> None:
    """Prints everything, 110 columns wide wherever that goes."""
    console = console or Console(width=WIDTH)
    table = Table(expand=True, pad_edge=False, row_styles=[""])
    table.add_column("measured", ratio=1)
    for name in ("CPU", "wall", "memory", "bytes", "ratio", "budget"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for section in sections:
        table.add_section()
        table.add_row(f"[bold]{section.title}[/]")
        for row in section.rows:
            table.add_row(*_cells(row))
    console.print(table)
    for section in sections:
        for note in section.notes:
            console.print(f"{section.title}: {note}", highlight=False)


def _cells(row: Row) -> tuple[str, ...]:
    verdict = {None: "", True: "[green]ok[/]", False: "[bold red]over[/]"}[row.is_kept]
    return (
        row.what, _seconds(row.cpu_s), _seconds(row.wall_s), _bytes(row.memory_bytes), _bytes(row.wire_bytes),
        row.ratio, row.budget, verdict,
    )  # fmt: skip


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"


def _bytes(value: int | None) -> str:
    if value is None:
        return ""
    if value < 10_000:
        return f"{value} B"
    return f"{value / 1000:.0f} kB" if value < 1_000_000 else f"{value / 1e6:.2f} MB"
