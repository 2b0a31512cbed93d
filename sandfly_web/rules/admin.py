"""Console pages of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q
from django.urls import path
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter, TextFilter
from unfold.decorators import display

from sandfly_web.console.attack.counting import CappedCount
from sandfly_web.console.attack.page import attack_context
from sandfly_web.console.rulefacts import parse_rule_facts
from sandfly_web.console.site import ConsoleAdmin, StatementFilter
from sandfly_web.console.templatetags.sandfly import badge
from sandfly_web.findings import snoozing
from sandfly_web.findings.groups import first_groups
from sandfly_web.findings.models import Finding
from sandfly_web.rules import services
from sandfly_web.rules.models import Rule

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern
    from django.utils.safestring import SafeString

CHANGE = "rules.change_rule"
LISTED_FINDINGS = 20
MOST_COUNTED = 1000


class TagFilter(TextFilter):
    """A whole Sigma tag, with or without `attack.`."""

    title = "tag"
    parameter_name = "tag"

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Rule]) -> QuerySet[Rule]:
        text = (self.value() or "").strip().lower()
        if not text:
            return queryset
        return queryset.filter(Q(tags__contains=[text]) | Q(tags__contains=[f"attack.{text}"]))


def switch(is_enabled: bool) -> Any:  # noqa: FBT001 - what the two commands differ in
    def run(thing: Rule, _request: HttpRequest) -> str:
        services.set_enabled([thing], is_enabled=is_enabled)
        return f"Rule {'enabled' if is_enabled else 'disabled'}; scans that start from now on follow."

    return run


@admin.register(Rule)
class RuleAdmin(ConsoleAdmin):
    page_template = "console/pages/rule.html"
    list_display = ["shown_title", "type", "shown_subject", "severity", "status", "enabled", "unresolved"]
    list_filter = [
        ("type", ChoicesDropdownFilter),
        ("level", ChoicesDropdownFilter),
        ("is_enabled", StatementFilter),
        ("origin", ChoicesDropdownFilter),
        TagFilter,
    ]
    search_fields = ["title", "name", "description"]
    ordering = ["subject", "name"]
    list_fullwidth = True
    actions = ["enable_selected", "disable_selected"]
    commands = {"enable": (CHANGE, switch(True)), "disable": (CHANGE, switch(False))}

    def get_urls(self) -> list[URLPattern]:
        matrix = path("attack/", self.admin_site.admin_view(self.attack_view), name="rules_attack_changelist")
        return [matrix, *super().get_urls()]

    def attack_view(self, request: HttpRequest) -> HttpResponse:
        """The matrix of ATT&CK: what the enabled rules find, and what they found."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        can_see = request.user.has_perm("findings.view_finding")
        context = attack_context(timezone.now(), request.GET.get("technique", ""), with_findings=can_see)
        return self.render_page(request, "console/pages/attack.html", "ATT&CK", context)

    @display(description="Rule", ordering="title")
    def shown_title(self, rule: Rule) -> str:
        return rule.title

    @display(description="Subject", ordering="subject")
    def shown_subject(self, rule: Rule) -> str:
        return rule.subject.replace("_", " ")

    @display(description="Enabled", ordering="is_enabled", boolean=True)
    def enabled(self, rule: Rule) -> bool:
        return rule.is_enabled

    @display(description="Severity")
    def severity(self, rule: Rule) -> SafeString:
        return badge(rule.level)

    @display(description="Unresolved findings", ordering="unresolved_count")
    def unresolved(self, rule: Any) -> str:
        """Counted only so far: a rule that alerts more often than this is one to look at, however much more often."""
        return f"over {MOST_COUNTED:,}" if rule.unresolved_count > MOST_COUNTED else f"{rule.unresolved_count:,}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        unresolved = Finding.objects.filter(rule=OuterRef("pk"), status__in=Finding.UNRESOLVED)
        counted = unresolved.order_by().values("rule")[: MOST_COUNTED + 1]
        queryset: QuerySet[Rule] = super().get_queryset(request)
        return queryset.annotate(unresolved_count=CappedCount(counted))

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Rule | None = None) -> bool:
        return False

    @admin.action(description="Enable", permissions=["change"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        self.set_selected(request, queryset, is_enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        self.set_selected(request, queryset, is_enabled=False)

    def set_selected(self, request: HttpRequest, queryset: QuerySet[Rule], *, is_enabled: bool) -> None:
        rules = list(queryset)
        services.set_enabled(rules, is_enabled=is_enabled)
        self.message_user(request, f"{len(rules)} rules {'enabled' if is_enabled else 'disabled'}.")

    def page_title(self, thing: Rule) -> str:
        return thing.title

    def page_context(self, request: HttpRequest, thing: Rule) -> dict[str, Any]:
        can_see = request.user.has_perm("findings.view_finding")
        unresolved = Finding.objects.filter(snoozing.awake(timezone.now()), rule=thing, status__in=Finding.UNRESOLVED)
        return {
            "thing": thing,
            "facts": parse_rule_facts(thing.source),
            "finding_groups": first_groups(unresolved.select_related("host"), LISTED_FINDINGS) if can_see else [],
            "can_switch": request.user.has_perm(CHANGE),
            "revisions": thing.revisions.defer("source"),
        }
