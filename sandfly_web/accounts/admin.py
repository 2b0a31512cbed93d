"""Console pages of users, API tokens and the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from auditlog.models import LogEntry
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.utils import timezone
from unfold.admin import StackedInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from sandfly_web.accounts import services
from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.audit import count_refused
from sandfly_web.accounts.models import ApiToken, HostLimit
from sandfly_web.accounts.roles import Description
from sandfly_web.console.site import ConsoleAdmin, LargeTable, ReadOnlyAdmin
from sandfly_web.console.templatetags.sandfly import ago, visible

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

admin.site.unregister(User)
admin.site.unregister(Group)
if admin.site.is_registered(LogEntry):
    admin.site.unregister(LogEntry)

# Of a change, in the list; its page has all.
LISTED_FIELDS = 4
REFUSED_DAYS = 30
ROLE_HELP = " · ".join(f"{value}: {text}" for value, text in Description.choices)


class HostLimitInline(StackedInline):
    """Added for people who are to know only of some hosts."""

    model = HostLimit
    extra = 0
    verbose_name_plural = "Only hosts with tags: without one here, all; added without tags, none"
    filter_horizontal = ["tags"]


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ConsoleAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """Rights come from roles only; single permissions are not offered."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "roles", "is_active", "is_superuser", "last_login"]
    list_filter = ["is_active", "groups"]
    fieldsets = [
        (None, {"fields": ["username", "password", "email"]}),
        ("Rights", {"fields": ["is_active", "groups"], "description": ROLE_HELP}),
        ("History", {"fields": ["last_login", "refused_sign_ins", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["username", "usable_password", "password1", "password2", "groups"]})]
    readonly_fields = ["last_login", "refused_sign_ins", "date_joined"]
    filter_horizontal = ()
    inlines = [HostLimitInline]

    def get_inlines(self, _request: HttpRequest, obj: User | None) -> list[Any]:
        """Of people who are there already; a superuser could take a limit away."""
        return [] if obj is None or obj.is_superuser else self.inlines

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        queryset: QuerySet[User] = super().get_queryset(request)
        return queryset.prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """How a password is stored is nothing for those who may not change it."""
        sets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return sets
        return [(None, {"fields": ["username", "email"]}), *sets[1:]]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.name == "groups":
            field.label, field.help_text = "Roles", ""
        return field

    @display(description="Refused sign-ins")
    def refused_sign_ins(self, user: User) -> str:
        return f"{count_refused(user, timezone.now() - timedelta(days=REFUSED_DAYS))} in the last {REFUSED_DAYS} days"

    @display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001
        # Django's word for whoever may open the console at all; roles say what is seen there.
        obj.is_staff = True
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Only a superuser changes a superuser: an administrator could set the password of one."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return bool(super().has_delete_permission(request, obj))


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    class Meta:
        model = ApiToken
        fields = ["name", "role", "host_tags", "expires_at"]
        help_texts = {
            "name": "What it is for.",
            "host_tags": "It knows only of hosts with one of these tags; none: of all that you know.",
            "role": "It may never do more than this role; empty: all that you may.",
            "expires_at": "Empty: never.",
        }

    def clean_expires_at(self) -> Any:
        moment = self.cleaned_data["expires_at"]
        if moment is not None and moment <= timezone.now():
            raise forms.ValidationError("this moment has passed")
        return moment


@admin.register(ApiToken)
class ApiTokenAdmin(ConsoleAdmin):
    """Tokens of one's own; administrators of users see and delete those of others."""

    form = TokenForm
    heading = "API tokens"
    empty_title = "No API tokens"
    empty_text = "A token lets a program use the API as you; it can be limited to a role and to hosts with tags."
    autocomplete_fields = ["host_tags"]
    list_display = ["name", "prefix", "user", "role", "created", "used", "expires"]
    list_select_related = ["user"]
    ordering = ["-created_at"]

    @display(description="Created")
    def created(self, token: ApiToken) -> SafeString:
        return ago(token.created_at)

    @display(description="Expires")
    def expires(self, token: ApiToken) -> SafeString | str:
        return ago(token.expires_at) if token.expires_at else "never"

    @display(description="Last used")
    def used(self, token: ApiToken) -> SafeString:
        return ago(token.last_used_at)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        queryset: QuerySet[ApiToken] = super().get_queryset(request)
        return queryset if request.user.has_perm("auth.change_user") else queryset.filter(user=actor(request))

    def has_change_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, _change: bool) -> None:  # noqa: FBT001
        values = form.cleaned_data
        row, token = services.create_token(
            actor(request), values["name"], values["expires_at"], values["role"], list(values["host_tags"]) or None
        )
        obj.pk = row.pk
        messages.warning(request, f"Copy this token now, it is shown only once: {token}")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        """The service has done it."""

    def delete_model(self, _request: HttpRequest, obj: ApiToken) -> None:
        services.delete_token(obj)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who changed or looked at what."""

    heading = "audit log"
    page_template = "console/pages/log_entry.html"
    list_display = ["when", "actor", "action", "kind", "thing", "changed_fields", "address"]
    list_display_links = ["thing"]
    list_select_related = ["actor", "content_type"]
    list_filter = [("action", ChoicesDropdownFilter), ("actor", AutocompleteSelectFilter)]
    search_fields = ["object_repr"]
    ordering = ["-timestamp"]
    sortable_by: list[str] = []
    paginator = LargeTable
    list_disable_select_all = True
    list_fullwidth = True

    @display(description="When")
    def when(self, entry: LogEntry) -> SafeString:
        return ago(entry.timestamp)

    @display(description="Kind")
    def kind(self, entry: LogEntry) -> str:
        return str(entry.content_type.name)

    @display(description="What")
    def thing(self, entry: LogEntry) -> SafeString:
        return visible(entry.object_repr)

    @display(description="Fields")
    def changed_fields(self, entry: LogEntry) -> str:
        names = sorted(name.replace("_", " ") for name in entry.changes or {})
        more = f" and {len(names) - LISTED_FIELDS} more" if len(names) > LISTED_FIELDS else ""
        return ", ".join(names[:LISTED_FIELDS]) + more

    @display(description="From")
    def address(self, entry: LogEntry) -> str:
        return entry.remote_addr or ""

    def page_title(self, thing: LogEntry) -> str:
        action = str(thing.get_action_display())
        return f"{action.capitalize()} {thing.content_type.name} {thing.object_repr}"

    def page_context(self, _request: HttpRequest, thing: LogEntry) -> dict[str, Any]:
        changes = [
            {"field": field, "values": values if isinstance(values, list) else [values]}
            for field, values in sorted((thing.changes or {}).items())
        ]
        return {"thing": thing, "changes": changes}
