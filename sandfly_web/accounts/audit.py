"""Which changes are written to the audit log, and who looked at evidence.

Fields that visits write are left out: they would bury what people did. Secrets, sealed or digested, are never in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditlog.context import auditlog_value, set_extra_data
from auditlog.middleware import AuditlogMiddleware
from auditlog.registry import auditlog
from auditlog.signals import accessed
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import pre_save

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from auditlog.models import LogEntry
    from django.contrib.auth.models import User
    from django.db.models import Model
    from django.http import HttpRequest, HttpResponse

INSERT_ROWS = 1000
# Model → options of auditlog's registry.
AUDITED: dict[str, dict[str, Any]] = {
    "auth.User": {"exclude_fields": ["password", "last_login"], "m2m_fields": {"groups", "user_permissions"}},
    "auth.Group": {"m2m_fields": {"permissions"}},
    "accounts.ApiToken": {"exclude_fields": ["digest", "last_used_at"], "m2m_fields": {"host_tags"}},
    "accounts.HostLimit": {"m2m_fields": {"tags"}},
    "inventory.Zone": {},
    "inventory.Tag": {},
    "inventory.Credential": {"exclude_fields": ["sealed"]},
    "inventory.CredentialSet": {},
    "inventory.CredentialSetEntry": {},
    "inventory.JumpHost": {},
    "inventory.Host": {
        "exclude_fields": [
            "state",
            "state_reason",
            "last_seen_at",
            "hostname",
            "machine_id",
            "os_name",
            "kernel",
            "architecture",
            "profile",
            "boot_id",
            "offline_since",
            "other_addresses",
        ],
        "m2m_fields": {"tags"},
    },
    "inventory.Discovery": {
        "exclude_fields": ["next_sweep_at"],
        "m2m_fields": {"credentials", "tags", "schedules"},
    },
    "inventory.HostKey": {"exclude_fields": ["last_seen_at"]},
    "indicators.IndicatorList": {"exclude_fields": ["faults", "prefixes"]},
    "rules.Rule": {"exclude_fields": ["source", "plan_rule", "updated_at"]},
    "scans.Schedule": {
        "exclude_fields": ["next_run_at", "draw_seed", "drawn_at", "watched_from"],
        "m2m_fields": {"host_tags", "zones"},
    },
    "scans.ScanBatch": {"include_fields": ["paused_at", "pause_reason"]},
    "findings.AllowlistEntry": {"m2m_fields": {"hosts", "tags"}},
    "findings.SavedHunt": {},
    "findings.Baseline": {"m2m_fields": {"model_hosts", "tags"}},
    "ssh_keys.SshKey": {
        "include_fields": ["name", "notes", "standing", "standing_reason"],
        "m2m_fields": {"tags"},
    },
    "ssh_keys.KeyZone": {"m2m_fields": {"host_tags", "key_tags"}},
    "ssh_keys.KeyRemoval": {},
    "findings.Finding": {"include_fields": ["status", "assignee", "close_reason"]},
}


def register_models() -> None:
    for label, options in AUDITED.items():
        auditlog.register(apps.get_model(label), **options)


def record_access(instance: Model) -> None:
    """Somebody reads this thing's evidence."""
    accessed.send(type(instance), instance=instance)


def record_created(things: Iterable[tuple[Model, dict[str, str]]]) -> None:
    """Things with what they were made with, in the audit log: rows made in bulk send no signal, which it listens to."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - models are loaded only now

    entries = [created_entry(LogEntry, thing, values) for thing, values in things]
    for entry in entries:
        # The log's own receiver fills in who does it and from where.
        pre_save.send(LogEntry, instance=entry, raw=False, using=DEFAULT_DB_ALIAS, update_fields=None)
    LogEntry.objects.bulk_create(entries, batch_size=INSERT_ROWS)


def record_many(model: type[Model], what: str, values: dict[str, str], actor: User | None) -> None:
    """One entry for many rows that were changed alike: which they were is said by what they were found with."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - models are loaded only now
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415 - models are loaded only now

    entry = LogEntry(
        content_type=ContentType.objects.get_for_model(model),
        object_pk="",
        object_repr=what,
        action=LogEntry.Action.UPDATE,
        changes={name: ["", value] for name, value in values.items() if value},
        actor=actor,
    )
    # Saving it tells the log's own receiver, which fills in the address.
    entry.save()


def created_entry(model: type[LogEntry], thing: Model, values: dict[str, str]) -> LogEntry:
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415 - models are loaded only now

    return model(
        content_type=ContentType.objects.get_for_model(thing),
        object_pk=str(thing.pk),
        object_repr=str(thing),
        action=model.Action.CREATE,
        changes={name: ["", value] for name, value in values.items() if value},
    )


def record_sign_in(user: User | None, *, is_accepted: bool) -> None:
    """Somebody tried to sign in, as this user or, without one, with a name that nobody has: that name is not kept."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - models are loaded only now
    from django.contrib.auth.models import User  # noqa: PLC0415 - models are loaded only now
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415 - models are loaded only now

    entry = LogEntry(
        content_type=ContentType.objects.get_for_model(User),
        object_pk=str(user.pk) if user else "",
        object_id=user.pk if user else None,
        object_repr=user.get_username() if user else "a name that nobody has",
        action=LogEntry.Action.ACCESS,
        changes={"sign_in": ["", "accepted" if is_accepted else "refused"]},
        actor=user if is_accepted else None,
    )
    # Saving it tells the log's own receiver, which fills in the address.
    entry.save()


def count_refused(user: User, since: datetime) -> int:
    """Sign-ins as this user that were refused since then; of those after too many, none is counted."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - models are loaded only now

    of_user = LogEntry.objects.get_for_object(user).filter(action=LogEntry.Action.ACCESS, timestamp__gte=since)
    return int(of_user.filter(changes__sign_in__1="refused").count())


class AuditMiddleware(AuditlogMiddleware):
    """Takes the address of the connection: a header that any client can write is no evidence."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """With one repair: a service's `set_actor` leaves its own context behind, and the package would then forget to
        disconnect the receiver of this one, which would stay for the life of the process.
        """
        context = self.get_extra_data(request)
        with set_extra_data(context_data=context):
            try:
                response: HttpResponse = self.get_response(request)
            finally:
                auditlog_value.set(context)
        return response

    @staticmethod
    def _get_remote_addr(request: HttpRequest) -> str | None:
        # Empty on a Unix socket.
        return request.META.get("REMOTE_ADDR") or None

    @staticmethod
    def _get_remote_port(_request: HttpRequest) -> int | None:
        return None
