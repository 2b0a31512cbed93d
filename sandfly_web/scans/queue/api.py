"""API of batches and of the queue: what was asked for together, what waits, what runs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from django.core.exceptions import ValidationError
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from sandfly_web.api.errors import Conflict
from sandfly_web.api.views import AuditedView, ReadOnly
from sandfly_web.scans import services
from sandfly_web.scans.api import PauseSerializer, StoppedSerializer, pause_by
from sandfly_web.scans.callbacks.api import CallbackSerializer
from sandfly_web.scans.models import Scan, ScanBatch
from sandfly_web.scans.queue.overview import counts_of, look, with_counts

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request


class ScanBatchSerializer(serializers.ModelSerializer[ScanBatch]):
    requested_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    is_over = serializers.SerializerMethodField(help_text="No scan of it waits or runs.")
    counts = serializers.SerializerMethodField(help_text="Scans by status.")
    callback = CallbackSerializer(read_only=True, allow_null=True, default=None)

    class Meta:
        model = ScanBatch
        fields = [
            "id",
            "requested_by",
            "created_at",
            "is_over",
            "counts",
            "callback",
            "paused_at",
            "pause_reason",
            "is_tripped",
            "max_cpu_s",
            "max_memory_mib",
            "max_wall_s",
            "max_crashes",
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_counts(self, batch: Any) -> dict[str, int]:
        return counts_of(batch)

    def get_is_over(self, batch: Any) -> bool:
        return not set(Scan.UNFINISHED) & counts_of(batch).keys()


class ScanBatchFilters(django_filters.FilterSet):
    is_paused = django_filters.BooleanFilter(field_name="paused_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = ScanBatch
        fields = ["is_tripped"]


class ScanBatchViewSet(ReadOnly):
    """Scans that were asked for together, newest first."""

    queryset = ScanBatch.objects.select_related("requested_by", "callback").defer("sealed")
    serializer_class = ScanBatchSerializer
    filterset_class = ScanBatchFilters
    ordering = ("-created_at", "id")
    action_permissions: ClassVar[dict[str, str]] = {
        "pause": "scans.change_scan",
        "resume": "scans.change_scan",
        "abort": "scans.change_scan",
    }

    def get_queryset(self) -> QuerySet[Any]:
        return with_counts(super().get_queryset())

    @extend_schema(request=PauseSerializer, responses=ScanBatchSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Begin no further scans of it; those under way end as they would."""
        return Response(ScanBatchSerializer(pause_by(request, self.get_object())).data)

    @extend_schema(request=None, responses=ScanBatchSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on, also after a limit paused it: what was seen until now does not trip it again."""
        batch = self.get_object()
        try:
            services.resume(batch)
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return Response(ScanBatchSerializer(batch).data)

    @extend_schema(request=None, responses={202: StoppedSerializer})
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, pk: str) -> Response:
        """Stop every scan of it."""
        count = services.cancel_all(services.scans_of(self.get_object()))
        return Response({"stopped_scans": count}, status=HTTPStatus.ACCEPTED)


class ZoneQueueSerializer(serializers.Serializer[Any]):
    zone = serializers.CharField(source="zone.name")
    waiting = serializers.IntegerField(help_text="Scans that were not sent to workers yet.")
    oldest_waiting = serializers.DateTimeField(allow_null=True)
    queued = serializers.IntegerField(allow_null=True, help_text="Messages that no worker took yet.")
    in_flight = serializers.IntegerField()
    workers = serializers.IntegerField(help_text="That were heard of on a scan just now.")
    phases = serializers.DictField(child=serializers.IntegerField(), help_text="Scans in flight by phase.")


class ProgressSerializer(serializers.Serializer[Any]):
    schedule = serializers.IntegerField(source="schedule.pk")
    name = serializers.CharField(source="schedule.name")
    is_enabled = serializers.BooleanField(source="schedule.is_enabled")
    paused_at = serializers.DateTimeField(source="schedule.paused_at", allow_null=True)
    pause_reason = serializers.CharField(source="schedule.pause_reason")
    hosts = serializers.IntegerField()
    due = serializers.IntegerField(help_text="Hosts that are due now.")
    unfinished = serializers.IntegerField(help_text="Scans that wait or run.")
    visited = serializers.IntegerField(help_text="Hosts that were visited within the last interval.")
    next_due_at = serializers.DateTimeField(allow_null=True)


class QueueSerializer(serializers.Serializer[Any]):
    """What waits and what runs. Numbers of the broker are null while it is away; `broker_fault` then says why.

    They are null, too, for those who may know only of some hosts: it counts what belongs to all.
    """

    zones = ZoneQueueSerializer(many=True)
    schedules = ProgressSerializer(many=True)
    paused_batches = ScanBatchSerializer(source="batches", many=True)
    ingest_depth = serializers.IntegerField(allow_null=True, help_text="Reports that wait to be stored.")
    broker_fault = serializers.CharField(allow_blank=True)


class QueueView(AuditedView):
    """Queues, scans in flight, progress of schedules and reports that wait."""

    queryset = Scan.objects.none()

    @extend_schema(operation_id="queue", responses=QueueSerializer)
    def get(self, request: Request) -> Response:
        return Response(QueueSerializer(look(timezone.now())).data)
