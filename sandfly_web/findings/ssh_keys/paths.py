"""Trust paths: private keys found × authorized keys found = who can reach what. Reads only.

Root of a host has every private key on it; a key that everybody can read is everybody's there. A key that needs its
passphrase, or whose line has a forced command or source addresses, is a weaker way and told as one. What is not seen:
agents, passwords, certificates, keys in memory, and the rights of sudo.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Coalesce

from sandfly_web.findings.ssh_keys.models import SshAccount, SshKey, SshKeyPlace
from sandfly_web.findings.ssh_keys.spread import MAX_DEPTH, MAX_NODES, Link, Reach, spread
from sandfly_web.inventory.models import Host

Kind = SshKeyPlace.Kind
# More ids than this are not sent to the database.
MAX_NAMED = 2000
# As text: identifiers of a fleet's hosts are only counted.
HOST = Cast("host_id", TextField())
# Null, whether there is a passphrase is not known, is as good as one.
LOCKED = Coalesce(F("is_encrypted"), True)


@dataclass(frozen=True)
class Start:
    """Where it begins: a key that was stolen, a host that was taken over, or somebody's account."""

    key: SshKey | None = None
    host: Host | None = None
    account: SshAccount | None = None

    @property
    def account_ids(self) -> list[int]:
        if self.account is not None:
            return [self.account.pk]
        if self.host is None:
            return []
        return list(SshAccount.objects.filter(host=self.host).order_by("pk").values_list("pk", flat=True))


@dataclass(frozen=True)
class Reached:
    """One account that is reached: the key and the account (none: the key itself was stolen) it is reached from."""

    account: SshAccount
    key: SshKey
    origin: SshAccount | None
    hops: int
    is_sure: bool


@dataclass(frozen=True)
class Radius:
    """What a start reaches, nearest first, sure ways before others; `is_cut`: there is more than was looked at."""

    reached: list[Reached]
    host_count: int
    sure_host_count: int
    is_cut: bool


def reach(start: Start, depth: int = MAX_DEPTH, limit: int = MAX_NODES) -> Reach:
    """Accounts that whoever has the start can sign in to, as ids."""
    keys = [start.key.pk] if start.key is not None else []
    return spread(held_by, opened_by, accounts=start.account_ids, keys=keys, depth=depth, limit=limit)


def reached_by(start: Start, depth: int = MAX_DEPTH, limit: int = MAX_NODES) -> Reach:
    """The other way round: accounts from which somebody can get to the start, as ids."""
    keys = [start.key.pk] if start.key is not None else []
    return spread(opening, holding, accounts=start.account_ids, keys=keys, depth=depth, limit=limit)


def held_by(accounts: Collection[int]) -> Iterator[Link]:
    """Private keys that these accounts can read and that sign in somewhere."""
    # Every host has several keys that only identify it: ways that lead nowhere would crowd out those that do.
    opens = SshKeyPlace.objects.filter(key=OuterRef("key"), kind=Kind.AUTHORIZED, is_current=True)
    if len(accounts) <= MAX_NAMED:
        return _readings(Q(Exists(opens), host__ssh_accounts__in=_listed(accounts)))
    # Of very many it is quicker to read what anybody can read.
    return (link for link in _readings(Q(Exists(opens))) if link.account in accounts)


def holding(keys: Collection[int]) -> Iterator[Link]:
    """Accounts that can read these private keys: `held_by` seen from the key."""
    return _readings(Q(key__in=_listed(keys)))


def _readings(about: Q) -> Iterator[Link]:
    """Who can read a private key: its owner, root of its host, and everybody there when it lies open."""
    owner, root, open_to_all = (
        Q(account=F("host__ssh_accounts")),
        Q(host__ssh_accounts__is_root=True),
        Q(is_shared=True),
    )
    rows = _current(Kind.PRIVATE).filter(
        about & (owner | root | open_to_all), host__ssh_accounts__isnull=False, key__isnull=False
    )
    return _read(rows.values_list("host__ssh_accounts", "key_id", LOCKED, HOST))


def opened_by(keys: Collection[int]) -> Iterator[Link]:
    """Accounts that these keys sign in to."""
    return _sign_ins(key__in=_listed(keys), account__isnull=False)


def opening(accounts: Collection[int]) -> Iterator[Link]:
    """Keys that sign in to these accounts."""
    return _sign_ins(account__in=_listed(accounts), key__isnull=False)


def _sign_ins(**about: Any) -> Iterator[Link]:
    rows = _current(Kind.AUTHORIZED).filter(**about)
    return _read(rows.values_list("account_id", "key_id", "is_restricted", HOST))


def _current(kind: str) -> Any:
    return SshKeyPlace.objects.filter(kind=kind, is_current=True).order_by("pk")


def _read(rows: Any) -> Iterator[Link]:
    """As the database driver gives them: there may be one for each account of a fleet."""
    with connection.cursor() as cursor:
        cursor.execute(*rows.query.sql_with_params())
        yield from map(Link._make, cursor.fetchall())


def _listed(ids: Collection[int]) -> RawSQL:
    """One parameter however many ids there are: a list of 20,000 takes Django and PostgreSQL seconds to read."""
    return RawSQL("SELECT unnest(%s::bigint[])", [list(ids)])


def radius(found: Reach, beginning: Collection[int] = (), limit: int = 1000) -> Radius:
    """The reached accounts with names, nearest first; hosts are counted over all of them. Three queries at most."""
    own, sure = set(beginning), found.sure_accounts
    steps = {pk: step for pk, step in found.accounts.items() if step.origin is not None and pk not in own}
    ids = [pk for *_, pk in sorted((pk not in sure, step.hops, pk) for pk, step in steps.items())]
    hosts = {step.host for step in steps.values()}
    sure_hosts = {step.host for pk, step in steps.items() if pk in sure}
    return Radius(_named(found, ids[:limit]), len(hosts), len(sure_hosts), found.is_cut or len(ids) > limit)


def _named(found: Reach, ids: list[int]) -> list[Reached]:
    via = {pk: found.accounts[pk].origin for pk in ids}
    before = {pk: found.keys[key].origin for pk, key in via.items() if key is not None}
    accounts = _by_id(SshAccount.objects.select_related("host"), [*ids, *filter(None, before.values())])
    keys = _by_id(SshKey.objects.all(), filter(None, via.values()))
    return [
        Reached(accounts[pk], keys[key], accounts.get(before.get(pk)), step.hops, pk in found.sure_accounts)
        for pk in ids
        if pk in accounts and (step := found.accounts[pk]) and (key := via[pk]) in keys
    ]


def _by_id(rows: Any, ids: Iterable[int | None]) -> dict[Any, Any]:
    return {row.pk: row for row in rows.filter(pk__in=set(ids)).order_by()}
