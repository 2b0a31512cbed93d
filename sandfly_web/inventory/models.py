"""What is watched and how it is reached."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

PORT_VALIDATORS = [MinValueValidator(1), MaxValueValidator(65535)]
# Zone names become queue names and file names.
ZONE_NAME = RegexValidator(r"^[a-z0-9][a-z0-9-]{0,62}$", "use lower-case letters, digits and dashes")


class Zone(models.Model):
    """A network that one group of workers reaches; its public key seals the credentials used there."""

    name = models.CharField(max_length=63, unique=True, validators=[ZONE_NAME])
    description = models.CharField(max_length=255, blank=True)
    public_key = models.CharField(max_length=64, blank=True, help_text="Base64 of the zone's X25519 public key.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A label on hosts that schedules, allow-lists and rights refer to."""

    name = models.SlugField(max_length=63, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Credential(models.Model):
    """How to sign in, sealed to a zone; nothing on this side can open it. Written by `inventory.services`."""

    class Kind(models.TextChoices):
        PASSWORD = "password", "Password"
        PRIVATE_KEY = "private_key", "Private key"

    class Become(models.TextChoices):
        AUTO = "auto", "Automatic"
        NONE = "none", "Do not become root"
        SUDO = "sudo", "sudo"
        SU = "su", "su"
        DOAS = "doas", "doas"

    name = models.CharField(max_length=127, unique=True)
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="credentials")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    username = models.CharField(max_length=255)
    become = models.CharField(max_length=8, choices=Become.choices, default=Become.AUTO)
    sealed = models.TextField(editable=False, help_text="Base64 of a libsodium sealed box.")
    fingerprint = models.CharField(max_length=64, blank=True, editable=False, help_text="Of the public key, if any.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class JumpHost(models.Model):
    """A host that connections to others go through, itself reached directly or through `via`."""

    name = models.CharField(max_length=127, unique=True)
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="jump_hosts")
    address = models.CharField(max_length=255)
    port = models.PositiveIntegerField(default=22, validators=PORT_VALIDATORS)
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="jump_hosts")
    via = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="leads_to")
    host_keys = models.TextField(help_text="Its host keys as known_hosts has them: one `type base64` a line.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Host(models.Model):
    """One Linux system; `state` is what the last visit says, written by `scans.ingest`."""

    class Transport(models.TextChoices):
        SSH = "ssh", "SSH"
        LOCAL = "local", "This machine"

    class State(models.TextChoices):
        NEW = "new", "New"
        ACTIVE = "active", "Active"
        OFFLINE = "offline", "Offline"
        AUTH_FAILED = "auth_failed", "Sign-in failed"
        KEY_CHANGED = "key_changed", "Host key changed"
        UNSUPPORTED = "unsupported", "Unsupported"

    class Origin(models.TextChoices):
        ADDED = "added", "Added by hand or imported"
        DISCOVERED = "discovered", "Found by a discovery"
        AD_HOC = "ad_hoc", "Scanned once"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255, help_text="How people call it; its own host name until changed.")
    transport = models.CharField(max_length=8, choices=Transport.choices, default=Transport.SSH)
    address = models.CharField(max_length=255)
    port = models.PositiveIntegerField(default=22, validators=PORT_VALIDATORS)
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="hosts")
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="hosts")
    jump_host = models.ForeignKey(JumpHost, on_delete=models.PROTECT, null=True, blank=True, related_name="hosts")
    tags = models.ManyToManyField(Tag, blank=True, related_name="hosts")
    is_active = models.BooleanField(default=True, help_text="Inactive hosts are not scanned by schedules.")
    accept_new_host_key = models.BooleanField(
        default=False, help_text="Trust the key the host shows on the next visit and pin it."
    )

    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.ADDED, editable=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.NEW, editable=False)
    state_reason = models.CharField(max_length=1024, blank=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    hostname = models.CharField(max_length=255, blank=True, editable=False)
    machine_id = models.CharField(max_length=64, blank=True, editable=False)
    os_name = models.CharField(max_length=255, blank=True, editable=False)
    kernel = models.CharField(max_length=255, blank=True, editable=False)
    architecture = models.CharField(max_length=32, blank=True, editable=False)
    profile = models.JSONField(default=dict, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["zone", "transport", "address", "port"], name="host_endpoint_unique"),
        ]
        indexes = [
            # Console: hosts by state, the start page's fleet health.
            models.Index(fields=["state", "name"], name="host_state"),
        ]

    def __str__(self) -> str:
        return self.name


class HostKey(models.Model):
    """An SSH host key a host has shown or was given; only `pinned` ones are accepted."""

    class Status(models.TextChoices):
        PINNED = "pinned", "Pinned"
        REJECTED = "rejected", "Shown but not accepted"

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="host_keys")
    key_type = models.CharField(max_length=64)
    public_key = models.TextField()
    fingerprint = models.CharField(max_length=64)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PINNED)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["host", "key_type"]
        constraints = [
            models.UniqueConstraint(fields=["host", "fingerprint"], name="host_key_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.key_type} {self.fingerprint}"
