"""Form of schedules."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from sandfly_web.rules.models import Rule
from sandfly_web.scans.models import Schedule
from sandfly_web.scans.schedules import unknown_rules

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


def names_field(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(label=label, required=False, widget=UnfoldAdminTextInputWidget, help_text=help_text)


NAME_FIELDS = ("rule_tags", "excluded_rule_tags", "excluded_rules", "always_rules")
RULE_NAME_FIELDS = ("excluded_rules", "always_rules")


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Intervals in words; one that was set through the API stays on offer."""

    interval_s = forms.TypedChoiceField(label="Every", coerce=int, choices=INTERVALS, widget=UnfoldAdminSelectWidget)
    rule_types = forms.MultipleChoiceField(
        label="Rules of type",
        choices=Rule.Type.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        required=False,
    )
    rule_tags = names_field("Only rules tagged", "Separated by commas, such as attack.persistence; empty: all.")
    excluded_rule_tags = names_field("No rules tagged", "Separated by commas.")
    excluded_rules = names_field("Not these rules", "Names, separated by commas.")
    always_rules = names_field("Always these rules", "Names, separated by commas: they run whatever is drawn.")
    time_zone = forms.CharField(
        label="Time zone of these hours",
        widget=UnfoldAdminTextInputWidget,
        initial="UTC",
        help_text="UTC, or a place such as Europe/Berlin.",
    )

    class Meta:
        model = Schedule
        fields = [
            "name",
            "is_enabled",
            "interval_s",
            "jitter_s",
            "is_trickle",
            "blackout_start",
            "blackout_end",
            "time_zone",
            "host_tags",
            "zones",
            "is_drift_check",
            "rule_types",
            "rule_tags",
            "excluded_rule_tags",
            "excluded_rules",
            "rule_percent",
            "always_rules",
            "is_deep",
            "priority",
            "nice",
            "cpu_percent",
            "deadline_s",
            "max_cpu_s",
            "max_memory_mib",
            "max_wall_s",
            "max_crashes",
        ]
        labels = {
            "blackout_start": "No visits from",
            "blackout_end": "No visits until",
            "rule_percent": "Percent of the rules",
            "priority": "Priority among waiting scans",
            "nice": "Nice value of the probe",
            "cpu_percent": "CPU (percent)",
            "deadline_s": "Time (seconds)",
        }
        help_texts = {
            "blackout_start": "Hours in which no visit begins, in the time zone below; empty: none.",
            "rule_percent": "5 to 100. Which ones is drawn anew every 15 minutes.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.initial.update(interval_s=DAY, rule_types=[Rule.Type.DETECTION, Rule.Type.RECON])
        elif self.instance.interval_s not in dict(INTERVALS):
            field = self.fields["interval_s"]
            field.choices = [(self.instance.interval_s, f"{self.instance.interval_s} seconds"), *INTERVALS]  # type: ignore[attr-defined]
        for name in NAME_FIELDS:
            self.initial[name] = ", ".join(getattr(self.instance, name))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in NAME_FIELDS:
            words = [word.strip() for word in cleaned.get(name, "").split(",")]
            cleaned[name] = list(dict.fromkeys(filter(None, words)))
        if not (cleaned.get("rule_types") or cleaned.get("is_drift_check")):
            self.add_error("rule_types", "choose at least one type, or make it a drift check")
        for name in RULE_NAME_FIELDS:
            if unknown := unknown_rules(cleaned[name]):
                self.add_error(name, f"no rule is named {unknown[0]!r}")
        return cleaned
