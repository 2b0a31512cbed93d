"""Form of discoveries."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget

from sandfly_web.inventory.discovery.services import check_ranges, check_ways
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
            "credential_set",
            "jump_host",
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
            credentials = list(cleaned["credentials"])
            check_ways(cleaned["zone"], credentials, cleaned["credential_set"], cleaned["jump_host"])
        return cleaned
