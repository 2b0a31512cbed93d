"""API of lists of indicators: list, read, upload, replace, change, delete, look a value up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from django.core.exceptions import ValidationError
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.response import Response

from sandfly_web.accounts.actor import actor
from sandfly_web.api.views import ReadOnly
from sandfly_web.rules.indicators import services
from sandfly_web.rules.indicators.kinds import BadValue, Kind, detect, normalize, refang
from sandfly_web.rules.indicators.models import FORMATS, KINDS, IndicatorList
from sandfly_web.rules.indicators.parsing import MAX_BYTES, Format
from sandfly_web.rules.models import Severity

if TYPE_CHECKING:
    from rest_framework.request import Request

ADD = "indicators.add_indicatorlist"
CHANGE = "indicators.change_indicatorlist"
VIEW = "indicators.view_indicatorlist"


class FaultSerializer(serializers.Serializer[Any]):
    """A line or object of the file that is not used."""

    place = serializers.CharField(help_text="Such as `line 7` or `objects[3]`.")
    reason = serializers.CharField()
    text = serializers.CharField(allow_blank=True, help_text="Its beginning.")


class IndicatorListSerializer(serializers.ModelSerializer[IndicatorList]):
    imported_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    is_active = serializers.BooleanField(source="is_current", read_only=True, help_text="Enabled and not expired.")
    counts = serializers.DictField(child=serializers.IntegerField(), read_only=True, help_text="Entries by kind.")
    entry_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = IndicatorList
        fields = [
            "id", "name", "level", "is_enabled", "expires_at", "origin", "is_active", "format", "digest", "version",
            "counts", "entry_count", "duplicate_count", "fault_count", "imported_at", "imported_by", "created_at",
        ]  # fmt: skip
        read_only_fields = [
            name for name in fields if name not in {"name", "level", "is_enabled", "expires_at", "origin"}
        ]


class IndicatorListDetailSerializer(IndicatorListSerializer):
    """One list with the lines of its file that are not used."""

    faults = serializers.SerializerMethodField(help_text=f"The first {services.MAX_FAULTS}.")

    class Meta(IndicatorListSerializer.Meta):
        fields = [*IndicatorListSerializer.Meta.fields, "faults"]
        read_only_fields = [*IndicatorListSerializer.Meta.read_only_fields, "faults"]

    @extend_schema(responses=FaultSerializer(many=True))
    def get_faults(self, row: IndicatorList) -> list[dict[str, str]]:
        return [{"place": place, "reason": reason, "text": text} for place, reason, text in row.faults]


class UploadSerializer(serializers.Serializer[Any]):
    """A file and how it is read; what is not given is found out from the file."""

    file = serializers.FileField(help_text="Text, CSV, STIX 2.1 bundle or MISP event, UTF-8, at most 256 MB.")
    format = serializers.ChoiceField(choices=FORMATS, required=False)
    column = serializers.CharField(required=False, default="", max_length=100, help_text="Of a CSV: heading or number.")
    kind = serializers.ChoiceField(choices=KINDS, required=False, help_text="Of plain values.")

    def validate_file(self, file: Any) -> Any:
        if file.size > MAX_BYTES:
            raise serializers.ValidationError(f"the file is larger than {MAX_BYTES} bytes")
        return file

    def as_source(self) -> services.Source:
        values = self.validated_data
        form, kind = values.get("format"), values.get("kind")
        return services.Source(
            values["file"], Format(form) if form else None, values["column"], Kind(kind) if kind else None
        )


class NewListSerializer(UploadSerializer):
    """A list with its first file."""

    name = serializers.CharField(max_length=127, help_text="Findings name it.")
    level = serializers.ChoiceField(choices=Severity.choices, default=Severity.HIGH)
    origin = serializers.CharField(max_length=255, required=False, default="", allow_blank=True)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    is_enabled = serializers.BooleanField(required=False, default=True)

    def row(self) -> IndicatorList:
        names = ("name", "level", "origin", "expires_at", "is_enabled")
        return IndicatorList(**{name: self.validated_data[name] for name in names})


class FilePreviewSerializer(serializers.Serializer[Any]):
    format = serializers.ChoiceField(choices=FORMATS)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Entries by kind, also those twice.")
    fault_count = serializers.IntegerField()
    faults = FaultSerializer(many=True)


class SightingSerializer(serializers.Serializer[Any]):
    """An entry of an active list."""

    kind = serializers.ChoiceField(choices=KINDS)
    value = serializers.CharField()
    list = serializers.CharField()
    level = serializers.ChoiceField(choices=Severity.choices)
    description = serializers.CharField(allow_blank=True)
    reference = serializers.CharField(allow_blank=True)


class IndicatorListFilters(django_filters.FilterSet):
    class Meta:
        model = IndicatorList
        fields = ["name", "level", "is_enabled"]


class IndicatorListViewSet(ReadOnly, mixins.DestroyModelMixin):
    """Lists of known bad values that scans look for."""

    queryset = IndicatorList.objects.select_related("imported_by")
    serializer_class = IndicatorListSerializer
    filterset_class = IndicatorListFilters
    ordering = ("name",)
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    parser_classes = [JSONParser, MultiPartParser]
    action_permissions: ClassVar[dict[str, str]] = {
        "create": ADD, "preview": ADD, "replace": CHANGE, "partial_update": CHANGE, "search": VIEW,
    }  # fmt: skip

    def get_serializer_class(self) -> type[IndicatorListSerializer]:
        return IndicatorListSerializer if self.action == "list" else IndicatorListDetailSerializer

    @extend_schema(request={"multipart/form-data": NewListSerializer}, responses={201: IndicatorListDetailSerializer})
    def create(self, request: Request) -> Response:
        """Upload a list; lines that cannot be used are named in the answer."""
        body = NewListSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        row = services.import_list(body.row(), body.as_source(), imported_by=actor(request))
        return Response(IndicatorListDetailSerializer(row).data, status=201)

    @extend_schema(request={"multipart/form-data": UploadSerializer}, responses=IndicatorListDetailSerializer)
    @action(detail=True, methods=["post"])
    def replace(self, request: Request, pk: str) -> Response:
        """Upload other entries, which take the place of those it has, all at once."""
        row = self.get_object()
        body = UploadSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.import_list(row, body.as_source(), imported_by=actor(request))
        return Response(IndicatorListDetailSerializer(row).data)

    @extend_schema(request={"multipart/form-data": UploadSerializer}, responses=FilePreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """What is in a file, and which lines cannot be used; nothing is kept."""
        body = UploadSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        found = services.read_preview(body.as_source())
        faults = [{"place": one.place, "reason": one.reason, "text": one.text} for one in found.faults]
        counts = {"counts": dict(found.counts), "fault_count": found.fault_count}
        shown = {"format": found.form.value, "faults": faults, **counts}
        return Response(FilePreviewSerializer(shown).data)

    @extend_schema(request=IndicatorListSerializer, responses=IndicatorListDetailSerializer)
    def partial_update(self, request: Request, *_args: Any, **_kwargs: Any) -> Response:
        """Change name, level, origin or expiry, or switch it on or off; scans that start from now on follow."""
        row = self.get_object()
        body = IndicatorListSerializer(row, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        for name, value in body.validated_data.items():
            setattr(row, name, value)
        return Response(IndicatorListDetailSerializer(services.save_list(row)).data)

    @extend_schema(
        parameters=[OpenApiParameter("value", str, required=True, description="Hash, address, domain, path or key.")],
        responses=SightingSerializer(many=True),
        filters=False,
    )
    @action(detail=False, pagination_class=None)
    def search(self, request: Request) -> Response:
        """What active lists say of one value, as it is written; networks and parent domains are not tried."""
        written = refang(request.query_params.get("value", ""))
        try:
            kind = detect(written)
            asked = (kind.value, normalize(kind, written))
        except BadValue as problem:
            raise ValidationError({"value": str(problem)}) from None
        found = services.look_up({asked}).get(asked, [])
        shown = [
            {"kind": asked[0], "value": asked[1], "list": one.list_name, "level": one.level,
             "description": one.description, "reference": one.reference}
            for one in found
        ]  # fmt: skip
        return Response(SightingSerializer(shown, many=True).data)
