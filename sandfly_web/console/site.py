"""What the admin pages of all areas share: read-only lists, own pages, buttons that call a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import BooleanField, DateTimeField
from django.http import Http404, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.paginator import InfinitePaginator

from sandfly_web.console.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import Field, Model
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern

    Command = Callable[[Any, HttpRequest], str]


class ConsoleAdmin(ModelAdmin):
    """Defaults of every list: no counting of large tables, no link columns that cost queries."""

    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = True
    compressed_fields = True
    warn_unsaved_form = True
    # Buttons of the object page: URL part → the right it needs and what it does. The answer is told to the user.
    commands: ClassVar[dict[str, tuple[str, Command]]] = {}
    # What the list is called, where that is not the plural of the model.
    heading = ""
    # What a list without rows means, and what to do about it.
    empty_title = ""
    empty_text = ""
    # The page that stands in for the change form, if any.
    page_template = ""

    def get_urls(self) -> list[URLPattern]:
        info = f"{self.opts.app_label}_{self.opts.model_name}"
        own = [
            path(
                "<path:object_id>/do/<slug:command>/",
                self.admin_site.admin_view(self.command_view),
                name=f"{info}_command",
            ),
            path("<path:object_id>/edit/", self.admin_site.admin_view(self.edit_view), name=f"{info}_edit"),
        ]
        return own + list(super().get_urls())

    def command_view(self, request: HttpRequest, object_id: str, command: str) -> HttpResponse:
        """POST runs one of `commands` on the object and goes back to its page."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        right, run = self.commands.get(command, ("", None))
        if run is None:
            raise Http404
        if not request.user.has_perm(right):
            raise PermissionDenied
        thing = self.require(request, object_id)
        self.tell(request, lambda: run(thing, request))
        return redirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[object_id]))

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The change form of a thing whose own page is something else; what only services write has none."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        return super().change_view(request, object_id)

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **options: Any) -> Any:
        """Moments are typed in UTC, and say so, whatever they are told in elsewhere. `is_enabled` is called Enabled."""
        if isinstance(db_field, BooleanField):
            options.setdefault("label", capfirst(str(db_field.verbose_name).removeprefix("is ")))
        made = super().formfield_for_dbfield(db_field, request, **options)
        if made is not None and isinstance(db_field, DateTimeField):
            made.help_text = f"{made.help_text} In UTC.".strip()
        return made

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One button saves; the theme's other two lead away from what a form is filled in for."""
        shown = {"show_save_and_continue": False, "show_save_and_add_another": False, "subtitle": None}
        return super().changeform_view(request, object_id, form_url, shown | (extra_context or {}))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """What goes with them by kind and number; rows that only services write need no right of their own.

        Each by its name would be a page of thousands of ids.
        """
        _listed, counts, lacking, protected = super().get_deleted_objects(objs, request)
        served = {
            str(model._meta.verbose_name)
            for model, page in self.admin_site._registry.items()
            if isinstance(page, ReadOnlyAdmin)
        }
        return [], counts, {name for name in map(str, lacking) if name not in served}, protected

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if not self.page_template:
            return super().response_change(request, obj)
        messages.success(request, f"{visible(str(obj))} was changed.")
        return redirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[obj.pk]))

    def tell(self, request: HttpRequest, work: Callable[[], str]) -> None:
        """Run a service call; its sentence, or why it refused, becomes a message."""
        try:
            messages.success(request, work())
        except ValidationError as error:
            messages.error(request, visible(" ".join(error.messages)))

    def require(self, request: HttpRequest, object_id: str) -> Any:
        """The object. Raises Http404."""
        thing = self.get_object(request, object_id)
        if thing is None:
            raise Http404(f"no {self.opts.verbose_name} {object_id}")
        return thing

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.page_template:
            return super().change_view(request, object_id, form_url, extra_context)
        thing = self.require(request, object_id)
        if not self.has_view_permission(request, thing):
            raise PermissionDenied
        return self.render_page(request, self.page_template, self.page_title(thing), self.page_context(request, thing))

    def page_title(self, thing: Any) -> str:
        return str(thing)

    def page_context(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        """What `page_template` needs beside the frame."""
        return {"thing": thing}

    def render_page(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> TemplateResponse:
        frame = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": visible(title),
            "has_add_permission": False,
        }
        return TemplateResponse(request, template, frame | context)


class ReadOnlyAdmin(ConsoleAdmin):
    """Rows that only services write."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False


class StatementFilter(BooleanRadioFilter):
    """By a field such as `is_enabled`, which people call Enabled."""

    def __init__(self, field: Any, *others: Any, **named: Any) -> None:
        super().__init__(field, *others, **named)
        self.title: str = str(field.verbose_name).removeprefix("is ")


class LargeTable(InfinitePaginator):
    """Pages without counting all rows."""
