"""Console pages of findings: the triage list and the page of one finding."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.postgres.search import SearchQuery
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter, TextFilter
from unfold.decorators import display

from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.audit import record_access
from sandfly_web.console import evidence
from sandfly_web.console.collected import choices, scans_for
from sandfly_web.console.rulefacts import parse_rule_facts
from sandfly_web.console.site import LargeTable, ReadOnlyAdmin
from sandfly_web.console.templatetags.sandfly import about, ago, badge, visible
from sandfly_web.findings import services, snoozing
from sandfly_web.findings.allowlist import admin as allowlist_admin  # noqa: F401 - registers its pages
from sandfly_web.findings.allowlist.drafts import Draft
from sandfly_web.findings.bulk.page import SNOOZE_CHOICES, snooze_end, triage_all_view
from sandfly_web.findings.drift import admin as drift_admin  # noqa: F401 - registers its pages
from sandfly_web.findings.drift.evidence import readable
from sandfly_web.findings.drift.services import RULE_NAME as DRIFT
from sandfly_web.findings.groups import UNSHOWN
from sandfly_web.findings.hunting import admin as hunting_admin  # noqa: F401 - registers its page
from sandfly_web.findings.models import Finding, FindingEvidence, ForensicRecord, Record, Words
from sandfly_web.findings.rarity import services as rarity
from sandfly_web.findings.thing import thing as thing_of
from sandfly_web.inventory.models import Host
from sandfly_web.rules.models import Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.admin import ModelAdmin
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern
    from django.utils.safestring import SafeString

TRIAGE = "findings.change_finding"
# Hosts that a word of a search can mean; a word that means more says nothing.
MAX_NAMED = 10_000
RARE_HOSTS = ("1", "2", "3", "5", "10")
UNRESOLVED, ALL = "unresolved", "all"
SNOOZED, WOKE = "snoozed", "woke"


class StatusFilter(DropdownFilter):
    """Unresolved and awake unless another is chosen: what is closed or put off is not what an analyst comes for."""

    title = "status"
    parameter_name = "status"
    all_option = None

    def lookups(self, _request: HttpRequest, _model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        asleep = [(SNOOZED, "Snoozed"), (WOKE, "Woke from snooze")]
        return [(UNRESOLVED, "Unresolved"), *asleep, *Finding.Status.choices, (ALL, "All")]

    def value(self) -> str:
        return super().value() or UNRESOLVED

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Finding]) -> QuerySet[Finding]:
        now, unresolved = timezone.now(), queryset.filter(status__in=Finding.UNRESOLVED)
        match self.value():
            case "unresolved":
                return unresolved.filter(snoozing.awake(now))
            case "snoozed":
                return unresolved.filter(snoozing.asleep(now))
            case "woke":
                return unresolved.filter(snoozing.woke(now))
            case "all":
                return queryset
            case Finding.Status.OPEN | Finding.Status.ACKNOWLEDGED as status:
                return queryset.filter(snoozing.awake(now), status=status)
            case status:
                return queryset.filter(status=status)


class LevelFilter(DropdownFilter):
    title = "severity"
    parameter_name = "level"

    def lookups(self, _request: HttpRequest, _model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return list(reversed(Severity.choices))

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Finding]) -> QuerySet[Finding]:
        """By rank, which is what the index of the list begins with."""
        ranks = [rank for rank, level in enumerate(Severity.values) if level == self.value()]
        return queryset.filter(level_rank__in=ranks) if self.value() else queryset


class SeenFilter(DropdownFilter):
    title = "last seen"
    parameter_name = "seen"

    def lookups(self, _request: HttpRequest, _model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("1", "In 24 hours"), ("7", "In 7 days"), ("30", "In 30 days")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Finding]) -> QuerySet[Finding]:
        days = {"1": 1, "7": 7, "30": 30}.get(self.value() or "")
        return queryset.filter(last_seen_at__gte=timezone.now() - timedelta(days=days)) if days else queryset


class SubjectFilter(DropdownFilter):
    """Subjects that rules have; asking the findings would read all of them."""

    title = "subject"
    parameter_name = "subject"

    def lookups(self, _request: HttpRequest, _model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        from sandfly_web.rules.fields import registry  # noqa: PLC0415 - reads a file on first use

        return [(name, name.replace("_", " ")) for name in sorted(registry())]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Finding]) -> QuerySet[Finding]:
        return queryset.filter(subject=self.value()) if self.value() else queryset


class ScanFilter(TextFilter):
    title = "scan id"
    parameter_name = "scan__id__exact"

    def queryset(self, _request: HttpRequest, queryset: QuerySet[ForensicRecord]) -> QuerySet[ForensicRecord]:
        scan = parse_uuid(self.value())
        return queryset.filter(scan=scan) if scan else queryset


class RuleNameFilter(TextFilter):
    title = "rule"
    parameter_name = "rule_name"

    def queryset(self, _request: HttpRequest, queryset: QuerySet[ForensicRecord]) -> QuerySet[ForensicRecord]:
        return queryset.filter(rule_name=self.value()) if self.value() else queryset


class TagFilter(TextFilter):
    """A whole Sigma tag, with or without `attack.`: a tactic or a technique."""

    title = "tactic or technique"
    parameter_name = "tag"

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Finding]) -> QuerySet[Finding]:
        text = (self.value() or "").strip().lower()
        if not text:
            return queryset
        return queryset.filter(Q(tags__contains=[text]) | Q(tags__contains=[f"attack.{text}"]))


def collect(finding: Finding, request: HttpRequest) -> str:
    """Incident rules of the chosen subjects, on the finding's host, now."""
    from sandfly_web.scans.services import collect_forensics  # noqa: PLC0415 - scans are built on findings

    subjects = set(request.POST.getlist("subject"))
    if not subjects:
        raise ValidationError("choose at least one kind of thing to collect")
    names = [rule.name for group in choices() if group["subject"] in subjects for rule in group["rules"]]
    scan = collect_forensics(finding, names, actor(request))
    return f"{len(names)} incident rules run on {scan.host} now; this page follows them."


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    page_template = "console/pages/finding.html"
    empty_title = "No findings"
    empty_text = "Nothing that was scanned needs you. Closed findings are listed with the status “All”."
    list_display = ["severity", "shown_title", "host_name", "state", "first_seen", "last_seen", "seen"]
    list_display_links = ["shown_title"]
    list_select_related = ["host"]
    list_filter = [
        StatusFilter,
        LevelFilter,
        ("host", AutocompleteSelectFilter),
        ("rule", AutocompleteSelectFilter),
        SubjectFilter,
        TagFilter,
        SeenFilter,
    ]
    # What there is to find is in get_search_results.
    search_fields = ["title"]
    search_help_text = "Rule or host; else beginnings of words of the explanation"
    list_before_template = "console/parts/keys.html"
    ordering = ["-level_rank", "-last_seen_at", "id"]
    sortable_by: list[str] = []
    paginator = LargeTable
    list_disable_select_all = True
    list_fullwidth = True
    list_before_template = "console/parts/triage_all.html"
    actions = ["acknowledge_selected", "snooze_selected", "unsnooze_selected", "close_selected", "mark_selected"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.triage_all)
        return [path("triage/", view, name="findings_finding_triage"), *super().get_urls()]

    def triage_all(self, request: HttpRequest) -> HttpResponse:
        return triage_all_view(self, request)

    @display(description="Severity")
    def severity(self, finding: Finding) -> SafeString:
        return badge(finding.level)

    @display(description="Finding")
    def shown_title(self, finding: Finding) -> SafeString:
        """With what it is about below: the title alone is the same in every row of a rule."""
        return format_html(
            '{}<span class="sf-about">{} <span class="sf-mono">{}</span></span>',
            visible(finding.title),
            finding.subject.replace("_", " "),
            about(finding),
        )

    @display(description="Host")
    def host_name(self, finding: Finding) -> SafeString:
        return visible(finding.host.name)

    @display(description="Status")
    def state(self, finding: Finding) -> SafeString:
        now, shown = timezone.now(), badge(finding.status, finding.get_status_display())
        if finding.snoozed_until is not None and finding.snoozed_until > now:
            return format_html("{} {}", shown, badge("skipped", f"Snoozed until {finding.snoozed_until:%Y-%m-%d}"))
        if finding.woke_at is not None or finding.snoozed_until is not None:
            return format_html("{} {}", shown, badge("queued", "Woke"))
        return shown

    @display(description="Scans")
    def seen(self, finding: Finding) -> int:
        """How many saw it."""
        return finding.count

    @display(description="First seen")
    def first_seen(self, finding: Finding) -> SafeString:
        return ago(finding.first_seen_at)

    @display(description="Last seen")
    def last_seen(self, finding: Finding) -> SafeString:
        return ago(finding.last_seen_at)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Finding]:
        queryset: QuerySet[Finding] = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name == "findings_finding_changelist":
            return queryset.defer(*UNSHOWN)
        return queryset.select_related("host", "rule", "assignee", "allowed_by")

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Finding], search_term: str
    ) -> tuple[QuerySet[Finding], bool]:
        """By rules and hosts with such names, which are few; the explanations, which are many, only without any."""
        words = search_term.split()
        named = [named_so(word) for word in words]
        texts = [word for word, name in zip(words, named, strict=True) if name is None]
        found = queryset.filter(*(name for name in named if name is not None))
        for word in texts:
            found = found.filter(Q(explanation__icontains=word) | Q(title__icontains=word))
        query = word_query(" ".join(texts))
        if query is None:
            return found, False
        return found.annotate(words=Words("title", "explanation")).filter(words=query), False

    def has_triage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(TRIAGE))

    @admin.action(description="Acknowledge", permissions=["triage"])
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet[Finding]) -> None:
        self.tell(request, lambda: said(services.acknowledge(queryset, actor(request)), "acknowledged"))

    @admin.action(description="Close with a reason…", permissions=["triage"])
    def close_selected(self, request: HttpRequest, queryset: QuerySet[Finding]) -> HttpResponse | None:
        return self.with_reason(request, queryset, "close_selected")

    @admin.action(description="False positive…", permissions=["triage"])
    def mark_selected(self, request: HttpRequest, queryset: QuerySet[Finding]) -> HttpResponse | None:
        return self.with_reason(request, queryset, "mark_selected")

    @admin.action(description="Snooze…", permissions=["triage"])
    def snooze_selected(self, request: HttpRequest, queryset: QuerySet[Finding]) -> HttpResponse | None:
        return self.with_reason(request, queryset, "snooze_selected")

    @admin.action(description="Wake", permissions=["triage"])
    def unsnooze_selected(self, request: HttpRequest, queryset: QuerySet[Finding]) -> None:
        self.tell(request, lambda: said(services.unsnooze(queryset, actor(request)), "woken"))

    def with_reason(self, request: HttpRequest, queryset: QuerySet[Finding], action: str) -> HttpResponse | None:
        """First a page that asks for the reason, then the service."""
        question, submit, service, done = BULK_WITH_REASON[action]
        reason = request.POST.get("reason", "")
        if "apply" in request.POST and reason.strip():
            self.tell(request, lambda: said(service(queryset, request, reason), done))
            return None
        context = {
            "findings": list(queryset.select_related("host")),
            "question": question,
            "submit": submit,
            "action_name": action,
            "snooze_choices": SNOOZE_CHOICES if action == "snooze_selected" else [],
            "reason": reason,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return self.render_page(request, "console/pages/reason.html", question, context)

    commands = {
        "acknowledge": (
            TRIAGE,
            lambda thing, request: said(services.acknowledge([thing], actor(request)), "acknowledged"),
        ),
        "assign-to-me": (
            TRIAGE,
            lambda thing, request: said(services.assign([thing], actor(request), actor(request)), "assigned to you"),
        ),
        "snooze": (
            TRIAGE,
            lambda thing, request: said(
                services.snooze([thing], actor(request), snooze_end(request), text(request)), "snoozed"
            ),
        ),
        "unsnooze": (TRIAGE, lambda thing, request: said(services.unsnooze([thing], actor(request)), "woken")),
        "comment": (
            TRIAGE,
            lambda thing, request: said(services.add_comment([thing], actor(request), text(request)), "commented on"),
        ),
        "close": (
            TRIAGE,
            lambda thing, request: said(services.close([thing], actor(request), text(request)), "closed"),
        ),
        "false-positive": (
            TRIAGE,
            lambda thing, request: said(
                services.mark_false_positive([thing], actor(request), text(request)), "marked as a false positive"
            ),
        ),
        "collect": ("scans.add_scan", collect),
        "reopen": (TRIAGE, lambda thing, request: said(services.reopen([thing], actor(request)), "reopened")),
    }

    def page_context(self, request: HttpRequest, thing: Finding) -> dict[str, Any]:
        record_access(thing)
        earlier = thing.versions.exclude(digest=thing.evidence_digest)
        return {
            "thing": thing,
            "subtitle": None,
            "rule": thing.rule,
            "facts": parse_rule_facts(thing.rule.source) if thing.rule else None,
            "tags": sorted(str(tag) for tag in thing.tags),
            "evidence": evidence_rows(thing),
            "versions": [version_context(thing, version) for version in earlier[:20]],
            "events": thing.events.select_related("actor"),
            "is_asleep": thing.snoozed_until is not None and thing.snoozed_until > timezone.now(),
            "snooze_choices": SNOOZE_CHOICES,
            "is_unresolved": thing.status in Finding.UNRESOLVED,
            "can_triage": self.has_triage_permission(request),
            "collectable": choices() if request.user.has_perm("scans.add_scan") else [],
            "collections": (collections := scans_for(thing) if request.user.has_perm("scans.view_scan") else []),
            "is_collecting": any(scan.status in scan.UNFINISHED for scan in collections),
            "drafts": Draft.choices if thing.rule and request.user.has_perm("findings.add_allowlistentry") else [],
        }


BULK_WITH_REASON: dict[str, tuple[str, str, Callable[[Any, HttpRequest, str], list[Finding]], str]] = {
    "close_selected": (
        "Close these findings?",
        "Close findings",
        lambda findings, request, reason: services.close(findings, actor(request), reason),
        "closed",
    ),
    "snooze_selected": (
        "Snooze these findings?",
        "Snooze findings",
        lambda findings, request, reason: services.snooze(findings, actor(request), snooze_end(request), reason),
        "snoozed",
    ),
    "mark_selected": (
        "Mark these findings as false positives?",
        "Mark as false positives",
        lambda findings, request, reason: services.mark_false_positive(findings, actor(request), reason),
        "marked as false positives",
    ),
}


def named_so(word: str) -> Q | None:
    """Findings of the rules and hosts whose names hold the word, None where no name does."""
    rules = list(
        Rule.objects.filter(Q(name__icontains=word) | Q(title__icontains=word)).order_by().values_list("pk", flat=True)
    )
    hosts = list(Host.objects.filter(name__icontains=word).order_by().values_list("pk", flat=True)[:MAX_NAMED])
    # What the visit itself found has no rule, and there is little of it.
    unruled = Finding.objects.filter(rule=None).filter(Q(rule_name__icontains=word) | Q(title__icontains=word))
    if not rules and not hosts and not unruled.exists():
        return None
    return Q(rule__in=rules) | Q(host__in=hosts) | Q(rule=None, pk__in=unruled.order_by().values("pk"))


def word_query(text: str) -> SearchQuery | None:
    """What an index can narrow a search to: words that begin with each run of letters and digits of the text.

    None for a text without any; then every explanation is read.
    """
    runs = re.findall(r"[a-z0-9]+", text.lower())
    return SearchQuery(" & ".join(f"{run}:*" for run in runs), config="simple", search_type="raw") if runs else None


def parse_uuid(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return None


def text(request: HttpRequest) -> str:
    return request.POST.get("text", "")


def said(findings: list[Finding], done: str) -> str:
    return f"{len(findings)} findings {done}." if len(findings) != 1 else f"Finding {done}."


def evidence_rows(finding: Finding) -> list[evidence.Row]:
    shown = readable(finding.evidence) if finding.rule_name == DRIFT else finding.evidence
    return evidence.rows(shown, identity=finding.identity, truncated=finding.truncated, unknown=finding.unknown)


def version_context(finding: Finding, version: FindingEvidence) -> dict[str, Any]:
    shown = readable(version.evidence) if finding.rule_name == DRIFT else version.evidence
    rows = evidence.rows(shown, identity=finding.identity)
    return {"first_seen_at": version.first_seen_at, "last_seen_at": version.last_seen_at, "rows": rows}


@admin.register(ForensicRecord)
class ForensicRecordAdmin(ReadOnlyAdmin):
    """Reached from the page of a scan; not in the sidebar."""

    page_template = "console/pages/forensic_record.html"
    empty_title = "No forensics collected"
    empty_text = "Choose “Collect forensics…” on a finding: incident rules bring home what they see, at once."
    list_display = ["rule_name", "shown_subject", "shown_identity", "host_name"]
    list_display_links = ["shown_identity"]
    list_select_related = ["scan__host"]
    list_filter = [ScanFilter, RuleNameFilter]
    ordering = ["id"]
    sortable_by: list[str] = []
    paginator = LargeTable
    list_disable_select_all = True
    list_fullwidth = True

    @display(description="Subject")
    def shown_subject(self, record: ForensicRecord) -> str:
        return record.subject.replace("_", " ")

    @display(description="What")
    def shown_identity(self, record: ForensicRecord) -> SafeString:
        return visible(thing_of(record.subject, record.identity) or "record")

    @display(description="Host")
    def host_name(self, record: ForensicRecord) -> SafeString:
        return visible(record.scan.host.name)

    def page_context(self, _request: HttpRequest, thing: ForensicRecord) -> dict[str, Any]:
        record_access(thing.scan.host)
        facts = evidence.rows(
            {**thing.identity, **thing.data},
            identity=thing.identity,
            truncated=thing.truncated,
            unknown=thing.unknown,
        )
        return {"thing": thing, "rows": facts}


@admin.register(Record)
class RecordAdmin(ReadOnlyAdmin):
    """Reached from a host's page; not in the sidebar."""

    page_template = "console/pages/record.html"
    empty_title = "No records"
    empty_text = "Recon rules store what they see on each visit: processes, users, keys, units, packages and more."
    list_display = ["shown_subject", "shown_identity", "host_name", "current", "first_seen", "last_seen"]
    list_display_links = ["shown_identity"]
    list_select_related = ["host"]
    list_filter = [("host", AutocompleteSelectFilter), SubjectFilter, "is_current"]
    ordering = ["-id"]
    sortable_by: list[str] = []
    paginator = LargeTable
    list_disable_select_all = True
    list_fullwidth = True

    @display(description="Subject")
    def shown_subject(self, record: Record) -> str:
        return record.subject.replace("_", " ")

    @display(description="There now", boolean=True)
    def current(self, record: Record) -> bool:
        return record.is_current

    @display(description="First seen")
    def first_seen(self, record: Record) -> SafeString:
        return ago(record.first_seen_at)

    @display(description="Last seen")
    def last_seen(self, record: Record) -> SafeString:
        return ago(record.last_seen_at)

    @display(description="Identity")
    def shown_identity(self, record: Record) -> SafeString:
        return visible(" · ".join(str(value) for value in record.identity.values() if value is not None)[:200])

    @display(description="Host")
    def host_name(self, record: Record) -> SafeString:
        return visible(record.host.name)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.rarity)
        return [path("rare/", view, name="findings_rare_changelist"), *super().get_urls()]

    def rarity(self, request: HttpRequest) -> HttpResponse:
        """What few hosts have; `kind` and `hosts` in the address."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        kind = request.GET.get("kind", "")
        chosen = rarity.Kind(kind) if kind in set(rarity.Kind) else rarity.Kind.PROGRAMS
        hosts = request.GET.get("hosts", "")
        most = int(hosts) if hosts in RARE_HOSTS else 1
        context = {
            "kinds": list(rarity.Kind),
            "kind": chosen,
            "choices": RARE_HOSTS,
            "most": str(most),
            "found": rarity.find_rare(chosen, most),
        }
        return self.render_page(request, "console/pages/rarity.html", "Rare in the fleet", context)

    def page_title(self, thing: Record) -> str:
        return f"{thing.subject.replace('_', ' ').capitalize()} {thing_of(thing.subject, thing.identity)}"

    def page_context(self, _request: HttpRequest, thing: Record) -> dict[str, Any]:
        record_access(thing.host)
        return {"thing": thing, "rows": evidence.rows(thing.data, identity=thing.identity)}
