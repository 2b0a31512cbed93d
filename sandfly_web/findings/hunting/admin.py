"""The hunting page: a condition, what it finds in the stored records of the fleet, and hunts that were saved."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.shortcuts import redirect
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from sandfly_web.accounts.actor import actor
from sandfly_web.console.site import ConsoleAdmin
from sandfly_web.console.visible import visible
from sandfly_web.findings.hunting import services
from sandfly_web.findings.hunting.services import Hunt
from sandfly_web.findings.models import Record, SavedHunt
from sandfly_web.inventory.models import Host, Tag
from sandfly_web.rules.models import Rule

if TYPE_CHECKING:
    import uuid

    from django.http import HttpRequest, HttpResponse

LISTED_RECORDS = 200
LISTED_HOSTS = 20
EXAMPLE = "detection:\n  selection:\n    local_port: [4444, 31337]\n  condition: selection"


class HuntForm(forms.Form):
    subject = forms.ChoiceField(label="Among", required=False, widget=UnfoldAdminSelectWidget)
    detection = forms.CharField(
        label="Look for",
        required=False,
        strip=False,
        max_length=services.MAX_DETECTION_CHARS,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false", "placeholder": EXAMPLE}),
    )
    tag = forms.ModelChoiceField(
        label="On hosts tagged", queryset=Tag.objects.all(), required=False, widget=UnfoldAdminSelectWidget
    )
    name = forms.CharField(label="Save as", required=False, max_length=127, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = Record.objects.order_by().values_list("subject", flat=True).distinct()
        names = [(name, name.replace("_", " ")) for name in sorted(stored)]
        self.fields["subject"].choices = [("", "choose"), *names]  # type: ignore[attr-defined]

    def hunt(self, rule: Rule | None) -> Hunt:
        values = self.cleaned_data
        return Hunt(
            subject=values["subject"],
            detection=values["detection"].replace("\r\n", "\n"),
            rule=rule,
            tags=[values["tag"]] if values["tag"] else (),
        )


@admin.register(SavedHunt)
class HuntAdmin(ConsoleAdmin):
    heading = "Hunt"

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Hunts are saved on the page itself."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request) or not request.user.has_perm("findings.view_record"):
            raise PermissionDenied
        rule = Rule.objects.filter(name=request.GET.get("rule", "")).first()
        loaded = self.load(request)
        form = HuntForm(request.POST or loaded or None)
        context: dict[str, Any] = {"rule": rule, "form": form}
        context["can_save"] = request.user.has_perm("findings.add_savedhunt")
        if (request.method == "POST" or rule or loaded) and (form.is_valid() or not form.is_bound):
            context |= self.run(request, form, rule)
        # Also the one that was saved just now.
        context["saved"] = list(services.saved_hunts())
        title = loaded.get("name") or (rule.title if rule else "Over the whole fleet")
        return self.render_page(request, "console/pages/hunt.html", title, context)

    def load(self, request: HttpRequest) -> dict[str, Any]:
        """The saved hunt that the address names, as if it had been filled in: to open it is to run it."""
        name = request.GET.get("saved", "")
        saved = SavedHunt.objects.filter(name=name).first() if name else None
        return {"subject": saved.subject, "detection": saved.detection, "name": saved.name} if saved else {}

    def run(self, request: HttpRequest, form: HuntForm, rule: Rule | None) -> dict[str, Any]:
        hunt = form.hunt(rule) if form.is_bound else Hunt(rule=rule)
        try:
            if "save" in request.POST and request.user.has_perm("findings.add_savedhunt"):
                saved = services.save_hunt(form.cleaned_data["name"], hunt, actor(request))
                messages.success(request, f"Hunt {visible(saved.name)} was saved.")
            found = services.run_hunt(hunt, limit=LISTED_RECORDS)
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                if form.is_bound and name in form.fields:
                    form.add_error(name, texts)
                else:
                    messages.error(request, " ".join(texts))
            return {}
        return {"found": found, "hosts": name_hosts(found.hosts), "undecided": undecided(found.undecided)}

    def delete_model(self, request: HttpRequest, obj: SavedHunt) -> None:
        obj.delete()

    def response_delete(self, request: HttpRequest, obj_display: str, _obj_id: int) -> HttpResponse:
        messages.success(request, f"Hunt {visible(obj_display)} was deleted.")
        return redirect(reverse("admin:findings_savedhunt_changelist"))


def name_hosts(counts: Counter[uuid.UUID]) -> list[dict[str, Any]]:
    """The hosts with the most matches."""
    top = counts.most_common(LISTED_HOSTS)
    names = dict(Host.objects.filter(pk__in=[pk for pk, _ in top]).values_list("pk", "name"))
    return [{"id": pk, "name": names.get(pk, ""), "count": count} for pk, count in top]


def undecided(counts: Counter[str]) -> str:
    """`environ (1200), cwd (3)`."""
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common(10))
