"""What every report is made of, and how it leaves the console. Pure."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils.text import slugify

from sandfly_web.console.templatetags.sandfly import utc_text
from sandfly_web.findings.timeline.exports import cell

if TYPE_CHECKING:
    from collections.abc import Sequence

Value = str | int | float | bool | datetime | None
FORMATS = {"html": "HTML", "csv": "CSV", "json": "JSON"}
TYPES = {"html": "text/html; charset=utf-8", "csv": "text/csv; charset=utf-8", "json": "application/json"}


@dataclass(frozen=True)
class Table:
    """Rows under `columns`; `total` where there are more than are listed."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]
    empty: str = "None."
    total: int | None = None

    @property
    def left_out(self) -> int:
        return max(0, (self.total or 0) - len(self.rows))


@dataclass(frozen=True)
class Report:
    """A title, facts in one line each, and tables."""

    title: str
    made_at: datetime
    facts: Sequence[tuple[str, Value]]
    tables: Sequence[Table]

    def as_json(self) -> bytes:
        body = {
            "title": self.title,
            "made_at": self.made_at.isoformat(),
            "facts": {name: plain(value) for name, value in self.facts},
            "tables": {
                table.name: {
                    "title": table.title,
                    "left_out": table.left_out,
                    "rows": [dict(zip(table.columns, map(plain, row), strict=True)) for row in table.rows],
                }
                for table in self.tables
            },
        }
        return json.dumps(body, ensure_ascii=False, indent=1).encode()

    def as_csv(self) -> bytes:
        """One table after another, each row with its table's name first; what a spreadsheet would run is marked."""
        buffer = io.StringIO()
        write = csv.writer(buffer)
        facts = Table("facts", "", ("Fact", "Value"), self.facts)
        for table in (facts, *self.tables):
            write.writerow(["table", *table.columns])
            write.writerows([table.name, *(cell(words(value)) for value in row)] for row in table.rows)
        return buffer.getvalue().encode("utf-8", "backslashreplace")

    def as_html(self) -> bytes:
        """A page that stands alone: no script, nothing loaded from anywhere."""
        return render_to_string("console/reports/alone.html", {"report": self}).encode("utf-8", "backslashreplace")


def plain(value: Value) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def words(value: Value) -> str:
    """A value as people read it; "" for what is not known."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return utc_text(value)
        case float():
            return f"{value:.2f}"
        case _:
            return str(value)


def download(report: Report, kind: str) -> HttpResponse:
    """The report as a file of one of FORMATS."""
    made = {"html": report.as_html, "csv": report.as_csv, "json": report.as_json}[kind]()
    name = f"sandfly-{slugify(report.title)[:80] or 'report'}-{report.made_at:%Y%m%d-%H%M}.{kind}"
    return HttpResponse(
        made, content_type=TYPES[kind], headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
