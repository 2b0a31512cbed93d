"""API of zones, tags, credentials, jump hosts and hosts."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

import django_filters
from django.db.models import Prefetch
from django.db.models.functions import Coalesce
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from sandfly_web.accounts.actor import actor
from sandfly_web.accounts.audit import record_access
from sandfly_web.api.errors import Conflict
from sandfly_web.api.views import Resource
from sandfly_web.findings.changes import changes_between
from sandfly_web.findings.risk import host_trend
from sandfly_web.inventory import services
from sandfly_web.inventory.adding import HostExistsError, add_new_host, check_address, check_no_loop, check_same_zone
from sandfly_web.inventory.discovery.identity import twins_of
from sandfly_web.inventory.hostkeys import parse_host_keys
from sandfly_web.inventory.importing.formats import MAX_CHARS, Format, read_inventory
from sandfly_web.inventory.models import Credential, CredentialSet, Host, HostKey, JumpHost, Tag, Zone
from sandfly_web.scans.services import retry_hosts

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

MAX_SHOWN = 1000
# Of a host, all of its own zone.
PARTS = ("credential", "credential_set", "jump_host")
SECRET_FIELDS = (
    "password", "private_key", "passphrase", "become_password", "certificate", "generate", "vault_url", "vault_token",
    "vault_engine", "vault_mount", "vault_path", "vault_namespace", "vault_ca_certificate",
)  # fmt: skip


class ZoneSerializer(serializers.ModelSerializer[Zone]):
    class Meta:
        model = Zone
        fields = ["id", "name", "description", "public_key", "created_at"]

    def create(self, validated_data: dict[str, Any]) -> Zone:
        return services.create_zone(**validated_data)

    def update(self, instance: Zone, validated_data: dict[str, Any]) -> Zone:
        key = validated_data.pop("public_key", instance.public_key)
        if key != instance.public_key:
            services.set_zone_key(instance, key)
        return super().update(instance, validated_data)


class ZoneFilters(django_filters.FilterSet):
    class Meta:
        model = Zone
        fields = ["name"]


class ZoneViewSet(Resource):
    """Networks, each reached by one group of workers; a zone's public key seals the credentials used there."""

    queryset = Zone.objects.all()
    serializer_class = ZoneSerializer
    filterset_class = ZoneFilters
    ordering = ("name",)


class TagSerializer(serializers.ModelSerializer[Tag]):
    class Meta:
        model = Tag
        fields = ["id", "name"]


class TagFilters(django_filters.FilterSet):
    class Meta:
        model = Tag
        fields = ["name"]


class TagViewSet(Resource):
    """Labels on hosts, which schedules refer to."""

    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    filterset_class = TagFilters
    ordering = ("name",)


def secret(most: int) -> serializers.CharField:
    return serializers.CharField(
        write_only=True, required=False, allow_blank=True, trim_whitespace=False, max_length=most, default=""
    )


class CredentialSerializer(serializers.ModelSerializer[Credential]):
    """Secrets go in with every write and are in no answer."""

    password = secret(services.MAX_PASSWORD_CHARS)
    private_key = secret(services.MAX_KEY_CHARS)
    passphrase = secret(services.MAX_PASSWORD_CHARS)
    become_password = secret(services.MAX_PASSWORD_CHARS)
    certificate = secret(services.MAX_KEY_CHARS)
    generate = secret(16)
    vault_url = secret(2048)
    vault_token = secret(services.MAX_PASSWORD_CHARS)
    vault_engine = secret(16)
    vault_mount = secret(255)
    vault_path = secret(1024)
    vault_namespace = secret(255)
    vault_ca_certificate = secret(services.MAX_KEY_CHARS)

    class Meta:
        model = Credential
        fields = [
            "id",
            "name",
            "zone",
            "kind",
            "username",
            "become",
            "fingerprint",
            "public_key",
            "expires_at",
            "created_at",
            "updated_at",
            *SECRET_FIELDS,
        ]
        read_only_fields = ["kind", "fingerprint", "public_key", "expires_at"]

    def create(self, validated_data: dict[str, Any]) -> Credential:
        return self.store(validated_data, None)

    def update(self, instance: Credential, validated_data: dict[str, Any]) -> Credential:
        return self.store(validated_data, instance)

    def store(self, values: dict[str, Any], credential: Credential | None) -> Credential:
        secrets = services.PlainSecrets(**{name: values.pop(name, "") for name in SECRET_FIELDS})
        return services.store_credential(**values, secrets=secrets, credential=credential)


