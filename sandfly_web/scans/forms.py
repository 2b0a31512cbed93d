"""Form of schedules."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from sandfly_web.rules.models import Rule
from sandfly_web.scans.models import Schedule

MINUTE, HOUR, DAY = 60, 3600, 86400
INTERVALS = [
    (15 * MINUTE, "15 minutes"),
    (HOUR, "hour"),
    (4 * HOUR, "4 hours"),
    (12 * HOUR, "12 hours"),
    (DAY, "day"),
    (7 * DAY, "week"),
    (30 * DAY, "30 days"),
]


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Intervals in words; one that was set through the API stays on offer."""

    interval_s = forms.TypedChoiceField(label="Every", coerce=int, choices=INTERVALS, widget=UnfoldAdminSelectWidget)
    rule_types = forms.MultipleChoiceField(
        label="Rules of type", choices=Rule.Type.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    rule_tags = forms.CharField(
        label="Only rules tagged",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Separated by commas, such as attack.persistence; empty: all.",
    )

    class Meta:
        model = Schedule
        fields = ["name", "is_enabled", "interval_s", "jitter_s", "rule_types", "rule_tags", "is_deep", "host_tags"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.initial.update(interval_s=DAY, rule_types=[Rule.Type.DETECTION, Rule.Type.RECON])
        elif self.instance.interval_s not in dict(INTERVALS):
            field = self.fields["interval_s"]
            field.choices = [(self.instance.interval_s, f"{self.instance.interval_s} seconds"), *INTERVALS]  # type: ignore[attr-defined]
        self.initial["rule_tags"] = ", ".join(self.instance.rule_tags)

    def clean_rule_tags(self) -> list[str]:
        return [tag.strip() for tag in self.cleaned_data["rule_tags"].split(",") if tag.strip()]
