"""API of findings and records."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.audit import record_access
from sandfly_web.api.errors import Conflict
from sandfly_web.api.filters import SigmaTag
from sandfly_web.api.views import ReadOnly
from sandfly_web.findings import services, snoozing
from sandfly_web.findings.bulk import services as bulk
from sandfly_web.findings.bulk.api import TriageAllSerializer, TriagedSerializer, snoozed_until
from sandfly_web.findings.models import (
    Finding,
    FindingEvent,
    FindingEvidence,
    ForensicRecord,
    Record,
    RiskDay,
    WidespreadFinding,
)
from sandfly_web.findings.rarity.services import MAX_HOSTS, MAX_RARE, Kind, find_rare
from sandfly_web.findings.thing import thing
from sandfly_web.inventory.models import Host, Tag
from sandfly_web.rules.models import Severity
from sandfly_web.scans.callbacks.api import CallbackUrlField, ask_for_callback

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet
    from rest_framework.request import Request

TRIAGE = "findings.change_finding"
# By how much the clocks of our machines may differ.
EVENT_DELAY = timedelta(seconds=10)
MAX_TEXT_CHARS = services.MAX_COMMENT_CHARS


class FindingSerializer(serializers.ModelSerializer[Finding]):
    host_name = serializers.CharField(source="host.name", read_only=True)
    assignee = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    tags = serializers.ListField(child=serializers.CharField(), read_only=True)
    thing = serializers.SerializerMethodField(help_text="What it is about, in one line of at most 120 characters.")

    class Meta:
        model = Finding
        fields = [
            "id",
            "host",
            "host_name",
            "rule",
            "rule_name",
            "title",
            "subject",
            "thing",
            "level",
            "tags",
            "explanation",
            "status",
            "assignee",
            "close_reason",
            "closed_at",
            "allowed_by",
            "snoozed_until",
            "woke_at",
            "first_seen_at",
            "last_seen_at",
            "count",
            "fingerprint",
            "first_scan",
            "last_scan",
        ]
        read_only_fields = fields

    def get_thing(self, finding: Finding) -> str:
        return thing(finding.subject, finding.identity)


class EventSerializer(serializers.ModelSerializer[FindingEvent]):
    actor = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)

    class Meta:
        model = FindingEvent
        fields = ["id", "kind", "actor", "comment", "created_at"]


class EvidenceSerializer(serializers.ModelSerializer[FindingEvidence]):
    evidence = serializers.DictField(read_only=True)

    class Meta:
        model = FindingEvidence
        fields = ["digest", "evidence", "first_seen_at", "last_seen_at"]


class FindingDetailSerializer(FindingSerializer):
    """One finding with evidence, its versions, and history."""

    identity = serializers.DictField(read_only=True)
    evidence = serializers.DictField(read_only=True)
    truncated = serializers.ListField(child=serializers.CharField(), read_only=True)
    unknown = serializers.DictField(child=serializers.CharField(), read_only=True)
    versions = EvidenceSerializer(many=True, read_only=True)
    events = EventSerializer(many=True, read_only=True)

    class Meta(FindingSerializer.Meta):
        fields = [
            *FindingSerializer.Meta.fields,
            "identity",
            "evidence",
            "truncated",
            "unknown",
            "versions",
            "events",
        ]
        read_only_fields = fields


class OptionalCommentSerializer(serializers.Serializer[Any]):
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=MAX_TEXT_CHARS)


class CommentSerializer(serializers.Serializer[Any]):
    comment = serializers.CharField(max_length=MAX_TEXT_CHARS)


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=MAX_TEXT_CHARS)


class AssignSerializer(serializers.Serializer[Any]):
    assignee = serializers.SlugRelatedField[Any](
        slug_field="username", queryset=User.objects.filter(is_active=True), allow_null=True, help_text="Null: nobody."
    )
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=MAX_TEXT_CHARS)


class SnoozeSerializer(serializers.Serializer[Any]):
    until = serializers.DateTimeField(required=False, help_text="Until when; at most a year ahead.")
    days = serializers.IntegerField(
        required=False, min_value=1, max_value=snoozing.MAX_DAYS, help_text="Or: for so many days from now."
    )
    reason = serializers.CharField(max_length=MAX_TEXT_CHARS)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {"until": snoozed_until(attrs), "reason": attrs["reason"]}


class CollectSerializer(serializers.Serializer[Any]):
    rules = serializers.ListField(
        child=serializers.CharField(max_length=127),
        required=False,
        default=list,
        max_length=1000,
        help_text="Names of incident rules; none: all that are enabled.",
    )
    callback_url = CallbackUrlField()


class CollectedSerializer(serializers.Serializer[Any]):
    """Follow it with `GET /scans/{scan}`, then read `GET /forensic-records?scan={scan}`."""

    scan = serializers.UUIDField()


class FindingFilters(django_filters.FilterSet):
    # Not distinct: one column of the row itself is compared, and sorting a million rows for nothing takes seconds.
    status = django_filters.MultipleChoiceFilter(choices=Finding.Status.choices, distinct=False)
    level = django_filters.MultipleChoiceFilter(choices=Severity.choices, method="filter_level")
    is_unresolved = django_filters.BooleanFilter(method="filter_unresolved", help_text="Open or acknowledged.")
    is_snoozed = django_filters.BooleanFilter(
        method="filter_snoozed", help_text="Asleep now. What is worked on: `is_unresolved=true&is_snoozed=false`."
    )
    woke = django_filters.BooleanFilter(
        method="filter_woke", help_text="Was snoozed, woke, and nobody has looked at it since."
    )
    assignee = django_filters.CharFilter(field_name="assignee__username", help_text="A user name.")
    tag = SigmaTag(help_text="A whole Sigma tag; `attack.` may be left out.")
    host_tag = django_filters.CharFilter(method="filter_host_tag", help_text="Name of a tag of the host.")
    scan = django_filters.UUIDFilter(field_name="last_scan", help_text="The scan that saw it last.")
    first_seen_after = django_filters.IsoDateTimeFilter(field_name="first_seen_at", lookup_expr="gte")
    first_seen_before = django_filters.IsoDateTimeFilter(field_name="first_seen_at", lookup_expr="lt")
    last_seen_after = django_filters.IsoDateTimeFilter(field_name="last_seen_at", lookup_expr="gte")
    last_seen_before = django_filters.IsoDateTimeFilter(field_name="last_seen_at", lookup_expr="lt")

    class Meta:
        model = Finding
        fields = ["host", "rule", "rule_name", "subject", "fingerprint"]

    def filter_host_tag(self, queryset: QuerySet[Finding], _name: str, value: str) -> QuerySet[Finding]:
        """By the hosts: joined, every finding of the tag would be read and sorted for one page.

        The tag is looked up first: only of an id does PostgreSQL know how many hosts have it.
        """
        tags = list(Tag.objects.filter(name=value).order_by().values_list("pk", flat=True))
        return queryset.filter(host__in=Host.tags.through._default_manager.filter(tag__in=tags).values("host_id"))

    def filter_level(self, queryset: QuerySet[Finding], _name: str, value: list[str]) -> QuerySet[Finding]:
        """By rank, which is what the index of the list begins with."""
        if not value:
            return queryset
        return queryset.filter(level_rank__in=[rank for rank, level in enumerate(Severity.values) if level in value])

    def filter_unresolved(self, queryset: QuerySet[Finding], _name: str, value: bool) -> QuerySet[Finding]:  # noqa: FBT001 - django-filter's signature
        if value:
            return queryset.filter(status__in=Finding.UNRESOLVED)
        return queryset.exclude(status__in=Finding.UNRESOLVED)

    def filter_snoozed(self, queryset: QuerySet[Finding], _name: str, value: bool) -> QuerySet[Finding]:  # noqa: FBT001 - django-filter's signature
        now = timezone.now()
        return queryset.filter(snoozing.asleep(now) if value else snoozing.awake(now))

    def filter_woke(self, queryset: QuerySet[Finding], _name: str, value: bool) -> QuerySet[Finding]:  # noqa: FBT001 - django-filter's signature
        woke = snoozing.woke(timezone.now())
        return queryset.filter(woke) if value else queryset.exclude(woke)


class WidespreadSerializer(serializers.ModelSerializer[WidespreadFinding]):
    rule_name = serializers.CharField(source="rule.name", read_only=True)

    class Meta:
        model = WidespreadFinding
        fields = ["id", "rule", "rule_name", "subject", "thing", "host_count", "watched_count", "counted_at"]
        read_only_fields = fields


class WidespreadFilters(django_filters.FilterSet):
    class Meta:
        model = WidespreadFinding
        fields = ["rule", "subject"]


class WidespreadViewSet(ReadOnly):
    """Findings that most hosts have alike, each as one: how the fleet is, or a rule that does not fit it."""

    queryset = WidespreadFinding.objects.select_related("rule")
    serializer_class = WidespreadSerializer
    filterset_class = WidespreadFilters
    ordering = ("-host_count", "id")


class FindingViewSet(ReadOnly):
    """What rules found. Worst first, then the last seen; every action writes an event with its actor."""

    queryset = Finding.objects.select_related("host", "assignee")
    serializer_class = FindingSerializer
    filterset_class = FindingFilters
    ordering = ("-level_rank", "-last_seen_at", "id")
    action_permissions: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("acknowledge", "assign", "comment", "close", "false_positive", "reopen"), TRIAGE),
        **dict.fromkeys(("snooze", "unsnooze"), TRIAGE),
        "triage_all": TRIAGE,
        "collect": "scans.add_scan",
    }

    def get_queryset(self) -> QuerySet[Finding]:
        queryset: QuerySet[Finding] = super().get_queryset()
        if self.action == "list":
            return queryset.defer("evidence", "truncated", "unknown")
        return queryset.prefetch_related("versions", "events__actor")

    def get_serializer_class(self) -> type[FindingSerializer]:
        return FindingSerializer if self.action == "list" else FindingDetailSerializer

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        finding = self.get_object()
        record_access(finding)
        return Response(self.get_serializer(finding).data)

    def triage(
        self,
        request: Request,
        serializer_class: type[serializers.Serializer[Any]],
        service: Callable[[list[Finding], dict[str, Any]], object],
    ) -> Response:
        """Read the body, call the service, answer with the finding as it is now."""
        finding = self.get_object()
        body = serializer_class(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            service([finding], body.validated_data)
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return Response(FindingDetailSerializer(self.get_object()).data)

    @extend_schema(request=TriageAllSerializer, responses=TriagedSerializer)
    @action(detail=False, methods=["post"], url_path="triage", filterset_class=None)
    def triage_all(self, request: Request) -> Response:
        """One step for every finding that a filter matches, or for those that are named.

        Findings whose state does not allow it stay as they are. One entry of the audit log tells the filter and the
        number.
        """
        body = TriageAllSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        step, is_dry = body.validated_data["step"], body.validated_data["dry_run"]
        findings, asked = body.findings(Finding.objects.all(), FindingFilters)
        found = bulk.look(findings)
        applies, changed = found.applies(step.action), 0
        if not is_dry:
            try:
                changed = bulk.triage_all(findings, step, actor(request), asked, body.validated_data.get("expect"))
            except ValidationError as error:
                raise Conflict(" ".join(error.messages)) from None
        answer = {
            "action": step.action,
            "dry_run": is_dry,
            "matched": found.matched,
            "applies": applies if is_dry else changed,
            "changed": changed,
            "limit": bulk.MAX_FINDINGS,
        }
        return Response(TriagedSerializer(answer).data)

    @extend_schema(request=OptionalCommentSerializer, responses=FindingDetailSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Somebody looks into it."""
        return self.triage(
            request, OptionalCommentSerializer, lambda f, v: services.acknowledge(f, actor(request), v["comment"])
        )

    @extend_schema(request=AssignSerializer, responses=FindingDetailSerializer)
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, pk: str) -> Response:
        """Give it to a user, or to nobody."""
        return self.triage(
            request, AssignSerializer, lambda f, v: services.assign(f, actor(request), v["assignee"], v["comment"])
        )

    @extend_schema(request=CommentSerializer, responses=FindingDetailSerializer)
    @action(detail=True, methods=["post"])
    def comment(self, request: Request, pk: str) -> Response:
        """Say something that stays in the history."""
        return self.triage(
            request, CommentSerializer, lambda f, v: services.add_comment(f, actor(request), v["comment"])
        )

    @extend_schema(request=ReasonSerializer, responses=FindingDetailSerializer)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """Dealt with; it opens again when a later scan sees it."""
        return self.triage(request, ReasonSerializer, lambda f, v: services.close(f, actor(request), v["reason"]))

    @extend_schema(request=ReasonSerializer, responses=FindingDetailSerializer)
    @action(detail=True, methods=["post"], url_path="false-positive")
    def false_positive(self, request: Request, pk: str) -> Response:
        """No threat; it stays resolved when it is seen again."""
        return self.triage(
            request, ReasonSerializer, lambda f, v: services.mark_false_positive(f, actor(request), v["reason"])
        )

    @extend_schema(request=SnoozeSerializer, responses=FindingDetailSerializer)
    @action(detail=True, methods=["post"])
    def snooze(self, request: Request, pk: str) -> Response:
        """Not now: out of the console's list until a time, or until a scan sees other evidence or a higher severity."""
        return self.triage(
            request, SnoozeSerializer, lambda f, v: services.snooze(f, actor(request), v["until"], v["reason"])
        )

    @extend_schema(request=OptionalCommentSerializer, responses=FindingDetailSerializer)
    @action(detail=True, methods=["post"])
    def unsnooze(self, request: Request, pk: str) -> Response:
        """Now, after all."""
        return self.triage(
            request, OptionalCommentSerializer, lambda f, v: services.unsnooze(f, actor(request), v["comment"])
        )

    @extend_schema(request=CollectSerializer, responses={202: CollectedSerializer})
    @action(detail=True, methods=["post"])
    def collect(self, request: Request, pk: str) -> Response:
        """Run incident rules on the host now; what they bring home stays with the finding."""
        from sandfly_web.scans.services import collect_forensics  # noqa: PLC0415 - scans are built on findings

        finding = self.get_object()
        body = CollectSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            with transaction.atomic():
                scan = collect_forensics(finding, body.validated_data["rules"], actor(request))
                ask_for_callback(request, scan.batch, body.validated_data.get("callback_url"))
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return Response(CollectedSerializer({"scan": scan.pk}).data, status=HTTPStatus.ACCEPTED)

    @extend_schema(request=OptionalCommentSerializer, responses=FindingDetailSerializer)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: str) -> Response:
        """Not settled after all."""
        return self.triage(
            request, OptionalCommentSerializer, lambda f, v: services.reopen(f, actor(request), v["comment"])
        )


