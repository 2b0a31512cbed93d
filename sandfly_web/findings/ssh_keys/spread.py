"""How far somebody gets with keys: from accounts to the keys they hold, from keys to the accounts they open. Pure.

Accounts and keys are ids. Each is looked at once, so that cycles end and the cost is that of what is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

MAX_DEPTH = 8
MAX_NODES = 20_000


class Link(NamedTuple):
    """An account and a key that belong together; `is_weak`: it takes something more, such as a passphrase."""

    account: int
    key: int
    is_weak: bool
    # Of the account.
    host: str = ""


# Given new accounts, links to the keys that these hold; given new keys, links to the accounts that these open.
Follow = Callable[[Collection[int]], Iterable[Link]]


class Step(NamedTuple):
    """How an account or key was reached first: from what and after how many sign-ins; of an account, on which host."""

    origin: int | None
    hops: int
    host: str = ""


@dataclass(frozen=True)
class Reach:
    """What was reached, itself and the beginning included. `is_cut`: there is more, further away or too much."""

    accounts: dict[int, Step]
    keys: dict[int, Step]
    # Reached without a passphrase, forced command or source address in the way.
    sure_accounts: frozenset[int]
    sure_keys: frozenset[int]
    is_cut: bool

    def path_to(self, account: int) -> list[tuple[int | None, int]]:
        """(key, account) from the beginning on; the first has no key unless one was the beginning."""
        found: list[tuple[int | None, int]] = []
        at: int | None = account
        while at is not None:
            key = self.accounts[at].origin
            found.append((key, at))
            at = self.keys[key].origin if key is not None else None
        return found[::-1]


def spread(
    holds: Follow,
    opens: Follow,
    *,
    accounts: Iterable[int] = (),
    keys: Iterable[int] = (),
    depth: int = MAX_DEPTH,
    limit: int = MAX_NODES,
) -> Reach:
    """All that is reached from these accounts and keys by at most `depth` sign-ins.

    First by links that take nothing more, then by all: what only the second way reaches is not sure. To learn who gets
    there, give what leads to accounts for `holds` and what leads to keys for `opens`.
    """
    holds, opens = _Asked(holds, by_account=True), _Asked(opens, by_account=False)
    firmly = _Walk(holds, opens, limit, is_firm=True).run(accounts, keys, depth)
    anyhow = _Walk(holds, opens, limit, is_firm=False).run(accounts, keys, depth)
    # The firm way is told where there is one, though a weaker way may be shorter.
    return Reach(
        {**anyhow.accounts, **firmly.accounts},
        {**anyhow.keys, **firmly.keys},
        frozenset(firmly.accounts),
        frozenset(firmly.keys),
        firmly.is_cut or anyhow.is_cut,
    )


class _Asked:
    """Links that are read once, though two walks ask for them."""

    def __init__(self, links: Follow, *, by_account: bool) -> None:
        self.links, self.by_account = links, by_account
        self.asked: set[int] = set()
        self.known: dict[int, list[Link]] = {}

    def __call__(self, those: Collection[int]) -> Iterable[Link]:
        new = set(those) - self.asked
        self.asked |= new
        for link in self.links(new) if new else ():
            self.known.setdefault(link.account if self.by_account else link.key, []).append(link)
        return [link for one in those if one in self.known for link in self.known[one]]


class _Walk:
    """One pass, breadth first."""

    def __init__(self, holds: Follow, opens: Follow, limit: int, *, is_firm: bool) -> None:
        self.holds, self.opens, self.limit, self.is_firm = holds, opens, limit, is_firm
        self.accounts: dict[int, Step] = {}
        self.keys: dict[int, Step] = {}
        self.is_cut = False

    def run(self, accounts: Iterable[int], keys: Iterable[int], depth: int) -> _Walk:
        self.accounts = {account: Step(None, 0) for account in accounts}
        self.keys = {key: Step(None, 0) for key in keys}
        new_accounts, new_keys = list(self.accounts), list(self.keys)
        for hops in range(depth + 1):
            new_keys += self._keys(new_accounts, hops)
            if not new_keys:
                return self
            if hops == depth:
                self.is_cut |= self._leads_on(new_keys)
                return self
            new_accounts = self._accounts(new_keys, hops + 1)
            new_keys = []
        return self

    def _keys(self, accounts: list[int], hops: int) -> list[int]:
        new: list[int] = []
        for link in self._follow(self.holds, accounts):
            if link.key in self.keys:
                continue
            if not self._has_room():
                break
            self.keys[link.key] = Step(link.account, hops)
            new.append(link.key)
        return new

    def _accounts(self, keys: list[int], hops: int) -> list[int]:
        new: list[int] = []
        for link in self._follow(self.opens, keys):
            if link.account in self.accounts:
                continue
            if not self._has_room():
                break
            self.accounts[link.account] = Step(link.key, hops, link.host)
            new.append(link.account)
        return new

    def _leads_on(self, keys: list[int]) -> bool:
        return any(link.account not in self.accounts for link in self._follow(self.opens, keys))

    def _follow(self, links: Follow, those: list[int]) -> Iterable[Link]:
        if not those:
            return ()
        found = links(those)
        return [link for link in found if not link.is_weak] if self.is_firm else found

    def _has_room(self) -> bool:
        if len(self.accounts) + len(self.keys) < self.limit:
            return True
        self.is_cut = True
        return False
