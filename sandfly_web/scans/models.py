"""When hosts are visited, and every visit."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models

from sandfly_web.inventory.models import Host, Tag
from sandfly_web.rules.models import Rule


class Schedule(models.Model):
    """Which rules run on which hosts how often."""

    name = models.CharField(max_length=127, unique=True)
    is_enabled = models.BooleanField(default=True)
    interval_s = models.PositiveIntegerField(
        "interval (seconds)", default=24 * 3600, validators=[MinValueValidator(60)]
    )
    jitter_s = models.PositiveIntegerField(
        "random delay up to (seconds)", default=600, help_text="Spreads hosts, and makes visits hard to predict."
    )
    rule_types = models.JSONField(default=list, help_text='Such as ["detection", "recon"].')
    rule_tags = models.JSONField(default=list, blank=True, help_text="Only rules with one of these tags; empty: all.")
    is_deep = models.BooleanField(
        "deep rules too", default=False, help_text="Every file of every package, every possible process id: slower."
    )
    host_tags = models.ManyToManyField(
        Tag, blank=True, related_name="schedules", help_text="Only hosts with one of these tags; empty: all."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ScheduledHost(models.Model):
    """When a host is due for a schedule; `scans.dispatch` claims the row by moving `next_due_at`."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="scheduled_hosts")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="scheduled")
    next_due_at = models.DateTimeField()

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
    FINAL = (Status.DONE, Status.FAILED, Status.CANCELLED, Status.EXPIRED)

    class Priority(models.IntegerChoices):
        LOW = 0, "Low"
        NORMAL = 1, "Normal"
        HIGH = 2, "High"

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

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scan", "rule"], name="rule_outcome_unique")]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.state}"
