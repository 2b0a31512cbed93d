"""What all resources share, and the views that belong to none: who am I, health, readiness."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

import redis
from auditlog.context import auditlog_value
from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from sandfly_web.accounts.actor import actor
from sandfly_web.api import idempotency, pieces

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

READY_TIMEOUT_S = 2
READS = frozenset({"list", "retrieve"})


class AuditedView(APIView):
    """Names the user of a token as the actor of audit entries, as the middleware only knows sessions; a POST with an
    `Idempotency-Key` is done once.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        context = auditlog_value.get(None)
        if context is not None and request.user.is_authenticated:
            context["actor"] = request.user
        handler = getattr(self, "post", None)
        if request.method == "POST" and idempotency.HEADER in request.headers and handler:
            # What this request is handled by; a view lives as long as one.
            setattr(self, "post", idempotency.once(handler))  # noqa: B010 - not every view has it


class ReadOnly(AuditedView, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Any]):
    """List and read. `ordering` must match an index and end with a unique field."""

    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    # Right needed for an action, where it is not the one of its HTTP method.
    action_permissions: ClassVar[dict[str, str]] = {}

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        # Without a docstring: the OpenAPI document takes the resource's own.
        if not pieces.wants_lines(request):
            return super().list(request, *args, **kwargs)
        rows = self.filter_queryset(self.get_queryset()).order_by(*self.ordering)
        return pieces.lines(rows, self.get_serializer())

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        serializer = super().get_serializer(*args, **kwargs)
        names = pieces.wanted_fields(self.request) if self.action in READS and self.request else []
        if names:
            pieces.keep_fields(serializer, names)
        return serializer


class Resource(ReadOnly, mixins.CreateModelMixin, mixins.UpdateModelMixin, mixins.DestroyModelMixin):
    """List, read, create, change, delete."""


class MeSerializer(serializers.ModelSerializer[User]):
    roles = serializers.SlugRelatedField[Any](source="groups", slug_field="name", many=True, read_only=True)
    permissions = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ["id", "username", "email", "roles", "is_superuser", "permissions"]

    def get_permissions(self, user: User) -> list[str]:
        return sorted(user.get_all_permissions())


class MeView(AuditedView):
    """The user that the token or session belongs to, with roles and rights."""

    permission_classes = [IsAuthenticated]

    @extend_schema(operation_id="me", responses=MeSerializer)
    def get(self, request: Request) -> Response:
        return Response(MeSerializer(actor(request)).data)


def healthz(_request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(_request: HttpRequest) -> JsonResponse:
    """What a request needs is there: database and broker."""
    checks = {"database": check_database(), "broker": check_broker()}
    is_ready = all(answer == "ok" for answer in checks.values())
    status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return JsonResponse({"ready": is_ready, "checks": checks}, status=status)


def check_database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        # The class alone: the driver's message names hosts and users.
        return f"unavailable ({type(error).__name__})"
    return "ok"


def check_broker() -> str:
    timeouts = {"socket_timeout": READY_TIMEOUT_S, "socket_connect_timeout": READY_TIMEOUT_S}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **timeouts) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return f"unavailable ({type(error).__name__})"
    return "ok"