class CredentialFilters(django_filters.FilterSet):
    class Meta:
        model = Credential
        fields = ["name", "zone", "kind", "username"]


class CredentialViewSet(Resource):
    """How to sign in. The sealed secret cannot be read back; to change a credential, send it whole with PUT."""

    queryset = Credential.objects.defer("sealed")
    serializer_class = CredentialSerializer
    filterset_class = CredentialFilters
    ordering = ("name",)
    # A part of a credential cannot be changed: what is sealed cannot be opened here to keep the rest.
    http_method_names = ["get", "post", "put", "delete", "head", "options"]


class CredentialSetSerializer(serializers.ModelSerializer[CredentialSet]):
    """Names credentials; their secrets are written where they are."""

    credentials = serializers.PrimaryKeyRelatedField[Any](
        many=True, queryset=Credential.objects.defer("sealed"), allow_empty=False,
        help_text="In the order in which they are tried; what got in last on a host comes first there.",
    )  # fmt: skip

    class Meta:
        model = CredentialSet
        fields = ["id", "name", "zone", "credentials", "try_all_passwords"]

    def validate_credentials(self, credentials: list[Credential]) -> list[Credential]:
        if len({one.pk for one in credentials}) < len(credentials):
            raise serializers.ValidationError("one is named twice")
        return credentials

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        zone = attrs.get("zone", getattr(self.instance, "zone", None))
        named = attrs.get("credentials")
        credentials = named if named is not None else list(self.instance.credentials.all()) if self.instance else []
        if others := [one for one in credentials if zone is None or one.zone_id != zone.pk]:
            raise serializers.ValidationError({"credentials": f"{others[0]} belongs to another zone"})
        return attrs

    def create(self, validated_data: dict[str, Any]) -> CredentialSet:
        return services.store_credential_set(CredentialSet(), validated_data)

    def update(self, instance: CredentialSet, validated_data: dict[str, Any]) -> CredentialSet:
        return services.store_credential_set(instance, validated_data)

    def to_representation(self, instance: CredentialSet) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if "credentials" in shown:
            shown["credentials"] = [entry.credential_id for entry in instance.entries.all()]
        return shown


class CredentialSetFilters(django_filters.FilterSet):
    class Meta:
        model = CredentialSet
        fields = ["name", "zone", "credentials"]


class CredentialSetViewSet(Resource):
    """Credentials for hosts of which nobody knows which one fits."""

    queryset = CredentialSet.objects.prefetch_related("entries", Prefetch("credentials", Credential.objects.only("pk")))
    serializer_class = CredentialSetSerializer
    filterset_class = CredentialSetFilters
    ordering = ("name",)


class JumpHostSerializer(serializers.ModelSerializer[JumpHost]):
    class Meta:
        model = JumpHost
        fields = [
            "id", "name", "zone", "address", "port", "credential", "via", "host_keys", "accept_new_host_key",
        ]  # fmt: skip

    def validate_host_keys(self, text: str) -> str:
        try:
            parse_host_keys(text)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None
        return text

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        whole = merged(self.instance, attrs, "zone", "credential", "via")
        check_same_zone(whole, "credential", "via")
        check_no_loop(self.instance or JumpHost(), whole["via"])
        return attrs


def merged(instance: Any, attrs: dict[str, Any], *names: str) -> dict[str, Any]:
    """The values a thing has once `attrs` are written."""
    return {name: attrs.get(name, getattr(instance, name, None)) for name in names}


