"""Forms of lists of indicators: settings and a file, read once before it is kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from sandfly_web.rules.indicators.kinds import Kind
from sandfly_web.rules.indicators.models import IndicatorList
from sandfly_web.rules.indicators.parsing import MAX_BYTES, Format
from sandfly_web.rules.indicators.services import Preview, Source, read_preview

FORMATS = {
    Format.TEXT: "Text, one a line",
    Format.CSV: "CSV",
    Format.STIX: "STIX 2.1 bundle",
    Format.MISP: "MISP event",
}
KINDS = {
    Kind.IP: "IP addresses and networks",
    Kind.DOMAIN: "Domains",
    Kind.PATH: "Paths",
    Kind.FILENAME: "File names",
    Kind.KEY_FINGERPRINT: "SSH key fingerprints",
    Kind.MD5: "MD5",
    Kind.SHA1: "SHA-1",
    Kind.SHA256: "SHA-256",
    Kind.SHA512: "SHA-512",
}
SETTINGS = ["name", "level", "origin", "expires_at", "is_enabled"]


class FileForm(forms.Form):
    """A file and how it is read; `preview` says what is in it once the form is valid."""

    file = forms.FileField(
        label="File",
        widget=UnfoldAdminFileFieldWidget,
        help_text="Text with one value a line, CSV, a STIX 2.1 bundle or a MISP event in JSON; at most 256 MB.",
    )
    file_format = forms.ChoiceField(
        label="Format",
        required=False,
        choices=[("", "found out from the file"), *((form.value, text) for form, text in FORMATS.items())],
        widget=UnfoldAdminSelectWidget,
    )
    column = forms.CharField(
        label="Column",
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text="Of a CSV: heading or number of the column with the values. Empty: known headings, else their form.",
    )
    kind = forms.ChoiceField(
        label="Values are",
        required=False,
        choices=[("", "what their form says"), *((kind.value, text) for kind, text in KINDS.items())],
        widget=UnfoldAdminSelectWidget,
    )
    preview: Preview

    def source(self) -> Source:
        values = self.cleaned_data
        form, kind = values.get("file_format"), values.get("kind")
        return Source(
            values["file"], Format(form) if form else None, values.get("column", ""), Kind(kind) if kind else None
        )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_BYTES:
            raise ValidationError(f"the file is larger than {MAX_BYTES} bytes")
        return file

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors:
            self.preview = read_preview(self.source())
            if not self.preview.entry_count:
                first = f"; {self.preview.faults[0]}" if self.preview.faults else ""
                self.add_error("file", f"no line can be used{first}")
        return cleaned


class ListForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """What people may change of a list that is there."""

    class Meta:
        model = IndicatorList
        fields = SETTINGS


class NewListForm(FileForm, ListForm):
    """A list with its first file."""
