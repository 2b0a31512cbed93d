"""A list of indicators as a few bits an entry: a Golomb-Rice coded sequence that the probe looks values up in. Pure.

Every value of the list is found in it; of other values one in 2^bits is, which the exact list then clears. The code is
described in `probes/internal/indicator/set.go`; `tests/golden/indicators.json` holds sets that both languages read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sandfly_web.rules.indicators.kinds import Kind, key_of
from scanners.contract import PlanSet

# A million entries are then 1.2 MB and one value in 256 needs a second look; shorter lists get more bits and fewer.
TARGET_BYTES = 5 << 18
LEAST_BITS, MOST_BITS = 8, 24
# The probe keeps values in 32 bits.
SPAN = 1 << 32


@dataclass(frozen=True)
class CompactSet:
    """What the plan says of a set, and the coded values that follow the plan."""

    spec: PlanSet
    body: bytes


def choose_bits(count: int) -> int:
    """As many bits an entry as the size allows."""
    bits = MOST_BITS
    while bits > LEAST_BITS and (count * (bits + 1.6) / 8 > TARGET_BYTES or count << bits > SPAN):
        bits -= 1
    return bits


def build_set(
    kind: Kind, keys: Iterable[int], prefixes: Sequence[tuple[int, int]] = (), *, bits: int = 0
) -> CompactSet:
    """The set of values with these keys (`kinds.key_of`, each once); `prefixes` are (IP version, bits) of networks.

    Raises ValueError without keys, or with more than can be told apart.
    """
    held = list(keys)
    count = len(held)
    bits = bits or choose_bits(count)
    if not count or count << bits > SPAN:
        raise ValueError(f"a set of {count} values cannot be made")
    span = count << bits
    scaled = sorted([key * span >> 64 for key in held])
    body = encode(scaled, bits)
    spec = PlanSet(
        kind=kind.value,
        count=count,
        bits=bits,
        size_bytes=len(body),
        digest=hashlib.sha256(body).hexdigest(),
        prefixes4=sorted({length for version, length in prefixes if version == 4}),
        prefixes6=sorted({length for version, length in prefixes if version == 6}),
    )
    return CompactSet(spec, body)


def encode(values: Sequence[int], bits: int) -> bytes:
    """Differences of sorted values: the upper part in unary (ones, then a zero), then `bits` lower bits."""
    out = bytearray()
    held, length, last = 0, 0, 0
    low = (1 << bits) - 1
    for value in values:
        step = value - last
        last = value
        high = step >> bits
        held = (((held << high + 1) | ((1 << high) - 1) << 1) << bits) | step & low
        length += high + 1 + bits
        if length >= 512:
            rest = length & 7
            out += (held >> rest).to_bytes(length >> 3, "big")
            held &= (1 << rest) - 1
            length = rest
    pad = -length & 7
    return bytes(out + (held << pad).to_bytes((length + pad) >> 3, "big"))


def decode(body: bytes, count: int, bits: int) -> Iterator[int]:
    """The values that `encode` was given; for tests and small sets."""
    text = "".join(f"{byte:08b}" for byte in body)
    at, last = 0, 0
    for _ in range(count):
        end = text.index("0", at)
        last += (end - at) << bits | int(text[end + 1 : end + 1 + bits], 2)
        at = end + 1 + bits
        yield last


def holds(compact: CompactSet, value: str) -> bool:
    """Whether a canonical value is in the set, or is taken for one that is; for tests and small sets."""
    spec = compact.spec
    scaled = key_of(value) * (spec.count << spec.bits) >> 64
    return scaled in set(decode(compact.body, spec.count, spec.bits))