class FindingEventSerializer(EventSerializer):
    """With what a reader of the stream needs of the finding."""

    title = serializers.CharField(source="finding.title", read_only=True)
    level = serializers.CharField(source="finding.level", read_only=True)
    rule_name = serializers.CharField(source="finding.rule_name", read_only=True)
    status = serializers.CharField(source="finding.status", read_only=True, help_text="Of the finding, now.")
    host = serializers.UUIDField(source="finding.host_id", read_only=True)
    host_name = serializers.CharField(source="finding.host.name", read_only=True)

    class Meta(EventSerializer.Meta):
        fields = [
            *EventSerializer.Meta.fields,
            "finding",
            "title",
            "level",
            "rule_name",
            "status",
            "host",
            "host_name",
        ]
        read_only_fields = fields


class FindingEventFilters(django_filters.FilterSet):
    after = django_filters.NumberFilter(
        field_name="id", lookup_expr="gt", min_value=0, max_value=2**63 - 1, help_text="The last `id` that was read."
    )
    kind = django_filters.MultipleChoiceFilter(choices=FindingEvent.Kind.choices, distinct=False)
    host = django_filters.UUIDFilter(field_name="finding__host")

    class Meta:
        model = FindingEvent
        fields = ["finding"]


def _settled_at() -> datetime:
    """The moment before which all is written: when the oldest transaction began that writes something now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
        )
        return min(cursor.fetchone()[0] or timezone.now(), timezone.now())


class FindingEventViewSet(ReadOnly):
    """Everything that happened to findings, oldest first: what a SIEM pulls, each time with `after=` its last id.

    The last seconds are left out: an event with a smaller id may be written by something that has not ended yet.
    """

    queryset = FindingEvent.objects.select_related("actor", "finding__host").defer(
        "finding__evidence", "finding__explanation", "finding__identity", "finding__tags"
    )
    serializer_class = FindingEventSerializer
    filterset_class = FindingEventFilters
    ordering = ("id",)

    def get_queryset(self) -> QuerySet[FindingEvent]:
        queryset: QuerySet[FindingEvent] = super().get_queryset()
        return queryset.filter(created_at__lt=_settled_at() - EVENT_DELAY) if self.action == "list" else queryset


class RiskDaySerializer(serializers.ModelSerializer[RiskDay]):
    host = serializers.UUIDField(source="host_id", allow_null=True, read_only=True, help_text="Null: of all hosts.")

    class Meta:
        model = RiskDay
        fields = ["id", "host", "day", "risk"]


class RiskDayFilters(django_filters.FilterSet):
    is_fleet = django_filters.BooleanFilter(
        field_name="host", lookup_expr="isnull", help_text="The sum of all hosts, or single hosts."
    )
    day_after = django_filters.DateFilter(field_name="day", lookup_expr="gte", help_text="That day and later.")

    class Meta:
        model = RiskDay
        fields = ["host", "day"]


class RiskDayViewSet(ReadOnly):
    """The risk of each host, and of the fleet, at the end of each of the last 90 days; today's is of the last hour.

    Whoever may know only of some hosts is told of those, and not of the fleet.
    """

    queryset = RiskDay.objects.all()
    serializer_class = RiskDaySerializer
    filterset_class = RiskDayFilters
    ordering = ("id",)


class ForensicRecordSerializer(serializers.ModelSerializer[ForensicRecord]):
    identity = serializers.DictField(read_only=True)
    data = serializers.DictField(read_only=True)  # type: ignore[assignment]  # as in RecordSerializer
    truncated = serializers.ListField(child=serializers.CharField(), read_only=True)
    unknown = serializers.DictField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ForensicRecord
        fields = ["id", "scan", "rule", "rule_name", "subject", "identity", "data", "truncated", "unknown"]


class ForensicRecordFilters(django_filters.FilterSet):
    finding = django_filters.UUIDFilter(field_name="scan__finding", help_text="The finding it was collected for.")

    class Meta:
        model = ForensicRecord
        fields = ["scan", "rule_name", "subject"]


class ForensicRecordViewSet(ReadOnly):
    """What incident rules brought home: each is how a thing was at the moment of its scan."""

    queryset = ForensicRecord.objects.all()
    serializer_class = ForensicRecordSerializer
    filterset_class = ForensicRecordFilters
    ordering = ("id",)


class RecordSerializer(serializers.ModelSerializer[Record]):
    identity = serializers.DictField(read_only=True)
    # Named as the column; REST framework's own `data` is read through the instance, never this class attribute.
    data = serializers.DictField(read_only=True)  # type: ignore[assignment]

    class Meta:
        model = Record
        fields = ["id", "host", "subject", "identity", "data", "digest", "first_seen_at", "last_seen_at", "is_current"]


class RecordFilters(django_filters.FilterSet):
    at = django_filters.IsoDateTimeFilter(method="filter_at", help_text="What was there at that moment.")

    class Meta:
        model = Record
        fields = ["host", "subject", "digest", "is_current"]

    def filter_at(self, queryset: QuerySet[Record], _name: str, value: Any) -> QuerySet[Record]:
        return queryset.filter(first_seen_at__lte=value, last_seen_at__gte=value)


class RareQuerySerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=[(kind.value, kind.value) for kind in Kind])
    hosts = serializers.IntegerField(
        default=1, min_value=1, max_value=MAX_HOSTS, help_text="What is on more hosts is not rare."
    )
    limit = serializers.IntegerField(default=200, min_value=1, max_value=MAX_RARE)


class RareHostSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()


class RareSerializer(serializers.Serializer[Any]):
    facts = serializers.DictField(child=serializers.CharField(allow_null=True), help_text="What makes it the same.")
    host_count = serializers.IntegerField()
    hosts = RareHostSerializer(many=True, help_text="The first five.")
    first_seen_at = serializers.DateTimeField(help_text="On any of the hosts that have it now.")
    record = serializers.IntegerField(help_text="One record of it.")


class RaritySerializer(serializers.Serializer[Any]):
    rare = RareSerializer(many=True)
    known_hosts = serializers.IntegerField(help_text="Hosts of which anything of this kind is known.")
    is_cut = serializers.BooleanField(help_text="There is more than `limit`.")


class RecordViewSet(ReadOnly):
    """What recon rules saw: each record is an interval in which a thing looked the same."""

    queryset = Record.objects.all()
    serializer_class = RecordSerializer
    filterset_class = RecordFilters
    ordering = ("id",)

    @extend_schema(parameters=[RareQuerySerializer], responses=RaritySerializer)
    @action(detail=False, methods=["get"], pagination_class=None, filterset_class=None)
    def rare(self, request: Request) -> Response:
        """What only one or few hosts of the fleet have now; the rarest first, of these what appeared last."""
        asked = RareQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        found = find_rare(Kind(values["kind"]), values["hosts"], values["limit"])
        return Response(RaritySerializer(found).data)
