"""Asking to be called back, what became of it, and the secret that calls are signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.reverse import reverse

from sandfly_web.accounts.actor import actor
from sandfly_web.api.views import AuditedView
from sandfly_web.outputs.http import MAX_URL_CHARS
from sandfly_web.scans.callbacks import services
from sandfly_web.scans.models import ScanCallback

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request


class CallbackUrlField(serializers.CharField):
    """An address that may be called."""

    def __init__(self, **kwargs: Any) -> None:
        said = (
            "Called with a POST when the last of the scans is over; https, and a public address unless this "
            "installation allows others. The body is signed: see `GET /callback-secret`."
        )
        super().__init__(**{"required": False, "max_length": MAX_URL_CHARS, "help_text": said, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        url: str = super().to_internal_value(data)
        try:
            services.check(url)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        return url


class CallbackSerializer(serializers.ModelSerializer[ScanCallback]):
    """How far a call is. Of its address only the host is told: the rest may be a secret."""

    host = serializers.SerializerMethodField()

    class Meta:
        model = ScanCallback
        fields = ["id", "host", "attempts", "next_try_at", "delivered_at", "error"]
        read_only_fields = fields

    def get_host(self, callback: ScanCallback) -> str:
        return urlsplit(callback.url).hostname or ""


def ask_for_callback(request: Request, batch_id: UUID | None, url: str | None) -> None:
    """Does nothing without a URL."""
    if url and batch_id:
        link = reverse("api:batches-detail", args=[batch_id], request=request)
        services.promise(batch_id, url, actor(request), link)


class CallbackSecretSerializer(serializers.Serializer[Any]):
    """`Sandfly-Signature` is `sha256=` and the hexadecimal HMAC-SHA-256 of the body under `secret`, as text."""

    secret = serializers.CharField()
    header = serializers.CharField()
    algorithm = serializers.CharField()


class CallbackSecretView(AuditedView):
    """The secret that calls for this token, or for this person, are signed with."""

    permission_classes = [IsAuthenticated]

    @extend_schema(operation_id="callback_secret", responses=CallbackSecretSerializer)
    def get(self, request: Request) -> Response:
        """The same each time; every token has one of its own."""
        if not request.user.has_perm("scans.add_scan"):
            raise PermissionDenied
        answer = {
            "secret": services.secret_for(actor(request)),
            "header": services.SIGNATURE,
            "algorithm": "HMAC-SHA-256",
        }
        return Response(CallbackSecretSerializer(answer).data, headers={"Cache-Control": "no-store"})
