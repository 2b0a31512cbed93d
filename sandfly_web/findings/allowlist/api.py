"""API of allow-list entries: list, read, preview, create, end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from sandfly_web.accounts.actor import actor
from sandfly_web.api.errors import Conflict
from sandfly_web.api.views import ReadOnly
from sandfly_web.findings.allowlist import services
from sandfly_web.findings.allowlist.drafts import Draft, draft_detection
from sandfly_web.findings.allowlist.matching import carried_fields
from sandfly_web.findings.models import AllowlistEntry, Finding
from sandfly_web.inventory.models import Host, Tag
from sandfly_web.rules.models import Rule

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

CHANGE = "findings.change_allowlistentry"
ADD = "findings.add_allowlistentry"
MAX_LISTED = 1000


class AllowlistSerializer(serializers.ModelSerializer[AllowlistEntry]):
    rule_name = serializers.CharField(source="rule.name", read_only=True, default=None, allow_null=True)
    owner = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    ended_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    tags = serializers.SlugRelatedField[Any](slug_field="name", many=True, read_only=True)
    is_active = serializers.SerializerMethodField(help_text="Whether it hides anything now.")
    hidden_count = serializers.IntegerField(read_only=True, help_text="Findings that it hides.")

    class Meta:
        model = AllowlistEntry
        fields = [
            "id",
            "title",
            "reason",
            "rule",
            "rule_name",
            "subject",
            "detection",
            "scope",
            "hosts",
            "tags",
            "owner",
            "created_at",
            "expires_at",
            "ended_at",
            "ended_by",
            "is_active",
            "hidden_count",
        ]
        read_only_fields = fields

    def get_is_active(self, entry: AllowlistEntry) -> bool:
        return entry.ended_at is None and (entry.expires_at is None or entry.expires_at > timezone.now())


class ProposalSerializer(serializers.Serializer[Any]):
    """An entry to be. Everything is checked by the service, which names each fault's part."""

    title = serializers.CharField(max_length=255, help_text="What is allowed.")
    reason = serializers.CharField(max_length=services.MAX_REASON_CHARS, help_text="Why it is harmless.")
    rule = serializers.PrimaryKeyRelatedField(
        queryset=Rule.objects.all(), allow_null=True, required=False, default=None, help_text="Null: all of a subject."
    )
    subject = serializers.CharField(required=False, default="", max_length=32, help_text="Where there is no rule.")
    detection = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=services.MAX_DETECTION_CHARS,
        help_text="YAML with Sigma's `detection` alone; empty: everything that the rule finds.",
    )
    scope = serializers.ChoiceField(choices=AllowlistEntry.Scope.choices, default=AllowlistEntry.Scope.ALL)
    hosts = serializers.PrimaryKeyRelatedField(queryset=Host.objects.all(), many=True, required=False, default=list)
    tags = serializers.SlugRelatedField[Any](
        slug_field="name", queryset=Tag.objects.all(), many=True, required=False, default=list
    )
    expires_at = serializers.DateTimeField(allow_null=True, required=False, default=None)

    def proposal(self) -> services.Proposal:
        return services.Proposal(**self.validated_data)


class PreviewSerializer(serializers.Serializer[Any]):
    hidden_count = serializers.IntegerField(help_text="Unresolved findings that would be hidden.")
    host_count = serializers.IntegerField(help_text="Hosts that they are on.")
    looked_at = serializers.IntegerField(help_text="Unresolved findings of the rule or subject, in scope.")
    is_cut = serializers.BooleanField(help_text="There are more; the newest were looked at.")
    levels = serializers.DictField(child=serializers.IntegerField(), help_text="Hidden findings by severity.")
    findings = serializers.ListField(child=serializers.UUIDField(), help_text=f"The first {MAX_LISTED} of them.")


class DraftSerializer(serializers.Serializer[Any]):
    finding = serializers.PrimaryKeyRelatedField(queryset=Finding.objects.all())
    draft = serializers.ChoiceField(choices=Draft.choices, default=Draft.EXACT)


