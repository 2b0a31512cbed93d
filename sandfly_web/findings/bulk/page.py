"""The page that does one step of triage for every finding that the list's filters match."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.core.exceptions import PermissionDenied, ValidationError
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from sandfly_web.accounts.actor import actor
from sandfly_web.console.visible import visible
from sandfly_web.findings.bulk.services import MAX_FINDINGS, RULES, Action, Step, look, triage_all
from sandfly_web.inventory.models import Host
from sandfly_web.rules.models import Rule

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

# Action → what the page calls it, and what was done.
WORDS = {
    Action.ACKNOWLEDGE: ("Acknowledge", "acknowledged"),
    Action.ASSIGN: ("Assign to me", "assigned to you"),
    Action.COMMENT: ("Comment", "commented on"),
    Action.CLOSE: ("Close", "closed"),
    Action.FALSE_POSITIVE: ("Mark as false positive", "marked as false positives"),
    Action.REOPEN: ("Reopen", "reopened"),
    Action.SNOOZE: ("Snooze", "snoozed"),
    Action.UNSNOOZE: ("Wake", "woken"),
}
NAMES = {
    SEARCH_VAR: "words",
    "level": "severity",
    "rule__id__exact": "rule",
    "host__id__exact": "host",
    "tag": "tactic or technique",
}
MODELS = {"rule__id__exact": Rule, "host__id__exact": Host}
LISTED = 10
SNOOZE_CHOICES = [("1", "1 day"), ("7", "7 days"), ("30", "30 days")]


def triage_all_view(page: Any, request: HttpRequest) -> HttpResponse:
    """GET shows what matches, POST does it; `page` is the list of findings, whose filters are in the address."""
    if not page.has_triage_permission(request):
        raise PermissionDenied
    back = reverse("admin:findings_finding_changelist")
    try:
        findings = page.get_changelist_instance(request).get_queryset(request)
    except IncorrectLookupParameters:
        return redirect(back)
    asked = filters_of(request)
    back += f"?{request.GET.urlencode()}" if request.GET else ""
    fault = ""
    if request.method == "POST":
        try:
            messages.success(request, do(request, findings, asked))
        except ValidationError as error:
            fault = visible(" ".join(error.messages))
        else:
            return redirect(back)
    found = look(findings)
    context = {
        "found": found,
        "limit": MAX_FINDINGS,
        "filters": asked,
        "back": back,
        "fault": fault,
        "text": request.POST.get("text", ""),
        "chosen": request.POST.get("action", ""),
        "snooze_choices": SNOOZE_CHOICES,
        "steps": [step_context(action, found.applies(action)) for action in Action],
        "findings": [] if found.is_over else list(findings.select_related("host")[:LISTED]),
        "more": max(0, found.matched - LISTED),
    }
    answer: HttpResponse = page.render_page(request, "console/pages/triage_all.html", "Triage all that match", context)
    return answer


def step_context(action: Action, count: int) -> dict[str, Any]:
    return {"name": action.value, "words": WORDS[action][0], "count": count, "needs_text": RULES[action].needs_text}


def do(request: HttpRequest, findings: Any, asked: dict[str, str]) -> str:
    """Raises ValidationError."""
    name = request.POST.get("action", "")
    if name not in set(Action):
        raise ValidationError("choose what to do")
    action, expect = Action(name), request.POST.get(f"expect-{name}", "")
    user = actor(request)
    assignee = user if action == Action.ASSIGN else None
    step = Step(
        action, request.POST.get("text", ""), assignee, snooze_end(request) if action == Action.SNOOZE else None
    )
    count = triage_all(
        findings, step, user, asked, int(expect) if expect.isascii() and expect.isdigit() and len(expect) < 9 else None
    )
    return f"{count:,} finding{'s' if count != 1 else ''} {WORDS[action][1]}."


def snooze_end(request: HttpRequest) -> datetime:
    """The end that a form with `snooze.html` names: so many days from now, or the beginning of a day.

    Raises ValidationError.
    """
    days, day = request.POST.get("days", ""), request.POST.get("until", "").strip()
    if day:
        try:
            return datetime.combine(date.fromisoformat(day), time.min, UTC)
        except ValueError:
            raise ValidationError("write the day as 2030-01-31") from None
    if days not in dict(SNOOZE_CHOICES):
        raise ValidationError("say until when")
    return timezone.now() + timedelta(days=int(days))


def filters_of(request: HttpRequest) -> dict[str, str]:
    """What the list is filtered by, in words."""
    asked = {"status": "unresolved"}
    for name, values in request.GET.lists():
        if name in {ORDER_VAR, PAGE_VAR} or not any(values):
            continue
        shown = ", ".join(values)
        if name in MODELS:
            shown = named(name, values) or shown
        asked[NAMES.get(name, name)] = shown
    return asked


def named(name: str, values: list[str]) -> str:
    """The rule or host that an id names."""
    try:
        return ", ".join(str(row) for row in MODELS[name]._default_manager.filter(pk__in=values).order_by("name"))
    except (ValidationError, ValueError):
        return ""
