"""What a fresh database needs before it is of use; every step is safe to repeat and keeps what people changed."""

from __future__ import annotations

import base64
import os
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from nacl.public import PrivateKey

from sandfly_web.accounts.roles import Role
from sandfly_web.accounts.services import ensure_roles
from sandfly_web.embedded.datadir import write_private
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.processes import DEFAULT_ZONE
from sandfly_web.inventory.models import Host, Zone
from sandfly_web.inventory.services import HostOptions, add_host, create_zone, set_zone_key
from sandfly_web.scans.models import Schedule, ScheduledHost

if TYPE_CHECKING:
    from sandfly_web.embedded.paths import DataDir

ADMIN = "admin"
FIRST_RULE_TYPES = ("detection", "recon")
DAILY_S = 24 * 3600
WEEKLY_S = 7 * DAILY_S
# No letters or digits that look alike.
PASSWORD_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105 - an alphabet
PASSWORD_GROUPS = 4
GROUP_LENGTH = 5


def migrate() -> int:
    """Bring the schema up to date; returns how many migrations that took. The usual start has none and is fast."""
    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        call_command("migrate", interactive=False, verbosity=0)
    else:
        # Those squashed since: the steps they replace may one day be gone.
        executor.check_replacements()
    return len(plan)


def new_password() -> str:
    """99 random bits that can be read out and typed."""
    groups = ("".join(secrets.choice(PASSWORD_ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(PASSWORD_GROUPS))
    return "-".join(groups)


def ensure_admin(*, reset_password: bool = False, password: str = "") -> str:
    """An administrator exists; returns his password if it was set now, else "". It is kept nowhere in the clear.

    It is `password`, or one made by chance.
    """
    ensure_roles()
    user = User.objects.filter(username=ADMIN).first()
    if user is None and User.objects.filter(is_superuser=True, is_active=True).exists() and not reset_password:
        return ""
    if user is not None and not reset_password:
        return ""
    password = password or new_password()
    with transaction.atomic():
        user = user or User(username=ADMIN)
        user.is_active = user.is_staff = user.is_superuser = True
        user.set_password(password)
        user.save()
        user.groups.add(Group.objects.get(name=Role.ADMIN.value))
    return password


def ensure_zone(data: DataDir) -> Zone:
    """The zone `default` with the public half of the key in the data directory, which is made on first use.

    Raises EmbeddedError when the zone has another key: its credentials can be opened with that one only.
    """
    public = read_public_key(data)
    zone = Zone.objects.filter(name=DEFAULT_ZONE).first()
    if zone is None:
        return create_zone(DEFAULT_ZONE, public, "Hosts that this machine reaches")
    if zone.public_key not in (public, *read_earlier_keys(data)):
        if zone.credentials.exists():
            raise EmbeddedError(
                f"{data.zone_key(DEFAULT_ZONE)} is not the key that the credentials of zone {DEFAULT_ZONE} are sealed "
                "to: restore that file from a backup, or delete these credentials"
            )
        set_zone_key(zone, public)
    return zone


def read_public_key(data: DataDir) -> str:
    """Base64 of the public half of the zone's key. Raises EmbeddedError when the key file is damaged."""
    path = data.zone_key(DEFAULT_ZONE)
    if not path.exists():
        write_private(path, base64.b64encode(bytes(PrivateKey.generate())).decode("ascii") + "\n")
    try:
        return _public_keys(path.read_text(encoding="ascii"))[0]
    except (ValueError, TypeError, IndexError):
        raise EmbeddedError(f"{path} holds no zone key: restore it from a backup, or remove it for a new one") from None


def read_earlier_keys(data: DataDir) -> list[str]:
    """Public halves of the keys behind the first: the zone may still have one when a rotation was cut short."""
    return _public_keys(data.zone_key(DEFAULT_ZONE).read_text(encoding="ascii"))[1:]


def _public_keys(text: str) -> list[str]:
    privates = [PrivateKey(base64.b64decode(line, validate=True)) for line in text.split()]
    return [base64.b64encode(bytes(private.public_key)).decode("ascii") for private in privates]


def ensure_inventory(data: DataDir) -> Host | None:
    """Zone `default`; with its first creation also this machine as a host, a daily schedule and a deep weekly one.

    Returns that host when it was made now. One that somebody deleted later stays deleted.
    """
    with transaction.atomic():
        is_first = not Zone.objects.filter(name=DEFAULT_ZONE).exists()
        zone = ensure_zone(data)
        if not is_first:
            return None
        host = add_host("local", HostOptions(zone=zone), name=os.uname().nodename)
        if not Schedule.objects.exists():
            for name, interval_s, deep in (("Daily", DAILY_S, False), ("Weekly, deep", WEEKLY_S, True)):
                schedule = Schedule.objects.create(
                    name=name, interval_s=interval_s, rule_types=list(FIRST_RULE_TYPES), is_deep=deep
                )
                # The first scan is asked for by hand, a second one within minutes would say the same.
                due = timezone.now() + timedelta(seconds=DAILY_S)
                ScheduledHost.objects.create(schedule=schedule, host=host, next_due_at=due)
        return host