class JumpHostFilters(django_filters.FilterSet):
    class Meta:
        model = JumpHost
        fields = ["name", "zone", "address"]


class JumpHostViewSet(Resource):
    """Hosts that connections to others go through."""

    queryset = JumpHost.objects.all()
    serializer_class = JumpHostSerializer
    filterset_class = JumpHostFilters
    ordering = ("name",)


class HostKeySerializer(serializers.ModelSerializer[HostKey]):
    class Meta:
        model = HostKey
        fields = ["id", "key_type", "fingerprint", "status", "first_seen_at", "last_seen_at"]


class HostSerializer(serializers.ModelSerializer[Host]):
    tags = serializers.SlugRelatedField[Any](slug_field="name", many=True, queryset=Tag.objects.all(), required=False)
    name = serializers.CharField(max_length=255, required=False, help_text="Its address, if not given.")
    other_addresses = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="Where the same system answers as well."
    )

    risk = serializers.IntegerField(
        read_only=True, default=0, help_text="Its unresolved findings, weighed: critical 60, high 20, medium 5, low 1."
    )

    class Meta:
        model = Host
        fields = [
            "id",
            "name",
            "risk",
            "transport",
            "address",
            "port",
            "zone",
            "credential",
            "credential_set",
            "jump_host",
            "tags",
            "is_active",
            "accept_new_host_key",
            "staging_directory",
            "state",
            "state_reason",
            "origin",
            "discovery",
            "offline_since",
            "retired_at",
            "other_addresses",
            "last_seen_at",
            "hostname",
            "machine_id",
            "os_name",
            "kernel",
            "architecture",
            "created_at",
        ]
        read_only_fields = [
            "transport",
            "state",
            "state_reason",
            "origin",
            "discovery",
            "offline_since",
            "retired_at",
            "last_seen_at",
            "hostname",
            "machine_id",
            "os_name",
            "kernel",
            "architecture",
        ]
        # The endpoint's uniqueness is a conflict, which the service and the database tell.
        validators: ClassVar[list[Any]] = []

    def validate_address(self, address: str) -> str:
        return check_address(address)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        check_same_zone(merged(self.instance, attrs, "zone", *PARTS), *PARTS)
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Host:
        options = services.HostOptions(
            zone=validated_data["zone"],
            credential=validated_data.get("credential"),
            credential_set=validated_data.get("credential_set"),
            jump_host=validated_data.get("jump_host"),
            accept_new_host_key=validated_data.get("accept_new_host_key", False),
            staging_directory=validated_data.get("staging_directory", ""),
            tags=tuple(tag.name for tag in validated_data.get("tags", ())),
        )
        port, name = validated_data.get("port", 22), validated_data.get("name", "")
        try:
            return add_new_host(validated_data["address"], port, options, name=name)
        except HostExistsError as error:
            raise Conflict(" ".join(error.messages)) from None


class TwinSerializer(serializers.Serializer[Any]):
    host = serializers.UUIDField(source="host.pk")
    name = serializers.CharField(source="host.name")
    shares = serializers.CharField(help_text="SSH host key, machine-id, or both.")


class RiskPointSerializer(serializers.Serializer[Any]):
    day = serializers.DateField()
    risk = serializers.IntegerField()


class HostDetailSerializer(HostSerializer):
    """One host with what the list leaves out."""

    host_keys = HostKeySerializer(many=True, read_only=True)
    twins = serializers.SerializerMethodField(help_text="Other hosts that look like the same: copies of one image.")

    risk_trend = serializers.SerializerMethodField(help_text="Its risk at the end of each day, the oldest first.")

    @extend_schema_field(RiskPointSerializer(many=True))
    def get_risk_trend(self, host: Host) -> Any:
        return RiskPointSerializer(host_trend(host.pk), many=True).data

    @extend_schema_field(TwinSerializer(many=True))
    def get_twins(self, host: Host) -> Any:
        return TwinSerializer(twins_of(host), many=True).data

    class Meta(HostSerializer.Meta):
        fields = [*HostSerializer.Meta.fields, "profile", "host_keys", "twins", "risk_trend"]
        read_only_fields = [*HostSerializer.Meta.read_only_fields, "profile"]


