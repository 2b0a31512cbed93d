"""Console pages of SSH keys: the inventory, the page of a key, zones, requests to remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display

from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.audit import record_access
from sandfly_web.console.site import ConsoleAdmin, ReadOnlyAdmin
from sandfly_web.console.templatetags.sandfly import ago, badge, visible
from sandfly_web.findings.ssh_keys import removals, services
from sandfly_web.findings.ssh_keys.forms import KeyZoneForm, SshKeyForm, tag_rows
from sandfly_web.findings.ssh_keys.models import (
    KeyRemoval,
    KeyZone,
    SshAccount,
    SshKey,
    host_count,
    is_live,
)
from sandfly_web.findings.ssh_keys.pages import key_context, removal_context
from sandfly_web.inventory.models import Host

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.utils.safestring import SafeString

CHANGE_KEY = "ssh_keys.change_sshkey"
ADD_REMOVAL = "ssh_keys.add_keyremoval"
CHANGE_REMOVAL = "ssh_keys.change_keyremoval"
STANDINGS = {SshKey.Standing.BANNED: "critical", SshKey.Standing.PROTECTED: "done"}
STATES = {"requested": "medium", "confirmed": "running", "done": "done", "rejected": "closed"}


def text(request: HttpRequest) -> str:
    return request.POST.get("text", "")


def ban(key: SshKey, request: HttpRequest) -> str:
    services.set_standing(key, SshKey.Standing.BANNED, text(request))
    return "Banned: from the next visit of each host on, the key is a critical finding wherever it is."


def protect(key: SshKey, request: HttpRequest) -> str:
    services.set_standing(key, SshKey.Standing.PROTECTED, text(request))
    return "Protected: its removal is refused, and a host that loses it is a finding."


def release(key: SshKey, _request: HttpRequest) -> str:
    services.set_standing(key, SshKey.Standing.NONE, "")
    return "The key is neither banned nor protected any more."


def ask_removal(key: SshKey, request: HttpRequest) -> str:
    """`where`: empty for everywhere, `host:<id>` or `account:<id>`."""
    what, _, pk = request.POST.get("where", "").partition(":")
    scope = removals.Scope()
    if what == "host":
        scope = removals.Scope(host=_named(Host, pk))
    elif what == "account":
        scope = removals.Scope(account=_named(SshAccount, pk))
    removals.request_removal(
        key,
        request.POST.get("kind", KeyRemoval.Kind.REMOVE),
        scope,
        text(request),
        actor(request),
        may_lock_out="may_lock_out" in request.POST,
    )
    return "Asked for: an operator confirms it, and visits see when it is done."


def _named(model: Any, pk: str) -> Any:
    try:
        return model.objects.get(pk=pk)
    except (model.DoesNotExist, ValueError, ValidationError):
        raise ValidationError("there is no such host or account any more") from None


class LiveFilter(DropdownFilter):
    title = "presence"
    parameter_name = "live"

    def lookups(self, _request: HttpRequest, _model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("yes", "On a host now"), ("no", "Dead: on no host any more"), ("never", "Never seen")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[SshKey]) -> QuerySet[SshKey]:
        if self.value() == "never":
            return queryset.filter(first_seen_at__isnull=True)
        if self.value() not in {"yes", "no"}:
            return queryset
        return queryset.filter(is_live() if self.value() == "yes" else ~is_live(), first_seen_at__isnull=False)


class UseFilter(DropdownFilter):
    """Keys of people unless another use is chosen: every host has three that identify it."""

    title = "use"
    parameter_name = "use"
    all_option = None

    def lookups(self, _request: HttpRequest, _model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [*SshKey.Use.choices, ("all", "All")]

    def value(self) -> str:
        return super().value() or SshKey.Use.USER

    def queryset(self, _request: HttpRequest, queryset: QuerySet[SshKey]) -> QuerySet[SshKey]:
        return queryset if self.value() == "all" else queryset.filter(use=self.value())


@admin.register(SshKey)
class SshKeyAdmin(ConsoleAdmin):
    page_template = "console/pages/ssh_key.html"
    form = SshKeyForm
    heading = "SSH keys"
    list_display = ["shown_name", "kind", "shown_state", "hosts", "tag_names", "first_seen"]
    list_display_links = ["shown_name"]
    list_filter = [
        UseFilter,
        LiveFilter,
        ("standing", ChoicesDropdownFilter),
        ("tags", RelatedDropdownFilter),
    ]
    search_fields = ["name", "comment", "fingerprint", "notes"]
    search_help_text = "Name, comment or fingerprint"
    ordering = ["-id"]
    list_fullwidth = True
    list_before_template = "console/parts/ssh_keys_hint.html"
    actions = ["tag_selected"]
    commands = {
        "ban": (CHANGE_KEY, ban),
        "protect": (CHANGE_KEY, protect),
        "release": (CHANGE_KEY, release),
        "ask-removal": (ADD_REMOVAL, ask_removal),
    }

    @display(description="Key")
    def shown_name(self, key: SshKey) -> SafeString:
        return format_html('{} <span class="sf-about sf-mono">{}</span>', visible(str(key)), visible(key.fingerprint))

    @display(description="Type")
    def kind(self, key: SshKey) -> SafeString:
        words = visible(f"{key.algorithm or 'unknown'} {key.bits or ''}".strip())
        return format_html("{} {}", words, badge("high", "weak")) if key.is_weak else words

    @display(description="State")
    def shown_state(self, key: Any) -> SafeString:
        if key.standing:
            return badge(STANDINGS[key.standing], key.get_standing_display())
        if key.is_live:
            return badge("active", "live")
        return badge("quiet", "dead" if key.first_seen_at else "never seen")

    @display(description="Hosts")
    def hosts(self, key: Any) -> int:
        return int(key.host_count)

    @display(description="Tags")
    def tag_names(self, key: SshKey) -> SafeString:
        tags = ((tag.name,) for tag in key.tags.all())
        return format_html_join(" ", '<span class="sf-tag">{}</span>', tags)

    @display(description="First seen")
    def first_seen(self, key: SshKey) -> SafeString:
        return ago(key.first_seen_at)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SshKey]:
        queryset: QuerySet[SshKey] = super().get_queryset(request)
        return queryset.annotate(is_live=is_live(), host_count=host_count()).prefetch_related("tags")

    def get_fields(self, request: HttpRequest, obj: SshKey | None = None) -> Any:
        """The key itself is given when it is added; the form has no such field later."""
        return [name for name in super().get_fields(request, obj) if obj is None or name != "key_line"]

    def save_model(self, request: HttpRequest, obj: SshKey, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        super().save_model(request, obj, form, change)
        obj.tags.set(form.cleaned_data["tag_names"])

    def has_delete_permission(self, request: HttpRequest, obj: SshKey | None = None) -> bool:
        """What was seen is remembered."""
        return super().has_delete_permission(request, obj) and obj is not None and obj.first_seen_at is None

    def page_context(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        record_access(thing)
        return key_context(thing, actor(request)) | {"style": STANDINGS.get(thing.standing, "quiet")}

    def has_tag_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CHANGE_KEY)

    @action(description="Give or take tags…", permissions=["tag"])
    def tag_selected(self, request: HttpRequest, queryset: QuerySet[SshKey]) -> HttpResponse | None:
        chosen = list(queryset[: services.MAX_BULK + 1])
        if "apply" in request.POST:
            try:
                add = [tag.name for tag in tag_rows(request.POST.get("add", ""))]
                take = request.POST.get("remove", "").replace(",", " ").split()
                count = services.tag_keys(chosen, add, take)
            except ValidationError as error:
                messages.error(request, " ".join(error.messages))
            else:
                messages.success(request, f"Tags of {count} keys were changed.")
            return None
        context = {"keys": chosen, "action_checkbox_name": ACTION_CHECKBOX_NAME}
        return self.render_page(request, "console/pages/ssh_key_tags.html", f"Tags of {len(chosen)} keys", context)


@admin.register(KeyZone)
class KeyZoneAdmin(ConsoleAdmin):
    form = KeyZoneForm
    heading = "Key zones"
    list_display = ["shown_name", "shown_state", "hosts_with", "keys_with", "does", "level"]
    list_display_links = ["shown_name"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["host_tags"]
    list_fullwidth = True
    list_before_template = "console/parts/key_zones_hint.html"

    @display(description="Zone")
    def shown_name(self, zone: KeyZone) -> SafeString:
        return visible(zone.name)

    @display(description="State")
    def shown_state(self, zone: KeyZone) -> SafeString:
        return badge("active" if zone.is_enabled else "quiet", "enabled" if zone.is_enabled else "disabled")

    @display(description="Hosts with")
    def hosts_with(self, zone: KeyZone) -> str:
        return ", ".join(tag.name for tag in zone.host_tags.all()) or "no host"

    @display(description="Keys with")
    def keys_with(self, zone: KeyZone) -> str:
        return ", ".join(tag.name for tag in zone.key_tags.all()) or "no key"

    @display(description="Finds")
    def does(self, zone: KeyZone) -> str:
        words = ["its keys elsewhere"] * zone.confines_keys + ["other keys on its hosts"] * zone.refuses_strangers
        return " and ".join(words) or "nothing"

    def get_queryset(self, request: HttpRequest) -> QuerySet[KeyZone]:
        queryset: QuerySet[KeyZone] = super().get_queryset(request)
        return queryset.prefetch_related("host_tags", "key_tags")

    def save_model(self, request: HttpRequest, obj: KeyZone, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        super().save_model(request, obj, form, change)
        obj.key_tags.set(form.cleaned_data["key_tag_names"])


def confirm(removal: KeyRemoval, request: HttpRequest) -> str:
    removals.confirm(removal, actor(request), text(request))
    return "Confirmed: run the commands below; visits see when it is done."


def reject(removal: KeyRemoval, request: HttpRequest) -> str:
    removals.reject(removal, actor(request), text(request))
    return "Rejected."


@admin.register(KeyRemoval)
class KeyRemovalAdmin(ReadOnlyAdmin):
    page_template = "console/pages/key_removal.html"
    heading = "Key removals"
    list_display = ["shown_name", "shown_state", "where", "requested_by", "requested"]
    list_display_links = ["shown_name"]
    list_select_related = ["key", "host", "account", "requested_by"]
    list_filter = [("state", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter)]
    list_fullwidth = True
    list_before_template = "console/parts/key_removals_hint.html"
    commands = {"confirm": (CHANGE_REMOVAL, confirm), "reject": (CHANGE_REMOVAL, reject)}

    @display(description="What")
    def shown_name(self, removal: KeyRemoval) -> SafeString:
        return visible(str(removal))

    @display(description="State")
    def shown_state(self, removal: KeyRemoval) -> SafeString:
        return badge(STATES[removal.state], removal.get_state_display())

    @display(description="Where")
    def where(self, removal: KeyRemoval) -> SafeString:
        if removal.host is None:
            return visible("everywhere")
        return visible(f"{removal.account.username} on {removal.host.name}" if removal.account else removal.host.name)

    @display(description="Asked for")
    def requested(self, removal: KeyRemoval) -> SafeString:
        return ago(removal.requested_at)

    def page_context(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        record_access(thing)
        return removal_context(thing, actor(request)) | {"style": STATES[thing.state]}
