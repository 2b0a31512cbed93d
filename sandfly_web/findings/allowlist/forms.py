"""Form of a new allow-list entry; the service decides what is right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from sandfly_web.findings.allowlist.services import Proposal, check
from sandfly_web.findings.models import AllowlistEntry
from sandfly_web.rules.fields import registry

LASTS = [("7", "a week"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "until it is ended")]
EXAMPLE = "detection:\n  selection:\n    path: /opt/backup/agent\n  condition: selection"


class AllowlistForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    reason = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), help_text="Why it is harmless, for whoever asks later."
    )
    subject = forms.ChoiceField(
        label="Subject",
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="Only without a rule: findings of every rule about such things are meant.",
    )
    detection = forms.CharField(
        label="Condition",
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 9, "spellcheck": "false", "placeholder": EXAMPLE}),
        help_text="YAML as in a Sigma rule, over the fields of the evidence. Empty: everything that the rule finds.",
    )
    scope = forms.ChoiceField(label="Where", choices=AllowlistEntry.Scope.choices, widget=UnfoldAdminRadioSelectWidget)
    lasts = forms.ChoiceField(label="Lasts", choices=LASTS, required=False, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = AllowlistEntry
        fields = ["title", "reason", "rule", "subject", "detection", "scope", "hosts", "tags"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(name, name.replace("_", " ")) for name in sorted(registry())]
        self.fields["subject"].choices = [("", "that of the rule"), *names]  # type: ignore[attr-defined]
        self.initial.setdefault("lasts", "90")
        self.initial.setdefault("scope", AllowlistEntry.Scope.HOSTS)

    def proposal(self) -> Proposal:
        values = self.cleaned_data
        days = values.get("lasts")
        scope = values.get("scope", "")
        return Proposal(
            title=values.get("title", ""),
            reason=values.get("reason", ""),
            rule=values.get("rule"),
            subject=values.get("subject", ""),
            # A browser sends other line ends than a rule has.
            detection=values.get("detection", "").replace("\r\n", "\n"),
            scope=scope,
            # The form keeps what was chosen for another scope; only the chosen scope counts.
            hosts=list(values.get("hosts") or ()) if scope == AllowlistEntry.Scope.HOSTS else (),
            tags=list(values.get("tags") or ()) if scope == AllowlistEntry.Scope.TAGS else (),
            expires_at=timezone.now() + timedelta(days=int(days)) if days else None,
        )

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors:
            try:
                check(self.proposal())
            except ValidationError as error:
                for name, messages in error.message_dict.items():
                    self.add_error(name if name in self.fields else None, messages)
        return cleaned
