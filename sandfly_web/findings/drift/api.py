"""API of baselines: make, gather, enforce, pause, differences, accept, export, import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Count, Q
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.audit import record_access
from sandfly_web.api.errors import Conflict
from sandfly_web.api.views import Resource
from sandfly_web.findings.drift import services
from sandfly_web.findings.models import Baseline, BaselineVersion
from sandfly_web.inventory.models import Tag

if TYPE_CHECKING:
    from rest_framework.request import Request

CHANGE = "findings.change_baseline"


class BaselineSerializer(serializers.ModelSerializer[Baseline]):
    subjects = serializers.DictField(
        child=serializers.CharField(), help_text="Subject → strictness: loose, moderate or strict."
    )
    tags = serializers.SlugRelatedField[Any](
        slug_field="name", queryset=Tag.objects.all(), many=True, required=False, help_text="Covered hosts."
    )
    entry_count = serializers.IntegerField(read_only=True, default=0)

    class Meta:
        model = Baseline
        fields = [
            *("id", "name", "description", "subjects", "level", "model_hosts", "tags", "ignore_containers"),
            *("ignore_allowed", "report_missing", "auto_append", "state", "version", "entry_count", "created_at"),
        ]
        read_only_fields = ["id", "state", "version", "created_at"]

    def validate_subjects(self, value: dict[str, str]) -> dict[str, str]:
        """An entry's key rests on the strictness, so that it stays once there are entries."""
        try:
            services.check_subjects(value)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        if self.instance is not None and self.instance.version and value != self.instance.subjects:
            raise serializers.ValidationError("it has been gathered already: make another baseline")
        return value


class BaselineVersionSerializer(serializers.ModelSerializer[BaselineVersion]):
    actor = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)

    class Meta:
        model = BaselineVersion
        fields = ["number", "action", "comment", "added", "removed", "actor", "created_at"]


class DifferenceSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(help_text="What `accept` takes.")
    kind = serializers.CharField(help_text="new, changed, missing, or flood: more than are kept of one host.")
    subject = serializers.CharField()
    identity = serializers.JSONField()
    hosts = serializers.IntegerField()
    first = serializers.DateTimeField()
    last = serializers.DateTimeField()


class AcceptSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(max_length=64)
    reason = serializers.CharField(max_length=4000)


class AcceptedSerializer(serializers.Serializer[Any]):
    closed = serializers.IntegerField(help_text="Findings that are closed by it, on all hosts.")


class ExportSerializer(serializers.Serializer[Any]):
    """A baseline without hosts and tags, for another server."""

    format = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True, required=False)
    subjects = serializers.DictField(child=serializers.CharField())
    level = serializers.CharField(required=False)
    ignore_containers = serializers.BooleanField(required=False)
    ignore_allowed = serializers.BooleanField(required=False)
    report_missing = serializers.BooleanField(required=False)
    entries = serializers.ListField(child=serializers.DictField())


class BaselineViewSet(Resource):
    """What is right on a kind of host; what else covered hosts show becomes findings named `drift`."""

    queryset = Baseline.objects.prefetch_related("tags", "model_hosts")
    serializer_class = BaselineSerializer
    filterset_fields = ["state", "name"]
    ordering = ("name",)
    action_permissions: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("gather", "enforce", "pause", "accept"), CHANGE),
        "load": "findings.add_baseline",
    }

    def get_queryset(self) -> Any:
        return super().get_queryset().annotate(entry_count=Count("entries", Q(entries__removed_in__isnull=True)))

    def perform_destroy(self, instance: Baseline) -> None:
        services.delete(instance, actor(self.request))

    def answer(self) -> Response:
        return Response(BaselineSerializer(self.get_object()).data)

    @extend_schema(request=None, responses=BaselineSerializer)
    @action(detail=True, methods=["post"])
    def gather(self, request: Request, pk: str) -> Response:
        """Replace its entries by what the model hosts have now."""
        try:
            services.gather(self.get_object(), actor(request))
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return self.answer()

    @extend_schema(request=None, responses=BaselineSerializer)
    @action(detail=True, methods=["post"])
    def enforce(self, request: Request, pk: str) -> Response:
        """From the next visit on, drift is found."""
        try:
            services.enforce(self.get_object())
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return self.answer()

    @extend_schema(request=None, responses=BaselineSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """No drift is found until it is enforced again."""
        services.pause(self.get_object())
        return self.answer()

    @extend_schema(responses=DifferenceSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_fields=[])
    def differences(self, request: Request, pk: str) -> Response:
        """Unresolved drift; the same on many hosts is one row. At most 200, those on most hosts first."""
        baseline = self.get_object()
        record_access(baseline)
        return Response(DifferenceSerializer(services.differences(baseline), many=True).data)

    @extend_schema(responses=BaselineVersionSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_fields=[])
    def versions(self, request: Request, pk: str) -> Response:
        """The last 200 changes of its entries, newest first."""
        rows = self.get_object().versions.select_related("actor")[:200]
        return Response(BaselineVersionSerializer(rows, many=True).data)

    @extend_schema(request=AcceptSerializer, responses=AcceptedSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: str) -> Response:
        """A difference is right, on every host: it becomes part of the baseline and its findings are closed."""
        body = AcceptSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values = body.validated_data
        try:
            closed = services.accept(self.get_object(), values["key"], actor(request), values["reason"])
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return Response({"closed": closed})

    @extend_schema(responses=ExportSerializer)
    @action(detail=True, methods=["get"])
    def export(self, request: Request, pk: str) -> Response:
        """The baseline as a document that `import` of another server takes."""
        baseline = self.get_object()
        record_access(baseline)
        return Response(services.export(baseline))

    @extend_schema(request=ExportSerializer, responses={201: BaselineSerializer})
    @action(detail=False, methods=["post"], url_path="import")
    def load(self, request: Request) -> Response:
        """A draft from such a document."""
        body = ExportSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            baseline = services.load(body.validated_data, actor(request))
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        return Response(BaselineSerializer(self.get_queryset().get(pk=baseline.pk)).data, status=201)
