"""Forms of the inventory: secrets go in and never come back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from sandfly_web.inventory import services
from sandfly_web.inventory.adding import add_new_host, check_address, check_no_loop, check_same_zone
from sandfly_web.inventory.hostkeys import parse_host_keys
from sandfly_web.inventory.importing.formats import MAX_CHARS, Format
from sandfly_web.inventory.models import Credential, Host, JumpHost, Tag, Zone
from sandfly_web.inventory.privatekeys import KeyType
from scanners.contract import VaultEngine

SECRET_FIELDS = (
    "password", "private_key", "passphrase", "become_password", "certificate", "generate", "vault_url", "vault_token",
    "vault_engine", "vault_mount", "vault_path", "vault_namespace", "vault_ca_certificate",
)  # fmt: skip
MODEL_FIELDS = [
    "name", "address", "port", "zone", "credential", "credential_set", "jump_host", "tags", "accept_new_host_key",
]  # fmt: skip
HOST_ADD_FIELDS = [*MODEL_FIELDS[:-1], "host_keys", "accept_new_host_key"]
HOST_FIELDS = [*MODEL_FIELDS, "staging_directory", "is_active"]
HOST_HELP = {
    "address": "DNS name or IP address, as the workers of the zone reach it; without user name.",
    "port": "Where its SSH server listens.",
    "zone": "Whose workers scan it. A credential belongs to one zone.",
    "credential": "Who to sign in as. Best is a user that may become root: without root much cannot be looked at.",
    "credential_set": "Several to be tried in order, where nobody knows which one fits.",
    "jump_host": "Only where the workers do not reach the host directly.",
    "tags": "Groups for schedules and filters.",
    "accept_new_host_key": (
        "Pin the key that the host shows on its first visit, if none is pinned yet. A key that changes later always "
        "stops the scan, before any secret is sent, and is a critical finding."
    ),
}


class SecretTextarea(UnfoldAdminTextareaWidget):
    """Shows nothing of what was typed in, also after an error."""

    def get_context(self, name: str, _value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, "", attrs)
        return context


def secret_field(label: str, help_text: str) -> forms.CharField:
    # new-password keeps a browser from offering the analyst's own password here.
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False)
    return forms.CharField(label=label, help_text=help_text, required=False, strip=False, widget=widget)


def text_field(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(label=label, help_text=help_text, required=False, widget=UnfoldAdminTextInputWidget())


def text_area(label: str, help_text: str) -> forms.CharField:
    widget = SecretTextarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(label=label, help_text=help_text, required=False, strip=False, widget=widget)


def offer_only_zone(form: forms.ModelForm) -> None:  # type: ignore[type-arg]  # not subscriptable at run time
    """Most installations have one zone, which nobody should have to choose."""
    zones = list(Zone.objects.all()[:2])
    if len(zones) == 1:
        form.fields["zone"].initial = zones[0].pk


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Seals what is typed in; a changed credential takes its secrets anew."""

    password = secret_field("Password", "For signing in, and for sudo, su or doas unless another is given below.")
    private_key = forms.CharField(
        label="Private key",
        required=False,
        strip=False,
        widget=SecretTextarea(attrs={"rows": 6, "autocomplete": "off", "spellcheck": "false"}),
        help_text="OpenSSH or PEM text. With a key the password is only used for becoming root.",
    )
    passphrase = secret_field("Passphrase", "Of the private key, if it has one.")
    become_password = secret_field("Password for becoming root", "Only where it is not the password above.")
    generate = forms.ChoiceField(
        label="Make a key pair",
        required=False,
        choices=[("", "No"), (KeyType.ED25519, "Ed25519"), (KeyType.RSA4096, "RSA with 4096 bits")],
        widget=UnfoldAdminSelectWidget,
        help_text="Instead of a private key: one is made and sealed; its public half is shown for authorized_keys.",
    )
    certificate = text_area("Certificate", "Of an SSH certificate authority for the private key (…-cert.pub).")
    vault_url = text_field("Address of the Vault", "https://HOST:8200. The secret is then fetched by the worker.")
    vault_token = secret_field("Token", "With a policy that may read this path and nothing else.")
    vault_engine = forms.ChoiceField(
        label="Engine",
        required=False,
        choices=[(VaultEngine.KV2, "KV version 2"), (VaultEngine.SSH_OTP, "SSH one-time password")],
        widget=UnfoldAdminSelectWidget,
    )
    vault_mount = text_field("Mount", "Where the engine is mounted; left empty, secret or ssh.")
    vault_path = text_field(
        "Path or role",
        "Of the secret, whose fields are password, private_key, passphrase, certificate, become_password, username; "
        "{host} stands for the host's address. For one-time passwords the role.",
    )
    vault_namespace = text_field("Namespace", "Only for Vault Enterprise.")
    vault_ca_certificate = text_area("CA certificate", "PEM, where the Vault's is not publicly trusted.")

    class Meta:
        model = Credential
        fields = ["name", "zone", "username", "become"]
        labels = {"username": "User name", "become": "Become root by"}
        help_texts = {
            "name": "How forms and lists call it.",
            "zone": "The secrets are sealed to it: only its workers can open them, only its hosts use them.",
            "username": "Who signs in on the hosts.",
            "become": "For users other than root: “Automatic” takes sudo or doas, or su if its password is below.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_only_zone(self)

    def clean(self) -> dict[str, Any]:
        """Hands over to the service once all else is valid, so that its faults stand beside their fields."""
        cleaned: dict[str, Any] = super().clean() or {}
        secrets = services.PlainSecrets(**{name: cleaned.pop(name, "") for name in SECRET_FIELDS})
        if not self.errors:
            services.store_credential(
                name=cleaned["name"],
                zone=cleaned["zone"],
                username=cleaned["username"],
                become=cleaned["become"],
                secrets=secrets,
                credential=self.instance,
            )
        return cleaned


class ImportForm(forms.Form):
    """A text with hosts, and what they have in common."""

    text = forms.CharField(
        label="Inventory",
        strip=False,
        max_length=MAX_CHARS,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 12, "spellcheck": "false", "placeholder": "10.0.0.0/28\nweb1.example.org:2222"}
        ),
        help_text="A list, CSV, an Ansible inventory (INI or YAML) or an ssh_config. Groups become tags.",
    )
    format = forms.ChoiceField(
        label="Format", choices=[(str(kind), str(kind)) for kind in Format], widget=UnfoldAdminSelectWidget
    )
    zone = forms.ModelChoiceField(queryset=Zone.objects.all(), widget=UnfoldAdminSelectWidget)
    credential = forms.ModelChoiceField(
        queryset=Credential.objects.defer("sealed"), required=False, widget=UnfoldAdminSelectWidget
    )
    jump_host = forms.ModelChoiceField(queryset=JumpHost.objects.all(), required=False, widget=UnfoldAdminSelectWidget)
    tags = forms.ModelMultipleChoiceField(
        queryset=Tag.objects.all(),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="For all of them.",
    )
    accept_new_host_key = forms.BooleanField(
        label="Accept new host keys",
        required=False,
        widget=UnfoldBooleanWidget,
        help_text="Pin the key that each shows on its first visit.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = list(Zone.objects.all()[:2])
        if len(zones) == 1:
            self.fields["zone"].initial = zones[0].pk

    def options(self) -> services.HostOptions:
        values = self.cleaned_data
        return services.HostOptions(
            zone=values["zone"],
            credential=values["credential"],
            jump_host=values["jump_host"],
            accept_new_host_key=values["accept_new_host_key"],
            tags=tuple(tag.name for tag in values["tags"]),
        )


class ZoneForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A zone's key may only change while nothing is sealed to it."""

    class Meta:
        model = Zone
        fields = ["name", "description", "public_key"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        key = cleaned.get("public_key", "")
        if self.errors or key == self.initial.get("public_key", ""):
            return cleaned
        if self.instance.pk and (key or self.instance.credentials.exists()):
            services.set_zone_key(self.instance, key)
        return cleaned


def check_host_keys(text: str) -> str:
    """Raises ValidationError that names the line."""
    try:
        parse_host_keys(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None
    return text


class JumpHostForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Its keys must be known before anything goes through it."""

    class Meta:
        model = JumpHost
        fields = ["name", "zone", "address", "port", "credential", "via", "host_keys", "accept_new_host_key"]

    def clean_host_keys(self) -> str:
        return check_host_keys(self.cleaned_data["host_keys"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        check_same_zone(cleaned, "credential", "via")
        check_no_loop(self.instance, cleaned.get("via"))
        return cleaned


class HostAddForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """One host; everything else is learnt on the first visit."""

    host_keys = forms.CharField(
        label="Host keys",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="Safest: its known_hosts lines, or what `ssh-keyscan` prints once you have compared it on the host.",
    )

    class Meta:
        model = Host
        fields = MODEL_FIELDS
        help_texts = HOST_HELP | {"name": "How the console calls it; its address, if left empty."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = False
        self.fields["accept_new_host_key"].initial = True
        offer_only_zone(self)

    def clean_host_keys(self) -> str:
        return check_host_keys(self.cleaned_data["host_keys"])

    def clean_address(self) -> str:
        return check_address(self.cleaned_data["address"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            self.instance = self.add(cleaned)
            cleaned["name"] = self.instance.name
        return cleaned

    def add(self, cleaned: dict[str, Any]) -> Host:
        """Raises ValidationError, also for a host that is there already."""
        options = services.HostOptions(
            zone=cleaned["zone"],
            credential=cleaned["credential"],
            credential_set=cleaned["credential_set"],
            jump_host=cleaned["jump_host"],
            accept_new_host_key=cleaned["accept_new_host_key"],
            tags=tuple(tag.name for tag in cleaned["tags"]),
        )
        host = add_new_host(cleaned["address"], cleaned["port"], options, name=cleaned["name"])
        if cleaned["host_keys"].strip():
            services.pin_host_keys(host, cleaned["host_keys"])
        return host


class HostForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """What people may change of a host; the rest is what visits saw."""

    class Meta:
        model = Host
        fields = HOST_FIELDS
        help_texts = HOST_HELP

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        check_same_zone(cleaned, "credential", "credential_set", "jump_host")
        return cleaned
