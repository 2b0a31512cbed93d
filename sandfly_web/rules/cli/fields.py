"""`./manage.py rules fields [SUBJECT]`: what rules can look at."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from sandfly_web.rules.faults import did_you_mean
from sandfly_web.rules.fields import registry
from sandfly_web.rules.select import UnknownRuleError


def run(console: Console, options: dict[str, Any]) -> None:
    name = options["subject"]
    if not name:
        _subjects(console)
        return
    subject = registry().get(name)
    if subject is None:
        raise UnknownRuleError(f'no subject "{name}"{did_you_mean(name, registry())}; `rules fields` lists all')
    console.print(f"{subject.doc} Identity: {', '.join(subject.identity)}.", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("field", "type", "cost", "meaning"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "meaning")
    for field in subject.fields.values():
        table.add_row(field.name, f"{field.type} ({field.unit})" if field.unit else field.type, field.cost, field.doc)
    console.print(table)


def _subjects(console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("subject", "fields", "meaning"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "meaning")
    for subject in registry().values():
        table.add_row(subject.name, str(len(subject.fields)), subject.doc)
    console.print(table)
