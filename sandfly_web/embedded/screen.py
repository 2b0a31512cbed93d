"""What `manage.py up` shows: lines that fit 80 columns, with colour and a spinner on a terminal, plain elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sandfly_web.embedded.supervisor import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.status import Status

    from sandfly_web.findings.models import Finding

MAX_WIDTH = 100
PLAIN_WIDTH = 80
SHOWN_FINDINGS = 10
LEVEL_STYLES = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "informational": "dim",
}


def make_console() -> Console:
    """Standard output; not a terminal means no colour, no spinner and 80 columns."""
    console = Console(highlight=False)
    console.width = min(console.width, MAX_WIDTH) if console.is_terminal else PLAIN_WIDTH
    return console


@dataclass
class Step:
    """One line of the start; set `detail` to what is worth knowing of it."""

    title: str
    detail: str = ""


@dataclass
class Access:
    """How to sign in; `password` is "" when it was shown before."""

    url: str
    username: str
    password: str


@dataclass
class Screen:
    """Writes lines in order; safe to use while a spinner turns."""

    console: Console = field(default_factory=make_console)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show that something is being done, then how long it took."""
        step = Step(title)
        begun = time.monotonic()
        with self.spinner(title):
            yield step
        took = f"{time.monotonic() - begun:.1f} s"
        if not self.console.is_terminal:
            self.line(f"{title}: {step.detail or 'done'} ({took})")
            return
        self.console.print(Text.assemble(("✓ ", "green"), f"{title:<12}", (f"{step.detail}  ", ""), (took, "dim")))

    @contextmanager
    def spinner(self, text: str) -> Iterator[Status | None]:
        """A turning line below what is printed; nothing where there is no terminal."""
        if not self.console.is_terminal:
            yield None
            return
        with self.console.status(Text(text)) as status:
            yield status

    def line(self, text: str, style: str = "") -> None:
        self.console.print(Text(printable(text), style=style), soft_wrap=not self.console.is_terminal)

    def service(self, name: str, text: str) -> None:
        """A warning of one of the processes."""
        self.line(f"{name:<7}| {text}", "yellow")

    def access(self, access: Access, hint: str) -> None:
        """Where the console is and how to get in."""
        rows = [("Console", access.url, "bold cyan"), ("User", access.username, "bold")]
        if access.password:
            rows.append(("Password", access.password, "bold green"))
        if not self.console.is_terminal:
            for name, value, _ in rows:
                self.line(f"{name + ':':<10}{value}")
            self.line(hint)
            return
        grid = Table.grid(padding=(0, 2))
        for name, value, style in rows:
            grid.add_row(Text(name, "dim"), Text(value, style))
        grid.add_row("", Text(hint, "dim"))
        self.console.print(Panel.fit(grid, title="sandfly", border_style="green", padding=(1, 2)))

    def findings(self, findings: Sequence[Finding]) -> None:
        """How many findings of each level there are, worst first, and the worst of them."""
        if not findings:
            self.line("No findings: no rule matched.", "green")
            return
        self.console.print(level_counts(findings))
        table = Table(box=None, show_header=False, padding=(0, 1), expand=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for finding in findings[:SHOWN_FINDINGS]:
            table.add_row(Text(finding.level, LEVEL_STYLES.get(finding.level, "")), describe(finding))
        self.console.print(table)
        if len(findings) > SHOWN_FINDINGS:
            self.line(f"... and {len(findings) - SHOWN_FINDINGS} more in the console", "dim")


def level_counts(findings: Sequence[Finding]) -> Text:
    """`3 findings: 1 high, 2 low`."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.level] = counts.get(finding.level, 0) + 1
    text = Text(f"{len(findings)} finding{'s' if len(findings) > 1 else ''}: ")
    parts = [Text(f"{count} {level}", LEVEL_STYLES.get(level, "")) for level, count in counts.items()]
    return text.append_text(Text(", ").join(parts))


def describe(finding: Finding) -> Text:
    """Title and, dimmed, the explanation, which quotes the host and is therefore made printable and cut."""
    explanation = printable(finding.explanation)
    if len(explanation) > 160:
        explanation = explanation[:159] + "…"
    return Text.assemble(printable(finding.title), "\n", (explanation, "dim"))
