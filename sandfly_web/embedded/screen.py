"""What `manage.py up` shows: lines that fit 80 columns, with colour and a spinner on a terminal, plain elsewhere."""

from __future__ import annotations

import errno
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
SHOWN_RULES = 10
EXPLANATION_CHARACTERS = 200
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
        try:
            self.line(f"{name:<7}| {text}", "yellow")
        except OSError as error:
            # Output into a file on a full disk: the warning is lost, what it warns of is not made worse.
            if error.errno != errno.ENOSPC:
                raise

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
        """How many findings of each level there are and, rule by rule, the worst first, an example of each."""
        if not findings:
            self.line("No findings: no rule matched.", "green")
            return
        self.console.print(level_counts(findings))
        groups = group_by_rule(findings)
        table = Table(box=None, show_header=False, padding=(0, 1), expand=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for group in groups[:SHOWN_RULES]:
            level = group[0].level
            table.add_row(Text(level, LEVEL_STYLES.get(level, "")), describe(group))
        self.console.print(table)
        if len(groups) > SHOWN_RULES:
            self.line(f"... and those of {len(groups) - SHOWN_RULES} more rules in the console", "dim")


def group_by_rule(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings of the same rule together, in the order in which the rules first come."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.rule_name, []).append(finding)
    return list(groups.values())


def level_counts(findings: Sequence[Finding]) -> Text:
    """`3 findings: 1 high, 2 low`."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.level] = counts.get(finding.level, 0) + 1
    text = Text(f"{len(findings)} finding{'s' if len(findings) > 1 else ''}: ")
    parts = [Text(f"{count} {level}", LEVEL_STYLES.get(level, "")) for level, count in counts.items()]
    return text.append_text(Text(", ").join(parts))


def describe(group: Sequence[Finding]) -> Text:
    """Title, how often, and dimmed the first explanation, which quotes the host: made printable and cut."""
    first = group[0]
    explanation = shorten(printable(first.explanation))
    times = f" ({len(group)} times)" if len(group) > 1 else ""
    return Text.assemble(printable(first.title), times, "\n", (explanation, "dim"))


def shorten(text: str) -> str:
    """At most EXPLANATION_CHARACTERS, cut between words where there is a space."""
    if len(text) <= EXPLANATION_CHARACTERS:
        return text
    cut = text[: EXPLANATION_CHARACTERS - 2]
    return (cut.rpartition(" ")[0] or cut) + " …"
