"""What a person reads: findings by host, worst first, and one line that says how it went.

Rules of this page: results go to standard output, progress and hints to standard error; a finding is one sentence, then
the facts it rests on; control characters from a host are shown as escapes, never sent to the terminal.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sandfly_web.rules.fields import registry
from sandfly_web.rules.told import read_subject
from sandfly_web.scans.oneshot.results import LEVELS, HostResult, Summary

STYLES = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "informational": "dim",
}
MAX_VALUE = 300
MAX_EPOCH_S = 253402300799  # the last second of year 9999, where datetime ends
# Said in the sentence or the heading already.


def visible(value: object) -> str:
    """Text with control, bidirectional and other unprintable characters as escapes, cut at MAX_VALUE."""
    text = value if isinstance(value, str) else str(value)
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown if len(shown) <= MAX_VALUE else shown[: MAX_VALUE - 1] + "…"


def unit_of(kind: str, name: str) -> str:
    """The unit of a fact as the probe's reference has it, "" for what it does not know."""
    subject = registry().get(kind)
    field = subject.fields.get(name) if subject else None
    return field.unit if field else ""


def format_value(value: Any, unit: str = "") -> str:
    if isinstance(value, list):
        return visible(", ".join(str(item) for item in value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if unit == "epoch seconds" and isinstance(value, int) and 0 < value <= MAX_EPOCH_S:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return visible(value)


def evidence_table(subject: dict[str, Any]) -> Table:
    """Facts that are there; what is absent or empty says nothing to a reader."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    kind, record = read_subject(subject)
    for name in sorted(record):
        value = record[name]
        if value not in (None, "", []):
            table.add_row(visible(name), Text(format_value(value, unit_of(kind, name))))
    return table


def finding_block(finding: dict[str, Any]) -> RenderableType:
    rule = finding["rule"]
    heading = Text.assemble(
        (f" {rule['level'].upper()} ", STYLES[rule["level"]]),
        " ",
        (visible(rule["title"]), "bold"),
        ("  " + rule["name"], "dim"),
    )
    sentence = Text(visible(finding["explanation"]))
    return Group(heading, Padding(sentence, (0, 0, 0, 2)), Padding(evidence_table(finding["subject"]), (0, 0, 1, 4)))


def host_line(result: HostResult) -> Text:
    profile = result.host["profile"] or {}
    parts = [profile.get("os_name"), profile.get("kernel"), profile.get("arch")]
    known = " · ".join(visible(part) for part in parts if part)
    return Text.assemble((result.label, "bold underline"), ("  " + known, "dim"))


def cost_line(result: HostResult) -> str:
    cost, timings = result.host["cost"], result.host["timings_s"]
    memory_mib = cost.get("probe_max_rss_bytes", 0) / (1 << 20)
    counts = ", ".join(f"{number} {state}" for state, number in count_rules(result).items() if number)
    return (
        f"{counts or 'no rule ran'} · visit {timings.get('total', 0):.1f} s, "
        f"on the host {cost.get('probe_cpu_s', 0):.2f} s of CPU and {memory_mib:.0f} MiB at most"
    )


def count_rules(result: HostResult) -> dict[str, int]:
    counts = {"alert": 0, "pass": 0, "skipped": 0, "error": 0}
    for rule in result.rules:
        counts[rule["status"]] += 1
    return counts


def gaps_line(result: HostResult) -> str:
    """What could not be looked at; a reader must not take it for nothing there."""
    reasons: dict[str, int] = {}
    for rule in result.rules:
        # A rule for other systems leaves nothing undecided.
        if rule["status"] in {"skipped", "error"} and rule["reason"] != "os":
            reasons[rule["reason"] or rule["status"]] = reasons.get(rule["reason"] or rule["status"], 0) + 1
    if not reasons:
        return ""
    hint = " - sign in as root, or with sudo: --become, --ask-become-password" if "needs_root" in reasons else ""
    counts = (f"{number} rule{'s'[: number != 1]} ({visible(reason)})" for reason, number in reasons.items())
    return f"could not decide {', '.join(counts)}{hint}"


class TableOutput:
    """Writes each host as it is done."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def add(self, result: HostResult) -> None:
        self.console.print(host_line(result))
        for finding in result.findings:
            self.console.print(Padding(finding_block(finding), (0, 0, 0, 2)))
        for error in result.errors:
            self.console.print(Text(f"  {error['code']}: {visible(error['message'])}", style="red"))
        if result.is_scanned:
            self.print_scanned(result)
        self.console.print()

    def print_scanned(self, result: HostResult) -> None:
        if not result.findings:
            self.console.print(Text("  nothing found", style="green"))
        if result.records:
            self.console.print(Text(f"  {len(result.records)} records (shown by --format jsonl)", style="dim"))
        if gaps := gaps_line(result):
            self.console.print(Text("  " + gaps, style="yellow"))
        self.console.print(Text("  " + cost_line(result), style="dim"))

    def finish(self, summary: Summary) -> None:
        found = ", ".join(f"{summary.levels[level]} {level}" for level in reversed(LEVELS) if summary.levels[level])
        hosts = f"{summary.hosts} host{'s' if summary.hosts != 1 else ''}"
        failed = f", {summary.failed} could not be scanned" if summary.failed else ""
        self.console.print(Text(f"{hosts}{failed} · findings: {found or 'none'}", style="bold"))
