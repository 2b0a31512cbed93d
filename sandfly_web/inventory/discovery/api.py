"""API of discoveries and their sweeps."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from django.core.exceptions import ValidationError
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from sandfly_web.api.errors import Conflict
from sandfly_web.api.views import ReadOnly, Resource
from sandfly_web.inventory.discovery import services
from sandfly_web.inventory.discovery.ingest import summary
from sandfly_web.inventory.models import Credential, Discovery, Sweep, Tag

if TYPE_CHECKING:
    from rest_framework.request import Request


class DiscoverySerializer(serializers.ModelSerializer[Discovery]):
    credentials = serializers.PrimaryKeyRelatedField[Any](
        many=True, queryset=Credential.objects.defer("sealed"), required=False
    )
    tags = serializers.SlugRelatedField[Any](slug_field="name", many=True, queryset=Tag.objects.all(), required=False)

    class Meta:
        model = Discovery
        fields = [
            "id",
            "name",
            "is_enabled",
            "zone",
            "ranges",
            "excluded",
            "port",
            "credentials",
            "credential_set",
            "jump_host",
            "tags",
            "schedules",
            "interval_s",
            "rate_per_s",
            "timeout_s",
            "retire_after_hours",
            "next_sweep_at",
            "created_at",
        ]
        read_only_fields = ["next_sweep_at", "created_at"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        def value(name: str) -> Any:
            return attrs.get(name, getattr(self.instance, name, ""))

        services.check_ranges(value("ranges"), value("excluded"))
        # Those that are kept count, too: a sweep without a credential that opens would sign in to nothing.
        kept = self.instance.credentials.all() if isinstance(self.instance, Discovery) else []
        is_asked = self.instance is None or bool({"credentials", "credential_set"} & attrs.keys())
        services.check_ways(
            value("zone"),
            list(attrs.get("credentials", kept)),
            value("credential_set") or None,
            value("jump_host") or None,
            need_credential=is_asked,
        )
        return attrs


class SweepSerializer(serializers.ModelSerializer[Sweep]):
    percent = serializers.SerializerMethodField(help_text="Of the addresses, that were looked at.")
    faults = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta:
        model = Sweep
        fields = [
            "id",
            "discovery",
            "status",
            "reason",
            "started_at",
            "finished_at",
            "total",
            "position",
            "percent",
            "answered",
            "enrolled",
            "moved",
            "retired",
            "fault_count",
            "faults",
        ]
        read_only_fields = fields

    def get_percent(self, sweep: Sweep) -> int:
        return int(summary(sweep)["percent"])


class DiscoveryFilters(django_filters.FilterSet):
    class Meta:
        model = Discovery
        fields = ["name", "zone", "is_enabled"]


class DiscoveryViewSet(Resource):
    """Networks that are looked at again and again for hosts."""

    queryset = Discovery.objects.prefetch_related("credentials", "tags", "schedules")
    serializer_class = DiscoverySerializer
    filterset_class = DiscoveryFilters
    ordering = ("name",)
    action_permissions: ClassVar[dict[str, str]] = {"sweep": "inventory.change_discovery"}

    @extend_schema(request=None, responses={202: SweepSerializer})
    @action(detail=True, methods=["post"])
    def sweep(self, request: Request, pk: str) -> Response:
        """Look now."""
        try:
            sweep = services.start_sweep(self.get_object(), timezone.now())
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return Response(SweepSerializer(sweep).data, status=HTTPStatus.ACCEPTED)


class SweepFilters(django_filters.FilterSet):
    class Meta:
        model = Sweep
        fields = ["discovery", "status"]


class SweepViewSet(ReadOnly):
    """Passes over the networks of discoveries, newest first."""

    queryset = Sweep.objects.defer("claims", "ranges", "excluded")
    serializer_class = SweepSerializer
    filterset_class = SweepFilters
    ordering = ("-started_at", "id")
    action_permissions: ClassVar[dict[str, str]] = {"cancel": "inventory.change_discovery"}

    @extend_schema(request=None, responses={202: SweepSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End it; what it found stays."""
        try:
            services.cancel_sweep(self.get_object(), timezone.now())
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return Response(SweepSerializer(self.get_object()).data, status=HTTPStatus.ACCEPTED)
