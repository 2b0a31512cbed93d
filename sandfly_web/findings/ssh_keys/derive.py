"""Keeps keys, accounts and places as recon's records have them: called by ingest when key records of a host changed.

A handful of queries, however many keys a host has. Everything in a record comes from a host: it is bounded here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from sandfly_web.findings.models import Record
from sandfly_web.findings.ssh_keys.models import SshAccount, SshKey, SshKeyPlace
from sandfly_web.findings.ssh_keys.options import is_restricting

Kind = SshKeyPlace.Kind
SUBJECTS = tuple(Kind.values)
# Keys of other uses are no keys of people: host keys identify, TLS keys serve.
AREA_USES = {"host": SshKey.Use.HOST, "tls": SshKey.Use.OTHER}
RANKS = {SshKey.Use.OTHER: 0, SshKey.Use.HOST: 1, SshKey.Use.USER: 2}
# What private keys in old formats call theirs.
ALGORITHMS = {"rsa": "ssh-rsa", "dsa": "ssh-dss", "ed25519": "ssh-ed25519"}
MAX_NAME_CHARS, MAX_COMMENT_CHARS, MAX_LIST = 255, 255, 64
MAX_BITS = 1 << 20
OTHERS_READ = 0o004
# Directories that everybody may enter, where a readable file is a readable file.
OPEN_AREAS = frozenset({"temporary", "web"})


@dataclass(frozen=True)
class Found:
    """One record as a place of a key. `username` "" means nobody's; `fingerprint` "" means that it cannot be told."""

    record: int
    kind: str
    digest: str
    first_seen_at: datetime
    last_seen_at: datetime
    fingerprint: str
    algorithm: str
    bits: int | None
    public_key: str
    use: str
    username: str
    is_root: bool
    columns: dict[str, Any] = field(default_factory=dict)


def derive_keys(host_id: uuid.UUID, now: datetime) -> None:
    """Make places of the host what its current records say. Call it in a transaction with the host's row locked."""
    columns = ("id", "subject", "identity_digest", "first_seen_at", "last_seen_at", "identity", "data")
    rows = Record.objects.filter(host=host_id, subject__in=SUBJECTS, is_current=True).order_by("id")
    found = [_read(*row) for row in rows.values_list(*columns).iterator()]
    keys = _ensure_keys(found)
    accounts = _ensure_accounts(host_id, found)
    _store_places(host_id, found, keys, accounts, now)


def _read(pk: int, kind: str, digest: str, first: datetime, last: datetime, identity: Any, data: Any) -> Found:
    facts = {**identity, **data}
    username, is_root = _holder(kind, facts)
    area = _text(facts, "place", 32) if kind == Kind.PRIVATE else ""
    use = SshKey.Use.HOST if kind == Kind.KNOWN else AREA_USES.get(area, SshKey.Use.USER)
    algorithm = _text(facts, "key_type", 64)
    return Found(
        *(pk, kind, digest, first, last),
        fingerprint=_text(facts, "fingerprint", 127),
        algorithm=ALGORITHMS.get(algorithm, algorithm),
        bits=_number(facts, "bits", MAX_BITS),
        public_key=_text(facts, "public_key", 65_536),
        use=use,
        username=username,
        is_root=is_root,
        columns=_columns(kind, facts, area),
    )


def _holder(kind: str, facts: Mapping[str, Any]) -> tuple[str, bool]:
    """Whose it is and whether that is root; a private key in a home is its user's, whoever owns the file."""
    owner, uid = _text(facts, "username", MAX_NAME_CHARS), facts.get("uid" if kind == Kind.AUTHORIZED else "file_uid")
    home = _text(facts, "home_user", MAX_NAME_CHARS) if kind == Kind.PRIVATE else ""
    if home:
        return home, home == "root"
    if not owner and kind == Kind.PRIVATE and isinstance(uid, int):
        owner = f"uid {uid}"
    is_root = owner == "root" or (kind != Kind.KNOWN and uid == 0 and not isinstance(uid, bool))
    return owner, bool(owner) and is_root


def _columns(kind: str, facts: Mapping[str, Any], area: str) -> dict[str, Any]:
    """The columns of a place that its kind has; the others as a place without them has them."""
    options = _list(facts, "options") if kind == Kind.AUTHORIZED else []
    encrypted = facts.get("is_encrypted") if kind == Kind.PRIVATE else None
    hashed = facts.get("is_hashed") if kind == Kind.KNOWN else None
    return {
        "path": _text(facts, "path", 4096),
        "line_number": _number(facts, "line_number", 2**31 - 1),
        "comment": _text(facts, "comment", 1024) if kind == Kind.AUTHORIZED else "",
        "options": options,
        "copies": _number(facts, "copies", 2**31 - 1) if kind == Kind.AUTHORIZED else None,
        "is_restricted": is_restricting(options),
        "area": area,
        "is_encrypted": encrypted if isinstance(encrypted, bool) else None,
        "is_shared": area in OPEN_AREAS and _is_readable(facts.get("file_mode")),
        "names": _list(facts, "names") if kind == Kind.KNOWN else [],
        "is_hashed": hashed if isinstance(hashed, bool) else None,
    }


def _is_readable(mode: Any) -> bool:
    """Whether octal text such as 0644 lets everybody read."""
    text = str(mode)
    return text.isdigit() and not set(text) - set("01234567") and bool(int(text[:8], 8) & OTHERS_READ)


def _text(facts: Mapping[str, Any], name: str, limit: int) -> str:
    value = facts.get(name)
    return value[:limit] if isinstance(value, str) else ""


def _number(facts: Mapping[str, Any], name: str, limit: int) -> int | None:
    value = facts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit else None


