"""What is watched and how it is reached."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from sandfly_web.inventory.scope import HostScopedManager
from scanners.contract import DIRECTORY_PATTERN

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
        CERTIFICATE = "certificate", "Key with certificate"
        VAULT = "vault", "HashiCorp Vault"

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
    public_key = models.TextField(blank=True, editable=False, help_text="The line for authorized_keys, if any.")
    expires_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When its certificate ends.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CredentialSet(models.Model):
    """Credentials for hosts of which nobody knows which one fits; tried in order, the last good one first."""

    name = models.CharField(max_length=127, unique=True)
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="credential_sets")
    credentials = models.ManyToManyField(Credential, through="CredentialSetEntry", related_name="sets")
    try_all_passwords = models.BooleanField(
        default=False,
        help_text="Try a second password of a user after the first was refused. Never more than two in half an hour.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CredentialSetEntry(models.Model):
    """A credential's place in a set."""

    credential_set = models.ForeignKey(CredentialSet, on_delete=models.CASCADE, related_name="entries")
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="set_entries")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["credential_set", "credential"], name="credential_set_entry_unique"),
        ]

    def __str__(self) -> str:
        return str(self.credential)


class JumpHost(models.Model):
    """A host that connections to others go through, itself reached directly or through `via`."""

    name = models.CharField(max_length=127, unique=True)
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="jump_hosts")
    address = models.CharField(max_length=255)
    port = models.PositiveIntegerField(default=22, validators=PORT_VALIDATORS)
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="jump_hosts")
    via = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="leads_to")
    host_keys = models.TextField(
        blank=True, help_text="Its host keys as known_hosts has them: one `type base64` a line."
    )
    accept_new_host_key = models.BooleanField(
        default=False, help_text="Trust the key it shows on the next visit through it and pin it."
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Discovery(models.Model):
    """Networks that are looked at again and again for hosts; see `inventory.discovery`."""

    name = models.CharField(max_length=127, unique=True)
    is_enabled = models.BooleanField(default=True)
    zone = models.ForeignKey(Zone, on_delete=models.PROTECT, related_name="discoveries")
    ranges = models.TextField(help_text="Networks, addresses or first-last, one a line.")
    excluded = models.TextField(blank=True, help_text="What of them is left alone, in the same form.")
    port = models.PositiveIntegerField(default=22, validators=PORT_VALIDATORS)
    credentials = models.ManyToManyField(
        Credential, related_name="discoveries", blank=True,
        help_text="Each is tried once on a host that is not known yet.",
    )  # fmt: skip
    credential_set = models.ForeignKey(
        CredentialSet, on_delete=models.PROTECT, null=True, blank=True, related_name="discoveries",
        help_text="Tried after those, in its order.",
    )  # fmt: skip
    jump_host = models.ForeignKey(
        JumpHost, on_delete=models.PROTECT, null=True, blank=True, related_name="discoveries",
        help_text="Where the workers do not reach the networks directly; the hosts it finds are visited through it.",
    )  # fmt: skip
    tags = models.ManyToManyField(Tag, blank=True, related_name="discoveries", help_text="For the hosts it finds.")
    schedules = models.ManyToManyField(
        "scans.Schedule",
        blank=True,
        related_name="discoveries",
        help_text="That visit what it finds: hosts get their tags.",
    )
    interval_s = models.PositiveIntegerField(
        "interval (seconds)", default=24 * 3600, validators=[MinValueValidator(300)]
    )
    rate_per_s = models.PositiveIntegerField(
        "connections a second", default=20, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    timeout_s = models.PositiveIntegerField(
        "seconds to wait for an answer", default=3, validators=[MinValueValidator(1), MaxValueValidator(30)]
    )
    retire_after_hours = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Hosts that were offline for so long are kept, but no longer visited until they are seen again.",
    )
    next_sweep_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "discoveries"

    def __str__(self) -> str:
        return self.name


class Sweep(models.Model):
    """One pass over a discovery's networks, a part at a time. Written by `inventory.discovery`."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    discovery = models.ForeignKey(Discovery, on_delete=models.CASCADE, related_name="sweeps")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.RUNNING)
    reason = models.CharField(max_length=1024, blank=True, help_text="Why it failed.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    # As they were when it began.
    ranges = models.TextField()
    excluded = models.TextField(blank=True)
    part_size = models.PositiveIntegerField(help_text="Addresses in a part.")
    total = models.BigIntegerField(help_text="Addresses in its networks.")
    position = models.BigIntegerField(default=0, help_text="Addresses that were looked at.")
    part = models.PositiveIntegerField(default=0)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Of the part; 0 while none is under way.")
    part_expires_at = models.DateTimeField(null=True, blank=True)
    # Endpoints whose host is known from another address; the last part asks whether it is still there.
    claims = models.JSONField(default=list, blank=True)
    is_confirming = models.BooleanField(default=False)
    answered = models.PositiveIntegerField(default=0)
    enrolled = models.PositiveIntegerField(default=0)
    moved = models.PositiveIntegerField(default=0)
    retired = models.PositiveIntegerField(default=0)
    fault_count = models.PositiveIntegerField(default=0)
    faults = models.JSONField(default=list, blank=True, help_text="Endpoints that answer and did not let in, and why.")

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["discovery"], condition=models.Q(status="running"), name="sweep_one_at_a_time"
            ),
        ]
        indexes = [models.Index(fields=["-started_at", "id"], name="sweep_newest")]

    def __str__(self) -> str:
        return f"{self.discovery_id} {self.started_at:%Y-%m-%d %H:%M}"


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

    # Where another visit may find things changed; a changed key waits for a person.
    TROUBLED = (State.OFFLINE, State.AUTH_FAILED, State.UNSUPPORTED)

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
    credential_set = models.ForeignKey(
        CredentialSet, on_delete=models.PROTECT, null=True, blank=True, related_name="hosts",
        help_text="Tried where the credential does not get in.",
    )  # fmt: skip
    last_credential = models.ForeignKey(
        Credential, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+",
        help_text="The one that got in last.",
    )  # fmt: skip
    jump_host = models.ForeignKey(JumpHost, on_delete=models.PROTECT, null=True, blank=True, related_name="hosts")
    tags = models.ManyToManyField(Tag, blank=True, related_name="hosts")
    is_active = models.BooleanField(default=True, help_text="Inactive hosts are not scanned by schedules.")
    accept_new_host_key = models.BooleanField(
        default=False, help_text="Trust the key the host shows on the next visit and pin it."
    )
    staging_directory = models.CharField(
        max_length=255, blank=True, default="", db_default="",
        validators=[RegexValidator(DIRECTORY_PATTERN, "Give an absolute path.")],
        help_text="The only place where the probe may be put on it; empty: the first of /dev/shm, /tmp, /var/tmp and "
        "the user's own directories that lets programs run. Nobody else may write there.",
    )  # fmt: skip

    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.ADDED, editable=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.NEW, editable=False)
    state_reason = models.CharField(max_length=1024, blank=True, editable=False)
    discovery = models.ForeignKey(
        Discovery, on_delete=models.SET_NULL, null=True, blank=True, related_name="hosts", editable=False
    )
    offline_since = models.DateTimeField(null=True, blank=True, editable=False)
    retired_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Not visited by schedules until it is seen again."
    )
    other_addresses = models.JSONField(default=list, blank=True, editable=False, help_text="Where it answers as well.")
    boot_id = models.CharField(max_length=36, blank=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    hostname = models.CharField(max_length=255, blank=True, editable=False)
    machine_id = models.CharField(max_length=64, blank=True, editable=False)
    os_name = models.CharField(max_length=255, blank=True, editable=False)
    kernel = models.CharField(max_length=255, blank=True, editable=False)
    architecture = models.CharField(max_length=32, blank=True, editable=False)
    profile = models.JSONField(default=dict, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    host_path = ""
    objects = HostScopedManager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["zone", "transport", "address", "port"], name="host_endpoint_unique"),
        ]
        indexes = [
            # Console: hosts by state, the start page's fleet health.
            models.Index(fields=["state", "name"], name="host_state"),
            # Which host is this: by what the system calls itself.
            models.Index(fields=["machine_id"], name="host_machine_id", condition=~models.Q(machine_id="")),
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

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        ordering = ["host", "key_type"]
        constraints = [
            models.UniqueConstraint(fields=["host", "fingerprint"], name="host_key_unique"),
        ]
        indexes = [
            # Which host is this: by the key it holds.
            models.Index(fields=["fingerprint"], name="host_key_fingerprint"),
        ]

    def __str__(self) -> str:
        return f"{self.key_type} {self.fingerprint}"
