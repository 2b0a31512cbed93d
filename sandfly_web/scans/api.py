"""API of scans and schedules."""

from __future__ import annotations

import random
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response

from sandfly_web.accounts.actor import actor
from sandfly_web.api.errors import Conflict
from sandfly_web.api.views import ReadOnly, Resource
from sandfly_web.inventory.api import SECRET_FIELDS, secret
from sandfly_web.inventory.models import Credential, Host, JumpHost, Tag, Zone
from sandfly_web.inventory.services import MAX_KEY_CHARS, MAX_PASSWORD_CHARS, PlainSecrets
from sandfly_web.rules.models import Rule
from sandfly_web.scans import schedules, services
from sandfly_web.scans.adhoc import MAX_TARGETS, AdHoc, OneTime, request_adhoc
from sandfly_web.scans.callbacks.api import CallbackUrlField, ask_for_callback
from sandfly_web.scans.models import RuleOutcome, Scan, Schedule
from sandfly_web.scans.progress import live_progress

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

MAX_NAMED = 10_000
# A thread of the web server waits with the client: less than the time after which proxies give up.
MAX_WAIT_S, MAX_WAIT_DIGITS, WAIT_STEP_S = 30, 2, 0.5
PRIORITIES = {label.lower(): value for value, label in Scan.Priority.choices}


