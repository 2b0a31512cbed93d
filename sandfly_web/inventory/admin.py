"""Console pages of hosts, credentials, jump hosts, zones and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count
from django.db.models.functions import Coalesce
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import (
    ChoicesDropdownFilter,
    DropdownFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import display

from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.audit import record_access
from sandfly_web.console.changespage import changes_context
from sandfly_web.console.hostpage import host_context
from sandfly_web.console.reports.host import host_report
from sandfly_web.console.reports.report import FORMATS, download
from sandfly_web.console.site import ConsoleAdmin, StatementFilter
from sandfly_web.console.templatetags.sandfly import ago, badge, duration, visible
from sandfly_web.console.timelinepage import timeline_context
from sandfly_web.console.visible import visible as visible_text
from sandfly_web.findings.models import Finding, Record
from sandfly_web.findings.ssh_keys.pages import host_context as ssh_context
from sandfly_web.inventory import services
from sandfly_web.inventory.discovery.forms import DiscoveryForm
from sandfly_web.inventory.discovery.ingest import summary
from sandfly_web.inventory.discovery.services import cancel_sweep, start_sweep
from sandfly_web.inventory.forms import (
    HOST_ADD_FIELDS,
    HOST_FIELDS,
    SECRET_FIELDS,
    CredentialForm,
    HostAddForm,
    HostForm,
    ImportForm,
    JumpHostForm,
    ZoneForm,
)
from sandfly_web.inventory.importing.formats import Format, read_inventory
from sandfly_web.inventory.models import (
    Credential,
    CredentialSet,
    CredentialSetEntry,
    Discovery,
    Host,
    HostKey,
    JumpHost,
    Sweep,
    Tag,
    Zone,
)
from sandfly_web.scans.models import Scan
from sandfly_web.scans.services import RuleChoice, request_scans

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern
    from django.utils.safestring import SafeString


LISTED_CANDIDATES = 100
LISTED_SWEEPS = 10
VAULT_FIELDS = [name for name in SECRET_FIELDS if name.startswith("vault_")]


def scan_now(thing: Host, request: HttpRequest) -> str:
    request_scans([thing], RuleChoice(), requested_by=actor(request), priority=Scan.Priority.HIGH)
    return "Scan queued. This page follows it."


def accept_key(thing: Host, request: HttpRequest) -> str:
    """The key named in the form, if it still waits; another may have been shown meanwhile."""
    named = request.POST.get("key", "")
    waiting = thing.host_keys.filter(status=HostKey.Status.REJECTED)
    key = waiting.filter(pk=named).first() if named.isascii() and named.isdigit() else None
    if key is None:
        raise ValidationError("this key is no longer waiting to be accepted")
    services.accept_host_key(key, actor(request))
    return f"Host key {key.fingerprint} is now the accepted one."


class RetiredFilter(DropdownFilter):
    title = "retired"
    parameter_name = "retired"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Retired"), ("no", "Not retired")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Host]) -> QuerySet[Host]:
        if self.value() not in {"yes", "no"}:
            return queryset
        return queryset.filter(retired_at__isnull=self.value() == "no")


@admin.register(Host)
class HostAdmin(ConsoleAdmin):
    page_template = "console/pages/host.html"
    form = HostForm
    list_display = ["shown_name", "endpoint", "shown_state", "system", "risk", "last_seen", "tag_names"]
    list_display_links = ["shown_name"]
    list_select_related = ["zone"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("zone", RelatedDropdownFilter),
        ("tags", RelatedDropdownFilter),
        ("is_active", StatementFilter),
        ("origin", ChoicesDropdownFilter),
        RetiredFilter,
    ]
    empty_title = "No hosts yet"
    empty_text = "Add the first one by hand, import a list, or let a discovery find them."
    search_fields = ["name", "address", "hostname"]
    search_help_text = "Name, address or host name"
    ordering = ["name", "id"]
    list_fullwidth = True
    autocomplete_fields = ["tags", "credential", "credential_set", "jump_host"]
    actions = ["scan_selected"]
    commands = {
        "scan": ("scans.add_scan", scan_now),
        "accept-key": ("inventory.change_hostkey", accept_key),
    }

    list_before_template = "console/parts/import_link.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.import_view)
        changes = self.admin_site.admin_view(self.changes_view)
        timeline = self.admin_site.admin_view(self.timeline_view)
        ssh = self.admin_site.admin_view(self.ssh_view)
        report = self.admin_site.admin_view(self.report_view)
        return [
            path("import/", view, name="inventory_host_import"),
            path("<path:object_id>/changes/", changes, name="inventory_host_changes"),
            path("<path:object_id>/timeline/", timeline, name="inventory_host_timeline"),
            path("<path:object_id>/ssh/", ssh, name="inventory_host_ssh"),
            path("<path:object_id>/report/", report, name="inventory_host_report"),
            *super().get_urls(),
        ]

    def changes_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What recon saw change between two visits."""
        if not request.user.has_perm("findings.view_record"):
            raise PermissionDenied
        host = self.require(request, object_id)
        record_access(host)
        context = changes_context(host, request.GET.get("since", ""), request.GET.get("until", ""))
        return self.render_page(request, "console/pages/changes.html", f"Changes on {host.name}", context)

    def timeline_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Everything dated that is known of the host."""
        if not request.user.has_perm("findings.view_record"):
            raise PermissionDenied
        host = self.require(request, object_id)
        record_access(host)
        context = timeline_context(host, request.GET)
        return self.render_page(request, "console/pages/timeline.html", f"Timeline of {host.name}", context)

    def ssh_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """SSH keys on the host, what they lead to and who gets there."""
        if not request.user.has_perm("ssh_keys.view_sshkeyplace"):
            raise PermissionDenied
        host = self.require(request, object_id)
        record_access(host)
        context = ssh_context(host, request.GET.get("account", ""), request.GET.get("direction", ""))
        return self.render_page(request, "console/pages/host_ssh.html", f"SSH keys of {host.name}", context)

    def report_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The host as it is now, to print or to take away."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        host = self.require(request, object_id)
        record_access(host)
        report = host_report(host, request.user, timezone.now())
        if (kind := request.GET.get("format", "")) in FORMATS:
            return download(report, kind)
        context = {"report": report, "formats": FORMATS}
        return self.render_page(request, "console/pages/report.html", f"Report on {host.name}", context)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """A text with hosts; first what it says, then the hosts are added."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None)
        context: dict[str, Any] = {"form": form}
        if request.method == "POST" and form.is_valid():
            kind, parsed = read_inventory(form.cleaned_data["text"], Format(form.cleaned_data["format"]))
            if "add" in request.POST and parsed.candidates:
                try:
                    added = services.import_hosts(list(parsed.candidates.values()), form.options())
                except ValidationError as error:
                    form.add_error(None, error.messages)
                else:
                    there = f", {added.existing} were there already" if added.existing else ""
                    messages.success(request, f"{len(added.created)} hosts were added{there}.")
                    return redirect(reverse("admin:inventory_host_changelist"))
            shown = list(parsed.candidates.values())[:LISTED_CANDIDATES]
            context |= {"kind": kind, "parsed": parsed, "shown": shown, "count": len(parsed.candidates)}
        return self.render_page(request, "console/pages/import.html", "Import hosts", context)

    @display(description="Host", ordering="name")
    def shown_name(self, host: Host) -> SafeString:
        return visible(host.name)

    @display(description="Address")
    def endpoint(self, host: Host) -> SafeString:
        return visible("this machine" if host.transport == Host.Transport.LOCAL else f"{host.address}:{host.port}")

    @display(description="State", ordering="state")
    def shown_state(self, host: Host) -> SafeString:
        return badge(host.state, host.get_state_display())

    @display(description="System")
    def system(self, host: Host) -> SafeString:
        return visible(host.os_name)

    @display(description="Risk", ordering="risk")
    def risk(self, host: Any) -> int:
        return int(host.risk)

    @display(description="Last seen", ordering="last_seen_at")
    def last_seen(self, host: Host) -> SafeString:
        return ago(host.last_seen_at)

    @display(description="Tags")
    def tag_names(self, host: Host) -> str:
        return ", ".join(tag.name for tag in host.tags.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[Host]:
        queryset: QuerySet[Host] = super().get_queryset(request).prefetch_related("tags").defer("profile")
        return queryset.annotate(risk=Coalesce("weight__risk", 0))

    def get_form(self, request: HttpRequest, obj: Host | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        if obj is None:
            kwargs["form"] = HostAddForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, _request: HttpRequest, obj: Host | None = None) -> list[str]:
        return list(HOST_FIELDS if obj else HOST_ADD_FIELDS)

    def save_model(self, request: HttpRequest, obj: Host, form: Any, change: bool) -> None:  # noqa: FBT001
        if change:
            super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Host, _post_url_continue: str | None = None) -> HttpResponse:
        """To its page, where the next step is."""
        messages.success(request, f"Host {visible_text(obj.name)} was added.")
        return redirect(reverse("admin:inventory_host_change", args=[obj.pk]))

    def get_deleted_objects(
        self, objs: Any, _request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Counted by the database: a host has thousands of records."""
        hosts = [host.pk for host in objs]
        counts: dict[str, int] = {"hosts": len(hosts)}
        for model in (Scan, Finding, Record):
            counts[str(model._meta.verbose_name_plural)] = model.objects.filter(host__in=hosts).count()
        return [], counts, set(), []

    def has_scan_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("scans.add_scan"))

    @admin.action(description="Scan now", permissions=["scan"])
    def scan_selected(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        def run() -> str:
            batch = request_scans(
                list(queryset), RuleChoice(), requested_by=actor(request), priority=Scan.Priority.HIGH
            )
            return f"{len(batch.scans)} scans queued."

        self.tell(request, run)

    def page_context(self, request: HttpRequest, thing: Host) -> dict[str, Any]:
        record_access(thing)
        return host_context(thing, actor(request))


@admin.register(Credential)
class CredentialAdmin(ConsoleAdmin):
    """Secrets are typed in and sealed; nothing here can show them again."""

    form = CredentialForm
    empty_title = "No credentials yet"
    empty_text = "A credential is a user name with a private key or a password. It is sealed as it is saved."
    list_display = ["name", "kind", "username", "become", "zone", "key", "expires", "hosts_using"]
    list_select_related = ["zone"]
    list_filter = [("zone", RelatedDropdownFilter), ("kind", ChoicesDropdownFilter)]
    search_fields = ["name", "username"]
    readonly_fields = ["kind", "fingerprint", "public_key", "expires_at", "used_by", "updated_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Credential]:
        queryset: QuerySet[Credential] = super().get_queryset(request)
        # Not even fetched: no page of the console can show what it does not have.
        return queryset.defer("sealed").annotate(
            host_count=Count("hosts", distinct=True), jump_count=Count("jump_hosts", distinct=True)
        )

    @display(description="Key")
    def key(self, credential: Credential) -> SafeString:
        """Enough of the fingerprint to tell keys apart; the whole is on hover and on its page."""
        if not credential.fingerprint:
            return format_html("{}", "none")
        short = credential.fingerprint.removeprefix("SHA256:")[:12]
        return format_html('<span class="sf-mono" title="{}">{}…</span>', credential.fingerprint, short)

    @display(description="Expires", ordering="expires_at")
    def expires(self, credential: Credential) -> SafeString | str:
        return ago(credential.expires_at) if credential.expires_at else "never"

    @display(description="Used by", ordering="host_count")
    def hosts_using(self, credential: Any) -> str:
        return used(credential.host_count, credential.jump_count)

    @display(description="Used by")
    def used_by(self, credential: Any) -> str:
        return used(credential.host_count, credential.jump_count)

    def get_fieldsets(self, _request: HttpRequest, obj: Credential | None = None) -> list[Any]:
        retype = "Secrets are never shown. To change anything here, type them in again." if obj else SEALED_HELP
        sets: list[Any] = [
            (None, {"fields": ["name", "zone", "username", "become"]}),
            (
                "Secrets",
                {
                    "fields": ["password", "private_key", "generate", "passphrase", "certificate", "become_password"],
                    "description": retype,
                },
            ),
            ("From a HashiCorp Vault instead", {"fields": VAULT_FIELDS, "classes": ["collapse"]}),
        ]
        if obj:
            sets.append(("Stored", {"fields": self.readonly_fields}))
        return sets

    def save_model(self, _request: HttpRequest, _obj: Credential, _form: Any, _change: bool) -> None:  # noqa: FBT001
        """The form has handed it to the service already."""


SEALED_HELP = (
    "A password or a private key. It is sealed to the zone as it is saved: only the workers of the zone can open it, "
    "not this console, its database or its backups."
)


def used(hosts: int, jump_hosts: int) -> str:
    words = [f"{hosts} host{'s' if hosts != 1 else ''}"]
    if jump_hosts:
        words.append(f"{jump_hosts} jump host{'s' if jump_hosts != 1 else ''}")
    return " and ".join(words)


class CredentialSetEntryInline(TabularInline):
    model = CredentialSetEntry
    verbose_name_plural = "In the order in which they are tried"
    fields = ["position", "credential"]
    autocomplete_fields = ["credential"]
    extra = 1


@admin.register(CredentialSet)
class CredentialSetAdmin(ConsoleAdmin):
    """Credentials in the order in which they are tried; what got in last on a host comes first there."""

    empty_title = "No credential sets"
    empty_text = (
        "For hosts of which nobody knows which credential fits: they are tried in order, the last good one first."
    )
    list_display = ["name", "zone", "try_all_passwords"]
    list_select_related = ["zone"]
    search_fields = ["name"]
    fields = ["name", "zone", "try_all_passwords"]
    inlines = [CredentialSetEntryInline]


@admin.register(JumpHost)
class JumpHostAdmin(ConsoleAdmin):
    form = JumpHostForm
    empty_title = "No jump hosts"
    empty_text = "Hosts that workers cannot reach directly are visited through one, or through several in a row."
    list_display = ["name", "address", "port", "zone", "credential", "via"]
    list_select_related = ["zone", "credential", "via"]
    search_fields = ["name", "address"]
    autocomplete_fields = ["credential", "via"]


@admin.register(Zone)
class ZoneAdmin(ConsoleAdmin):
    form = ZoneForm
    list_display = ["name", "description", "has_key", "hosts_in"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Zone]:
        queryset: QuerySet[Zone] = super().get_queryset(request)
        return queryset.annotate(host_count=Count("hosts"))

    @display(description="Can store credentials", boolean=True)
    def has_key(self, zone: Zone) -> bool:
        return bool(zone.public_key)

    @display(description="Hosts", ordering="host_count")
    def hosts_in(self, zone: Any) -> int:
        return int(zone.host_count)


@admin.register(Tag)
class TagAdmin(ConsoleAdmin):
    empty_title = "No tags yet"
    empty_text = "Labels on hosts: schedules, allow-lists, baselines and the rights of users refer to them."
    list_display = ["name", "hosts_with"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        queryset: QuerySet[Tag] = super().get_queryset(request)
        return queryset.annotate(host_count=Count("hosts"))

    @display(description="Hosts", ordering="host_count")
    def hosts_with(self, tag: Any) -> int:
        return int(tag.host_count)


def sweep_now(thing: Discovery, _request: HttpRequest) -> str:
    sweep = start_sweep(thing, timezone.now())
    return f"A sweep over {sweep.total} addresses has begun."


def cancel_running(thing: Discovery, _request: HttpRequest) -> str:
    sweep = thing.sweeps.filter(status=Sweep.Status.RUNNING).first()
    if sweep is None:
        raise ValidationError("no sweep is under way")
    cancel_sweep(sweep, timezone.now())
    return "The sweep is cancelled; what it found stays."


@admin.register(Discovery)
class DiscoveryAdmin(ConsoleAdmin):
    page_template = "console/pages/discovery.html"
    form = DiscoveryForm
    empty_title = "No discoveries"
    empty_text = "A discovery looks through networks for SSH servers, signs in once and adds the hosts it gets into."
    list_display = ["name", "zone", "enabled", "every", "hosts_found", "next_sweep"]
    list_select_related = ["zone"]
    search_fields = ["name"]
    autocomplete_fields = ["credentials", "credential_set", "jump_host", "tags", "schedules"]
    commands = {
        "sweep": ("inventory.change_discovery", sweep_now),
        "cancel": ("inventory.change_discovery", cancel_running),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Discovery]:
        queryset: QuerySet[Discovery] = super().get_queryset(request)
        return queryset.annotate(host_count=Count("hosts"))

    @display(description="Enabled", ordering="is_enabled", boolean=True)
    def enabled(self, discovery: Discovery) -> bool:
        return discovery.is_enabled

    @display(description="Every", ordering="interval_s")
    def every(self, discovery: Discovery) -> str:
        return duration(discovery.interval_s)

    @display(description="Hosts", ordering="host_count")
    def hosts_found(self, discovery: Any) -> int:
        return int(discovery.host_count)

    @display(description="Next sweep", ordering="next_sweep_at")
    def next_sweep(self, discovery: Discovery) -> SafeString | str:
        if not discovery.is_enabled:
            return "disabled"
        return ago(discovery.next_sweep_at) if discovery.next_sweep_at else "with the next tick"

    def page_context(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        sweeps = list(thing.sweeps.defer("claims")[:LISTED_SWEEPS])
        return {
            "thing": thing,
            "sweeps": [(sweep, summary(sweep)) for sweep in sweeps],
            "latest": sweeps[0] if sweeps else None,
            "is_live": any(sweep.status == Sweep.Status.RUNNING for sweep in sweeps),
            "can_edit": self.has_change_permission(request, thing),
        }
