"""The data set of `tests.bench.volume` in small: lists ask the database as often, however much there is."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from tests.api.builders import WebMake
from tests.bench import volume


def counted(hosts: int, findings: int) -> dict[str, int]:
    """Address, with what it names cut off → queries; the data set is gone afterwards."""
    counts: dict[str, int] = {}
    with transaction.atomic():
        volume.fill(hosts, findings)
        addresses = [
            address
            for address in (*volume.console_addresses(), *volume.api_addresses())
            if not address.endswith(("/change/", "/ssh/"))
        ]
        for place, answer in enumerate(volume.measure(addresses, rounds=0)):
            assert answer.status in {200, 302}, answer
            counts[f"{place} {answer.address.partition('=')[0]}"] = answer.queries
        transaction.set_rollback(True)
    return counts


# Two directions, a question for each of at most 8 steps and a few around them.
MOST_OF_A_WALK = 32


@pytest.fixture
def rules(make: WebMake) -> list[Any]:
    return [make.rule() for _ in range(5)]


def test_number_of_queries_of_every_list_is_the_same_for_more_rows(rules: list[Any]) -> None:
    few, many = counted(130, 600), counted(300, 4000)

    pairs = list(zip(few.items(), many.items(), strict=True))
    assert [(a, b) for a, b in pairs if a[1] != b[1] and not is_walk(a[0])] == []
    # The start page asks most: it has a part for everything.
    assert max(queries for address, queries in many.items() if not is_walk(address)) <= 22
    # A walk over keys asks once for each step of its bound, and less where it stops at the bound of what it tells.
    assert [(a, b) for a, b in pairs if is_walk(a[0]) and max(a[1], b[1]) > MOST_OF_A_WALK] == []


def is_walk(address: str) -> bool:
    return address.endswith("/reach") or "/ssh-paths?" in address


def test_a_database_with_hosts_of_somebody_is_refused(make: WebMake) -> None:
    make.host(name="web-1")

    with pytest.raises(RuntimeError, match="holds hosts that are not of the volume data set"):
        volume.fill(10, 10)


def test_the_data_set_is_not_made_twice(rules: list[Any]) -> None:
    volume.fill(10, 10)

    with pytest.raises(RuntimeError, match="holds a volume data set already"):
        volume.fill(10, 10)
