"""When hosts are visited, and every visit."""

from __future__ import annotations

import uuid
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from sandfly_web.inventory.models import Host, Tag, Zone
from sandfly_web.inventory.scope import HostScopedManager
from sandfly_web.rules.models import Rule
from sandfly_web.scans.draw import MIN_PERCENT
from sandfly_web.scans.timing import Blackout, zone_names


class Watched(models.Model):
    """Visits that belong together. They pause by themselves when they cost hosts too much; see `scans.breakers`."""

    max_cpu_s = models.PositiveIntegerField(
        "CPU seconds", default=30, validators=[MinValueValidator(1)], help_text="Of the probe, on average per visit."
    )
    max_memory_mib = models.PositiveIntegerField(
        "memory (MiB)", default=96, validators=[MinValueValidator(1)], help_text="Peak of the probe, on average."
    )
    max_wall_s = models.PositiveIntegerField(
        "run time (seconds)", default=100, validators=[MinValueValidator(1)], help_text="Of the probe, on average."
    )
    max_crashes = models.PositiveIntegerField(
        "crashes", default=3, help_text="Probes that may crash or run out of time among the last visits."
    )
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    pause_reason = models.TextField(blank=True, editable=False)
    is_tripped = models.BooleanField(default=False, editable=False, help_text="A limit paused it, not a person.")
    watched_from = models.DateTimeField(
        default=timezone.now, editable=False, help_text="Visits that ended earlier no longer count."
    )

    class Meta:
        abstract = True


def check_time_zone(name: str) -> None:
    """Raises ValidationError for a name that the time zone database does not have."""
    if name not in zone_names():
        raise ValidationError(f"{name!r} is no time zone: use a name such as Europe/Berlin")


class Priority(models.IntegerChoices):
    """Which of the waiting scans go first."""

    LOW = 0, "Low"
    NORMAL = 1, "Normal"
    HIGH = 2, "High"


