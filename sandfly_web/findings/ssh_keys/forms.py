"""Forms of SSH keys and zones. Tags of keys are typed: new names make new tags."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from sandfly_web.findings.ssh_keys.models import KeyTag, KeyZone, SshKey
from sandfly_web.findings.ssh_keys.services import parse_key, tags_of

TAG_HINT = "With blanks or commas between; new names are made."


class TagNamesField(forms.CharField):
    """Names of tags, as the rows."""

    widget = UnfoldAdminTextInputWidget

    def clean(self, value: Any) -> list[KeyTag]:
        return tag_rows(super().clean(value))


def tag_rows(text: str) -> list[KeyTag]:
    """Raises ValidationError."""
    try:
        return tags_of(text.replace(",", " ").split())
    except ValidationError as error:
        raise ValidationError(error.messages) from None


def typed(tags: Any) -> str:
    return ", ".join(sorted(tag.name for tag in tags))


class SshKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    # Not `public_key`: the admin takes that for the column, which no form may change.
    key_line = forms.CharField(
        label="Public key",
        max_length=16_384,
        widget=UnfoldAdminTextareaWidget,
        help_text="A line of authorized_keys, or a fingerprint that begins with SHA256:",
    )
    tag_names = TagNamesField(label="Tags", required=False, help_text=TAG_HINT)

    class Meta:
        model = SshKey
        fields = ["name", "notes"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            del self.fields["key_line"]
            self.fields["tag_names"].initial = typed(self.instance.tags.all())

    def clean_key_line(self) -> str:
        text = str(self.cleaned_data["key_line"]).strip()
        key = parse_key(text)
        if SshKey.objects.filter(fingerprint=key.fingerprint).exists():
            raise ValidationError("this key is known already")
        for name in ("fingerprint", "algorithm", "bits", "public_key", "comment"):
            setattr(self.instance, name, getattr(key, name))
        return key.public_key


class KeyZoneForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    key_tag_names = TagNamesField(label="Keys with one of these tags", help_text=TAG_HINT)

    class Meta:
        model = KeyZone
        fields = [
            *("name", "description", "host_tags", "key_tag_names", "confines_keys", "refuses_strangers", "level"),
            "is_enabled",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.fields["key_tag_names"].initial = typed(self.instance.key_tags.all())
