"""A console with something to see: an installation of its own, throw-away hosts in several states, findings in triage.

    .venv/bin/python -m tests.console.demo DIRECTORY    # as root; writes the pictures of the documentation there
    .venv/bin/python -m tests.console.demo --serve      # leaves it running until Enter, for looking around

Everything is gone afterwards. The hosts are those of `tests/hosts`, what is found on them is planted and harmless.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.console.fleet import start_hosts
from tests.console.gallery import take_pictures
from tests.console.story import enrol, make_schedules, tell
from tests.e2e.product import Product, manage, run_product

USER = "maria"
DAYS = 13
INDICATORS = """value,kind,description
203.0.113.44,ip,Guesses passwords since October
203.0.113.5,ip,Hands out the kit
update-cdn.example.net,domain,Its control server
/tmp/.su,path,Left by the kit
275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f,sha256,Test file of the antivirus industry
"""
# An installation that was started two weeks ago; runs in its `manage.py shell`.
AGE = """
import uuid
from datetime import timedelta
from django.contrib.auth.models import Group, User
from django.db.models import F
from django.utils import timezone
from sandfly_web.findings.models import Finding, FindingEvent, Record, RiskDay, SavedHunt
from sandfly_web.findings.risk import RISK_WEIGHTS, keep_risk
from sandfly_web.findings.ssh_keys.models import SshKey, SshKeyPlace
from sandfly_web.inventory.models import Host
from sandfly_web.scans.models import Scan
now = timezone.now()
Host.objects.filter(transport="local").delete()
Host.objects.exclude(kernel="").update(kernel="6.1.0-26-amd64")
# What was found by comparing came today: zones and the baseline are of today.
for place, finding in enumerate(Finding.objects.exclude(rule_name__regex="^(drift|ssh_key)").order_by("id")):
    first = finding.first_seen_at - timedelta(days=place * place % {days}, hours=place % 7)
    Finding.objects.filter(pk=finding.pk).update(first_seen_at=first, count=1 + place * place % {days})
    FindingEvent.objects.filter(finding=finding, kind="created").update(created_at=first)
# What the first visit of a host saw was there two weeks ago; what a later one added came today.
age = timedelta(days={days})
for host in Host.objects.all():
    visits = list(host.scans.filter(status="done", observed_at__isnull=False).order_by("observed_at"))
    if not visits:
        continue
    seen = Record.objects.filter(host=host, first_seen_at__lte=visits[0].observed_at)
    seen.update(first_seen_at=F("first_seen_at") - age)
    SshKeyPlace.objects.filter(host=host, first_seen_at__lte=visits[0].observed_at).update(
        first_seen_at=F("first_seen_at") - age)
    Host.objects.filter(pk=host.pk).update(created_at=F("created_at") - age)
    for day in range(1, {days} + 1):
        scan = Scan.objects.get(pk=visits[0].pk)
        scan.pk, scan.batch, back = uuid.uuid4(), None, timedelta(days=day, minutes=day * day % 50)
        created = scan.created_at - back
        for name in ("dispatched_at", "heartbeat_at", "started_at", "finished_at", "observed_at", "expires_at"):
            if getattr(scan, name):
                setattr(scan, name, getattr(scan, name) - back)
        scan.alert_count = max(0, scan.alert_count - day)
        scan.cost = {{name: value * (90 + day * 7 % 20) / 100 if isinstance(value, float) else value
                     for name, value in scan.cost.items()}}
        scan.save(force_insert=True)
        Scan.objects.filter(pk=scan.pk).update(created_at=created)
SshKey.objects.exclude(first_seen_at=None).update(first_seen_at=F("first_seen_at") - age)
# The risk of each day as it would have been counted then.
keep_risk(now)
for ago in range(1, {days} + 1):
    day, total = (now - timedelta(days=ago)).date(), 0
    for host in Host.objects.all():
        there = Finding.objects.filter(host=host, first_seen_at__date__lte=day, status__in=Finding.UNRESOLVED)
        risk = sum(RISK_WEIGHTS[level] for level in there.values_list("level", flat=True))
        total += risk
        RiskDay.objects.create(host=host, day=day, risk=risk)
    RiskDay.objects.create(host=None, day=day, risk=total)
keep_risk(now)
user = User.objects.create_user("{user}", password="{password}", first_name="Maria", is_staff=True)
user.groups.add(Group.objects.get(name="admin"))
SavedHunt.objects.create(name="Programs in temporary directories", subject="process", owner=user,
    detection="detection:\\n  it:\\n    path|startswith:\\n      - /tmp/\\n      - /dev/shm/\\n  condition: it\\n")
SavedHunt.objects.create(name="Accounts with a shell and a high number", subject="user", owner=user,
    detection="detection:\\n  it:\\n    uid|gte: 1000\\n    shell|endswith: sh\\n  condition: it\\n")
"""


def bring_indicators(product: Product) -> None:
    path = product.data / "report.csv"
    path.write_text(INDICATORS)
    manage(product.data, "indicators", "import", "Report 2026-114", str(path), "--origin", "Sector CERT")


@contextmanager
def run_demo(password: str) -> Iterator[Product]:
    # A host that does not answer is not tried again for minutes.
    os.environ["SANDFLY_SCAN_ATTEMPTS"] = "1"
    with ExitStack() as stack:
        product = stack.enter_context(run_product())
        hosts, pairs = start_hosts(stack)
        bring_indicators(product)
        tell(product, hosts, enrol(product, hosts), pairs)
        manage(product.data, "shell", "-c", AGE.format(user=USER, password=password, days=DAYS))
        yield product


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a console with hosts and findings for pictures or a look around.")
    parser.add_argument("directory", type=Path, nargs="?", help="where the pictures go")
    parser.add_argument("--serve", action="store_true", help="wait for Enter before everything is taken away")
    options = parser.parse_args()
    if os.geteuid() != 0 or not (options.directory or options.serve):
        parser.error("run it as root, with a directory or --serve")
    password = secrets.token_urlsafe(15)
    with run_demo(password) as product:
        if options.directory:
            options.directory.mkdir(parents=True, exist_ok=True)
            take_pictures(product, USER, password, options.directory)
        else:
            make_schedules(product)
        if options.serve:
            sys.stdout.write(f"http://127.0.0.1:{product.port}  {USER}  {password}\n")
            input("Enter ends it. ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
