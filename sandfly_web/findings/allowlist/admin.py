"""Console pages of allow-list entries: the list, an entry, and making one with a look at what it would hide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import display

from sandfly_web.accounts.actor import actor
from sandfly_web.console.site import ConsoleAdmin
from sandfly_web.console.templatetags.sandfly import ago, badge, visible
from sandfly_web.findings.allowlist import services
from sandfly_web.findings.allowlist.drafts import Draft, draft_detection
from sandfly_web.findings.allowlist.forms import AllowlistForm
from sandfly_web.findings.allowlist.matching import carried_fields
from sandfly_web.findings.models import AllowlistEntry, Finding
from sandfly_web.findings.thing import thing as thing_of

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.utils.safestring import SafeString

LISTED = 50
# Fields of the browser and of this page, not of the entry.
OWN_KEYS = frozenset({"csrfmiddlewaretoken", "_confirmed"})


def end(thing: AllowlistEntry, request: HttpRequest) -> str:
    count = services.end(thing, actor(request))
    return f"The entry has ended; {count} finding{'s are' if count != 1 else ' is'} open again."


class ActiveFilter(DropdownFilter):
    """Active unless another is chosen: what has ended is history."""

    title = "state"
    parameter_name = "state"
    all_option = None

    def lookups(self, _request: HttpRequest, _model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("active", "Active"), ("ended", "Ended"), ("all", "All")]

    def value(self) -> str:
        return super().value() or "active"

    def queryset(self, _request: HttpRequest, queryset: QuerySet[AllowlistEntry]) -> QuerySet[AllowlistEntry]:
        if self.value() == "all":
            return queryset
        return queryset.filter(ended_at__isnull=self.value() == "active")


@admin.register(AllowlistEntry)
class AllowlistAdmin(ConsoleAdmin):
    page_template = "console/pages/allowlist_entry.html"
    form = AllowlistForm
    heading = "Allow-list"
    change_form_before_template = "console/parts/allowlist_hint.html"
    list_display = ["shown_title", "about_what", "where", "hides", "owner", "expires"]
    list_display_links = ["shown_title"]
    list_select_related = ["rule", "owner"]
    list_filter = [ActiveFilter, ("rule", AutocompleteSelectFilter)]
    search_fields = ["title", "reason", "rule__name"]
    ordering = ["-created_at", "id"]
    list_fullwidth = True
    autocomplete_fields = ["rule", "hosts", "tags"]
    commands = {"end": ("findings.change_allowlistentry", end)}

    @display(description="Allowed")
    def shown_title(self, entry: AllowlistEntry) -> SafeString:
        return visible(entry.title)

    @display(description="Findings of")
    def about_what(self, entry: AllowlistEntry) -> str:
        return entry.rule.name if entry.rule else f"every rule about {entry.subject.replace('_', ' ')}"

    @display(description="Where")
    def where(self, entry: AllowlistEntry) -> SafeString:
        return visible(scope_words(entry))

    @display(description="Hides", ordering="hidden_count")
    def hides(self, entry: Any) -> int:
        return int(entry.hidden_count)

    @display(description="Ends")
    def expires(self, entry: AllowlistEntry) -> SafeString | str:
        if entry.ended_at is not None:
            return badge("closed", "Ended")
        return ago(entry.expires_at) if entry.expires_at else "when somebody ends it"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AllowlistEntry]:
        queryset: QuerySet[AllowlistEntry] = super().get_queryset(request)
        return queryset.annotate(hidden_count=Count("findings")).prefetch_related("hosts", "tags")

    def has_change_permission(self, request: HttpRequest, obj: AllowlistEntry | None = None) -> bool:
        """Entries are never changed; the right is that to end them."""
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, _request: HttpRequest, _obj: AllowlistEntry | None = None) -> bool:
        return False

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """From the finding that `?finding=` names, as strict as `?draft=` says."""
        finding = find(request)
        if finding is None or finding.rule is None:
            return super().get_changeform_initial_data(request)
        draft = request.GET.get("draft", "")
        carried = carried_fields(finding.subject, finding.rule.plan_rule)
        draft = draft if draft in Draft.values else Draft.EXACT
        return {
            "title": f"{finding.title}: {thing_of(finding.subject, finding.identity)}"[:255],
            "rule": finding.rule.pk,
            "detection": draft_detection(draft, finding.subject, finding.identity, finding.evidence, carried),
            "hosts": [finding.host_id],
        }

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A filled-in form is first answered with what it would hide; only then it is kept."""
        if request.method == "POST" and self.has_add_permission(request):
            form = self.get_form(request)(request.POST)
            if form.is_valid():
                return self.keep(request, form) if "_confirmed" in request.POST else self.show_effect(request, form)
        return super().add_view(request, form_url, extra_context)

    def keep(self, request: HttpRequest, form: AllowlistForm) -> HttpResponse:
        entry = services.create(form.proposal(), actor(request))
        count = entry.findings.count()
        self.tell(request, lambda: f"The entry hides {count} finding{'s' if count != 1 else ''} from now on.")
        return redirect(reverse("admin:findings_allowlistentry_change", args=[entry.pk]))

    def show_effect(self, request: HttpRequest, form: AllowlistForm) -> HttpResponse:
        found = services.preview(form.proposal())
        shown = Finding.objects.filter(pk__in=found.hidden[:LISTED]).select_related("host")
        context = {
            "found": found,
            "proposal": form.proposal(),
            "scope": dict(AllowlistEntry.Scope.choices)[form.proposal().scope],
            "findings": shown.order_by("-level_rank", "-last_seen_at", "id"),
            "more": max(0, len(found.hidden) - LISTED),
            "posted": [(key, value) for key, values in request.POST.lists() if key not in OWN_KEYS for value in values],
        }
        return self.render_page(request, "console/pages/allowlist_preview.html", "What this entry would hide", context)

    def page_context(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        now = timezone.now()
        hidden = thing.findings.select_related("host").order_by("-level_rank", "-last_seen_at", "id")
        return {
            "thing": thing,
            "scope": scope_words(thing),
            "is_active": thing.ended_at is None and (thing.expires_at is None or thing.expires_at > now),
            "findings": hidden[:LISTED] if request.user.has_perm("findings.view_finding") else [],
            "can_end": thing.ended_at is None and request.user.has_perm("findings.change_allowlistentry"),
        }


def find(request: HttpRequest) -> Finding | None:
    """The finding that the address names, if it is there."""
    try:
        return Finding.objects.select_related("rule").filter(pk=request.GET.get("finding", "")).first()
    except ValidationError:
        return None


def scope_words(entry: AllowlistEntry) -> str:
    """`web1, web2`, `hosts tagged web`, `all hosts`."""
    if entry.scope == AllowlistEntry.Scope.ALL:
        return "all hosts"
    if entry.scope == AllowlistEntry.Scope.HOSTS:
        names = [host.name for host in entry.hosts.all()]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "no host any more"
    return "hosts tagged " + " or ".join(tag.name for tag in entry.tags.all())