class AcceptKeySerializer(serializers.Serializer[Any]):
    fingerprint = serializers.CharField(max_length=64, help_text="Of the key that was shown and refused.")


class ImportSerializer(serializers.Serializer[Any]):
    """An inventory as text, and what its hosts have in common."""

    text = serializers.CharField(max_length=MAX_CHARS, trim_whitespace=False)
    format = serializers.ChoiceField(choices=[str(kind) for kind in Format], default=str(Format.AUTO))
    zone = serializers.PrimaryKeyRelatedField(queryset=Zone.objects.all())
    credential = serializers.PrimaryKeyRelatedField(
        queryset=Credential.objects.all(), required=False, allow_null=True, default=None
    )
    jump_host = serializers.PrimaryKeyRelatedField(
        queryset=JumpHost.objects.all(), required=False, allow_null=True, default=None
    )
    tags = serializers.ListField(
        child=serializers.CharField(max_length=63), required=False, default=list, max_length=100
    )
    accept_new_host_key = serializers.BooleanField(default=False)
    dry_run = serializers.BooleanField(default=False, help_text="Read it and add nothing.")


class CandidateSerializer(serializers.Serializer[Any]):
    address = serializers.CharField(source="target.address")
    port = serializers.IntegerField(source="target.port")
    name = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())


class ImportedSerializer(serializers.Serializer[Any]):
    format = serializers.CharField(help_text="As given or guessed.")
    created = serializers.IntegerField()
    existing = serializers.IntegerField(help_text="Were there already; only tags were added.")
    hosts = CandidateSerializer(many=True, help_text=f"What was read, the first {MAX_SHOWN}.")
    faults = serializers.ListField(child=serializers.CharField(), help_text="Entries that were left out, by line.")
    fault_count = serializers.IntegerField()
    notes = serializers.ListField(child=serializers.CharField(), help_text="What the source says and was not used.")


class MomentsSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(required=False, default=None)


class FieldChangeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class ChangeSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["appeared", "gone", "changed"])
    record = serializers.IntegerField(source="record.pk", help_text="See /records.")
    subject = serializers.CharField(source="record.subject")
    identity = serializers.DictField(source="record.identity")
    # A field that is named as a property of serializers is declared, not read.
    changed = FieldChangeSerializer(source="fields", many=True, help_text="Facts that differ, of what changed.")


class ChangesSerializer(serializers.Serializer[Any]):
    changes = ChangeSerializer(many=True)
    is_cut = serializers.BooleanField(help_text="There are more than are read at once.")


class RetrySerializer(serializers.Serializer[Any]):
    states = serializers.ListField(
        child=serializers.ChoiceField(choices=Host.State.choices),
        allow_empty=False,
        default=lambda: list(Host.TROUBLED),
        help_text="Default: offline, sign-in failed, unsupported.",
    )


class RetriedSerializer(serializers.Serializer[Any]):
    batch = serializers.UUIDField()
    hosts = serializers.IntegerField()


class HostFilters(django_filters.FilterSet):
    tag = django_filters.CharFilter(field_name="tags__name", help_text="Name of a tag.")
    is_retired = django_filters.BooleanFilter(field_name="retired_at", lookup_expr="isnull", exclude=True)
    min_risk = django_filters.NumberFilter(
        field_name="weight__risk", lookup_expr="gte", min_value=1, max_value=2**31 - 1, help_text="At least so much."
    )
    name_contains = django_filters.CharFilter(field_name="name", lookup_expr="icontains")
    last_seen_before = django_filters.IsoDateTimeFilter(field_name="last_seen_at", lookup_expr="lt")
    last_seen_after = django_filters.IsoDateTimeFilter(field_name="last_seen_at", lookup_expr="gte")

    class Meta:
        model = Host
        fields = ["name", "address", "zone", "credential", "state", "is_active", "machine_id", "origin", "discovery"]


