"""Who can reach what: the walk against a plain reference, and over what visits saw."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from sandfly_web.findings.ssh_keys import paths
from sandfly_web.findings.ssh_keys.models import SshAccount, SshKey
from sandfly_web.findings.ssh_keys.paths import Start, radius, reach, reached_by
from sandfly_web.findings.ssh_keys.spread import Link, spread
from tests.server.builders import Make
from tests.server.keys import Keys, mark

ACCOUNTS, KEYS = range(8), range(100, 106)


def reference(held: list[Link], opened: list[Link], start: int, depth: int, *, is_firm: bool) -> set[int]:
    """Accounts after `depth` rounds of trying every pair of links: slow, and plainly right."""
    found = {start}
    for _ in range(depth):
        found |= {
            there.account
            for here in held
            for there in opened
            if here.account in found and here.key == there.key and not (is_firm and (here.is_weak or there.is_weak))
        }
    return found


def some_links(rng: random.Random) -> list[Link]:
    return [Link(rng.choice(ACCOUNTS), rng.choice(KEYS), rng.random() < 0.4) for _ in range(rng.randrange(2, 14))]


def graph(held: list[Link], opened: list[Link]) -> tuple[Any, Any]:
    return (
        lambda those: [link for link in held if link.account in those],
        lambda those: [link for link in opened if link.key in those],
    )


@pytest.mark.parametrize("seed", range(150))
def test_the_walk_reaches_what_trying_everything_reaches(seed: int) -> None:
    rng = random.Random(seed)
    held, opened, depth = some_links(rng), some_links(rng), rng.randrange(1, 6)

    found = spread(*graph(held, opened), accounts=[0], depth=depth)

    assert set(found.accounts) == reference(held, opened, 0, depth, is_firm=False)
    assert found.sure_accounts == reference(held, opened, 0, depth, is_firm=True)
    assert found.is_cut is (
        reference(held, opened, 0, depth + 1, is_firm=False) > set(found.accounts)
        or reference(held, opened, 0, depth + 1, is_firm=True) > found.sure_accounts
    )
    for account in found.accounts:
        path = found.path_to(account)
        assert (path[0], path[-1][1]) == ((None, 0), account)
        for (_, before), (key, after) in itertools.pairwise(path):
            assert any((link.account, link.key) == (before, key) for link in held)
            assert any((link.account, link.key) == (after, key) for link in opened)


@pytest.mark.parametrize("seed", range(40))
def test_seen_from_the_other_end_it_is_the_same(seed: int) -> None:
    rng = random.Random(seed)
    held, opened = some_links(rng), some_links(rng)
    forward, backward = graph(held, opened), graph(opened, held)

    for end in ACCOUNTS:
        back = set(spread(*backward, accounts=[end]).accounts)
        assert back == {start for start in ACCOUNTS if end in spread(*forward, accounts=[start]).accounts}


def test_a_walk_that_finds_too_much_stops_and_says_so() -> None:
    opened = [Link(account, 1, is_weak=False) for account in range(1, 1000)]

    found = spread(*graph([Link(0, 1, is_weak=False)], opened), accounts=[0], limit=50)

    assert (len(found.accounts) + len(found.keys), found.is_cut) == (50, True)


@pytest.fixture
def keys(make: Make, ingest: Any) -> Keys:
    return Keys(make, ingest)


def account(host: Any, username: str) -> SshAccount:
    return SshAccount.objects.get(host=host, username=username)


def names(found: Any) -> list[tuple[str, int, bool]]:
    return [(str(one.account.username), one.hops, one.is_sure) for one in radius(found).reached]


def test_keys_lead_from_host_to_host(keys: Keys) -> None:
    first, second, third = (keys.make.host() for _ in range(3))
    keys.visit(first, keys.private("alice", "a"))
    keys.visit(second, keys.authorized("root", "a"), keys.private("bob", "b", is_encrypted=True))
    keys.visit(third, keys.authorized("deploy", "b"), keys.private("deploy", "a"))

    found = reach(Start(account=account(first, "alice")))

    assert names(found) == [("root", 1, True), ("deploy", 2, False)]
    path = [at for _, at in found.path_to(account(third, "deploy").pk)]
    # Root of the second host has bob's key.
    assert path == [account(first, "alice").pk, account(second, "root").pk, account(third, "deploy").pk]
    assert radius(found).host_count == 2
    back = reached_by(Start(account=account(third, "deploy")))
    assert {account(first, "alice").pk, account(second, "root").pk} <= set(back.accounts)


def test_who_is_not_root_has_only_keys_of_their_own_and_what_lies_open(keys: Keys) -> None:
    first, second = keys.make.host(), keys.make.host()
    keys.visit(
        first,
        keys.authorized("eve", "x"),
        keys.private("bob", "b"),
        keys.private("bob", "open", place="temporary", file_mode="0644", home_user=None, path="/tmp/k"),
    )
    keys.visit(second, keys.authorized("via_bob", "b"), keys.authorized("via_tmp", "open"))

    assert names(reach(Start(account=account(first, "eve")))) == [("via_tmp", 1, True)]
    assert names(reach(Start(host=first))) == [("via_bob", 1, True), ("via_tmp", 1, True)]


def test_the_blast_radius_of_a_stolen_key_begins_where_it_signs_in(keys: Keys) -> None:
    first, second = keys.make.host(), keys.make.host()
    keys.visit(first, keys.authorized("root", "stolen"), keys.authorized("git", "stolen", options=['from="10.0.0.1"']))
    keys.visit(second, keys.private("root", "stolen"))

    found = reach(Start(key=SshKey.objects.get(fingerprint=mark("stolen"))))

    assert names(found) == [("root", 1, True), ("git", 1, False)]


def test_keys_that_are_gone_open_nothing(keys: Keys) -> None:
    first, second = keys.make.host(), keys.make.host()
    keys.visit(first, keys.private("root", "a"))
    keys.visit(second, keys.authorized("root", "a"))
    keys.visit(second)

    assert names(reach(Start(host=first))) == []


def test_of_many_accounts_the_same_is_reached_as_of_few(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (keys.make.host() for _ in range(3))
    keys.visit(first, keys.authorized("root", "everywhere"), keys.private("alice", "a"))
    keys.visit(second, keys.authorized("root", "everywhere"), keys.authorized("root", "a"))
    keys.visit(third, keys.authorized("deploy", "a"), keys.private("deploy", "unrelated"))
    start = Start(key=SshKey.objects.get(fingerprint=mark("everywhere")))
    few = reach(start)
    monkeypatch.setattr(paths, "MAX_NAMED", 0)

    assert reach(start) == few
    assert (len(few.accounts), radius(few).host_count) == (3, 3)


def test_keys_that_sign_in_nowhere_take_no_room(keys: Keys) -> None:
    first, second = keys.make.host(), keys.make.host()
    keys.visit(first, *(keys.private("root", f"idle{n}") for n in range(5)), keys.private("root", "a"))
    keys.visit(second, keys.authorized("root", "a"))

    found = reach(Start(account=account(first, "root")), limit=3)

    assert (names(found), found.is_cut) == ([("root", 1, True)], False)
