"""Console pages of lists of indicators: the lists, one list, and importing with a look at what is in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.shortcuts import redirect
from django.urls import path, reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from sandfly_web.accounts.actor import actor
from sandfly_web.console.site import ConsoleAdmin, StatementFilter
from sandfly_web.console.templatetags.sandfly import ago, badge, visible
from sandfly_web.console.visible import visible as visible_text
from sandfly_web.rules.indicators import services
from sandfly_web.rules.indicators.forms import KINDS, FileForm, ListForm, NewListForm
from sandfly_web.rules.indicators.kinds import Kind
from sandfly_web.rules.indicators.models import IndicatorList

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern
    from django.utils.safestring import SafeString

CHANGE = "indicators.change_indicatorlist"
LISTED = 50
LISTED_FAULTS = 200


def switch(is_enabled: bool) -> Any:  # noqa: FBT001 - what the two commands differ in
    def run(thing: IndicatorList, _request: HttpRequest) -> str:
        thing.is_enabled = is_enabled
        services.save_list(thing)
        return f"List {'enabled' if is_enabled else 'disabled'}; scans that start from now on follow."

    return run


WORDS = {
    Kind.IP: ("address or network", "addresses and networks"),
    Kind.DOMAIN: ("domain", "domains"),
    Kind.PATH: ("path", "paths"),
    Kind.FILENAME: ("file name", "file names"),
    Kind.KEY_FINGERPRINT: ("key", "keys"),
}


def counted(counts: dict[str, int]) -> str:
    """`1 domain, 1,000 SHA-256`."""
    return ", ".join(f"{count:,} {word(Kind(kind), count)}" for kind, count in sorted(counts.items()))


def word(kind: Kind, count: int) -> str:
    one, many = WORDS.get(kind, (KINDS[kind], KINDS[kind]))
    return one if count == 1 else many


@admin.register(IndicatorList)
class IndicatorListAdmin(ConsoleAdmin):
    page_template = "console/pages/indicator_list.html"
    heading = "Indicators"
    empty_title = "No lists of indicators"
    empty_text = (
        "Hashes, addresses, domains, paths and keys that are known to be bad; rules look for them on every visit."
    )
    form = ListForm
    list_display = ["shown_name", "severity", "state", "entries", "not_used", "shown_origin", "imported"]
    list_display_links = ["shown_name"]
    list_filter = [("level", ChoicesDropdownFilter), ("is_enabled", StatementFilter)]
    search_fields = ["name", "origin"]
    ordering = ["name"]
    list_fullwidth = True
    commands = {"enable": (CHANGE, switch(True)), "disable": (CHANGE, switch(False))}

    @display(description="List", ordering="name")
    def shown_name(self, row: IndicatorList) -> SafeString:
        return visible(row.name)

    @display(description="Severity", ordering="level")
    def severity(self, row: IndicatorList) -> SafeString:
        return badge(row.level)

    @display(description="State")
    def state(self, row: IndicatorList) -> SafeString | str:
        if not row.is_enabled:
            return badge("closed", "Disabled")
        return "Active" if row.is_current else badge("closed", "Expired")

    @display(description="Entries")
    def entries(self, row: IndicatorList) -> str:
        return counted(row.counts)

    @display(description="Lines not used", ordering="fault_count")
    def not_used(self, row: IndicatorList) -> int:
        return row.fault_count

    @display(description="From")
    def shown_origin(self, row: IndicatorList) -> SafeString:
        return visible(row.origin)

    @display(description="Imported", ordering="imported_at")
    def imported(self, row: IndicatorList) -> SafeString:
        return ago(row.imported_at)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.import_view)
        own = [path("<path:object_id>/import/", view, name="indicators_indicatorlist_import")]
        return own + list(super().get_urls())

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        if obj is None:
            kwargs["form"] = NewListForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, _request: HttpRequest, obj: IndicatorList | None = None) -> list[Any]:
        about = {"fields": ["name", "level", "origin", "expires_at"] + (["is_enabled"] if obj else [])}
        if obj:
            return [(None, about)]
        return [(None, {"fields": ["file", "file_format", "column", "kind"]}), ("About the list", about)]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST" and self.has_add_permission(request):
            form = self.get_form(request)(request.POST, request.FILES)
            if form.is_valid():
                return self.answer(request, form, form.instance)
        return super().add_view(request, form_url, extra_context)

    def import_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Other entries for a list that is there."""
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        row = self.require(request, object_id)
        form = FileForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            return self.answer(request, form, row)
        title = f"Replace the entries of {row.name}"
        return self.render_page(request, "console/pages/indicator_import.html", title, {"thing": row, "form": form})

    def answer(self, request: HttpRequest, form: FileForm, row: IndicatorList) -> HttpResponse:
        """Lines that cannot be used are shown before anything is kept, unless that was agreed to already."""
        if form.preview.fault_count and "_anyway" not in request.POST:
            context = {
                "form": form,
                "thing": row,
                "preview": form.preview,
                "counted": counted(form.preview.counts),
                "faults": form.preview.faults[:LISTED_FAULTS],
                "more": max(0, form.preview.fault_count - LISTED_FAULTS),
                "is_new": row.pk is None,
            }
            return self.render_page(request, "console/pages/indicator_preview.html", "What is in the file", context)
        try:
            services.import_list(row, form.source(), imported_by=actor(request))
        except ValidationError as error:
            messages.error(request, visible_text(" ".join(error.messages)))
            return redirect(request.path)
        messages.success(request, f"{visible_text(row.name)} now has {counted(row.counts)}.")
        return redirect(reverse("admin:indicators_indicatorlist_change", args=[row.pk]))

    def save_model(self, _request: HttpRequest, obj: IndicatorList, _form: Any, _change: bool) -> None:  # noqa: FBT001
        services.save_list(obj)

    def page_context(self, request: HttpRequest, thing: IndicatorList) -> dict[str, Any]:
        return {
            "thing": thing,
            "counts": [(word(Kind(kind), count), count) for kind, count in sorted(thing.counts.items())],
            "entries": thing.indicators.order_by("pk")[:LISTED],
            "faults": [
                {"place": fault[0], "reason": fault[1], "text": fault[2]} for fault in thing.faults[:LISTED_FAULTS]
            ],
            "can_change": request.user.has_perm(CHANGE),
            "can_delete": request.user.has_perm("indicators.delete_indicatorlist"),
        }
