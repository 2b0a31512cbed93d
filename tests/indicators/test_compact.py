"""The compact form of lists: what is on a list is always found, others hardly ever, and Go reads what Python writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sandfly_web.rules.indicators import compact
from sandfly_web.rules.indicators.kinds import Kind, key_of
from scanners.contract import encode

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "indicators.json"


def golden() -> list[dict[str, Any]]:
    """Three sets; the third is given as a count of names `v<number>.example`."""
    few = ["0" * 32, "f" * 32, "0123456789abcdef0123456789abcdef"]
    addresses = ["192.0.2.1", "198.51.100.0/24", "10.0.0.0/8", "2001:db8::1", "2001:db8:1::/48", "2001:db8::1:0:0:1"]
    names = [f"v{number}.example" for number in range(2000)]
    made = [
        (compact.build_set(Kind.MD5, map(key_of, few)), few, 0),
        (compact.build_set(Kind.IP, map(key_of, addresses), [(4, 24), (4, 8), (6, 48)]), addresses, 0),
        (compact.build_set(Kind.DOMAIN, map(key_of, names), bits=8), [], len(names)),
    ]
    return [
        {"spec": json.loads(encode(one.spec)), "body": one.body.hex(), "values": values, "names": count}
        for one, values, count in made
    ]


def test_the_sets_that_go_reads_are_what_python_writes() -> None:
    text = json.dumps(golden(), indent=1) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")

    assert GOLDEN.read_text(encoding="utf-8") == text, "UPDATE_GOLDEN=1 writes it"


@given(some.lists(some.integers(0, 2**32 - 1), max_size=60), some.integers(8, 24))
def test_coded_values_come_back(values: list[int], bits: int) -> None:
    ordered = sorted(values)
    # Unary parts stay short, as in sets.
    if ordered and ordered[-1] >> bits > 100_000:
        ordered = [value % (1000 << bits) for value in ordered]
        ordered.sort()

    body = compact.encode(ordered, bits)

    assert list(compact.decode(body, len(ordered), bits)) == ordered


def test_everything_on_a_list_is_found_and_others_as_rarely_as_the_bits_say() -> None:
    listed = [f"v{number}.example" for number in range(3000)]
    made = compact.build_set(Kind.DOMAIN, map(key_of, listed), bits=8)
    held = set(compact.decode(made.body, 3000, 8))
    span = 3000 << 8

    missing = [name for name in listed if key_of(name) * span >> 64 not in held]
    wrong = sum(key_of(f"w{number}.example") * span >> 64 in held for number in range(50_000))

    assert missing == []
    # 195 are expected; five standard deviations either way.
    assert 125 < wrong < 265


@pytest.mark.parametrize(
    ("count", "bits", "bytes_at_most"),
    [(1, 24, 4), (10_000, 18, 26_000), (300_000, 13, 560_000), (1_000_000, 8, 1_210_000)],
)
def test_short_lists_get_more_bits_and_a_million_entries_stay_near_a_megabyte(
    count: int, bits: int, bytes_at_most: int
) -> None:
    assert compact.choose_bits(count) == bits
    assert count * (bits + 1.6) / 8 <= bytes_at_most


def test_too_few_and_too_many_values_are_refused() -> None:
    with pytest.raises(ValueError, match="0 values"):
        compact.build_set(Kind.IP, [])
    with pytest.raises(ValueError, match="cannot be made"):
        compact.build_set(Kind.IP, range(3), bits=31)
