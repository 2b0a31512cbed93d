"""Console pages of scans and schedules."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    RelatedDropdownFilter,
    TextFilter,
)
from unfold.decorators import display

from sandfly_web.accounts.audit import record_access
from sandfly_web.console.collected import json_lines
from sandfly_web.console.reports.performance import DEFAULT_SPAN, SPANS, performance_report
from sandfly_web.console.reports.report import FORMATS, download
from sandfly_web.console.scanpage import cost_facts, scan_context
from sandfly_web.console.site import ConsoleAdmin, LargeTable, ReadOnlyAdmin, StatementFilter
from sandfly_web.console.templatetags.sandfly import ago, badge, duration, visible
from sandfly_web.scans import schedules, services
from sandfly_web.scans.forms import ScheduleForm
from sandfly_web.scans.models import Scan, ScanBatch, Schedule
from sandfly_web.scans.queue.overview import counts_of, look, with_counts, with_hosts

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern
    from django.utils.safestring import SafeString

LISTED_SCANS = 15
UNKNOWN = "\N{EN DASH}"
TIMING_FIELDS = {"interval_s", "is_trickle", "blackout_start", "blackout_end", "time_zone"}
SCHEDULE_FIELDS: list[Any] = [
    (None, {"fields": ["name", "is_enabled", "host_tags", "zones"]}),
    (
        "When",
        {"fields": ["interval_s", "jitter_s", "is_trickle", "blackout_start", "blackout_end", "time_zone"]},
    ),
    (
        "Which rules",
        {
            "fields": [
                "is_drift_check",
                "rule_types",
                "rule_tags",
                "excluded_rule_tags",
                "excluded_rules",
                ("rule_percent", "always_rules"),
                "is_deep",
            ]
        },
    ),
    ("What a visit may take", {"fields": ["priority", ("nice", "cpu_percent", "deadline_s")]}),
    (
        "It pauses itself when hosts pay more than",
        {"fields": [("max_cpu_s", "max_memory_mib"), ("max_wall_s", "max_crashes")]},
    ),
]


class ErrorFilter(TextFilter):
    title = "failure code"
    parameter_name = "error_code"

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Scan]) -> QuerySet[Scan]:
        return queryset.filter(error_code=self.value()) if self.value() else queryset


def has_answer(scan: Scan) -> bool:
    return scan.status == Scan.Status.DONE


def cancel(thing: Scan, _request: HttpRequest) -> str:
    scan = services.cancel_scan(thing)
    return "Scan cancelled." if scan.status == Scan.Status.CANCELLED else "The worker was asked to stop the scan."


@admin.register(Scan)
class ScanAdmin(ReadOnlyAdmin):
    page_template = "console/pages/scan.html"
    empty_title = "No scans yet"
    empty_text = "Press “Scan now” on a host's page, or let a schedule do it."
    list_display = [
        "shown_status",
        "host_name",
        "asked",
        "origin",
        "alerts",
        "unanswered",
        "cpu",
        "wall",
        "memory",
    ]
    list_select_related = ["host", "schedule", "requested_by"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ErrorFilter,
        ("host", AutocompleteSelectFilter),
        ("schedule", RelatedDropdownFilter),
    ]
    ordering = ["-created_at", "id"]
    sortable_by: list[str] = []
    paginator = LargeTable
    list_disable_select_all = True
    list_fullwidth = True
    list_before_template = "console/parts/performance_link.html"
    list_after_template = "console/parts/live_list.html"
    commands = {"cancel": ("scans.change_scan", cancel)}

    def get_urls(self) -> list[URLPattern]:
        forensics = path(
            "<path:object_id>/forensics.jsonl",
            self.admin_site.admin_view(self.download_forensics),
            name="scans_scan_forensics",
        )
        performance = path(
            "performance/", self.admin_site.admin_view(self.performance_view), name="scans_scan_performance"
        )
        return [forensics, performance, *super().get_urls()]

    def performance_view(self, request: HttpRequest) -> HttpResponse:
        """What scans cost, to print or to take away."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        span = request.GET.get("span", "")
        span = span if span in SPANS else DEFAULT_SPAN
        report = performance_report(span, timezone.now())
        if (kind := request.GET.get("format", "")) in FORMATS:
            return download(report, kind)
        context = {"report": report, "formats": FORMATS, "spans": SPANS, "span": span}
        return self.render_page(request, "console/pages/report.html", report.title, context)

    def download_forensics(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        """Everything that incident rules brought home; who fetched it is in the audit log."""
        if not request.user.has_perm("findings.view_forensicrecord"):
            raise PermissionDenied
        scan = self.require(request, object_id)
        record_access(scan.host)
        answer = StreamingHttpResponse(json_lines(scan), content_type="application/x-ndjson")
        answer["Content-Disposition"] = f'attachment; filename="sandfly-{scan.pk}.jsonl"'
        return answer

    @display(description="Status")
    def shown_status(self, scan: Scan) -> SafeString:
        words = scan.error_code if scan.error_code and scan.status == Scan.Status.FAILED else scan.get_status_display()
        return badge(scan.status, scan.phase if scan.status == Scan.Status.RUNNING and scan.phase else words)

    @display(description="Host")
    def host_name(self, scan: Scan) -> SafeString:
        return visible(scan.host.name)

    @display(description="Asked for")
    def asked(self, scan: Scan) -> SafeString:
        return ago(scan.created_at)

    @display(description="By")
    def origin(self, scan: Scan) -> str:
        return str(scan.schedule or scan.requested_by or "sandfly")

    @display(description="Alerts")
    def alerts(self, scan: Scan) -> str:
        """Of a scan that failed nothing is known, which is not none."""
        return str(scan.alert_count) if has_answer(scan) else UNKNOWN

    @display(description="No answer")
    def unanswered(self, scan: Scan) -> str:
        return str(scan.error_count + scan.skipped_count) if has_answer(scan) else UNKNOWN

    @display(description="CPU")
    def cpu(self, scan: Scan) -> str:
        return cost_facts(scan).cpu or UNKNOWN

    @display(description="Wall")
    def wall(self, scan: Scan) -> str:
        return cost_facts(scan).wall or UNKNOWN

    @display(description="Memory")
    def memory(self, scan: Scan) -> str:
        return cost_facts(scan).memory or UNKNOWN

    def get_queryset(self, request: HttpRequest) -> QuerySet[Scan]:
        queryset: QuerySet[Scan] = super().get_queryset(request)
        return queryset.select_related("host", "schedule", "requested_by")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        is_live = Scan.objects.filter(Scan.UNDER_WAY).exists()
        return super().changelist_view(request, {**(extra_context or {}), "is_live": is_live})

    def page_title(self, thing: Scan) -> str:
        return f"{thing.host} {thing.created_at:%Y-%m-%d %H:%M} UTC"

    def page_context(self, _request: HttpRequest, thing: Scan) -> dict[str, Any]:
        return scan_context(thing)


def run_now(thing: Schedule, _request: HttpRequest) -> str:
    # Only spreads hosts that the schedule did not cover yet; nothing secret depends on it.
    count = schedules.run_schedule_now(thing, timezone.now(), random.SystemRandom())
    return f"{count} host{'s' if count != 1 else ''} due now; scans start with the next dispatch."


def pause(thing: Schedule, request: HttpRequest) -> str:
    services.pause(thing, f"paused by {request.user}")
    return "Paused: no further visit begins. Those under way end as they would."


def resume(thing: Schedule, _request: HttpRequest) -> str:
    schedules.resume_schedule(thing, timezone.now(), random.SystemRandom())
    return "The schedule goes on."


def abort(thing: Schedule, _request: HttpRequest) -> str:
    count = schedules.abort_schedule(thing, timezone.now(), random.SystemRandom())
    return f"{count} scan{'s' if count != 1 else ''} stopped. The hosts wait for their next time."


@admin.register(Schedule)
class ScheduleAdmin(ConsoleAdmin):
    page_template = "console/pages/schedule.html"
    form = ScheduleForm
    empty_title = "No schedules"
    empty_text = "A schedule scans the hosts of its tags and zones again and again, at moments that nobody can foresee."
    list_display = ["name", "enabled", "every", "types", "hosts_covered", "next_due"]
    search_fields = ["name"]
    autocomplete_fields = ["host_tags", "zones"]
    commands = {
        "run": ("scans.add_scan", run_now),
        "pause": ("scans.change_schedule", pause),
        "resume": ("scans.change_schedule", resume),
        "abort": ("scans.change_scan", abort),
    }
    fieldsets = SCHEDULE_FIELDS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        return with_hosts(super().get_queryset(request))

    @display(description="Enabled", ordering="is_enabled", boolean=True)
    def enabled(self, schedule: Schedule) -> bool:
        return schedule.is_enabled

    @display(description="Every", ordering="interval_s")
    def every(self, schedule: Schedule) -> str:
        return duration(schedule.interval_s)

    @display(description="Rules")
    def types(self, schedule: Schedule) -> str:
        if schedule.is_drift_check:
            return "what enforced baselines compare"
        wanted = [*schedule.rule_types, *(f"#{tag}" for tag in schedule.rule_tags)]
        words = ", ".join(wanted) or "detection, recon"
        return f"{schedule.rule_percent} % of {words}" if schedule.rule_percent < 100 else words

    @display(description="Hosts", ordering="host_count")
    def hosts_covered(self, schedule: Any) -> int:
        return int(schedule.host_count)

    @display(description="Next due", ordering="due")
    def next_due(self, schedule: Any) -> SafeString | str:
        if not schedule.is_enabled:
            return "disabled"
        if schedule.paused_at is not None:
            return "paused"
        return ago(schedule.due) if schedule.due else "with the next dispatch"

    def page_context(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        recent = thing.scans.select_related("host").defer("collectors", "created_paths")[:LISTED_SCANS]
        return {
            "thing": thing,
            "types": self.types(thing),
            "next_due": self.next_due(thing),
            "tags": list(thing.host_tags.all()),
            "zones": list(thing.zones.all()),
            "unfinished": thing.scans.filter(status__in=Scan.UNFINISHED).count(),
            "now_quiet": thing.blackout is not None and thing.blackout.holds_at(timezone.now()),
            "recent": recent if request.user.has_perm("scans.view_scan") else [],
            "can_run": request.user.has_perm("scans.add_scan"),
            "can_edit": self.has_change_permission(request, thing),
            "can_stop": request.user.has_perm("scans.change_scan"),
        }

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        super().save_related(request, form, formsets, change)
        if change and TIMING_FIELDS & set(form.changed_data):
            schedules.replan_schedule(form.instance, timezone.now(), random.SystemRandom())


def pause_batch(thing: ScanBatch, request: HttpRequest) -> str:
    services.pause(thing, f"paused by {request.user}")
    return "Paused: no further scan of the batch begins."


def resume_batch(thing: ScanBatch, _request: HttpRequest) -> str:
    services.resume(thing)
    return "The batch goes on."


def abort_batch(thing: ScanBatch, _request: HttpRequest) -> str:
    count = services.cancel_all(services.scans_of(thing))
    return f"{count} scan{'s' if count != 1 else ''} stopped."


@admin.register(ScanBatch)
class ScanBatchAdmin(ReadOnlyAdmin):
    """Scans that were asked for together, and the page of all queues."""

    page_template = "console/pages/batch.html"
    heading = "Scan batches"
    empty_title = "No batches"
    empty_text = "Scans that somebody asked for by hand or through the API are listed here together."
    list_display = ["asked", "requested_by", "shown_state", "scans"]
    list_select_related = ["requested_by"]
    list_filter = [("is_tripped", StatementFilter)]
    ordering = ["-created_at", "id"]
    sortable_by: list[str] = []
    paginator = LargeTable
    list_disable_select_all = True
    commands = {
        "pause": ("scans.change_scan", pause_batch),
        "resume": ("scans.change_scan", resume_batch),
        "abort": ("scans.change_scan", abort_batch),
    }

    def get_urls(self) -> list[URLPattern]:
        queue = path("queue/", self.admin_site.admin_view(self.queue_view), name="scans_queue_changelist")
        return [queue, *super().get_urls()]

    def queue_view(self, request: HttpRequest) -> HttpResponse:
        """Zones, schedules and reports that wait."""
        if not request.user.has_perm("scans.view_scan"):
            raise PermissionDenied
        overview = look(timezone.now())
        is_live = any(zone.waiting or zone.in_flight for zone in overview.zones)
        return self.render_page(
            request, "console/pages/queue.html", "Queue", {"overview": overview, "is_live": is_live}
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScanBatch]:
        queryset: QuerySet[ScanBatch] = super().get_queryset(request)
        return with_counts(queryset.select_related("requested_by").defer("sealed"))

    @display(description="Asked for")
    def asked(self, batch: ScanBatch) -> SafeString:
        return ago(batch.created_at)

    @display(description="State")
    def shown_state(self, batch: Any) -> str:
        if batch.paused_at is not None:
            return "paused by its limits" if batch.is_tripped else "paused"
        return "under way" if set(Scan.UNFINISHED) & counts_of(batch).keys() else "over"

    @display(description="Scans")
    def scans(self, batch: Any) -> str:
        return ", ".join(f"{count} {status}" for status, count in sorted(counts_of(batch).items()))

    def page_title(self, thing: ScanBatch) -> str:
        return f"Scans asked for {thing.created_at:%Y-%m-%d %H:%M} UTC"

    def page_context(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        counts = counts_of(thing)
        return {
            "thing": thing,
            "counts": sorted(counts.items()),
            "total": sum(counts.values()),
            "is_live": bool(set(Scan.UNFINISHED) & counts.keys()),
            "recent": services.scans_of(thing)
            .select_related("host")
            .defer("collectors", "created_paths")
            .order_by("-created_at")[:LISTED_SCANS],
            "can_stop": request.user.has_perm("scans.change_scan"),
        }
