"""What rules found, what analysts said of it, and what recon saw."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from sandfly_web.inventory.models import Host, Tag
from sandfly_web.inventory.scope import HostScopedManager
from sandfly_web.rules.models import Rule, Severity
from sandfly_web.scans.models import Scan


class Words(models.Func):
    """The words of texts as a tsvector: runs of ASCII letters and digits, in lower case, of whatever language.

    PostgreSQL's own parser would take a path for one word.
    """

    template = "to_tsvector('simple', regexp_replace(%(expressions)s, '[^A-Za-z0-9]+', ' ', 'g'))"
    arg_joiner = " || ' ' || "
    output_field = SearchVectorField()


class Finding(models.Model):
    """One rule's alert on one thing on one host, however often it is seen again. Written by ingest and services."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        CLOSED = "closed", "Closed"
        FALSE_POSITIVE = "false_positive", "False positive"
        ALLOWED = "allowed", "Allow-listed"

    UNRESOLVED = (Status.OPEN, Status.ACKNOWLEDGED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Its own index would repeat finding_unique.
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="findings", db_index=False)
    # Null for what the visit itself found, such as a changed host key; `rule_name` then has a built-in name.
    # Its own index would repeat finding_rule_status.
    rule = models.ForeignKey(
        Rule, on_delete=models.SET_NULL, null=True, blank=True, related_name="findings", db_index=False
    )
    rule_name = models.CharField(max_length=127)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 over rule, host and the subject's identity.")
    subject = models.CharField(max_length=32)
    title = models.CharField(max_length=255)
    level = models.CharField(max_length=16, choices=Severity.choices)
    level_rank = models.PositiveSmallIntegerField(help_text="0 informational … 4 critical, for ordering.")
    tags = models.JSONField(default=list)
    explanation = models.TextField()
    identity = models.JSONField(default=dict)
    evidence = models.JSONField(default=dict)
    evidence_digest = models.CharField(max_length=64)
    truncated = models.JSONField(default=list, help_text="Evidence fields that were cut.")
    unknown = models.JSONField(default=dict, help_text="Evidence fields that could not be looked at, and why.")

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    close_reason = models.TextField(blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    # Asleep until then, whoever tells of it or not: see `snoozing`. Null of what is not, or was told to be awake.
    snoozed_until = models.DateTimeField(null=True, blank=True)
    # When it woke and nobody has looked at it since.
    woke_at = models.DateTimeField(null=True, blank=True)
    # The entry that hides it while its status is `allowed`; null in every other status.
    allowed_by = models.ForeignKey(
        "AllowlistEntry", on_delete=models.SET_NULL, null=True, blank=True, related_name="findings", db_index=False
    )

    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1, help_text="Visits that saw it.")
    # May name a scan that retention deleted: an index only for clearing it would slow every visit.
    first_scan = models.ForeignKey(
        Scan, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    last_scan = models.ForeignKey(Scan, on_delete=models.SET_NULL, null=True, related_name="findings")

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        ordering = ["-level_rank", "-last_seen_at", "id"]
        constraints = [models.UniqueConstraint(fields=["host", "fingerprint"], name="finding_unique")]
        indexes = [
            # The queue: unresolved, worst and newest first.
            models.Index(
                fields=["-level_rank", "-last_seen_at", "id"],
                name="finding_queue",
                condition=models.Q(status__in=["open", "acknowledged"]),
            ),
            # All findings in list order, for cursors.
            models.Index(fields=["-level_rank", "-last_seen_at", "id"], name="finding_order"),
            # A host's or a rule's findings.
            models.Index(fields=["host", "-level_rank"], name="finding_host"),
            models.Index(fields=["rule_name", "-last_seen_at"], name="finding_rule"),
            # Rule list: how many of each rule are unresolved, from the index alone; a rule that is deleted.
            models.Index(fields=["rule", "status"], name="finding_rule_status"),
            # Start page: the newest, and how many are new on each day.
            models.Index(fields=["-first_seen_at", "level_rank"], name="finding_newest"),
            # Start page, host list: the risk of each host.
            models.Index(
                fields=["host", "level_rank"],
                name="finding_host_risk",
                condition=models.Q(status__in=["open", "acknowledged"]),
            ),
            # What somebody has to do; few findings are assigned.
            models.Index(fields=["assignee"], name="finding_assignee", condition=models.Q(assignee__isnull=False)),
            # Text search of the console. To be found by any part of a word would need an extension.
            GinIndex(Words("title", "explanation"), name="finding_words"),
            # What sleeps, and what woke; few findings do.
            models.Index(
                fields=["snoozed_until"], name="finding_snoozed", condition=models.Q(snoozed_until__isnull=False)
            ),
            models.Index(fields=["woke_at"], name="finding_woke", condition=models.Q(woke_at__isnull=False)),
            # What an allow-list entry hides; few findings are.
            models.Index(
                fields=["allowed_by"], name="finding_allowed_by", condition=models.Q(allowed_by__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.title


class AllowlistEntry(models.Model):
    """What is known to be harmless: findings of a rule or of a subject that fit a condition, on some hosts or on all.

    Written by `allowlist.services`. Never changed and never deleted: it ends, so that what it hid stays explained.
    """

    class Scope(models.TextChoices):
        ALL = "all", "All hosts"
        HOSTS = "hosts", "These hosts"
        TAGS = "tags", "Hosts with one of these tags"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=255)
    reason = models.TextField(help_text="Why it is harmless.")
    # Without a rule it is about every rule of the subject. An entry of a deleted rule must not become one of all rules.
    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, null=True, blank=True, related_name="allowlist")
    subject = models.CharField(max_length=32)
    detection = models.TextField(blank=True, help_text="Sigma's `detection`; empty: all findings of the rule.")
    condition = models.JSONField(null=True, help_text="The detection, compiled.")
    scope = models.CharField(max_length=8, choices=Scope.choices, default=Scope.ALL)
    hosts = models.ManyToManyField(Host, blank=True, related_name="allowlist")
    tags = models.ManyToManyField(Tag, blank=True, related_name="allowlist")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="From then on it hides nothing.")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name = "allow-list entry"
        verbose_name_plural = "allow-list entries"
        ordering = ["-created_at", "id"]
        indexes = [
            # Ingest: what may hide something that a visit found.
            models.Index(fields=["subject"], name="allowlist_active", condition=models.Q(ended_at__isnull=True)),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(rule__isnull=False) | ~models.Q(detection=""),
                name="allowlist_names_something",
                violation_error_message="Name a rule, or say what is allowed.",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class WidespreadFinding(models.Model):
    """A finding that most hosts have alike: how the fleet is, or a rule that does not fit. Counted anew every hour."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="widespread")
    subject = models.CharField(max_length=32)
    thing = models.CharField(max_length=255, help_text="What it is about, in one line.")
    host_count = models.PositiveIntegerField(help_text="Hosts with it unresolved.")
    watched_count = models.PositiveIntegerField(help_text="Hosts that are watched.")
    counted_at = models.DateTimeField()

    class Meta:
        ordering = ["-host_count", "id"]

    def __str__(self) -> str:
        return f"{self.thing} on {self.host_count} hosts"


class HostRisk(models.Model):
    """What a host's unresolved findings come to now: how many of each severity, and their weighed sum.

    Written by `risk`. A host without a row has no findings.
    """

    host = models.OneToOneField(Host, on_delete=models.CASCADE, primary_key=True, related_name="weight")
    risk = models.PositiveIntegerField(default=0)
    informational = models.PositiveIntegerField(default=0)
    low = models.PositiveIntegerField(default=0)
    medium = models.PositiveIntegerField(default=0)
    high = models.PositiveIntegerField(default=0)
    critical = models.PositiveIntegerField(default=0)

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        ordering = ["-risk", "host"]

    def __str__(self) -> str:
        return f"{self.risk}"


class RiskDay(models.Model):
    """The risk of one host at the end of a day, or, without a host, of all hosts. Written by `risk` every hour."""

    id = models.BigAutoField(primary_key=True)
    host = models.ForeignKey(
        Host, on_delete=models.CASCADE, null=True, blank=True, related_name="risk_days", db_index=False
    )
    day = models.DateField()
    risk = models.PositiveBigIntegerField()
    # Of all hosts only: findings first seen on that day, by severity, the least first. Null: not counted.
    appeared = models.JSONField(null=True, editable=False)

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        ordering = ["day", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "day"], condition=models.Q(host__isnull=False), name="risk_day_host"
            ),
            models.UniqueConstraint(fields=["day"], condition=models.Q(host__isnull=True), name="risk_day_fleet"),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.risk}"


class FindingEvidence(models.Model):
    """A version of a finding's evidence: the same thing looked different at another visit."""

    finding = models.ForeignKey(Finding, on_delete=models.CASCADE, related_name="versions", db_index=False)
    digest = models.CharField(max_length=64)
    evidence = models.JSONField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    host_path = "finding__host"
    objects = HostScopedManager()

    class Meta:
        ordering = ["-last_seen_at"]
        constraints = [models.UniqueConstraint(fields=["finding", "digest"], name="finding_evidence_unique")]

    def __str__(self) -> str:
        return self.digest[:12]


class FindingEvent(models.Model):
    """One step in a finding's life: who did what when; `actor` null means the system."""

    class Kind(models.TextChoices):
        CREATED = "created", "Found"
        REOPENED = "reopened", "Reopened"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        ASSIGNED = "assigned", "Assigned"
        COMMENTED = "commented", "Comment"
        SNOOZED = "snoozed", "Snoozed"
        WOKE = "woke", "Woke"
        CLOSED = "closed", "Closed"
        FALSE_POSITIVE = "false_positive", "Marked as false positive"
        ALLOWED = "allowed", "Allow-listed"
        COLLECTED = "collected", "Forensics asked for"

    finding = models.ForeignKey(Finding, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    comment = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    host_path = "finding__host"
    objects = HostScopedManager()

    class Meta:
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return self.kind


class Record(models.Model):
    """Something recon saw on a host, as an interval: the same content seen again only moves `last_seen_at`."""

    id = models.BigAutoField(primary_key=True)
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="records", db_index=False)
    subject = models.CharField(max_length=32)
    identity_digest = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    identity = models.JSONField()
    data = models.JSONField()
    # The recon rules that saw it: only a visit that ran all of them well can say that it is gone.
    rule_ids = models.JSONField(default=list)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    # The last visit that saw it. No index and no constraint, and last_seen_at in no index either: moving them on, which
    # every visit does for every record, then touches no index. The scan may have been deleted by retention.
    last_scan = models.ForeignKey(
        Scan, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    is_current = models.BooleanField(default=True)

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        ordering = ["subject", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "subject", "identity_digest"],
                condition=models.Q(is_current=True),
                name="record_one_current",
            ),
        ]
        indexes = [
            # State of a host at a time, difference between two visits.
            models.Index(fields=["host", "subject", "first_seen_at"], name="record_interval"),
            # Rarity over the fleet.
            models.Index(fields=["subject", "digest"], name="record_rarity"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.identity_digest[:12]}"


class ForensicRecord(models.Model):
    """Something that an incident rule brought home: how it was at that moment. Lives as long as its scan."""

    id = models.BigAutoField(primary_key=True)
    scan = models.ForeignKey(Scan, on_delete=models.CASCADE, related_name="forensic_records", db_index=False)
    rule = models.ForeignKey(Rule, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False)
    rule_name = models.CharField(max_length=127)
    subject = models.CharField(max_length=32)
    identity = models.JSONField()
    data = models.JSONField()
    truncated = models.JSONField(default=list, help_text="Fields that were cut.")
    unknown = models.JSONField(default=dict, help_text="Fields that could not be looked at, and why.")

    host_path = "scan__host"
    objects = HostScopedManager()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["scan", "rule_name", "id"], name="forensic_scan")]

    def __str__(self) -> str:
        return f"{self.subject} {self.pk}"


