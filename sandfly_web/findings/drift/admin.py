"""Console pages of baselines: the list, making one, and what drifts from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.audit import record_access
from sandfly_web.console.site import ConsoleAdmin
from sandfly_web.console.templatetags.sandfly import badge, visible
from sandfly_web.findings.drift import services
from sandfly_web.findings.models import Baseline
from sandfly_web.findings.thing import thing as thing_of
from sandfly_web.scans.models import Schedule

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

CHANGE = "findings.change_baseline"
STYLES = {"enforced": "done", "paused": "skipped", "draft": "queued"}


class BaselineForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    template = forms.ChoiceField(
        label="Compares",
        choices=[(name, f"{name}: {', '.join(subjects)}") for name, subjects in services.TEMPLATES.items()],
        widget=UnfoldAdminSelectWidget,
        help_text="Other subjects and strictness per subject are chosen through the API.",
        required=False,
    )

    class Meta:
        model = Baseline
        fields = [
            *("name", "description", "model_hosts", "tags", "level"),
            *("ignore_containers", "ignore_allowed", "report_missing", "auto_append"),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            del self.fields["template"]


def gather(baseline: Baseline, request: HttpRequest) -> str:
    return f"{services.gather(baseline, actor(request))} entries were gathered."


def enforce(baseline: Baseline, _request: HttpRequest) -> str:
    services.enforce(baseline)
    return "Enforced: the next scan of each covered host is compared with it."


def pause(baseline: Baseline, _request: HttpRequest) -> str:
    services.pause(baseline)
    return "Paused: no drift is found."


def accept(baseline: Baseline, request: HttpRequest) -> str:
    reason = request.POST.get("text", "")
    count = services.accept(baseline, request.POST.get("key", ""), actor(request), reason)
    return f"Accepted; {count} finding{'s were' if count != 1 else ' was'} closed."


@admin.register(Baseline)
class BaselineAdmin(ConsoleAdmin):
    page_template = "console/pages/baseline.html"
    form = BaselineForm
    heading = "Drift"
    empty_title = "No baselines"
    empty_text = "A baseline is gathered from model hosts; what else the hosts of its tags show is found as drift."
    list_display = ["shown_name", "shown_state", "compares", "entries_now", "version"]
    list_display_links = ["shown_name"]
    list_filter = ["state"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["model_hosts", "tags"]
    list_fullwidth = True
    commands = {
        "gather": (CHANGE, gather),
        "enforce": (CHANGE, enforce),
        "pause": (CHANGE, pause),
        "accept": (CHANGE, accept),
    }

    @display(description="Baseline")
    def shown_name(self, baseline: Baseline) -> SafeString:
        return visible(baseline.name)

    @display(description="State")
    def shown_state(self, baseline: Baseline) -> SafeString:
        return badge(STYLES[baseline.state], baseline.get_state_display())

    @display(description="Compares")
    def compares(self, baseline: Baseline) -> str:
        return ", ".join(name.replace("_", " ") for name in baseline.subjects)

    @display(description="Entries")
    def entries_now(self, baseline: Any) -> int:
        return int(baseline.entry_count)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Baseline]:
        queryset: QuerySet[Baseline] = super().get_queryset(request)
        return queryset.annotate(entry_count=Count("entries", Q(entries__removed_in__isnull=True)))

    def get_fields(self, request: HttpRequest, obj: Baseline | None = None) -> Any:
        """What it compares is chosen when it is made; the form has no such field later."""
        return [name for name in super().get_fields(request, obj) if obj is None or name != "template"]

    def save_model(self, request: HttpRequest, obj: Baseline, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        if not change:
            obj.subjects = services.TEMPLATES[form.cleaned_data.get("template") or "server"]
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Baseline) -> None:
        services.delete(obj, actor(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Baseline]) -> None:
        for baseline in queryset:
            services.delete(baseline, actor(request))

    def page_context(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        record_access(thing)
        rows = services.differences(thing) if request.user.has_perm("findings.view_finding") else []
        return {
            "thing": thing,
            "style": STYLES[thing.state],
            "differences": [row | {"about": thing_of(row["subject"], row["identity"])} for row in rows],
            "subjects": sorted(thing.subjects.items()),
            "model_hosts": list(thing.model_hosts.all()[:20]),
            "tags": list(thing.tags.all()),
            "versions": thing.versions.select_related("actor")[:20],
            "schedules": list(Schedule.objects.filter(is_drift_check=True, is_enabled=True)[:20])
            if request.user.has_perm("scans.view_schedule")
            else [],
            "can_change": request.user.has_perm(CHANGE),
        }
