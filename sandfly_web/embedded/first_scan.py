"""The first scan of this machine, followed in the terminal, and what it found."""

from __future__ import annotations

import random
import time
from contextlib import closing
from typing import TYPE_CHECKING

from django.utils import timezone
from redis import Redis, RedisError
from rich.text import Text

from sandfly_web.embedded.first_start import FIRST_RULE_TYPES
from sandfly_web.findings.models import Finding
from sandfly_web.scans.dispatch import dispatch_due
from sandfly_web.scans.heartbeats import read_heartbeats
from sandfly_web.scans.models import Scan
from sandfly_web.scans.services import RuleChoice, request_scans
from scanners.contract import Phase

if TYPE_CHECKING:
    from rich.status import Status

    from sandfly_web.embedded.screen import Screen
    from sandfly_web.embedded.supervisor import Supervisor
    from sandfly_web.inventory.models import Host

POLL_S = 0.25
# The scan goes on in the background when it takes longer than anybody wants to watch.
PATIENCE_S = 300.0
WORDS = {
    Phase.WAITING: "waiting for the worker",
    Phase.CONNECTING: "connecting",
    Phase.PROFILING: "looking at the system",
    Phase.STAGING: "staging the probe",
    Phase.RUNNING: "running the rules",
    Phase.CLEANING: "removing the probe",
    Phase.REPORTING: "reading the report",
}


def request(host: Host) -> Scan:
    """Queue a scan with the rules of the daily schedule and send it. Raises ValidationError when no rule is enabled."""
    batch = request_scans([host], RuleChoice(types=FIRST_RULE_TYPES), priority=Scan.Priority.HIGH)
    # Not to wait for beat's next tick.
    dispatch_due(timezone.now(), random.SystemRandom())
    return batch.scans[0]


def follow(scan: Scan, screen: Screen, supervisor: Supervisor, redis_url: str) -> None:
    """Show the scan's phases until it has ended or PATIENCE_S is over; the row is fresh afterwards."""
    begun = time.monotonic()
    shown = ""
    with closing(Redis.from_url(redis_url)) as redis, screen.spinner("First scan") as status:
        while scan.status in Scan.UNFINISHED and time.monotonic() - begun < PATIENCE_S:
            text = f"Scanning {scan.host.name}: {read_phase(redis, scan)}"
            shown = show_phase(screen, status, text, shown, time.monotonic() - begun)
            supervisor.tend(POLL_S)
            scan.refresh_from_db()


def read_phase(redis: Redis, scan: Scan) -> str:
    """What its worker does now, in words."""
    try:
        heartbeats = read_heartbeats(redis, [str(scan.pk)])
    except RedisError:
        return "the broker is away"
    return WORDS[heartbeats[0].phase] if heartbeats else WORDS[Phase.WAITING]


def show_phase(screen: Screen, status: Status | None, text: str, shown: str, seconds: float) -> str:
    """Update the spinner, or print a line where there is none and the phase is new; returns what is shown."""
    if status is not None:
        status.update(Text(f"{text}  {seconds:.0f} s"))
    elif text != shown:
        screen.line(text)
    return text


def show(scan: Scan, screen: Screen) -> None:
    """How the scan ended and the findings of its host, worst first."""
    if scan.status in Scan.UNFINISHED:
        screen.line("The scan goes on in the background; its findings appear in the console.")
        return
    if scan.status != Scan.Status.DONE:
        screen.line(f"The scan {scan.status}: {scan.error_message or scan.error_code}", "red")
        return
    outcomes = (
        f"{scan.alert_count} alert, {scan.pass_count} pass, {scan.skipped_count} skipped, {scan.error_count} error"
    )
    took = (scan.finished_at - scan.started_at).total_seconds() if scan.finished_at and scan.started_at else 0.0
    screen.line(f"Scanned {scan.host.name} in {took:.1f} s. Rules: {outcomes}.")
    if scan.is_root is False:
        screen.line("Not as root: rules that need root were skipped. Start as root for the whole picture.", "yellow")
    screen.findings(list(Finding.objects.filter(host=scan.host, status__in=Finding.UNRESOLVED)))


def summary() -> str:
    """One line for a later start."""
    count = Finding.objects.filter(status__in=Finding.UNRESOLVED).count()
    last = Scan.objects.filter(status=Scan.Status.DONE).order_by("-finished_at").first()
    if last is None or last.finished_at is None:
        return f"{count} unresolved findings; no scan yet."
    return f"{count} unresolved findings; last scan {last.finished_at:%Y-%m-%d %H:%M} UTC."