class TimelineEntry(models.Model):
    """A moment of a host whose timeline somebody looks at. Written by `timeline.services`, which can make it again."""

    id = models.UUIDField(primary_key=True, editable=False, help_text="Digest of what happened to what when.")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="+", db_index=False)
    at = models.DateTimeField()
    kind = models.CharField(max_length=16, help_text="One of `timeline.kinds.Kind`.")
    subject = models.CharField(max_length=32)
    field = models.CharField(max_length=64, blank=True, help_text="Where the moment was read.")
    text = models.CharField(max_length=255, help_text="What a search looks through.")
    ref = models.CharField(max_length=48, help_text="Where it is from, such as record:7.")

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        indexes = [
            models.Index(fields=["host", "-at", "-id"], name="timeline_order"),
            # What is rare among what is frequent: logins among file times.
            models.Index(fields=["host", "kind", "-at", "-id"], name="timeline_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.ref}"


class TimelineState(models.Model):
    """How far the timeline of a host is: the last rows that were read of each source."""

    host = models.OneToOneField(Host, on_delete=models.CASCADE, primary_key=True, related_name="+")
    record_id = models.BigIntegerField(default=0)
    evidence_id = models.BigIntegerField(default=0)
    forensic_id = models.BigIntegerField(default=0)
    marker = models.CharField(
        max_length=255, blank=True, help_text="Of scans, findings and triage; another one says that something is new."
    )
    is_whole = models.BooleanField(default=False)
    version = models.PositiveSmallIntegerField()
    made_at = models.DateTimeField()

    host_path = "host"
    objects = HostScopedManager()

    class Meta:
        indexes = [
            # Those to forget.
            models.Index(fields=["made_at"], name="timeline_made"),
        ]

    def __str__(self) -> str:
        return str(self.host_id)


class SavedHunt(models.Model):
    """A hunt that somebody keeps, for everybody. Written by `hunting.services`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=127, unique=True)
    subject = models.CharField(max_length=32)
    detection = models.TextField(help_text="Sigma's `detection`.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Baseline(models.Model):
    """What is right on a kind of host, gathered from model hosts; what else covered hosts show is drift.

    Written by `drift.services` and, for what model hosts add by themselves, by ingest.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Not enforced yet"
        ENFORCED = "enforced", "Enforced"
        PAUSED = "paused", "Paused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=127, unique=True)
    description = models.TextField(blank=True)
    subjects = models.JSONField(help_text="Subject → strictness: loose, moderate or strict.")
    level = models.CharField(max_length=16, choices=Severity.choices, default=Severity.MEDIUM)
    model_hosts = models.ManyToManyField(Host, blank=True, related_name="models_baselines")
    tags = models.ManyToManyField(Tag, blank=True, related_name="baselines", help_text="Hosts with one are covered.")
    ignore_containers = models.BooleanField(default=True, help_text="What runs in a container is no drift.")
    ignore_allowed = models.BooleanField(
        default=True, help_text="What an allow-list entry of its subject, of no single rule, allows is no drift."
    )
    report_missing = models.BooleanField(default=False, help_text="What a host lacks is drift too.")
    auto_append = models.BooleanField(default=False, help_text="What model hosts show later is right too.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.DRAFT)
    version = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class BaselineEntry(models.Model):
    """One thing that is right, from version `added_in` on and before `removed_in`."""

    baseline = models.ForeignKey(Baseline, on_delete=models.CASCADE, related_name="entries", db_index=False)
    subject = models.CharField(max_length=32)
    key = models.CharField(max_length=64, help_text="SHA-256 of what makes it the same thing.")
    near = models.CharField(max_length=64, help_text="SHA-256 of what makes it comparable.")
    digest = models.CharField(max_length=64)
    identity = models.JSONField()
    data = models.JSONField()
    # The recon rules that saw it on a model host: only a visit that ran them all can say that it is missing.
    rule_ids = models.JSONField(default=list)
    added_in = models.PositiveIntegerField()
    removed_in = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["subject", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["baseline", "subject", "key", "digest"],
                condition=models.Q(removed_in__isnull=True),
                name="baseline_entry_once",
            ),
        ]
        # Ingest: what is like the things that a visit saw.
        indexes = [models.Index(fields=["baseline", "near"], name="baseline_entry_near")]

    def __str__(self) -> str:
        return f"{self.subject} {self.key[:12]}"


class BaselineVersion(models.Model):
    """One change of a baseline's entries: who did what when; `actor` null means the system."""

    baseline = models.ForeignKey(Baseline, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    action = models.CharField(max_length=16)
    comment = models.TextField(blank=True)
    added = models.PositiveIntegerField(default=0)
    removed = models.PositiveIntegerField(default=0)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["baseline", "number"], name="baseline_version_once")]

    def __str__(self) -> str:
        return f"{self.number}: {self.action}"
