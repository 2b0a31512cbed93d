"""Trust paths: private keys found × authorized keys found = who can reach what. Reads only.

Root of a host has every private key on it; a key that everybody can read is everybody's there. A key that needs its
passphrase, or whose line has a forced command or source addresses, is a weaker way and told as one. What is not seen:
agents, passwords, certificates, keys in memory, and the rights of sudo.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from sandfly_web.findings.ssh_keys.models import SshAccount, SshKey, SshKeyPlace
from sandfly_web.findings.ssh_keys.spread import MAX_DEPTH, MAX_NODES, Link, Reach, spread
from sandfly_web.inventory.models import Host

Kind = SshKeyPlace.Kind


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
    """Private keys that these accounts can read: their own, all of the host for root, and those that all can read."""
    known = list(SshAccount.objects.filter(pk__in=accounts).values_list("pk", "host_id", "is_root"))
    anybody = {host: pk for pk, host, _ in known}
    roots = {host: pk for pk, host, is_root in known if is_root}
    own = {pk for pk, _, _ in known}
    readable = Q(account__in=own) | Q(host__in=list(roots)) | Q(host__in=list(anybody), is_shared=True)
    rows = _current(Kind.PRIVATE).filter(readable, key__isnull=False)
    for account, host, key, encrypted in rows.values_list("account_id", "host_id", "key_id", "is_encrypted"):
        holder = account if account in own else roots.get(host, anybody.get(host))
        if holder is not None:
            yield Link(holder, key, encrypted is not False)


def opened_by(keys: Collection[int]) -> Iterator[Link]:
    """Accounts that these keys sign in to."""
    rows = _current(Kind.AUTHORIZED).filter(key__in=keys, account__isnull=False)
    for account, key, restricted in rows.values_list("account_id", "key_id", "is_restricted"):
        yield Link(account, key, restricted)


def opening(accounts: Collection[int]) -> Iterator[Link]:
    """Keys that sign in to these accounts."""
    rows = _current(Kind.AUTHORIZED).filter(account__in=accounts, key__isnull=False)
    for account, key, restricted in rows.values_list("account_id", "key_id", "is_restricted"):
        yield Link(account, key, restricted)


def holding(keys: Collection[int]) -> Iterator[Link]:
    """Accounts that can read these private keys: `held_by` seen from the key."""
    rows = list(
        _current(Kind.PRIVATE)
        .filter(key__in=keys)
        .values_list("account_id", "host_id", "key_id", "is_encrypted", "is_shared")
    )
    everybody: dict[Any, list[tuple[int, bool]]] = {}
    for pk, host, is_root in SshAccount.objects.filter(host__in={row[1] for row in rows}).values_list(
        "pk", "host_id", "is_root"
    ):
        everybody.setdefault(host, []).append((pk, is_root))
    for owner, host, key, encrypted, shared in rows:
        for pk, is_root in everybody.get(host, ()):
            if pk == owner or is_root or shared:
                yield Link(pk, key, encrypted is not False)


def _current(kind: str) -> Any:
    return SshKeyPlace.objects.filter(kind=kind, is_current=True).order_by("pk")


def radius(found: Reach, beginning: Collection[int] = (), limit: int = 1000) -> Radius:
    """The reached accounts with names, nearest first; hosts are counted over all of them. Four queries at most."""
    ids = [pk for pk, step in found.accounts.items() if step.origin is not None and pk not in beginning]
    ids.sort(key=lambda pk: (pk not in found.sure_accounts, found.accounts[pk].hops, pk))
    hosts = dict(SshAccount.objects.filter(pk__in=ids).values_list("pk", "host_id"))
    ids = [pk for pk in ids if pk in hosts]
    sure = {hosts[pk] for pk in ids if pk in found.sure_accounts}
    return Radius(_named(found, ids[:limit]), len(set(hosts.values())), len(sure), found.is_cut or len(ids) > limit)


def _named(found: Reach, ids: list[int]) -> list[Reached]:
    via = {pk: found.accounts[pk].origin for pk in ids}
    before = {pk: found.keys[key].origin for pk, key in via.items() if key is not None}
    accounts = _by_id(SshAccount.objects.select_related("host"), [*ids, *filter(None, before.values())])
    keys = _by_id(SshKey.objects.all(), filter(None, via.values()))
    return [
        Reached(accounts[pk], keys[key], accounts.get(before.get(pk)), step.hops, pk in found.sure_accounts)
        for pk in ids
        if (step := found.accounts[pk]) and (key := via[pk]) in keys
    ]


def _by_id(rows: Any, ids: Iterable[int | None]) -> dict[Any, Any]:
    return {row.pk: row for row in rows.filter(pk__in=set(ids))}
