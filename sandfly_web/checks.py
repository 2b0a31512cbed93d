"""Settings that contradict each other, found by `manage.py check` before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from scanners.contract import Limits


@register()
def check_scan_times(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Times that must nest: heartbeat < silence, dispatch interval < silence, visit < expiry."""
    found: list[CheckMessage] = []
    # A worker that lives is heard at least once in this time even when one heartbeat is lost.
    min_silence_s = 2 * settings.HEARTBEAT_TTL_S
    if min_silence_s > settings.SCAN_SILENCE_S:
        hint = f"Set SANDFLY_SCAN_SILENCE to {min_silence_s} or more."
        message = "SCAN_SILENCE_S is so short that scans of living workers would be started again"
        found.append(Error(message, hint=hint, id="sandfly.E001"))
    if settings.DISPATCH_INTERVAL_S * 2 > settings.SCAN_SILENCE_S:
        hint = "Set SANDFLY_DISPATCH_INTERVAL to at most half of SANDFLY_SCAN_SILENCE."
        message = "dispatch looks for heartbeats too rarely to tell a lost worker from a living one"
        found.append(Error(message, hint=hint, id="sandfly.E002"))
    least_s = Limits().visit_deadline_s + settings.SCAN_SILENCE_S
    if least_s > settings.SCAN_EXPIRES_S:
        hint = f"Set SANDFLY_SCAN_EXPIRES to {least_s} or more."
        message = "SCAN_EXPIRES_S is shorter than a visit may take, so scans would expire while they run"
        found.append(Error(message, hint=hint, id="sandfly.E003"))
    return found


@register()
def check_scan_numbers(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Numbers that must be at least one, and retention that keeps something."""
    names = {
        "DISPATCH_INTERVAL_S": "SANDFLY_DISPATCH_INTERVAL",
        "HEARTBEAT_TTL_S": "SANDFLY_HEARTBEAT_TTL",
        "SCAN_RETRY_S": "SANDFLY_SCAN_RETRY",
        "SCAN_MAX_ATTEMPTS": "SANDFLY_SCAN_ATTEMPTS",
        "ZONE_QUEUE_LENGTH": "SANDFLY_ZONE_QUEUE_LENGTH",
        "SCAN_RETENTION_DAYS": "SANDFLY_SCAN_RETENTION_DAYS",
        "RECORD_RETENTION_DAYS": "SANDFLY_RECORD_RETENTION_DAYS",
    }
    found: list[CheckMessage] = [
        Error(f"{name} must be 1 or more", hint=f"Change {variable}.", id="sandfly.E004")
        for name, variable in names.items()
        if getattr(settings, name) < 1
    ]
    if settings.RECORD_RETENTION_DAYS < settings.SCAN_RETENTION_DAYS:
        hint = "Set SANDFLY_RECORD_RETENTION_DAYS to SANDFLY_SCAN_RETENTION_DAYS or more."
        message = "records are deleted before the scans that saw them, so older scans cannot be compared"
        found.append(Warning(message, hint=hint, id="sandfly.W001"))
    return found
