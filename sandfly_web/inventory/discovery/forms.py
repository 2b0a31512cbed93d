"""Form of discoveries."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from sandfly_web.inventory.discovery.services import check_ranges
from sandfly_web.inventory.models import Discovery

LINES = {"rows": 4, "spellcheck": "false", "placeholder": "10.0.0.0/16\n192.0.2.10-192.0.2.20"}


class DiscoveryForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Networks are read and counted before they are kept."""

    class Meta:
        model = Discovery
        fields = [
            "name",
            "is_enabled",
            "zone",
            "ranges",
            "excluded",
            "port",
            "credentials",
            "tags",
            "schedules",
            "interval_s",
            "rate_per_s",
            "timeout_s",
            "retire_after_hours",
        ]
        labels = {"ranges": "Networks", "excluded": "But not", "retire_after_hours": "Retire after hours offline"}
        widgets = {"ranges": UnfoldAdminTextareaWidget(attrs=LINES), "excluded": UnfoldAdminTextareaWidget(attrs=LINES)}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            check_ranges(cleaned["ranges"], cleaned["excluded"])
            others = [one for one in cleaned["credentials"] if one.zone_id != cleaned["zone"].pk]
            if others:
                raise ValidationError({"credentials": f"{others[0]} belongs to zone {others[0].zone}"})
        return cleaned
