"""API of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from sandfly_web.api.filters import SigmaTag
from sandfly_web.api.views import ReadOnly
from sandfly_web.rules import services
from sandfly_web.rules.models import Rule

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request


class RuleSerializer(serializers.ModelSerializer[Rule]):
    tags = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Rule
        fields = [
            "id",
            "name",
            "title",
            "type",
            "subject",
            "level",
            "status",
            "tags",
            "origin",
            "is_enabled",
            "digest",
            "updated_at",
        ]
        read_only_fields = fields


class RuleDetailSerializer(RuleSerializer):
    """One rule with its Sigma source."""

    class Meta(RuleSerializer.Meta):
        fields = [*RuleSerializer.Meta.fields, "description", "source"]
        read_only_fields = fields


class RuleSwitchSerializer(serializers.Serializer[Any]):
    is_enabled = serializers.BooleanField(help_text="Whether scans run it.")


class RuleFilters(django_filters.FilterSet):
    tag = SigmaTag(help_text="A whole Sigma tag; `attack.` may be left out.")

    class Meta:
        model = Rule
        fields = ["name", "type", "subject", "level", "status", "origin", "is_enabled"]


class RuleViewSet(ReadOnly):
    """Sigma rules, shipped and written here."""

    queryset = Rule.objects.defer("plan_rule", "explain")
    serializer_class = RuleSerializer
    filterset_class = RuleFilters
    ordering = ("name",)
    http_method_names = ["get", "patch", "head", "options"]
    action_permissions: ClassVar[dict[str, str]] = {"partial_update": "rules.change_rule"}

    def get_queryset(self) -> QuerySet[Rule]:
        queryset: QuerySet[Rule] = super().get_queryset()
        return queryset.defer("plan_rule", "explain", "source", "description") if self.action == "list" else queryset

    def get_serializer_class(self) -> type[RuleSerializer]:
        return RuleSerializer if self.action == "list" else RuleDetailSerializer

    @extend_schema(request=RuleSwitchSerializer, responses=RuleDetailSerializer)
    def partial_update(self, request: Request, *_args: Any, **_kwargs: Any) -> Response:
        """Switch a rule on or off; scans that start from now on follow."""
        rule = self.get_object()
        body = RuleSwitchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.set_enabled([rule], is_enabled=body.validated_data["is_enabled"])
        return Response(RuleDetailSerializer(rule).data)
