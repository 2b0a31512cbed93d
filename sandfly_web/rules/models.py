"""Rules as the server keeps them; the Sigma text is the truth, the other columns are read from it."""

from __future__ import annotations

from django.db import models


class Severity(models.TextChoices):
    """Sigma's levels, least first."""

    INFORMATIONAL = "informational", "Informational"
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


class Rule(models.Model):
    """One Sigma rule. Written by `rules.services`, from the catalogue or by people."""

    class Type(models.TextChoices):
        DETECTION = "detection", "Detection"
        POLICY = "policy", "Policy"
        RECON = "recon", "Recon"
        INCIDENT = "incident", "Incident"

    class Origin(models.TextChoices):
        CATALOG = "catalog", "Shipped"
        LOCAL = "local", "Written here"
        PACK = "pack", "Imported"

    id = models.UUIDField(primary_key=True, help_text="The Sigma id.")
    name = models.CharField(max_length=127, unique=True)
    title = models.CharField(max_length=255)
    type = models.CharField(max_length=16, choices=Type.choices)
    subject = models.CharField(max_length=32)
    level = models.CharField(max_length=16, choices=Severity.choices)
    status = models.CharField(max_length=16, help_text="Sigma's maturity: stable, test, experimental …")
    description = models.TextField(blank=True)
    tags = models.JSONField(default=list, help_text="Sigma tags, such as attack.t1059.004.")
    explain = models.TextField(blank=True, help_text="Sentence with {field} places that findings are explained with.")
    plan_rule = models.JSONField(default=dict, help_text="What the probe gets: `contract.PlanRule`, compiled.")
    source = models.TextField(help_text="The Sigma YAML.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the source.")
    origin = models.CharField(max_length=16, choices=Origin.choices)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        indexes = [
            # Plan building: enabled rules by type.
            models.Index(fields=["type"], name="rule_enabled_type", condition=models.Q(is_enabled=True)),
        ]

    def __str__(self) -> str:
        return self.name


class RuleRevision(models.Model):
    """A source a rule has had; findings refer to rules, history refers to revisions."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="revisions")
    digest = models.CharField(max_length=64)
    source = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["rule", "digest"], name="rule_revision_unique")]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.digest[:12]}"


class RulePack(models.Model):
    """A folder or checkout that rules were imported from. Written by `rules.services.import_pack`."""

    name = models.CharField(max_length=100, unique=True)
    repository = models.CharField(
        max_length=255, blank=True, help_text="Address of the git remote, without a password."
    )
    commit = models.CharField(max_length=64, blank=True)
    license = models.CharField(max_length=255, blank=True, help_text="First line of the pack's licence file.")
    signed_by = models.CharField(max_length=64, blank=True, help_text="Public key its lock was verified with.")
    imported_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class PackedRule(models.Model):
    """Where an imported rule comes from, and which text the rule here is based on."""

    rule = models.OneToOneField(Rule, on_delete=models.CASCADE, primary_key=True, related_name="packed")
    pack = models.ForeignKey(RulePack, on_delete=models.CASCADE, related_name="rules")
    path = models.CharField(max_length=500, help_text="Its file as seen from the pack.")
    author = models.CharField(max_length=1024, blank=True)
    license = models.CharField(max_length=255, blank=True, help_text="As the rule says; else that of the pack.")
    base_digest = models.CharField(max_length=64, help_text="SHA-256 of the pack's text that is, or was, the rule's.")
    upstream_digest = models.CharField(max_length=64, help_text="SHA-256 of the pack's text at the last import.")

    def __str__(self) -> str:
        return f"{self.pack_id} {self.path}"

    @property
    def is_edited(self) -> bool:
        """Somebody changed the rule here; imports then leave it alone."""
        return self.rule.digest != self.base_digest
