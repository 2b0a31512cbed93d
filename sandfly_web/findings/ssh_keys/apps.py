"""An app of its own inside `findings`: it has tables and rights of its own."""

from django.apps import AppConfig


class SshKeysConfig(AppConfig):
    name = "sandfly_web.findings.ssh_keys"
    label = "ssh_keys"
    verbose_name = "SSH keys"
