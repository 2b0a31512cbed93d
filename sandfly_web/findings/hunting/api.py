"""Hunting through the API."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from sandfly_web.api.views import AuditedView
from sandfly_web.findings.api import RecordSerializer
from sandfly_web.findings.hunting.services import MAX_DETECTION_CHARS, MAX_RESULTS, Hunt, run_hunt
from sandfly_web.inventory.models import Host, Tag
from sandfly_web.rules.models import Rule


class MayReadRecords(BasePermission):
    def has_permission(self, request: Request, _view: Any) -> bool:
        return bool(request.user and request.user.has_perm("findings.view_record"))


class HuntSerializer(serializers.Serializer[Any]):
    """A condition over the fields of a subject, or a rule."""

    subject = serializers.CharField(required=False, default="", max_length=32)
    detection = serializers.CharField(
        required=False,
        default="",
        max_length=MAX_DETECTION_CHARS,
        help_text="YAML with Sigma's `detection` alone.",
    )
    rule = serializers.SlugRelatedField[Any](
        slug_field="name", queryset=Rule.objects.all(), required=False, allow_null=True, default=None
    )
    hosts = serializers.PrimaryKeyRelatedField(queryset=Host.objects.all(), many=True, required=False, default=list)
    tags = serializers.SlugRelatedField[Any](
        slug_field="name", queryset=Tag.objects.all(), many=True, required=False, default=list
    )
    at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="What was there then; null: what is there now."
    )
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=MAX_RESULTS)


class FoundSerializer(serializers.Serializer[Any]):
    matched = serializers.IntegerField(help_text="Records that fit, also beyond `limit`.")
    host_count = serializers.IntegerField()
    looked_at = serializers.IntegerField(help_text="Records that were decided; others could not fit.")
    undecided = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Fields that no recon rule collected, with how often one was missed.",
    )
    is_complete = serializers.BooleanField(help_text="False: it took too long, and older records were not looked at.")
    records = RecordSerializer(many=True)


class HuntView(AuditedView):
    """A condition of the rule language over what recon has stored of the whole fleet; nothing is run on a host."""

    permission_classes = [MayReadRecords]

    @extend_schema(operation_id="hunt", request=HuntSerializer, responses=FoundSerializer)
    def post(self, request: Request) -> Response:
        body = HuntSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        limit = values.pop("limit")
        try:
            found = run_hunt(Hunt(**values), limit=limit)
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return Response(FoundSerializer(found).data)