def _list(facts: Mapping[str, Any], name: str) -> list[str]:
    value = facts.get(name)
    return [str(entry)[:4096] for entry in value[:MAX_LIST]] if isinstance(value, list) else []


def _ensure_keys(found: Iterable[Found]) -> dict[str, int]:
    """Fingerprint → id of its key; what a record tells and the key lacks is filled in."""
    wanted: dict[str, SshKey] = {}
    for seen in found:
        if not seen.fingerprint:
            continue
        key = wanted.setdefault(seen.fingerprint, SshKey(fingerprint=seen.fingerprint, use=seen.use))
        _learn(key, seen)
    known = _read_keys(wanted)
    # In one order everywhere: reports of hosts that share keys are stored at the same time.
    missing = [wanted[name] for name in sorted(wanted) if name not in known]
    if missing:
        SshKey.objects.bulk_create(missing, batch_size=1000, ignore_conflicts=True)
        known |= _read_keys({key.fingerprint: key for key in missing})
    _fill_in(wanted, known)
    return {name: key.pk for name, key in known.items()}


def _learn(key: SshKey, seen: Found) -> None:
    """What a line of authorized_keys says comes before what a private key in an old format says."""
    if seen.kind == Kind.AUTHORIZED or not key.algorithm:
        key.algorithm = seen.algorithm or key.algorithm
        key.bits = seen.bits if seen.bits is not None else key.bits
    key.public_key = key.public_key or seen.public_key
    key.comment = key.comment or str(seen.columns["comment"])[:MAX_COMMENT_CHARS]
    key.use = max(SshKey.Use(key.use), SshKey.Use(seen.use), key=RANKS.__getitem__)
    key.first_seen_at = min(filter(None, (key.first_seen_at, seen.first_seen_at)))


def _read_keys(wanted: Mapping[str, SshKey]) -> dict[str, SshKey]:
    return {key.fingerprint: key for key in SshKey.objects.filter(fingerprint__in=list(wanted))} if wanted else {}


LEARNT = ("algorithm", "bits", "public_key", "comment", "use", "first_seen_at")


def _fill_in(wanted: Mapping[str, SshKey], known: Mapping[str, SshKey]) -> None:
    changed = []
    for name in sorted(known):
        key, news = known[name], wanted[name]
        before = [getattr(key, column) for column in LEARNT]
        for column in ("algorithm", "bits", "public_key", "comment"):
            setattr(key, column, getattr(key, column) or getattr(news, column))
        key.use = max(SshKey.Use(key.use), SshKey.Use(news.use), key=RANKS.__getitem__)
        key.first_seen_at = key.first_seen_at or news.first_seen_at
        if before != [getattr(key, column) for column in LEARNT]:
            changed.append(key)
    if changed:
        SshKey.objects.bulk_update(changed, LEARNT, batch_size=1000)


def _ensure_accounts(host_id: uuid.UUID, found: Iterable[Found]) -> dict[str, int]:
    """Username → id of its account on the host."""
    wanted: dict[str, bool] = {}
    for seen in found:
        if seen.username:
            wanted[seen.username] = wanted.get(seen.username, False) or seen.is_root
    if not wanted:
        return {}
    own = SshAccount.objects.filter(host=host_id, username__in=list(wanted))
    known = {account.username: account for account in own}
    missing = [
        SshAccount(host_id=host_id, username=name, is_root=is_root)
        for name, is_root in wanted.items()
        if name not in known
    ]
    if missing:
        known |= {account.username: account for account in SshAccount.objects.bulk_create(missing, batch_size=1000)}
    promoted = [account.pk for name, account in known.items() if wanted[name] and not account.is_root]
    if promoted:
        SshAccount.objects.filter(pk__in=promoted).update(is_root=True)
    return {name: account.pk for name, account in known.items()}


_END = """
    UPDATE ssh_keys_sshkeyplace AS place SET is_current = false, ended_at = %(now)s,
        last_seen_at = coalesce((SELECT last_seen_at FROM findings_record WHERE id = place.record_id),
            place.last_seen_at)
    WHERE place.id = ANY(%(gone)s)
"""

WRITTEN = (
    *("record_id", "key_id", "account_id", "path", "line_number", "comment", "options", "copies", "is_restricted"),
    *("area", "is_encrypted", "is_shared", "names", "is_hashed"),
)


def _store_places(
    host_id: uuid.UUID, found: list[Found], keys: Mapping[str, int], accounts: Mapping[str, int], now: datetime
) -> None:
    """Places whose content changed keep their beginning: only a key that was gone begins anew."""
    current = {
        (place.kind, place.identity_digest): place
        for place in SshKeyPlace.objects.filter(host=host_id, is_current=True)
    }
    new: list[SshKeyPlace] = []
    changed: list[SshKeyPlace] = []
    for seen in found:
        place = current.pop((seen.kind, seen.digest), None)
        if place is not None and place.record_id == seen.record:
            continue
        row = place or SshKeyPlace(
            host_id=host_id, kind=seen.kind, identity_digest=seen.digest, first_seen_at=seen.first_seen_at
        )
        row.record_id, row.last_seen_at = seen.record, seen.last_seen_at
        row.key_id, row.account_id = keys.get(seen.fingerprint), accounts.get(seen.username)
        for name, value in seen.columns.items():
            setattr(row, name, value)
        (changed if place else new).append(row)
    if current:
        with connection.cursor() as cursor:
            cursor.execute(_END, {"now": now, "gone": [place.pk for place in current.values()]})
    if changed:
        names = [name.removesuffix("_id") for name in WRITTEN]
        SshKeyPlace.objects.bulk_update(changed, [*names, "last_seen_at"], batch_size=500)
    if new:
        SshKeyPlace.objects.bulk_create(new, batch_size=1000)
