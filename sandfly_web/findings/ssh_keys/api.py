"""API of SSH keys: the inventory, where keys are, zones, who can reach what, and requests to remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import Count, Q
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.audit import record_access
from sandfly_web.api.errors import Conflict
from sandfly_web.api.views import AuditedView, ReadOnly, Resource
from sandfly_web.findings.ssh_keys import removals, services
from sandfly_web.findings.ssh_keys.models import (
    KeyRemoval,
    KeyTag,
    KeyZone,
    SshAccount,
    SshKey,
    SshKeyPlace,
    host_count,
    is_live,
)
from sandfly_web.findings.ssh_keys.paths import Radius, Start, radius, reach, reached_by
from sandfly_web.findings.ssh_keys.spread import MAX_DEPTH
from sandfly_web.inventory.models import Host, Tag

if TYPE_CHECKING:
    from rest_framework.request import Request

CHANGE_KEY = "ssh_keys.change_sshkey"
CHANGE_REMOVAL = "ssh_keys.change_keyremoval"
LISTED = 1000


def refused(error: ValidationError) -> serializers.ValidationError:
    return serializers.ValidationError(error.message_dict if hasattr(error, "error_dict") else error.messages)


class TagNames(serializers.ListField):
    """Tags by name; new names make new tags."""

    child = serializers.CharField(max_length=63)

    def to_representation(self, data: Any) -> list[str]:
        return sorted(tag.name for tag in data.all())


class SshKeySerializer(serializers.ModelSerializer[SshKey]):
    tags = TagNames(required=False, help_text="Names; new ones are made.")
    public_key = serializers.CharField(
        max_length=16_384,
        help_text="To add a key: a line of authorized_keys, or its fingerprint. Answered as base64, where it is known.",
    )
    is_live = serializers.BooleanField(read_only=True, default=False, help_text="It is somewhere now.")
    is_weak = serializers.BooleanField(read_only=True, help_text="DSA, or RSA below 2048 bits.")
    host_count = serializers.IntegerField(read_only=True, default=0, help_text="Hosts that have it now.")
    hashes = serializers.SerializerMethodField(help_text="As ssh-keygen -E prints them.")

    class Meta:
        model = SshKey
        fields = [
            *("id", "fingerprint", "algorithm", "bits", "public_key", "hashes", "comment", "use", "name", "notes"),
            *("tags", "standing", "standing_reason", "is_live", "is_weak", "host_count", "first_seen_at", "created_at"),
        ]
        read_only_fields = [
            *("id", "fingerprint", "algorithm", "bits", "comment", "use", "standing", "standing_reason"),
            *("first_seen_at", "created_at"),
        ]

    def get_hashes(self, key: SshKey) -> dict[str, str]:
        return services.hashes(key)

    def validate_tags(self, value: list[str]) -> list[KeyTag]:
        try:
            return services.tags_of(value)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None

    def create(self, validated_data: dict[str, Any]) -> SshKey:
        tags = validated_data.pop("tags", [])
        try:
            key = services.add_key(
                validated_data["public_key"],
                name=validated_data.get("name", ""),
                notes=validated_data.get("notes", ""),
            )
        except ValidationError as error:
            raise refused(error) from None
        key.tags.set(tags)
        return key

    def update(self, instance: SshKey, validated_data: dict[str, Any]) -> SshKey:
        if validated_data.pop("public_key", instance.public_key) != instance.public_key:
            raise serializers.ValidationError({"public_key": "another key is another row: add it"})
        tags = validated_data.pop("tags", None)
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.save(update_fields=list(validated_data))
        if tags is not None:
            instance.tags.set(tags)
        return instance


class KeyReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=4000)


class BulkTagSerializer(serializers.Serializer[Any]):
    keys = serializers.ListField(child=serializers.IntegerField(), max_length=services.MAX_BULK, min_length=1)
    add = serializers.ListField(
        child=serializers.CharField(max_length=63), max_length=services.MAX_TAGS, required=False
    )
    remove = serializers.ListField(
        child=serializers.CharField(max_length=63), max_length=services.MAX_TAGS, required=False
    )


class TaggedSerializer(serializers.Serializer[Any]):
    changed = serializers.IntegerField(help_text="Keys that were given or lost tags.")


class ReachedSerializer(serializers.Serializer[Any]):
    """An account, and the key that it is reached by from another."""

    account = serializers.IntegerField(source="account.pk")
    host = serializers.UUIDField(source="account.host_id")
    host_name = serializers.CharField(source="account.host.name")
    username = serializers.CharField(source="account.username")
    key = serializers.IntegerField(source="key.pk")
    fingerprint = serializers.CharField(source="key.fingerprint")
    from_account = serializers.IntegerField(
        source="origin.pk", allow_null=True, default=None, help_text="None: by the key that it begins with."
    )
    hops = serializers.IntegerField(help_text="Sign-ins from the beginning.")
    is_sure = serializers.BooleanField(help_text="No passphrase, forced command or source address stands in the way.")


class RadiusSerializer(serializers.Serializer[Any]):
    host_count = serializers.IntegerField()
    sure_host_count = serializers.IntegerField(help_text="Of them, those that nothing more is needed for.")
    is_cut = serializers.BooleanField(help_text="There is more than is listed here.")
    reached = ReachedSerializer(many=True)


class SshKeyFilter(django_filters.FilterSet):
    """Filters of the key list."""

    tag = django_filters.CharFilter(field_name="tags__name")
    is_live = django_filters.BooleanFilter(field_name="is_live")
    host = django_filters.UUIDFilter(method="on_host", help_text="Keys that this host has now.")

    class Meta:
        model = SshKey
        fields = ["fingerprint", "algorithm", "use", "standing", "name"]

    def on_host(self, queryset: Any, _name: str, value: Any) -> Any:
        return queryset.filter(pk__in=SshKeyPlace.objects.filter(host=value, is_current=True).values("key"))


class SshKeyViewSet(Resource):
    """SSH keys that visits saw or people added; a key is remembered when it is gone everywhere."""

    queryset = SshKey.objects.all()
    serializer_class = SshKeySerializer
    filterset_class = SshKeyFilter
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    action_permissions: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("ban", "protect", "release", "tag"), CHANGE_KEY),
        "reach": "ssh_keys.view_sshkeyplace",
    }

    def get_queryset(self) -> Any:
        # Anew for each request: where a key is depends on the hosts that it may know of.
        return SshKey.objects.prefetch_related("tags").annotate(is_live=is_live(), host_count=host_count())

    def perform_destroy(self, instance: SshKey) -> None:
        try:
            services.forget_key(instance)
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None

    def stand(self, request: Request, standing: str) -> Response:
        reason = ""
        if standing:
            body = KeyReasonSerializer(data=request.data)
            body.is_valid(raise_exception=True)
            reason = body.validated_data["reason"]
        services.set_standing(self.get_object(), standing, reason)
        return Response(SshKeySerializer(self.get_object()).data)

    @extend_schema(request=KeyReasonSerializer, responses=SshKeySerializer)
    @action(detail=True, methods=["post"])
    def ban(self, request: Request, pk: str) -> Response:
        """From the next visit on, every place of the key is a critical finding."""
        return self.stand(request, SshKey.Standing.BANNED)

    @extend_schema(request=KeyReasonSerializer, responses=SshKeySerializer)
    @action(detail=True, methods=["post"])
    def protect(self, request: Request, pk: str) -> Response:
        """Its removal is refused, and a host that loses it is a finding."""
        return self.stand(request, SshKey.Standing.PROTECTED)

    @extend_schema(request=None, responses=SshKeySerializer)
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: str) -> Response:
        """Neither banned nor protected any more."""
        return self.stand(request, SshKey.Standing.NONE)

    @extend_schema(responses=RadiusSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def reach(self, request: Request, pk: str) -> Response:
        """The blast radius: accounts that whoever steals the key can sign in to, nearest first, at most 1,000."""
        key = self.get_object()
        record_access(key)
        return Response(RadiusSerializer(radius(reach(Start(key=key)), limit=LISTED)).data)

    @extend_schema(request=BulkTagSerializer, responses=TaggedSerializer)
    @action(detail=False, methods=["post"])
    def tag(self, request: Request) -> Response:
        """Give and take tags of many keys at once."""
        body = BulkTagSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values = body.validated_data
        try:
            changed = services.tag_keys(
                SshKey.objects.filter(pk__in=values["keys"]), values.get("add", []), values.get("remove", [])
            )
        except ValidationError as error:
            raise refused(error) from None
        return Response({"changed": changed})


class SshKeyPlaceSerializer(serializers.ModelSerializer[SshKeyPlace]):
    fingerprint = serializers.CharField(source="key.fingerprint", read_only=True, default=None, allow_null=True)
    host_name = serializers.CharField(source="host.name", read_only=True)
    username = serializers.CharField(source="account.username", read_only=True, default=None, allow_null=True)
    seen_at = serializers.DateTimeField(read_only=True, help_text="When a visit saw it there last.")

    class Meta:
        model = SshKeyPlace
        fields = [
            *("id", "key", "fingerprint", "host", "host_name", "account", "username", "kind", "path", "line_number"),
            *("comment", "options", "copies", "is_restricted", "area", "is_encrypted", "is_shared", "names"),
            *("is_hashed", "is_current", "first_seen_at", "seen_at", "ended_at"),
        ]


class SshKeyPlaceViewSet(ReadOnly):
    """Where keys are and were: authorized keys, private keys, known hosts; from when to when."""

    queryset = SshKeyPlace.objects.select_related("key", "host", "account").with_seen()  # type: ignore[attr-defined]
    serializer_class = SshKeyPlaceSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("key", "host", "account", "kind", "is_current", "is_encrypted", "area")},
        "account__username": ["exact"],
        "copies": ["gt"],
    }
    ordering = ("-id",)


class KeyZoneSerializer(serializers.ModelSerializer[KeyZone]):
    host_tags = serializers.SlugRelatedField[Any](slug_field="name", queryset=Tag.objects.all(), many=True)
    key_tags = TagNames(help_text="Names; new ones are made.")

    class Meta:
        model = KeyZone
        fields = [
            *("id", "name", "description", "is_enabled", "host_tags", "key_tags", "confines_keys"),
            *("refuses_strangers", "level", "created_at"),
        ]
        read_only_fields = ["id", "created_at"]

    def validate_key_tags(self, value: list[str]) -> list[KeyTag]:
        try:
            return services.tags_of(value)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None


class KeyZoneViewSet(Resource):
    """Which keys belong on which hosts; what is against it becomes findings."""

    queryset = KeyZone.objects.prefetch_related("host_tags", "key_tags")
    serializer_class = KeyZoneSerializer
    filterset_fields = ["name", "is_enabled"]
    ordering = ("name", "id")


class KeyRemovalSerializer(serializers.ModelSerializer[KeyRemoval]):
    requested_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    decided_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True, allow_null=True)
    host = serializers.PrimaryKeyRelatedField[Any](queryset=Host.objects.all(), required=False, allow_null=True)
    account = serializers.PrimaryKeyRelatedField[Any](
        queryset=SshAccount.objects.select_related("host"),
        required=False,
        allow_null=True,
        help_text="Of that host. Without host and account: everywhere.",
    )
    key = serializers.PrimaryKeyRelatedField[Any](queryset=SshKey.objects.all())
    step_count = serializers.IntegerField(read_only=True, default=0)
    done_count = serializers.IntegerField(read_only=True, default=0, help_text="Steps that visits saw to be done.")

    class Meta:
        model = KeyRemoval
        fields = [
            *("id", "key", "kind", "host", "account", "reason", "may_lock_out", "state", "requested_by"),
            *("requested_at", "decided_by", "decided_at", "decision", "done_at", "step_count", "done_count"),
        ]
        read_only_fields = ["id", "state", "requested_at", "decided_at", "decision", "done_at"]

    def create(self, validated_data: dict[str, Any]) -> KeyRemoval:
        scope = removals.Scope(validated_data.get("host"), validated_data.get("account"))
        if scope.host and scope.account and scope.account.host_id != scope.host.pk:
            raise serializers.ValidationError({"account": "is of another host"})
        try:
            return removals.request_removal(
                validated_data["key"],
                validated_data.get("kind", KeyRemoval.Kind.REMOVE),
                scope,
                validated_data["reason"],
                actor(self.context["request"]),
                may_lock_out=validated_data.get("may_lock_out", False),
            )
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None


class DecisionSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)


class CommandsSerializer(serializers.Serializer[Any]):
    """What to run on one host, as root."""

    host = serializers.UUIDField(source="host.pk")
    host_name = serializers.CharField(source="host.name")
    address = serializers.CharField(source="host.address")
    port = serializers.IntegerField(source="host.port")
    paths = serializers.SerializerMethodField()
    script = serializers.CharField(help_text="POSIX sh.")

    def get_paths(self, one: removals.HostCommands) -> list[str]:
        return list(dict.fromkeys(step.place.path for step in one.steps))


class KeyRemovalViewSet(ReadOnly, mixins.CreateModelMixin):
    """Requests to remove a key or its duplicates. Commands are given, nothing is changed on a host."""

    queryset = KeyRemoval.objects.select_related("key", "requested_by", "decided_by")
    serializer_class = KeyRemovalSerializer
    filterset_fields = ["key", "state", "kind", "host"]
    ordering = ("-requested_at", "id")
    action_permissions: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("confirm", "reject", "commands"), CHANGE_REMOVAL),
    }

    def get_queryset(self) -> Any:
        counted = Count("steps"), Count("steps", Q(steps__done_at__isnull=False))
        return super().get_queryset().annotate(step_count=counted[0], done_count=counted[1])

    def decide(self, request: Request, work: Any) -> Response:
        body = DecisionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            work(self.get_object(), actor(request), body.validated_data["reason"])
        except ValidationError as error:
            raise Conflict(" ".join(error.messages)) from None
        return Response(KeyRemovalSerializer(self.get_object()).data)

    @extend_schema(request=DecisionSerializer, responses=KeyRemovalSerializer)
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, pk: str) -> Response:
        """An operator says that it shall be done."""
        return self.decide(request, removals.confirm)

    @extend_schema(request=DecisionSerializer, responses=KeyRemovalSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """It shall not be done; needs a reason."""
        return self.decide(request, removals.reject)

    @extend_schema(responses=CommandsSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filterset_fields=[])
    def commands(self, request: Request, pk: str) -> Response:
        """What is left to run, by host; empty unless it is confirmed. At most 1,000 places at once."""
        removal = self.get_object()
        record_access(removal)
        return Response(CommandsSerializer(removals.commands(removal), many=True).data)


class PathsParameters(serializers.Serializer[Any]):
    host = serializers.UUIDField(required=False, help_text="It was taken over: all accounts on it.")
    account = serializers.IntegerField(required=False, help_text="One account; see `account` of ssh-key-places.")
    direction = serializers.ChoiceField(
        choices=["from", "to"], default="from", help_text="from: what it reaches; to: who gets there."
    )
    depth = serializers.IntegerField(min_value=1, max_value=MAX_DEPTH, default=MAX_DEPTH, help_text="Sign-ins.")


class SshPathsView(AuditedView):
    """Trust paths from a host or an account, or to it; nearest first, at most 1,000 accounts."""

    queryset = SshKeyPlace.objects.all()

    @extend_schema(operation_id="ssh_paths", parameters=[PathsParameters], responses=RadiusSerializer)
    def get(self, request: Request) -> Response:
        body = PathsParameters(data=request.query_params)
        body.is_valid(raise_exception=True)
        start = self.start(body.validated_data)
        walk = reach if body.validated_data["direction"] == "from" else reached_by
        found: Radius = radius(walk(start, body.validated_data["depth"]), start.account_ids, LISTED)
        return Response(RadiusSerializer(found).data)

    def start(self, values: dict[str, Any]) -> Start:
        """Raises NotFound, or ValidationError unless one of the two is given."""
        if ("host" in values) == ("account" in values):
            raise serializers.ValidationError({"host": "give a host or an account"})
        if "host" in values:
            host = Host.objects.filter(pk=values["host"]).first()
            found: Host | SshAccount | None = host
            start = Start(host=host)
        else:
            account = SshAccount.objects.filter(pk=values["account"]).first()
            found, start = account, Start(account=account)
        if found is None:
            raise NotFound
        record_access(found)
        return start
