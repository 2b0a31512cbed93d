"""Template tags of the console: host text, severities, times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django import template
from django.contrib.admin import site
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince

from sandfly_web.console.visible import pieces
from sandfly_web.findings.thing import thing
from sandfly_web.rules.models import Severity

if TYPE_CHECKING:
    from django.db.models.options import Options
    from django.utils.safestring import SafeString

    from sandfly_web.findings.models import Finding

register = template.Library()

TONES = {
    "critical": "critical",
    "high": "high",
    "medium": "medium",
    "low": "low",
    "informational": "info",
    "open": "high",
    "acknowledged": "accent",
    "closed": "quiet",
    "false_positive": "quiet",
    "allowed": "quiet",
    "new": "quiet",
    "active": "good",
    "offline": "high",
    "auth_failed": "high",
    "key_changed": "critical",
    "unsupported": "medium",
    "queued": "quiet",
    "running": "accent",
    "done": "good",
    "failed": "critical",
    "cancelled": "quiet",
    "expired": "medium",
    "alert": "high",
    "error": "critical",
    "skipped": "quiet",
    "appeared": "good",
    "gone": "high",
    "changed": "medium",
    "pinned": "good",
    "rejected": "critical",
}


@register.filter
def visible(text: Any, mode: str = "") -> SafeString:
    """Escaped for HTML; hidden characters as marked escapes. `visible:"lines"` keeps line ends."""
    return format_html_join(
        "",
        "{}",
        (
            (format_html('<span class="sf-esc" title="not shown: hidden character">{}</span>', piece.text),)
            if piece.is_escape
            else (piece.text,)
            for piece in pieces(str(text), keep_lines=mode == "lines")
        ),
    )


@register.simple_tag
def badge(value: str, text: str = "") -> SafeString:
    """A coloured label for a severity or a state."""
    return format_html(
        '<span class="sf-badge sf-{}">{}</span>',
        TONES.get(value, "quiet"),
        text.replace("_", " ") or value.replace("_", " "),
    )


@register.filter
def ago(moment: datetime | None) -> SafeString:
    """How long ago, with the absolute time on hover and for screen readers."""
    if moment is None:
        return format_html('<span class="sf-quiet-text">{}</span>', "never")
    now = timezone.now()
    far = timesince(moment, now).split(",")[0] if moment <= now else timesince(now, moment).split(",")[0]
    words = f"{far} ago" if moment <= now else f"in {far}"
    if far.startswith("0\N{NO-BREAK SPACE}"):
        words = "just now" if moment <= now else "at once"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), utc_text(moment), words)


# What of a moment is written: how in UTC, which console.js looks for and writes in the browser's time zone.
FORMS = {"full": "%Y-%m-%d %H:%M:%S UTC", "minute": "%Y-%m-%d %H:%M UTC", "clock": "%H:%M:%S"}


@register.filter
def utc(moment: datetime | None, form: str = "full") -> SafeString | str:
    """The moment in UTC, or in the time zone of whoever chose that; "" for none."""
    if moment is None:
        return ""
    return format_html(
        '<time datetime="{}" data-sf-form="{}" title="{}">{}</time>',
        moment.isoformat(), form, utc_text(moment), utc_text(moment, form),
    )  # fmt: skip


@register.filter
def utc_text(moment: datetime | None, form: str = "full") -> str:
    """The same as text alone, for what holds no elements."""
    return moment.astimezone(UTC).strftime(FORMS[form]) if moment else ""


@register.filter
def readonly_value(field: Any) -> Any:
    """What a form shows of a field that nobody changes there; a moment as such."""
    value = getattr(field.form.instance, str(field.field["field"]), None)
    return utc(value) if isinstance(value, datetime) else field.contents()


@register.filter
def duration(seconds: Any) -> str:
    """`93784` is 1 d 2 h."""
    if not isinstance(seconds, int | float):
        return ""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    left, parts = int(seconds), []
    for size, unit in units:
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2])


@register.filter
def about(finding: Finding) -> str:
    """What the finding is about, in one line without hidden characters."""
    return thing(finding.subject, finding.identity)


@register.filter
def words(name: str) -> str:
    """`kernel_module` is kernel module."""
    return name.replace("_", " ")


@register.filter
def list_url(opts: Options[Any]) -> str:
    """Address of the list of a model's things; "" when the console has none."""
    try:
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    except NoReverseMatch:
        return ""


@register.filter
def list_heading(opts: Options[Any]) -> str:
    """What the list of a model's things is called."""
    page = site._registry.get(opts.model)
    return str(getattr(page, "heading", "") or opts.verbose_name_plural)


@register.filter
def technique(tag: str) -> SafeString:
    """A Sigma tag as a badge; ATT&CK ones are written as ATT&CK does. Nothing is loaded from outside."""
    name = tag.removeprefix("attack.")
    if name == tag:
        return format_html('<span class="sf-tag">{}</span>', visible(tag))
    is_id = name[:1] in "tgs" and name[1:2].isdigit()
    words = name.upper() if is_id else name.replace("_", " ").replace("-", " ")
    return format_html('<span class="sf-tag sf-attack" title="{}">{}</span>', f"MITRE ATT&CK: {words}", visible(words))


@register.simple_tag
def report_value(value: Any) -> SafeString | str:
    """A value of a report: severities as badges, moments as such, host text without hidden characters."""
    if isinstance(value, datetime):
        return utc(value)
    if value in Severity.values:
        return badge(value)
    return "\N{EN DASH}" if value in {None, ""} else visible(f"{value:.2f}" if isinstance(value, float) else str(value))


@register.filter
def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@register.filter
def report_count(value: Any) -> int:
    """A number of rows, told or counted."""
    return value if isinstance(value, int) else len(value)
