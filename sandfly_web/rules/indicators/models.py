"""Lists of indicators, their entries, and the compact sets that hosts get of them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from sandfly_web.rules.indicators.kinds import Kind
from sandfly_web.rules.indicators.parsing import Format
from sandfly_web.rules.models import Severity

KINDS = [(kind.value, kind.name) for kind in Kind]
FORMATS = [(form.value, form.name) for form in Format]


class IndicatorList(models.Model):
    """One list, written whole by `services.import_list`; its entries count while it is enabled and not expired."""

    name = models.CharField(max_length=127, unique=True, help_text="Findings name it.")
    level = models.CharField(
        max_length=16,
        choices=Severity.choices,
        default=Severity.HIGH,
        help_text="Severity of findings that rest on it.",
    )
    is_enabled = models.BooleanField("enabled", default=True, help_text="Whether scans look for its entries.")
    expires_at = models.DateTimeField(
        "expires",
        null=True,
        blank=True,
        help_text="From then on it counts as disabled; old indicators hit the innocent.",
    )
    origin = models.CharField(max_length=255, blank=True, help_text="Where it comes from: a feed, a report, a file.")
    format = models.CharField(max_length=8, choices=FORMATS, editable=False)
    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the imported file.")
    version = models.PositiveIntegerField(default=0, editable=False, help_text="Counts the imports.")
    counts = models.JSONField(default=dict, editable=False, help_text="Entries by kind.")
    prefixes = models.JSONField(default=list, editable=False, help_text="(IP version, bits) of its networks.")
    duplicate_count = models.PositiveIntegerField(default=0, editable=False)
    fault_count = models.PositiveIntegerField(default=0, editable=False)
    faults = models.JSONField(default=list, editable=False, help_text="The first lines that are not used, and why.")
    imported_at = models.DateTimeField(null=True, editable=False)
    imported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_current(self) -> bool:
        """Whether its entries count now."""
        return self.is_enabled and (self.expires_at is None or self.expires_at > timezone.now())

    @property
    def entry_count(self) -> int:
        return sum(self.counts.values())


class Indicator(models.Model):
    """One entry of a list, in its canonical spelling; `key` is `kinds.key_of` its value as a signed number."""

    list = models.ForeignKey(IndicatorList, on_delete=models.CASCADE, related_name="indicators")
    kind = models.CharField(max_length=16, choices=KINDS)
    key = models.BigIntegerField()
    value = models.TextField()
    description = models.TextField(blank=True)
    reference = models.TextField(blank=True)

    class Meta:
        indexes: ClassVar = [
            # Verification of what hosts found; the text of a million values would make an index ten times as large.
            models.Index(fields=["key"], name="indicator_key"),
        ]

    def __str__(self) -> str:
        return self.value


class IndicatorSet(models.Model):
    """The compact form of all enabled entries of a kind; plans name it by its digest. Written by `services`."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of the body.")
    kind = models.CharField(max_length=16, choices=KINDS)
    signature = models.CharField(max_length=64, help_text="SHA-256 of the lists and versions it was made of.")
    spec = models.JSONField(help_text="`contract.PlanSet`.")
    body = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [
            # The set of a kind for the lists as they are now.
            models.Index(fields=["kind", "signature"], name="indicator_set_current"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.digest[:12]}"
