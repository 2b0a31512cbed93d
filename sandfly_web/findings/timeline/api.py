"""API of a host's timeline."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from sandfly_web.accounts.audit import record_access
from sandfly_web.api.pagination import CursorPages
from sandfly_web.api.views import AuditedView
from sandfly_web.findings.timeline import exports
from sandfly_web.findings.timeline.kinds import Kind
from sandfly_web.findings.timeline.reading import ORDERING, READ_AT_ONCE, Window, density, entries, lines, pages
from sandfly_web.findings.timeline.services import bring_up_to_date
from sandfly_web.inventory.models import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from rest_framework.request import Request

MAX_VALUES = 50
FORMATS = ("ndjson", "csv", "bodyfile")
PAGING = frozenset({"cursor", "page_size", "export"})


class LineSerializer(serializers.Serializer[Any]):
    """A moment of a host."""

    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(choices=Kind.choices, help_text="What it is the moment of.")
    subject = serializers.CharField()
    what = serializers.CharField(help_text="What it is about, in one line.")
    detail = serializers.CharField(help_text="More about it; may be empty.")
    field = serializers.CharField(help_text="Where the moment was read, such as mtime; empty: seen by scans.")
    level = serializers.CharField(help_text="Severity of a finding; else empty.")
    clock = serializers.ChoiceField(choices=["host", "scanner"], help_text="By whose clock: a host may lie.")
    precision = serializers.ChoiceField(
        choices=["second", "scan"], help_text="`scan`: somewhere between that scan and the one beside it."
    )
    # REST framework's own `source` is read through instances of fields, never this class attribute.
    source = serializers.ChoiceField(choices=["record", "forensic", "finding", "scan", "event"])  # type: ignore[assignment]
    source_id = serializers.CharField()


class TimelineSerializer(serializers.Serializer[Any]):
    """A page of a timeline, newest first."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    is_whole = serializers.BooleanField(help_text="False: the host has more than is read at once; ask again.")
    results = LineSerializer(many=True)


class BucketSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    total = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="By group of kinds.")


class DensitySerializer(serializers.Serializer[Any]):
    """How many moments there are in stretches of equal length."""

    is_whole = serializers.BooleanField()
    buckets = BucketSerializer(many=True)


class WindowSerializer(serializers.Serializer[Any]):
    """The query of a timeline."""

    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    kind = serializers.ListField(child=serializers.ChoiceField(choices=Kind.choices), required=False)
    subject = serializers.ListField(child=serializers.CharField(max_length=32), required=False, max_length=MAX_VALUES)
    q = serializers.CharField(required=False, allow_blank=True, max_length=200)
    export = serializers.ChoiceField(choices=FORMATS, required=False)

    def window(self) -> Window:
        values = self.validated_data
        found = Window(
            values.get("since"),
            values.get("until"),
            tuple(values.get("kind", ())),
            tuple(values.get("subject", ())),
            values.get("q", ""),
        )
        if found.since and found.until and found.since >= found.until:
            raise ValidationError({"until": "must be later than since"})
        return found


def parameters(*, pages: bool) -> list[OpenApiParameter]:
    many = {"many": True, "enum": Kind.values}
    found = [
        OpenApiParameter("since", OpenApiTypes.DATETIME, description="From this moment on."),
        OpenApiParameter("until", OpenApiTypes.DATETIME, description="Before this moment."),
        OpenApiParameter("kind", str, description="Only these kinds; may be given several times.", **many),  # type: ignore[arg-type]
        OpenApiParameter("subject", str, many=True, description="Only about these; may be given several times."),
        OpenApiParameter("q", str, description="Every word must be in the text of an entry."),
    ]
    if pages:
        said = "Every entry that fits: JSON lines, CSV, or the body file of The Sleuth Kit for `mactime`."
        found += [
            OpenApiParameter("export", str, enum=FORMATS, description=said),
            OpenApiParameter("page_size", int, description="50 unless told, at most 500."),
            OpenApiParameter("cursor", str, description="From `next` or `previous`, as it is."),
        ]
    return found


class HostView(AuditedView):
    """What is about one host, whose records one may read."""

    queryset = Host.objects.all()

    def find(self, request: Request, host_id: UUID) -> Host:
        """Raises Http404, PermissionDenied."""
        if not request.user.has_perm("findings.view_record"):
            raise PermissionDenied
        # A copy of the queryset is limited to the hosts of the request.
        host: Host = get_object_or_404(self.queryset.all().defer("profile"), pk=host_id)
        record_access(host)
        return host

    def read(self, request: Request, known: frozenset[str]) -> WindowSerializer:
        """Raises ValidationError, also for a parameter that there is not."""
        fields = set(WindowSerializer().fields) - {"export"} | known
        if unknown := sorted(set(request.query_params) - fields):
            said = f"is no parameter here; there are: {', '.join(sorted(fields))}"
            raise ValidationError(dict.fromkeys(unknown, said))
        query = WindowSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return query


class TimelineView(HostView):
    """Everything dated that is known of a host."""

    @extend_schema(
        operation_id="hosts_timeline", tags=["hosts"], parameters=parameters(pages=True), responses=TimelineSerializer
    )
    def get(self, request: Request, id: UUID) -> Any:
        """Times of files and programs, logins, log lines, packages, findings, triage, scans, and what they saw come and
        go, newest first.
        """
        host, query = self.find(request, id), self.read(request, PAGING)
        fresh = bring_up_to_date(host)
        window = query.window()
        if kind := query.validated_data.get("export"):
            return export(host, kind, lines(entries(host, window).iterator(chunk_size=READ_AT_ONCE)))
        paging = CursorPages()
        rows = paging.paginate_queryset(pages(host, window), request, SimpleNamespace(ordering=ORDERING))  # type: ignore[arg-type]
        return Response(
            {
                "next": paging.next_url,
                "previous": paging.previous_url,
                "is_whole": fresh.is_whole,
                "results": LineSerializer(lines(rows), many=True).data,
            }
        )


class DensityView(HostView):
    """Where in time there is how much."""

    @extend_schema(
        operation_id="hosts_timeline_density",
        tags=["hosts"],
        parameters=parameters(pages=False),
        responses=DensitySerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:
        """How many moments of each group there are in 80 stretches of the time that is asked for."""
        host, query = self.find(request, id), self.read(request, frozenset())
        fresh = bring_up_to_date(host)
        found = density(host, query.window())
        return Response(DensitySerializer({"is_whole": fresh.is_whole, "buckets": found.buckets}).data)


def export(host: Host, kind: str, found: Iterator[Any]) -> StreamingHttpResponse:
    """All of them, read in batches while they are sent."""
    if kind == "csv":
        return attachment(exports.csv_lines(found), "text/csv; charset=utf-8", host, "csv")
    if kind == "bodyfile":
        return attachment(exports.body_lines(found), "text/plain; charset=utf-8", host, "body")
    renderer, serializer = JSONRenderer(), LineSerializer()
    rows = (renderer.render(serializer.to_representation(line)) + b"\n" for line in found)
    return StreamingHttpResponse(rows, content_type="application/x-ndjson")


def attachment(rows: Iterator[bytes], content_type: str, host: Host, ending: str) -> StreamingHttpResponse:
    """Named after the id: a host's name may hold anything."""
    disposition = f'attachment; filename="timeline-{host.pk}.{ending}"'
    return StreamingHttpResponse(rows, content_type=content_type, headers={"Content-Disposition": disposition})
