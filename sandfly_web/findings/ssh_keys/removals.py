"""Requests to take keys out of authorized_keys: asked for, confirmed, carried out elsewhere, seen to be done.

Nothing here changes a host. `commands` gives what to run there, as root or by a SOAR.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from sandfly_web.findings.ssh_keys.models import KeyRemoval, KeyRemovalStep, SshAccount, SshKey, SshKeyPlace
from sandfly_web.inventory.models import Credential, Host

if TYPE_CHECKING:
    from django.contrib.auth.models import User

State, Kind = KeyRemoval.State, KeyRemoval.Kind
MAX_STEPS = 100_000
MAX_NAMED = 5


class Scope(NamedTuple):
    """Where a removal is about: an account, a host, or everywhere."""

    host: Host | None = None
    account: SshAccount | None = None


def targets(key: SshKey, kind: str, scope: Scope) -> Any:
    """Places that a removal is about now: lines of authorized_keys."""
    places = SshKeyPlace.objects.filter(key=key, kind=SshKeyPlace.Kind.AUTHORIZED, is_current=True)
    if kind == Kind.DEDUPLICATE:
        places = places.filter(copies__gt=1)
    if scope.account is not None:
        return places.filter(account=scope.account)
    return places.filter(host=scope.host) if scope.host is not None else places


def locked_out(key: SshKey, scope: Scope) -> list[SshAccount]:
    """Accounts that nothing but this key signs in to, as far as keys tell; at most a few more than are named."""
    others = SshKeyPlace.objects.filter(
        ~Q(key=key), account=OuterRef("pk"), kind=SshKeyPlace.Kind.AUTHORIZED, is_current=True
    )
    accounts = SshAccount.objects.filter(
        ~Exists(others), pk__in=targets(key, Kind.REMOVE, scope).values("account")
    ).select_related("host")
    return list(accounts.order_by("host__name", "username")[: MAX_NAMED + 1])


def request_removal(
    key: SshKey, kind: str, scope: Scope, reason: str, actor: User | None, *, may_lock_out: bool = False
) -> KeyRemoval:
    """Ask for it. Raises ValidationError that says why it must not be, or that there is nothing to remove."""
    if not reason.strip():
        raise ValidationError({"reason": "say why it has to go"})
    if scope.account is not None:
        scope = Scope(scope.account.host, scope.account)
    _check(key, kind, scope, may_lock_out=may_lock_out)
    alike = KeyRemoval.objects.filter(
        key=key, kind=kind, host=scope.host, account=scope.account, state__in=KeyRemoval.OPEN
    )
    if alike.exists():
        raise ValidationError("this has been asked for already and is not done yet")
    return KeyRemoval.objects.create(
        key=key,
        kind=kind,
        host=scope.host,
        account=scope.account,
        reason=reason.strip(),
        may_lock_out=may_lock_out,
        requested_by=actor,
    )


def _check(key: SshKey, kind: str, scope: Scope, *, may_lock_out: bool) -> None:
    if kind not in Kind.values:
        raise ValidationError({"kind": f"use {' or '.join(Kind.values)}"})
    if not targets(key, kind, scope).exists():
        what = "in no authorized_keys" if kind == Kind.REMOVE else "nowhere twice"
        raise ValidationError(f"the key is {what} there, as far as visits saw")
    if kind == Kind.DEDUPLICATE:
        return
    if key.standing == SshKey.Standing.PROTECTED:
        raise ValidationError("the key is protected: release it first, if it really has to go")
    if Credential.objects.filter(fingerprint=key.fingerprint).exists():
        raise ValidationError("visits sign in with this key: give its hosts another credential first")
    alone = locked_out(key, scope)
    if alone and not may_lock_out:
        named = ", ".join(f"{account.username} on {account.host.name}" for account in alone[:MAX_NAMED])
        more = " and others" if len(alone) > MAX_NAMED else ""
        raise ValidationError(f"it is the last key of {named}{more}: say that this is meant, or choose less")


def confirm(removal: KeyRemoval, actor: User | None, comment: str = "") -> KeyRemoval:
    """An operator says that it shall be done; its steps are the places as they are now. Raises ValidationError."""
    scope = Scope(removal.host, removal.account)
    with transaction.atomic():
        locked = _locked(removal, State.REQUESTED)
        # Much may have changed since it was asked for.
        _check(locked.key, locked.kind, scope, may_lock_out=locked.may_lock_out)
        places = list(targets(locked.key, locked.kind, scope).values_list("pk", flat=True)[:MAX_STEPS])
        KeyRemovalStep.objects.bulk_create(
            [KeyRemovalStep(removal=locked, place_id=place) for place in places], batch_size=2000
        )
        return _decide(locked, State.CONFIRMED, actor, comment)


def reject(removal: KeyRemoval, actor: User | None, comment: str) -> KeyRemoval:
    """It shall not be done. Raises ValidationError without a reason or when it is over."""
    if not comment.strip():
        raise ValidationError({"reason": "say why not"})
    with transaction.atomic():
        return _decide(_locked(removal, *KeyRemoval.OPEN), State.REJECTED, actor, comment)


def _locked(removal: KeyRemoval, *states: str) -> KeyRemoval:
    locked = KeyRemoval.objects.select_for_update(no_key=True, of=("self",)).select_related("key").get(pk=removal.pk)
    if locked.state not in states:
        raise ValidationError(f"it is {locked.get_state_display().lower()}")
    return locked


def _decide(removal: KeyRemoval, state: str, actor: User | None, comment: str) -> KeyRemoval:
    removal.state, removal.decided_by, removal.decided_at = state, actor, timezone.now()
    removal.decision = comment.strip()
    removal.save(update_fields=["state", "decided_by", "decided_at", "decision"])
    return removal


def finish_steps(host_id: uuid.UUID, now: datetime) -> None:
    """Steps on the host that the places now say are done; removals without a step left are done. One query if none."""
    waiting = KeyRemovalStep.objects.filter(removal__state=State.CONFIRMED, place__host=host_id, done_at__isnull=True)
    removals = set(waiting.values_list("removal_id", flat=True))
    if not removals:
        return
    done = Q(place__is_current=False) | Q(removal__kind=Kind.DEDUPLICATE, place__copies__lte=1)
    pks = list(waiting.filter(done).values_list("pk", flat=True))
    KeyRemovalStep.objects.filter(pk__in=pks).update(done_at=now)
    left = KeyRemovalStep.objects.filter(removal=OuterRef("pk"), done_at__isnull=True)
    KeyRemoval.objects.filter(~Exists(left), pk__in=removals, state=State.CONFIRMED).update(
        state=State.DONE, done_at=now
    )


class HostCommands(NamedTuple):
    """What to run as root on a host, and the steps that it is for."""

    host: Host
    steps: list[KeyRemovalStep]
    script: str


def commands(removal: KeyRemoval, limit: int = 1000) -> list[HostCommands]:
    """By host, for the steps that are not done; empty unless it is confirmed."""
    if removal.state != State.CONFIRMED:
        return []
    steps = (
        removal.steps.filter(done_at__isnull=True)
        .select_related("place__host", "place__account")
        .order_by("place__host__name", "place__host_id", "place__account_id", "place__path")
    )
    by_host = groupby(steps[:limit], key=lambda step: step.place.host)
    return [_on_host(removal, host, list(group)) for host, group in by_host]


def _on_host(removal: KeyRemoval, host: Host, steps: list[KeyRemovalStep]) -> HostCommands:
    if not removal.key.public_key:
        return HostCommands(host, steps, "# An older visit did not bring the key itself: scan the host once more.\n")
    lines = []
    for account, group in groupby(steps, key=lambda step: step.place.account):
        paths = list(dict.fromkeys(step.place.path for step in group))
        username = "" if account is None or account.is_root else account.username
        lines += [
            edit_script(
                path,
                removal.key.public_key,
                keep=1 if removal.kind == Kind.DEDUPLICATE and place == 0 else 0,
                username=username,
            )
            for place, path in enumerate(paths)
        ]
    return HostCommands(host, steps, "\n".join(dict.fromkeys(lines)) + "\n")


# The file stays the same file, with its owner, mode and label; how it was is kept in a directory that only root can
# enter, as the account may put links beside its own file. Whole words are compared, so that nothing in a comment is
# taken for the key; some keys are written without their padding.
_SCRIPT = (
    'f={path}; [ -f "$f" ] && [ ! -L "$f" ] && t=$(mktemp -d) && {read} && '
    'awk -v key={key} -v keep={keep} \'{{ for (i = 1; i <= NF; i++) {{ w = $i; sub(/=+$/, "", w); '
    'if (w == key && seen++ >= keep) next }} print }}\' < "$t/before" > "$t/after" && '
    '{write} && echo "done; as it was: $t/before"'
)
_READ, _WRITE = 'cp -p -- "$f" "$t/before"', 'cat "$t/after" > "$f"'
# With the rights of the account: it may put a link into the way at any moment, which would have root read or write
# whatever the link leads to. What only root may write, it then does not change, and says so.
_READ_AS = 'su -s /bin/sh -- {user} -c \'cat < "$0"\' "$f" > "$t/before"'
_WRITE_AS = 'su -s /bin/sh -- {user} -c \'cat > "$0"\' "$f" < "$t/after"'


def edit_script(path: str, public_key: str, *, keep: int, username: str = "") -> str:
    """A line of sh that takes the key's lines but for the first `keep` out of the file of an account; "" is root."""
    user = shlex.quote(username)
    return _SCRIPT.format(
        path=shlex.quote(path),
        key=shlex.quote(public_key.rstrip("=")),
        keep=keep,
        read=_READ_AS.format(user=user) if username else _READ,
        write=_WRITE_AS.format(user=user) if username else _WRITE,
    )


def steps_of(removal: KeyRemoval, limit: int) -> Iterable[KeyRemovalStep]:
    return removal.steps.select_related("place__host", "place__account").order_by("done_at", "id")[:limit]
