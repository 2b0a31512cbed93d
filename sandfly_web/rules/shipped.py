"""The shipped catalogue, compiled once and kept, for those who only need its rules: scans, a first start, listings.

Its compiled form lies where Python keeps compiled modules: who can write there can change the code as well. It is used
only as long as nothing that it was made of has changed. What checks rule files (`rules check`, `test`, `lock`) compiles
them anew.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from importlib.util import cache_from_source
from pathlib import Path

import msgspec

from sandfly_web.rules.compiled import CompiledRule
from sandfly_web.rules.fields import FIELDS_PATH
from sandfly_web.rules.files import CATALOG_PATH, find_files

PROJECT = Path(__file__).resolve().parents[2]
PLACE = Path(cache_from_source(__file__)).with_name("catalog.json")
# The whole catalogue takes 4 MB.
MAX_BYTES = 64 << 20
LIBRARIES = ("msgspec", "pysigma", "pyyaml")
_DECODER = msgspec.json.Decoder(list[CompiledRule])


def load_shipped(place: Path = PLACE) -> list[CompiledRule]:
    """All shipped rules, sorted by name. Raises RuleErrors when they do not compile."""
    key = key_of(ingredients())
    if (kept := read_kept(place, key)) is not None:
        return kept
    # pySigma takes longer to import than the kept form to read.
    from sandfly_web.rules.catalog import load_catalog  # noqa: PLC0415

    rules = load_catalog([CATALOG_PATH])
    # Files that were changed meanwhile may be in it, or not.
    if key_of(ingredients()) == key:
        # Where this user may not write, everything is compiled at every start.
        with suppress(OSError):
            keep(place, key, rules)
    return rules


def ingredients() -> list[Path]:
    """What the compiled form depends on: the rules, the code that compiles them, the fields they may name."""
    code = [*(PROJECT / "sandfly_web" / "rules").rglob("*.py"), PROJECT / "scanners" / "contract.py"]
    return [*find_files(), *sorted(code), FIELDS_PATH]


def key_of(files: Iterable[Path], libraries: Sequence[str] = LIBRARIES) -> bytes:
    """SHA-256 in hex of names and contents of these files, and of what else decides how they are compiled."""
    digest = hashlib.sha256(f"{sys.version} {[version(name) for name in libraries]}".encode())
    for file in files:
        content = file.read_bytes()
        digest.update(f"\n{file} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest().encode("ascii")


def read_kept(place: Path, key: bytes) -> list[CompiledRule] | None:
    """The rules that `keep` wrote under this key; None when there are none that can be trusted and read."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not is_trusted(found) or not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            return None
        head, _, body = file.read(MAX_BYTES).partition(b"\n")
    try:
        return _DECODER.decode(body) if head == key else None
    except msgspec.MsgspecError:
        return None


def is_trusted(found: os.stat_result) -> bool:
    """Whether nobody could write it but this user, root, and the one whose code this is."""
    owners = {0, os.geteuid(), Path(__file__).stat().st_uid}
    return found.st_uid in owners and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def keep(place: Path, key: bytes, rules: list[CompiledRule]) -> None:
    """Write rules for all users to read, who find the earlier file whole or this one. Raises OSError."""
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f"{place.name}.", dir=place.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)
            file.write(key + b"\n" + msgspec.json.encode(rules))
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink()
        raise
