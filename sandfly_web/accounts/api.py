"""API of one's own tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.permissions import IsAuthenticated

from sandfly_web.accounts import services
from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.models import ApiToken
from sandfly_web.api.views import ReadOnly
from sandfly_web.inventory.models import Tag

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    host_tags = serializers.SlugRelatedField[Any](
        slug_field="name",
        many=True,
        queryset=Tag.objects.all(),
        required=False,
        help_text="It knows only of hosts with one of these tags; not given: of all that its user knows.",
    )

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "role",
            "is_limited_to_hosts",
            "host_tags",
            "prefix",
            "created_at",
            "expires_at",
            "last_used_at",
        ]
        read_only_fields = ["is_limited_to_hosts", "prefix", "last_used_at"]


class NewTokenSerializer(TokenSerializer):
    """With the token itself, which no other answer has."""

    token = serializers.CharField(read_only=True, help_text="Keep it: it is shown only here.")

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "token"]

    def validate_expires_at(self, moment: datetime | None) -> datetime | None:
        if moment is not None and moment <= timezone.now():
            raise serializers.ValidationError("this moment has passed")
        return moment

    def create(self, validated_data: dict[str, Any]) -> ApiToken:
        row, token = services.create_token(
            self.context["request"].user,
            validated_data["name"],
            validated_data.get("expires_at"),
            validated_data.get("role", ""),
            validated_data.get("host_tags"),
        )
        setattr(row, "token", token)  # noqa: B010 - a fact of this one answer, not of the row
        return row


class TokenFilters(django_filters.FilterSet):
    class Meta:
        model = ApiToken
        fields = ["name"]


@extend_schema(tags=["tokens"])
class TokenViewSet(mixins.CreateModelMixin, mixins.DestroyModelMixin, ReadOnly):
    """Tokens of the user who asks; those of others are not found."""

    queryset = ApiToken.objects.none()
    serializer_class = TokenSerializer
    filterset_class = TokenFilters
    permission_classes = [IsAuthenticated]
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[ApiToken]:
        if getattr(self, "swagger_fake_view", False):
            return super().get_queryset()
        return ApiToken.objects.filter(user=actor(self.request)).prefetch_related("host_tags")

    def get_serializer_class(self) -> type[TokenSerializer]:
        return NewTokenSerializer if self.action == "create" else TokenSerializer

    def perform_destroy(self, instance: ApiToken) -> None:
        services.delete_token(instance)