class Schedule(Watched):
    """Which rules run on which hosts how often."""

    name = models.CharField(max_length=127, unique=True)
    is_enabled = models.BooleanField(default=True)
    interval_s = models.PositiveIntegerField(
        "interval (seconds)", default=24 * 3600, validators=[MinValueValidator(60)]
    )
    jitter_s = models.PositiveIntegerField(
        "random delay up to (seconds)",
        default=600,
        help_text="Drawn anew for each visit and added to the interval, so that nobody can know when it comes.",
    )
    is_trickle = models.BooleanField(
        "spread hosts over the interval", default=True, help_text="Else all hosts are visited at the same time."
    )
    next_run_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When all hosts are due that are visited at the same time."
    )
    blackout_start = models.TimeField(null=True, blank=True)
    blackout_end = models.TimeField(null=True, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.LOW)
    nice = models.PositiveSmallIntegerField(
        default=19, validators=[MaxValueValidator(19)], help_text="Of the probe on the host: 19 gives way to all else."
    )
    cpu_percent = models.PositiveSmallIntegerField(
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Share of one processor that the probe may use.",
    )
    deadline_s = models.PositiveSmallIntegerField(
        default=120, validators=[MinValueValidator(10), MaxValueValidator(3600)], help_text="When the probe stops."
    )
    rule_types = models.JSONField(default=list, help_text='Such as ["detection", "recon"].')
    rule_tags = models.JSONField(default=list, blank=True, help_text="Only rules with one of these tags; empty: all.")
    excluded_rule_tags = models.JSONField(default=list, blank=True, help_text="No rules with one of these tags.")
    excluded_rules = models.JSONField(default=list, blank=True, help_text="Names of rules that do not run.")
    rule_percent = models.PositiveSmallIntegerField(
        default=100,
        validators=[MinValueValidator(MIN_PERCENT), MaxValueValidator(100)],
        help_text="How many of these rules run on a visit, drawn at random.",
    )
    always_rules = models.JSONField(default=list, blank=True, help_text="Names of rules that run on every visit.")
    draw_seed = models.CharField(max_length=64, blank=True, editable=False)
    drawn_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_deep = models.BooleanField(
        "deep rules too", default=False, help_text="Every file of every package, every possible process id: slower."
    )
    is_drift_check = models.BooleanField(
        "drift check",
        default=False,
        help_text="Only what enforced baselines compare is gathered, on hosts that they cover, whatever the types.",
    )
    host_tags = models.ManyToManyField(
        Tag, blank=True, related_name="schedules", help_text="Only hosts with one of these tags; empty: all."
    )
    zones = models.ManyToManyField(
        Zone, blank=True, related_name="schedules", help_text="Only hosts in these zones; empty: all."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(blackout_start__isnull=True, blackout_end__isnull=True)
                | models.Q(blackout_start__isnull=False, blackout_end__isnull=False)
                & ~models.Q(blackout_start=models.F("blackout_end")),
                name="schedule_blackout_whole",
                violation_error_message="a blackout has a start and another end",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def blackout(self) -> Blackout | None:
        """The hours without visits, if there are any."""
        if self.blackout_start is None or self.blackout_end is None:
            return None
        return Blackout(self.blackout_start, self.blackout_end, ZoneInfo(self.time_zone))


class ScanBatch(Watched):
    """Scans that were asked for together; `Scan.batch` is its id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # For its scans only, and emptied once the last of them is over.
    sealed = models.TextField(blank=True, editable=False, help_text="One-time credential, sealed to the hosts' zone.")

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # Those to forget.
            models.Index(fields=["created_at"], name="batch_with_credential", condition=~models.Q(sealed="")),
            models.Index(fields=["-created_at"], name="batch_newest"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class ScanCallback(models.Model):
    """Whom to tell when the last scan of a batch is over. Written by `scans.callbacks.services`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False, help_text="The same on every try.")
    batch = models.OneToOneField(ScanBatch, on_delete=models.CASCADE, related_name="callback")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # A token that is deleted has nobody called any more.
    token = models.ForeignKey("accounts.ApiToken", on_delete=models.CASCADE, null=True, related_name="+")
    url = models.CharField(max_length=2048)
    link = models.CharField(max_length=2048, help_text="Where the batch is read.")
    created_at = models.DateTimeField()
    next_try_at = models.DateTimeField(null=True, help_text="Null: it was delivered, or given up.")
    attempts = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=255, blank=True, help_text="Why the last try failed.")

    class Meta:
        indexes = [
            # Those that wait.
            models.Index(fields=["next_try_at"], name="callback_due", condition=models.Q(next_try_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(self.id)


class ScheduledHost(models.Model):
    """When a host is due for a schedule; `scans.dispatch` claims the row by moving `next_due_at`."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="scheduled_hosts")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="scheduled")
    next_due_at = models.DateTimeField()
    then_due_at = models.DateTimeField(
        null=True, blank=True, help_text="What follows `next_due_at`, where that is not the interval later."
    )

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["schedule", "host"], name="scheduled_host_unique")]
        indexes = [
            # dispatch_due: rows that are due, oldest first.
            models.Index(fields=["next_due_at"], name="scheduled_host_due"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.host_id}"


class Plan(models.Model):
    """A compiled plan under its SHA-256; scans with the same rules and limits share it."""

    digest = models.CharField(max_length=64, primary_key=True)
    body = models.TextField()
    rule_ids = models.JSONField(default=list)
    set_digests = models.JSONField(default=list, help_text="Of the sets of indicators that go with it, in its order.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.digest[:12]


class Scan(models.Model):
    """One visit to one host. State changes only in `scans.services`, `scans.dispatch` and `scans.ingest`."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        EXPIRED = "expired", "Expired"

    UNFINISHED = (Status.QUEUED, Status.RUNNING)
    # The same in the terms of the two indexes that hold them: few of very many rows.
    UNDER_WAY = models.Q(status=Status.QUEUED, dispatched_at__isnull=True) | models.Q(
        status__in=UNFINISHED, dispatched_at__isnull=False
    )
    FINAL = (Status.DONE, Status.FAILED, Status.CANCELLED, Status.EXPIRED)

    Priority = Priority

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    batch = models.UUIDField(null=True, blank=True, editable=False, help_text="Scans that were asked for together.")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="scans")
    schedule = models.ForeignKey(Schedule, on_delete=models.SET_NULL, null=True, blank=True, related_name="scans")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # What its forensics were asked for; such a scan is kept as long as the finding.
    finding = models.ForeignKey(
        "findings.Finding", on_delete=models.SET_NULL, null=True, blank=True, related_name="scans", db_index=False
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="scans")
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    worker = models.CharField(max_length=255, blank=True)
    phase = models.CharField(max_length=16, blank=True)

    limits = models.JSONField(default=dict, blank=True, help_text="`contract.Limits` that are not the usual ones.")
    created_at = models.DateTimeField(auto_now_add=True)
    not_before = models.DateTimeField(null=True, blank=True, help_text="A retry waits until then.")
    dispatched_at = models.DateTimeField(null=True, blank=True, help_text="When the message went to the workers.")
    heartbeat_at = models.DateTimeField(null=True, blank=True, help_text="When a worker was last heard of.")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # By the worker's clock, when the visit ended: what findings and records it saw are dated with.
    observed_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    is_root = models.BooleanField(null=True)
    probe_digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the build that was sent.")
    architecture = models.CharField(max_length=32, blank=True, help_text="Of that build.")
    alert_count = models.PositiveIntegerField(default=0)
    pass_count = models.PositiveIntegerField(default=0)
    error_count = models.PositiveIntegerField(default=0)
    skipped_count = models.PositiveIntegerField(default=0)
    timings_s = models.JSONField(default=dict, blank=True)
    cost = models.JSONField(default=dict, blank=True)
    collectors = models.JSONField(default=list, blank=True)
    created_paths = models.JSONField(default=list, blank=True)
    removed_paths = models.JSONField(default=list, blank=True)
    cleanup_error = models.TextField(blank=True)

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            # One scan in flight per host; others wait as queued rows.
            models.UniqueConstraint(
                fields=["host"],
                condition=models.Q(status__in=["queued", "running"], dispatched_at__isnull=False),
                name="scan_one_in_flight_per_host",
            ),
        ]
        indexes = [
            # dispatch_queued: what waits for a worker, by priority and age.
            models.Index(
                fields=["-priority", "created_at"],
                name="scan_waiting",
                condition=models.Q(status="queued", dispatched_at__isnull=True),
            ),
            # Recovery of silent scans and expiry.
            models.Index(
                fields=["dispatched_at"],
                name="scan_in_flight",
                condition=models.Q(status__in=["queued", "running"], dispatched_at__isnull=False),
            ),
            # Host page and lists: newest first.
            models.Index(fields=["host", "-created_at"], name="scan_host_newest"),
            models.Index(fields=["-created_at", "id"], name="scan_newest"),
            # Batches: their scans, newest first.
            models.Index(fields=["batch", "-created_at"], name="scan_batch", condition=models.Q(batch__isnull=False)),
            # Breakers: the last visits of a schedule or batch that were reported.
            models.Index(
                fields=["schedule", "-observed_at"],
                name="scan_schedule_observed",
                condition=models.Q(schedule__isnull=False, observed_at__isnull=False),
            ),
            models.Index(
                fields=["batch", "-observed_at"],
                name="scan_batch_observed",
                condition=models.Q(batch__isnull=False, observed_at__isnull=False),
            ),
            # A finding's forensics; few scans are.
            models.Index(fields=["finding"], name="scan_finding", condition=models.Q(finding__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(self.id)


class RuleOutcome(models.Model):
    """What a rule said on a visit, kept when it did not simply pass."""

    class State(models.TextChoices):
        ALERT = "alert", "Alert"
        ERROR = "error", "Error"
        SKIPPED = "skipped", "Skipped"

    scan = models.ForeignKey(Scan, on_delete=models.CASCADE, related_name="rule_outcomes")
    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices)
    reason = models.CharField(max_length=64, blank=True)
    matched = models.PositiveIntegerField(default=0)
    is_truncated = models.BooleanField(default=False)
    unknown = models.JSONField(default=dict, help_text="Records it could not be decided on, counted by reason.")

    host_path = "scan__host"
    objects = HostScopedManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scan", "rule"], name="rule_outcome_unique")]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.state}"