class PriorityField(serializers.ChoiceField):
    """Priorities by name; the numbers are the database's."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=list(PRIORITIES), **kwargs)

    def to_representation(self, value: Any) -> str:
        return next((name for name, number in PRIORITIES.items() if number == value), str(value))

    def to_internal_value(self, data: Any) -> Any:
        return PRIORITIES[super().to_internal_value(data)]


class ScanSerializer(serializers.ModelSerializer[Scan]):
    host_name = serializers.CharField(source="host.name", read_only=True)
    requested_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    priority = PriorityField(read_only=True)

    class Meta:
        model = Scan
        fields = [
            "id",
            "batch",
            "host",
            "host_name",
            "schedule",
            "requested_by",
            "finding",
            "priority",
            "status",
            "phase",
            "error_code",
            "error_message",
            "attempt",
            "worker",
            "created_at",
            "started_at",
            "finished_at",
            "expires_at",
            "is_root",
            "alert_count",
            "pass_count",
            "error_count",
            "skipped_count",
        ]
        read_only_fields = fields


class OutcomeSerializer(serializers.ModelSerializer[RuleOutcome]):
    rule_name = serializers.CharField(source="rule.name", read_only=True)
    unknown = serializers.DictField(child=serializers.IntegerField(), read_only=True)

    class Meta:
        model = RuleOutcome
        fields = ["rule", "rule_name", "state", "reason", "matched", "is_truncated", "unknown"]


class VisitProgressSerializer(serializers.Serializer[Any]):
    """Where a visit is at this moment; the percentage is that of the phase, where it is known."""

    phase = serializers.CharField()
    percent = serializers.IntegerField(allow_null=True)


class ScanDetailSerializer(ScanSerializer):
    """One scan with what it cost, what it left, and the rules that did not simply pass."""

    progress = serializers.SerializerMethodField()
    timings_s = serializers.DictField(child=serializers.FloatField(), read_only=True)
    cost = serializers.DictField(child=serializers.FloatField(), read_only=True)
    collectors = serializers.ListField(child=serializers.DictField(), read_only=True)
    created_paths = serializers.ListField(child=serializers.CharField(), read_only=True)
    removed_paths = serializers.ListField(child=serializers.CharField(), read_only=True)
    rule_outcomes = OutcomeSerializer(many=True, read_only=True)

    class Meta(ScanSerializer.Meta):
        fields = [
            *ScanSerializer.Meta.fields,
            "progress",
            "timings_s",
            "cost",
            "collectors",
            "created_paths",
            "removed_paths",
            "cleanup_error",
            "rule_outcomes",
        ]
        read_only_fields = fields

    @extend_schema_field(VisitProgressSerializer(allow_null=True))
    def get_progress(self, scan: Scan) -> dict[str, Any] | None:
        found = live_progress(scan)
        return None if found is None else VisitProgressSerializer(found).data


class OneTimeSerializer(serializers.Serializer[Any]):
    """Sealed to the zone at once, used for these scans only, and forgotten with the last of them."""

    username = serializers.CharField(max_length=255)
    password = secret(MAX_PASSWORD_CHARS)
    private_key = secret(MAX_KEY_CHARS)
    passphrase = secret(MAX_PASSWORD_CHARS)
    become = serializers.ChoiceField(choices=Credential.Become.choices, default=Credential.Become.AUTO)
    become_password = secret(MAX_PASSWORD_CHARS)


class ScanRequestSerializer(serializers.Serializer[Any]):
    """Which hosts, and which rules; without either choice of rules, detection and recon run.

    Hosts of the inventory go by `hosts` and `tags`; others by `targets`, with their `zone` and a `credential` that is
    kept for these scans only.
    """

    hosts = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=MAX_NAMED, help_text="Ids of hosts."
    )
    tags = serializers.ListField(
        child=serializers.CharField(max_length=63), required=False, max_length=100, help_text="Hosts with one of these."
    )
    targets = serializers.ListField(
        child=serializers.CharField(max_length=255),
        required=False,
        max_length=MAX_TARGETS,
        help_text="Hosts outside the inventory: host, host:port or network.",
    )
    zone = serializers.SlugRelatedField[Any](
        slug_field="name", queryset=Zone.objects.all(), required=False, help_text="Of the targets."
    )
    credential = OneTimeSerializer(required=False, help_text="Of the targets.")
    jump_host = serializers.SlugRelatedField[Any](
        slug_field="name", queryset=JumpHost.objects.all(), required=False, help_text="That leads to the targets."
    )
    accept_new_host_keys = serializers.BooleanField(
        required=False, default=False, help_text="Trust the key that each target shows, if none is pinned yet."
    )
    types = serializers.ListField(
        child=serializers.ChoiceField(choices=Rule.Type.choices), required=False, help_text="Rules of these types."
    )
    rule_tags = serializers.ListField(
        child=serializers.CharField(max_length=127),
        required=False,
        max_length=100,
        help_text="Only rules with one of these.",
    )
    rules = serializers.ListField(
        child=serializers.CharField(max_length=127),
        required=False,
        max_length=MAX_NAMED,
        help_text="Exactly these rules, by name or id.",
    )
    deep = serializers.BooleanField(
        required=False, help_text="Also the rules that look at every file of every package, every process id."
    )
    priority = PriorityField(required=False, help_text="Default: normal.")
    nice = serializers.IntegerField(min_value=0, max_value=19, default=19, help_text="Of the probe on the host.")
    cpu_percent = serializers.IntegerField(min_value=1, max_value=100, default=50, help_text="Of one processor.")
    deadline_s = serializers.IntegerField(min_value=10, max_value=3600, default=120, help_text="Of the probe.")
    callback_url = CallbackUrlField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("targets"):
            return self.validate_targets_whole(attrs)
        if not attrs.get("hosts") and not attrs.get("tags"):
            raise serializers.ValidationError({"hosts": "name hosts, tags of hosts, or targets"})
        attrs["found"] = self.find_hosts(attrs.get("hosts", []), attrs.get("tags", []))
        return attrs

    def validate_targets_whole(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("hosts") or attrs.get("tags"):
            raise serializers.ValidationError({"targets": "ask for hosts of the inventory in another request"})
        if missing := [name for name in ("zone", "credential") if name not in attrs]:
            raise serializers.ValidationError({missing[0]: "targets need it"})
        return attrs

    def adhoc(self) -> AdHoc | None:
        """What the targets ask for, if there are any."""
        values = self.validated_data
        if not values.get("targets"):
            return None
        given = values["credential"]
        secrets = PlainSecrets(**{name: given[name] for name in SECRET_FIELDS if name in given})
        return AdHoc(
            targets=values["targets"],
            zone=values["zone"],
            credential=OneTime(given["username"], secrets, given["become"]),
            jump_host=values.get("jump_host"),
            accept_new_host_key=values["accept_new_host_keys"],
        )

    def options(self) -> dict[str, Any]:
        values = self.validated_data
        limits = {name: values[name] for name in ("nice", "cpu_percent", "deadline_s")}
        return {
            "priority": values.get("priority", Scan.Priority.NORMAL),
            "limits": services.visit_limits(**limits),
        }

    def find_hosts(self, ids: list[Any], tags: list[str]) -> list[Host]:
        """Raises ValidationError that names an id or tag which does not exist."""
        missing_tags = set(tags) - set(Tag.objects.filter(name__in=tags).values_list("name", flat=True))
        if missing_tags:
            raise serializers.ValidationError({"tags": f"there is no tag {sorted(missing_tags)[0]!r}"})
        hosts = list(Host.objects.filter(Q(pk__in=ids) | Q(tags__name__in=tags)).distinct().defer("profile"))
        missing = set(ids) - {host.pk for host in hosts}
        if missing:
            raise serializers.ValidationError({"hosts": f"there is no host {sorted(map(str, missing))[0]}"})
        return hosts

    def choice(self) -> services.RuleChoice:
        values = self.validated_data
        return services.RuleChoice(
            types=tuple(values.get("types", ())),
            tags=tuple(values.get("rule_tags", ())),
            names=tuple(values.get("rules", ())),
            deep=values.get("deep", False),
        )


class BatchSerializer(serializers.Serializer[Any]):
    """Scans that were asked for together; follow them with `GET /batches/{id}` and `GET /scans?batch=`."""

    batch = serializers.UUIDField(source="id")
    scans = ScanSerializer(many=True)


class ScanFilters(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=Scan.Status.choices, distinct=False)
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Scan
        fields = ["batch", "host", "schedule", "finding", "error_code"]


class ScanViewSet(ReadOnly):
    """Visits to hosts, newest first."""

    queryset = Scan.objects.select_related("host", "requested_by")
    serializer_class = ScanSerializer
    filterset_class = ScanFilters
    ordering = ("-created_at", "id")
    action_permissions: ClassVar[dict[str, str]] = {"create": "scans.add_scan", "cancel": "scans.change_scan"}

    def get_queryset(self) -> QuerySet[Scan]:
        queryset: QuerySet[Scan] = super().get_queryset()
        if self.action == "list":
            return queryset.defer("timings_s", "cost", "collectors", "created_paths", "removed_paths")
        return queryset.prefetch_related("rule_outcomes__rule")

    def get_serializer_class(self) -> type[ScanSerializer]:
        return ScanSerializer if self.action == "list" else ScanDetailSerializer

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "wait",
                int,
                description=f"Answer when the scan has ended, or after so many seconds; at most {MAX_WAIT_S}.",
            )
        ]
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One visit; with `wait` a client need not ask again and again."""
        text = request.query_params.get("wait", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_WAIT_DIGITS and int(text) <= MAX_WAIT_S):
            raise serializers.ValidationError({"wait": f"a whole number of seconds, at most {MAX_WAIT_S}"})
        scan = self.get_object()
        until = time.monotonic() + int(text)
        while scan.status in Scan.UNFINISHED and (left := until - time.monotonic()) > 0:
            time.sleep(min(WAIT_STEP_S, left))
            scan = self.get_object()
        return Response(self.get_serializer(scan).data)

    @extend_schema(request=ScanRequestSerializer, responses={202: BatchSerializer})
    def create(self, request: Request) -> Response:
        """Queue a scan of each host; answers before any has begun.

        Targets outside the inventory become hosts that no schedule visits; that takes the right to add hosts.
        """
        body = ScanRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        adhoc, asked = body.adhoc(), {"requested_by": actor(request), **body.options()}
        if adhoc is not None and not request.user.has_perm("inventory.add_host"):
            raise PermissionDenied("targets outside the inventory need the right to add hosts")
        with transaction.atomic():
            if adhoc is None:
                batch = services.request_scans(body.validated_data["found"], body.choice(), **asked)
            else:
                batch = request_adhoc(adhoc, body.choice(), **asked)
            ask_for_callback(request, batch.id, body.validated_data.get("callback_url"))
        return Response(BatchSerializer(batch).data, status=HTTPStatus.ACCEPTED)

    @extend_schema(request=None, responses={202: ScanDetailSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop a scan: at once while it waits, else its worker is asked to."""
        try:
            services.cancel_scan(self.get_object())
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return Response(ScanDetailSerializer(self.get_object()).data, status=HTTPStatus.ACCEPTED)


def rule_names(help_text: str) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=127), required=False, max_length=MAX_NAMED, help_text=help_text
    )


class ScheduleSerializer(serializers.ModelSerializer[Schedule]):
    rule_types = serializers.ListField(
        child=serializers.ChoiceField(choices=Rule.Type.choices),
        allow_empty=False,
        required=False,
        help_text="Needed but for a drift check, which runs what baselines need.",
    )
    rule_tags = rule_names("Only rules with one of these tags; empty: all.")
    excluded_rule_tags = rule_names("No rules with one of these tags.")
    excluded_rules = rule_names("Names of rules that do not run.")
    always_rules = rule_names("Names of rules that run on every visit, whatever is drawn.")
    host_tags = serializers.SlugRelatedField[Any](
        slug_field="name", many=True, queryset=Tag.objects.all(), required=False
    )
    zones = serializers.SlugRelatedField[Any](slug_field="name", many=True, queryset=Zone.objects.all(), required=False)
    priority = PriorityField(required=False)

    class Meta:
        model = Schedule
        fields = [
            "id",
            "name",
            "is_enabled",
            "interval_s",
            "jitter_s",
            "is_trickle",
            "blackout_start",
            "blackout_end",
            "time_zone",
            "priority",
            "nice",
            "cpu_percent",
            "deadline_s",
            "rule_types",
            "rule_tags",
            "excluded_rule_tags",
            "excluded_rules",
            "rule_percent",
            "always_rules",
            "is_deep",
            "is_drift_check",
            "host_tags",
            "zones",
            "max_cpu_s",
            "max_memory_mib",
            "max_wall_s",
            "max_crashes",
            "paused_at",
            "pause_reason",
            "is_tripped",
            "next_run_at",
            "created_at",
        ]
        read_only_fields = ["paused_at", "pause_reason", "is_tripped", "next_run_at", "created_at"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = (
            attrs.get(name, getattr(self.instance, name, None)) for name in ("blackout_start", "blackout_end")
        )
        if (start is None) != (end is None) or (start is not None and start == end):
            raise serializers.ValidationError({"blackout_end": "a blackout has a start and another end"})
        chosen = {"rule_types": [], "is_drift_check": False}
        if self.instance is not None:
            chosen = {name: getattr(self.instance, name) for name in chosen}
        chosen |= {name: attrs[name] for name in chosen if name in attrs}
        if not (chosen["rule_types"] or chosen["is_drift_check"]):
            raise serializers.ValidationError({"rule_types": "name at least one type, or make it a drift check"})
        for name in ("excluded_rules", "always_rules"):
            if unknown := schedules.unknown_rules(attrs.get(name, [])):
                raise serializers.ValidationError({name: f"no rule is named {unknown[0]!r}"})
        return attrs

    def update(self, instance: Schedule, validated_data: dict[str, Any]) -> Schedule:
        before = schedules.timing_of(instance)
        schedule: Schedule = super().update(instance, validated_data)
        if schedules.timing_of(schedule) != before:
            schedules.replan_schedule(schedule, timezone.now(), random.SystemRandom())
        return schedule


class ScheduleFilters(django_filters.FilterSet):
    class Meta:
        model = Schedule
        fields = ["name", "is_enabled"]


class DueSerializer(serializers.Serializer[Any]):
    due_hosts = serializers.IntegerField(help_text="Hosts that the next dispatch scans.")


class StoppedSerializer(serializers.Serializer[Any]):
    stopped_scans = serializers.IntegerField(help_text="Scans that were not over; those that run end within seconds.")


class PauseSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=1000, required=False, default="", allow_blank=True)


class ScheduleViewSet(Resource):
    """Which rules run on which hosts how often."""

    queryset = Schedule.objects.prefetch_related("host_tags", "zones")
    serializer_class = ScheduleSerializer
    filterset_class = ScheduleFilters
    ordering = ("name",)
    action_permissions: ClassVar[dict[str, str]] = {
        "run": "scans.add_scan",
        "pause": "scans.change_schedule",
        "resume": "scans.change_schedule",
        "abort": "scans.change_scan",
    }

    @extend_schema(request=None, responses={202: DueSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str) -> Response:
        """Make all hosts of the schedule due now."""
        try:
            count = schedules.run_schedule_now(self.get_object(), timezone.now(), random.SystemRandom())
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return Response({"due_hosts": count}, status=HTTPStatus.ACCEPTED)

    @extend_schema(request=PauseSerializer, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Begin no further visits; those under way end as they would."""
        return self.answer(pause_by(request, self.get_object()))

    @extend_schema(request=None, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on, also after a limit paused it: what was seen until now does not trip it again."""
        schedule = self.get_object()
        try:
            schedules.resume_schedule(schedule, timezone.now(), random.SystemRandom())
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return self.answer(schedule)

    @extend_schema(request=None, responses={202: StoppedSerializer})
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, pk: str) -> Response:
        """Stop every scan of the schedule; its hosts wait for their next time."""
        count = schedules.abort_schedule(self.get_object(), timezone.now(), random.SystemRandom())
        return Response({"stopped_scans": count}, status=HTTPStatus.ACCEPTED)

    def answer(self, schedule: Schedule) -> Response:
        return Response(ScheduleSerializer(schedule).data)


def pause_by(request: Request, watched: Any) -> Any:
    """Raises Conflict when it is paused already."""
    body = PauseSerializer(data=request.data)
    body.is_valid(raise_exception=True)
    try:
        services.pause(watched, body.validated_data["reason"] or f"paused by {request.user}")
    except ValidationError as error:
        raise Conflict(" ".join(error.messages)) from None
    return watched