class DraftedSerializer(serializers.Serializer[Any]):
    """What can be sent to create the entry, but for title and reason."""

    rule = serializers.UUIDField(allow_null=True)
    subject = serializers.CharField()
    detection = serializers.CharField(allow_blank=True)
    scope = serializers.CharField()
    hosts = serializers.ListField(child=serializers.UUIDField())


class AllowlistFilters(django_filters.FilterSet):
    is_active = django_filters.BooleanFilter(method="filter_active", help_text="Neither ended nor expired.")
    host = django_filters.UUIDFilter(field_name="hosts", help_text="Entries of scope hosts that name this one.")

    class Meta:
        model = AllowlistEntry
        fields = ["rule", "subject", "scope"]

    def filter_active(
        self,
        queryset: QuerySet[AllowlistEntry],
        _name: str,
        value: bool,  # noqa: FBT001 - django-filter's signature
    ) -> QuerySet[AllowlistEntry]:
        active = queryset.filter(ended_at__isnull=True).exclude(expires_at__lte=timezone.now())
        return active if value else queryset.exclude(pk__in=active.values("pk"))


class AllowlistViewSet(ReadOnly):
    """What is known to be harmless. An entry is never changed: end it and make another."""

    queryset = AllowlistEntry.objects.select_related("rule", "owner", "ended_by").prefetch_related("hosts", "tags")
    serializer_class = AllowlistSerializer
    filterset_class = AllowlistFilters
    ordering = ("-created_at", "id")
    action_permissions: ClassVar[dict[str, str]] = {"create": ADD, "preview": ADD, "draft": ADD, "end": CHANGE}

    def get_queryset(self) -> QuerySet[AllowlistEntry]:
        queryset: QuerySet[AllowlistEntry] = super().get_queryset()
        return queryset.annotate(hidden_count=Count("findings"))

    @extend_schema(request=ProposalSerializer, responses={201: AllowlistSerializer})
    def create(self, request: Request) -> Response:
        """Hide what it fits, now and at every later scan; it can be ended at any time."""
        body = ProposalSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            entry = services.create(body.proposal(), actor(request))
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return Response(AllowlistSerializer(self.get_queryset().get(pk=entry.pk)).data, status=201)

    @extend_schema(request=ProposalSerializer, responses=PreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """What it would hide; nothing is changed."""
        body = ProposalSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            found = services.preview(body.proposal())
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        shown = {
            "hidden_count": len(found.hidden),
            "host_count": found.host_count,
            "looked_at": found.looked_at,
            "is_cut": found.is_cut,
            "levels": found.levels,
            "findings": found.hidden[:MAX_LISTED],
        }
        return Response(PreviewSerializer(shown).data)

    @extend_schema(request=DraftSerializer, responses=DraftedSerializer)
    @action(detail=False, methods=["post"])
    def draft(self, request: Request) -> Response:
        """A first version made from a finding, for its host; nothing is changed."""
        body = DraftSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        finding: Finding = body.validated_data["finding"]
        if finding.rule is None:
            raise Conflict("what a visit itself found cannot be allow-listed; settle its cause")
        carried = carried_fields(finding.subject, finding.rule.plan_rule)
        draft = draft_detection(
            body.validated_data["draft"], finding.subject, finding.identity, finding.evidence, carried
        )
        shown = {
            "rule": finding.rule.pk,
            "subject": finding.subject,
            "detection": draft,
            "scope": AllowlistEntry.Scope.HOSTS,
            "hosts": [finding.host_id],
        }
        return Response(DraftedSerializer(shown).data)

    @extend_schema(request=None, responses=AllowlistSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """It hides nothing from now on; what it hid is open again."""
        entry = self.get_object()
        try:
            services.end(entry, actor(request))
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return Response(AllowlistSerializer(self.get_object()).data)