class HostViewSet(Resource):
    """The Linux systems that are watched."""

    queryset = Host.objects.prefetch_related("tags").defer("profile").annotate(risk=Coalesce("weight__risk", 0))
    serializer_class = HostSerializer
    filterset_class = HostFilters
    ordering = ("name", "id")
    action_permissions: ClassVar[dict[str, str]] = {
        "accept_host_key": "inventory.change_hostkey",
        "import_inventory": "inventory.add_host",
        "changes": "findings.view_record",
        "retry": "scans.add_scan",
    }

    def get_queryset(self) -> QuerySet[Host]:
        queryset: QuerySet[Host] = super().get_queryset()
        return queryset if self.action == "list" else queryset.defer(None).prefetch_related("host_keys")

    def get_serializer_class(self) -> type[HostSerializer]:
        return HostDetailSerializer if self.action == "retrieve" else HostSerializer

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        host = self.get_object()
        record_access(host)
        return Response(self.get_serializer(host).data)

    @extend_schema(request=ImportSerializer, responses=ImportedSerializer)
    @action(detail=False, methods=["post"], url_path="import")
    def import_inventory(self, request: Request) -> Response:
        """Add the hosts of a list, CSV, Ansible inventory or ssh_config. What cannot be read is said and left out."""
        body = ImportSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values = body.validated_data
        kind, parsed = read_inventory(values["text"], Format(values["format"]))
        candidates = list(parsed.candidates.values())
        added = services.AddedHosts([], 0)
        if not values["dry_run"]:
            options = services.HostOptions(
                zone=values["zone"],
                credential=values["credential"],
                jump_host=values["jump_host"],
                accept_new_host_key=values["accept_new_host_key"],
                tags=tuple(values["tags"]),
            )
            added = services.import_hosts(candidates, options)
        shown = {
            "format": str(kind),
            "created": len(added.created),
            "existing": added.existing,
            "hosts": candidates[:MAX_SHOWN],
            "faults": [str(fault) for fault in parsed.faults],
            "fault_count": parsed.fault_count,
            "notes": parsed.notes,
        }
        return Response(ImportedSerializer(shown).data)

    @extend_schema(request=RetrySerializer, responses={202: RetriedSerializer})
    @action(detail=False, methods=["post"])
    def retry(self, request: Request) -> Response:
        """Visit every active host in these states again; follow the batch."""
        body = RetrySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        batch = retry_hosts(body.validated_data["states"], actor(request))
        return Response({"batch": batch.id, "hosts": len(batch.scans)}, status=HTTPStatus.ACCEPTED)

    @extend_schema(
        parameters=[
            OpenApiParameter("since", datetime, required=True, description="The earlier moment."),
            OpenApiParameter("until", datetime, description="The later moment; default: now."),
        ],
        responses=ChangesSerializer,
    )
    @action(detail=True, methods=["get"])
    def changes(self, request: Request, pk: str) -> Response:
        """What recon saw appear, change and go between two moments, as the host's visits saw it."""
        host = self.get_object()
        query = MomentsSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        record_access(host)
        found = changes_between(host, query.validated_data["since"], query.validated_data["until"] or timezone.now())
        return Response(ChangesSerializer(found).data)

    @extend_schema(request=AcceptKeySerializer, responses=HostDetailSerializer)
    @action(detail=True, methods=["post"], url_path="accept-host-key")
    def accept_host_key(self, request: Request, pk: str) -> Response:
        """Trust a key that the host has shown and that was refused; its other keys of this type no longer count."""
        host = self.get_object()
        body = AcceptKeySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        key = host.host_keys.filter(fingerprint=body.validated_data["fingerprint"]).first()
        if key is None:
            raise serializers.ValidationError({"fingerprint": "this host has not shown such a key"})
        services.accept_host_key(key, actor(request))
        return Response(HostDetailSerializer(self.get_object()).data, status=HTTPStatus.OK)
