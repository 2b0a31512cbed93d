"""SSH keys, where they are, zones that say where they may be, and requests to remove them.

Keys, accounts and places are derived from recon's records by `derive`; what people say of them is written by
`services` and `removals`.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Count, Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from sandfly_web.findings.models import Record
from sandfly_web.inventory.models import Host, Tag
from sandfly_web.inventory.scope import HostScopedManager, HostScopedQuerySet
from sandfly_web.rules.models import Severity

MIN_RSA_BITS = 2048


class KeyTag(models.Model):
    """A label on keys that zones refer to."""

    name = models.SlugField(max_length=63, unique=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class SeenKeys(HostScopedQuerySet["SshKey"]):
    """A key belongs to no host: who is limited to some hosts knows of it where it is or was on one of them."""

    def narrow_to(self, hosts: Any) -> None:
        known = SshKeyPlace.all_rows.filter(host__in=hosts).values("key")
        self._filter_or_exclude_inplace(False, (), {"pk__in": known})  # type: ignore[attr-defined]


class SshKeyManager(HostScopedManager["SshKey"]):
    queryset_class = SeenKeys


class SshKey(models.Model):
    """A key by its fingerprint, remembered when it is gone. Made by `derive`, or by hand before it is seen."""

    class Use(models.TextChoices):
        USER = "user", "Signs people and programs in"
        HOST = "host", "Identifies a host"
        OTHER = "other", "Other: TLS, known from elsewhere"

    class Standing(models.TextChoices):
        NONE = "", "Normal"
        BANNED = "banned", "Banned"
        PROTECTED = "protected", "Protected"

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.CharField(max_length=127, unique=True, editable=False, help_text="As ssh-keygen -l prints it.")
    algorithm = models.CharField(max_length=64, blank=True, editable=False)
    bits = models.PositiveIntegerField(null=True, editable=False)
    public_key = models.TextField(blank=True, editable=False, help_text="Base64 of the public key, where it is known.")
    comment = models.CharField(max_length=255, blank=True, editable=False, help_text="As a host has it.")
    use = models.CharField(max_length=8, choices=Use.choices, default=Use.USER, editable=False)
    first_seen_at = models.DateTimeField(null=True, editable=False, help_text="None: added by hand and not seen yet.")
    name = models.CharField(max_length=127, blank=True, help_text="How people call it.")
    notes = models.TextField(blank=True, help_text="Whose it is, what it is for.")
    tags = models.ManyToManyField(KeyTag, blank=True, related_name="keys")
    standing = models.CharField(max_length=10, choices=Standing.choices, default=Standing.NONE, blank=True)
    standing_reason = models.TextField(blank=True)
    standing_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SshKeyManager()

    class Meta:
        verbose_name = "SSH key"
        verbose_name_plural = "SSH keys"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            # The list: keys of people, the newest first.
            models.Index(fields=["use", "-id"], name="ssh_key_use"),
            # Ingest and the list: banned and protected ones; few are.
            models.Index(fields=["standing"], name="ssh_key_standing", condition=~Q(standing="")),
        ]

    def __str__(self) -> str:
        return self.name or self.comment or self.fingerprint

    @property
    def is_weak(self) -> bool:
        """NIST SP 800-131A: DSA and short RSA keys can be broken; OpenSSH no longer takes DSA."""
        short = self.bits is not None and self.bits < MIN_RSA_BITS
        return self.algorithm in {"ssh-dss", "rsa1"} or ("rsa" in self.algorithm and short)


class SshAccount(models.Model):
    """A user of a host, as far as keys tell of one: what a key opens, and who holds one."""

    id = models.BigAutoField(primary_key=True)
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="ssh_accounts", db_index=False)
    username = models.CharField(max_length=255)
    is_root = models.BooleanField(default=False)

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        ordering: ClassVar = ["host", "username"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["host", "username"], name="ssh_account_once")]

    def __str__(self) -> str:
        return f"{self.username} on {self.host_id}"


class PlaceQuerySet(HostScopedQuerySet["SshKeyPlace"]):
    """Places with when a visit saw them last."""

    def with_seen(self) -> Any:
        """Adds `seen_at`: while it is there, its record knows."""
        return self.annotate(
            seen_at=models.Case(
                models.When(is_current=True, then=Coalesce("record__last_seen_at", "last_seen_at")),
                default=F("last_seen_at"),
            )
        )


class PlaceManager(HostScopedManager["SshKeyPlace"]):
    queryset_class = PlaceQuerySet


class SshKeyPlace(models.Model):
    """A key in a file of a host from when to when; one that comes back begins a new row. Written by `derive`."""

    class Kind(models.TextChoices):
        AUTHORIZED = "authorized_key", "May sign in"
        PRIVATE = "private_key", "Private key"
        KNOWN = "known_host", "Known host"

    id = models.BigAutoField(primary_key=True)
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="ssh_key_places", db_index=False)
    # Null where the public half cannot be told: an encrypted private key in an old format.
    key = models.ForeignKey(SshKey, on_delete=models.CASCADE, null=True, related_name="places", db_index=False)
    # Null for a known_hosts file of the whole system.
    account = models.ForeignKey(SshAccount, on_delete=models.CASCADE, null=True, related_name="places", db_index=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    identity_digest = models.CharField(max_length=64)
    path = models.TextField()
    line_number = models.PositiveIntegerField(null=True)
    comment = models.TextField(blank=True)
    options = models.JSONField(default=list, help_text="Options of an authorized key, as written.")
    copies = models.PositiveIntegerField(null=True, help_text="Lines that the files of the account have of the key.")
    is_restricted = models.BooleanField(default=False, help_text="A forced command or source addresses limit it.")
    area = models.CharField(max_length=32, blank=True, help_text="Of a private key: home, host, temporary, web …")
    is_encrypted = models.BooleanField(null=True, help_text="Of a private key: a passphrase protects it.")
    is_shared = models.BooleanField(default=False, help_text="Everybody on the host can read the private key.")
    names = models.JSONField(default=list, help_text="Of a known host: its names; empty where they are hashed.")
    is_hashed = models.BooleanField(null=True, help_text="Of a known host: its name is masked.")
    is_current = models.BooleanField(default=True)
    first_seen_at = models.DateTimeField()
    # While it is current, its record knows better.
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, help_text="When a visit noticed that it is gone.")
    # Records that are gone are deleted by retention.
    record = models.ForeignKey(
        Record, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )

    host_path = "host"
    objects = PlaceManager()
    # For queries inside of a limit, which would go round in circles.
    all_rows = models.Manager()

    class Meta:
        ordering: ClassVar = ["-is_current", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["host", "kind", "identity_digest"], condition=Q(is_current=True), name="ssh_place_one_current"
            ),
        ]
        indexes: ClassVar = [
            # Where a key is; trust paths: what a key opens.
            models.Index(fields=["key", "kind", "account"], name="ssh_place_key", condition=Q(is_current=True)),
            # Trust paths: which keys somebody holds; the page of an account.
            models.Index(fields=["account", "kind"], name="ssh_place_account", condition=Q(is_current=True)),
            # The history of a key.
            models.Index(fields=["key", "-id"], name="ssh_place_history"),
            # The page of a host, and what ingest compares.
            models.Index(fields=["host", "kind"], name="ssh_place_host"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


class KeyZone(models.Model):
    """Hosts (by tag) and the keys (by tag) that belong on them; ingest finds what is where it should not be."""

    name = models.CharField(max_length=127, unique=True)
    description = models.TextField(blank=True)
    is_enabled = models.BooleanField("enabled", default=True)
    host_tags = models.ManyToManyField(Tag, related_name="key_zones", help_text="Hosts with one of these.")
    key_tags = models.ManyToManyField(KeyTag, related_name="zones", help_text="Keys with one of these.")
    confines_keys = models.BooleanField(
        default=True, help_text="Its keys may be on its hosts alone (or in another zone of theirs)."
    )
    refuses_strangers = models.BooleanField(
        default=False, help_text="Only its keys may sign in to its hosts (or those of another zone of the host)."
    )
    level = models.CharField(max_length=16, choices=Severity.choices, default=Severity.HIGH)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class KeyRemoval(models.Model):
    """Somebody asks for a key to be taken out of authorized_keys; done when visits no longer see it there.

    Nothing here changes a host: the request gives the commands, and an operator or a SOAR runs them.
    """

    class Kind(models.TextChoices):
        REMOVE = "remove", "Remove the key"
        DEDUPLICATE = "deduplicate", "Keep the first of several lines"

    class State(models.TextChoices):
        REQUESTED = "requested", "Waits for an operator"
        CONFIRMED = "confirmed", "Confirmed: to be carried out"
        DONE = "done", "Done: visits no longer see it"
        REJECTED = "rejected", "Rejected"

    OPEN = (State.REQUESTED, State.CONFIRMED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.ForeignKey(SshKey, on_delete=models.CASCADE, related_name="removals")
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.REMOVE)
    # Both null: everywhere. With an account, the host is that of the account.
    host = models.ForeignKey(Host, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    account = models.ForeignKey(SshAccount, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    reason = models.TextField()
    may_lock_out = models.BooleanField(
        default=False, help_text="Also where it is the only key that signs an account in."
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.REQUESTED)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision = models.TextField(blank=True, help_text="What the operator said.")
    done_at = models.DateTimeField(null=True, blank=True)

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        ordering: ClassVar = ["-requested_at", "id"]
        indexes: ClassVar = [
            # Ingest: what a visit may show to be done.
            models.Index(fields=["state"], name="key_removal_open", condition=Q(state__in=["requested", "confirmed"])),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.key}"


class KeyRemovalStep(models.Model):
    """One place of a confirmed removal, and when a visit saw that it is done."""

    removal = models.ForeignKey(KeyRemoval, on_delete=models.CASCADE, related_name="steps", db_index=False)
    place = models.ForeignKey(SshKeyPlace, on_delete=models.CASCADE, related_name="removal_steps")
    done_at = models.DateTimeField(null=True, blank=True)

    host_path = "place__host"
    objects = HostScopedManager()

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["removal", "place"], name="key_removal_step_once")]

    def __str__(self) -> str:
        return f"{self.removal_id} {self.place_id}"


def is_live() -> Exists:
    """Whether a key has a place now, on hosts that the request may know of."""
    return Exists(SshKeyPlace.objects.filter(key=OuterRef("pk"), is_current=True))


def host_count() -> Coalesce:
    """How many hosts have a key now, of those that the request may know of."""
    places = SshKeyPlace.objects.filter(key=OuterRef("pk"), is_current=True).order_by().values("key")
    return Coalesce(Subquery(places.annotate(hosts=Count("host", distinct=True)).values("hosts")), 0)
