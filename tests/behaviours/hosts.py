"""Which behaviours are enacted together. Those of one host must not disturb each other."""

from __future__ import annotations

from tests.behaviours import (
    accounts,
    anti_forensics,
    authentication,
    bent_settings,
    containers,
    fileless,
    hidden_things,
    impact,
    loader,
    log_traces,
    masquerading,
    persistence_autostart,
    persistence_boot,
    persistence_scheduled,
    persistence_shell,
    privilege,
    remote_access,
    tampered_packages,
    tools,
    web_shells,
)
from tests.behaviours.behaviour import Behaviour

HOSTS: dict[str, tuple[Behaviour, ...]] = {
    "started": persistence_boot.BEHAVIOURS + persistence_scheduled.BEHAVIOURS,
    "signed-in": persistence_shell.BEHAVIOURS + persistence_autostart.BEHAVIOURS + web_shells.BEHAVIOURS,
    "accounts": accounts.BEHAVIOURS + authentication.BEHAVIOURS + containers.BEHAVIOURS,
    "memory": fileless.BEHAVIOURS + masquerading.BEHAVIOURS,
    "remote": remote_access.BEHAVIOURS + impact.BEHAVIOURS,
    "wiped": privilege.BEHAVIOURS + anti_forensics.BEHAVIOURS,
    "logged": log_traces.BEHAVIOURS,
    "tampered": tampered_packages.BEHAVIOURS,
    "loader": loader.BEHAVIOURS,
    "bent": bent_settings.BEHAVIOURS + tools.BEHAVIOURS,
    "veiled": hidden_things.BEHAVIOURS,
}
# Hosts that are scanned by a probe that is deceived (veil.py).
VEILED = {"veiled"}
BEHAVIOURS = [behaviour for behaviours in HOSTS.values() for behaviour in behaviours]
