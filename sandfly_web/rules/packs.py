"""Reads a pack of rules: a folder or a git checkout, where it comes from, and whether it is what its lock says.

Nothing is executed and nothing is fetched: what git knows is read from its files.
"""

from __future__ import annotations

import base64
import binascii
import configparser
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import nacl.exceptions
import nacl.signing

from sandfly_web.rules import catalog
from sandfly_web.rules.compiled import CompiledRule, RuleError, RuleErrors
from sandfly_web.rules.files import find_files, read_text
from sandfly_web.rules.sigma import Source, parse_rules, read_source

LOCK_NAME = "pack.lock.json"
SIGNATURE_NAME = "pack.lock.json.sig"
MAX_LOCK_BYTES = 16 * 1024 * 1024
MAX_LICENSE = 255
SCHEMA = 1
PRODUCT = Path(__file__).resolve().parents[2]
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class PackError(Exception):
    """A pack that must not be used; the message says why and what to do."""

    code = "pack_refused"


@dataclass(frozen=True)
class PackedRule:
    """A rule with its file as seen from the pack, and the document it was written as."""

    rule: CompiledRule
    path: str


@dataclass(frozen=True)
class Pack:
    """What a folder holds.

    `ids` are of all its rules, also of those with faults: what does not compile today is not gone. `elsewhere` counts
    rules for other systems than Linux. `signed_by` is the public key (base64) that its lock was verified with, or "".
    """

    name: str
    folder: Path
    repository: str
    commit: str
    license: str
    rules: tuple[PackedRule, ...]
    errors: tuple[RuleError, ...]
    ids: frozenset[str]
    paths: frozenset[str]
    elsewhere: int
    is_locked: bool
    signed_by: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)


def read_pack(folder: Path, name: str = "", public_key: str = "") -> Pack:
    """Everything below the folder (or one file). Raises OSError, and PackError when its lock or signature is broken."""
    top = folder if folder.is_dir() else folder.parent
    files = [file for file in find_files([folder]) if ".git" not in file.relative_to(top).parts]
    is_locked = (top / LOCK_NAME).is_file()
    if is_locked:
        verify_lock(top, files)
    signed_by = verify_signature(top, public_key) if public_key else ""
    reader = _Reader(top)
    for file in files:
        reader.read(file)
    repository, commit = read_git(top)
    return Pack(
        name=name or _default_name(top, repository),
        folder=top,
        repository=repository,
        commit=commit,
        license=read_license(top),
        rules=tuple(reader.compile()),
        errors=tuple(dict.fromkeys(reader.errors)),
        ids=frozenset(reader.ids),
        paths=frozenset(str(file.relative_to(top)) for file in files),
        elsewhere=reader.elsewhere,
        is_locked=is_locked,
        signed_by=signed_by,
    )


class _Reader:
    def __init__(self, top: Path) -> None:
        self.top = top
        self.sources: list[Source] = []
        self.errors: list[RuleError] = []
        self.ids: set[str] = set()
        self.elsewhere = 0

    def read(self, file: Path) -> None:
        location = str(file.relative_to(self.top))
        try:
            source = read_source(read_text(file), location)
        except RuleErrors as found:
            self.errors += found.errors
            return
        values = [document.values for document in source.documents]
        if all(_is_elsewhere(one) for one in values):
            self.elsewhere += len(values)
            return
        self.ids |= {str(one["id"]).lower() for one in values if "id" in one}
        self.sources.append(source)

    def compile(self) -> Iterator[PackedRule]:
        library = catalog.build_library(self.sources, self.errors)
        seen: dict[str, str] = {}
        for source in self.sources:
            try:
                rules = parse_rules(source, library)
            except RuleErrors as found:
                self.errors += found.errors
                continue
            for rule in rules:
                clash = seen.get(rule.id) or seen.get(rule.name)
                if clash:
                    problem = f"its id or name is also that of {clash}; only the first is taken"
                    self.errors.append(RuleError(f"{rule.path}:1", "id", problem))
                    continue
                seen[rule.id] = seen[rule.name] = rule.path
                yield PackedRule(rule, source.location)


def _is_elsewhere(values: Mapping[str, object]) -> bool:
    """A rule for another system: not a fault, and not for us."""
    logsource = values.get("logsource")
    return isinstance(logsource, dict) and logsource.get("product") not in {None, "linux"}


def _default_name(folder: Path, repository: str) -> str:
    name = repository.rstrip("/").removesuffix(".git").rpartition("/")[2] if repository else folder.resolve().name
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "pack"


def read_license(folder: Path) -> str:
    """The first line of the licence file in the folder or the checkout around it, "" when there is none."""
    for place in [folder, *_up_to_git(folder)]:
        for file in sorted(place.glob("LICEN[CS]E*")) + sorted(place.glob("COPYING*")):
            if file.is_file():
                lines = file.read_text(encoding="utf-8", errors="replace")[:4096].splitlines()
                title = next((line.strip(" #*\t") for line in lines if line.strip(" #*\t=-")), "")
                return title[:MAX_LICENSE]
    return ""


def _up_to_git(folder: Path) -> list[Path]:
    """The folders from this one to the top of the checkout around it; none outside one.

    Somebody's own rules in a folder of this product's checkout are not a part of it.
    """
    parents = [folder.resolve(), *folder.resolve().parents]
    for place, parent in enumerate(parents):
        if (parent / ".git").exists():
            return [] if parent == PRODUCT else parents[: place + 1]
    return []


def read_git(folder: Path) -> tuple[str, str]:
    """(address of the remote "origin" without any password, commit) of the checkout around the folder, or ("", "")."""
    checkout = _up_to_git(folder)
    if not checkout:
        return "", ""
    git = checkout[-1] / ".git"
    if git.is_file():
        git = checkout[-1] / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    common = git / (git / "commondir").read_text(encoding="utf-8").strip() if (git / "commondir").is_file() else git
    return _remote(common), _commit(git, common)


def _remote(git: Path) -> str:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string((git / "config").read_text(encoding="utf-8", errors="replace"))
        address = parser.get('remote "origin"', "url", fallback="") or ""
    except (OSError, configparser.Error):
        return ""
    if "://" not in address:
        return address[:255]
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))[:255]


def _commit(git: Path, common: Path) -> str:
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        reference = head.removeprefix("ref:").strip()
        if head.startswith("ref:"):
            loose = common / reference
            packed = (common / "packed-refs").read_text(encoding="utf-8") if not loose.is_file() else ""
            found = [line.split(" ")[0] for line in packed.splitlines() if line.endswith(f" {reference}")]
            head = loose.read_text(encoding="utf-8").strip() if loose.is_file() else "".join(found[:1])
    except OSError:
        return ""
    return head if _COMMIT.fullmatch(head) else ""


# --- lock and signature ------------------------------------------------------------------------------------------


def digest_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every rule file by its path as seen from the folder."""
    files = [file for file in find_files([folder]) if ".git" not in file.relative_to(folder).parts]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def write_lock(folder: Path, key: nacl.signing.SigningKey | None = None) -> int:
    """Write the lock of a pack, and its signature when there is a key; returns how many files it names."""
    digests = digest_files(folder)
    body = json.dumps({"schema": SCHEMA, "files": digests}, indent=1, sort_keys=True).encode() + b"\n"
    (folder / LOCK_NAME).write_bytes(body)
    signature = folder / SIGNATURE_NAME
    if key is None:
        # A signature of an earlier lock would be a broken one.
        signature.unlink(missing_ok=True)
    else:
        signature.write_text(base64.b64encode(key.sign(body).signature).decode() + "\n", encoding="ascii")
    return len(digests)


def verify_lock(folder: Path, files: list[Path]) -> None:
    """Raises PackError when the lock does not name exactly these files with these contents."""
    locked = _read_lock(folder / LOCK_NAME)
    found = {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    wrong = [
        *(
            f"{path}: changed since it was locked"
            for path in sorted(found)
            if path in locked and locked[path] != found[path]
        ),
        *(f"{path}: not in the lock" for path in sorted(set(found) - set(locked))),
        *(f"{path}: locked and missing" for path in sorted(set(locked) - set(found)) if len(files) > 1),
    ]
    if wrong:
        raise PackError(
            "the pack is not what its lock says; get it again, or lock it anew with `rules pack`:\n  "
            + "\n  ".join(wrong[:20])
        )


def _read_lock(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as stream:
            raw = json.loads(stream.read(MAX_LOCK_BYTES))
        files = {str(name): str(digest) for name, digest in raw["files"].items()}
        is_known = raw["schema"] == SCHEMA
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackError(f"{path}: not a lock of a pack ({error})") from error
    if not is_known:
        raise PackError(f"{path}: a lock of schema {raw['schema']}, and this version reads {SCHEMA}")
    return files


def verify_signature(folder: Path, public_key: str) -> str:
    """The key, once the lock is found signed with it. Raises PackError."""
    lock, signature = folder / LOCK_NAME, folder / SIGNATURE_NAME
    if not lock.is_file() or not signature.is_file():
        raise PackError(f"{folder}: not signed; {LOCK_NAME} and {SIGNATURE_NAME} are needed to verify it with a key")
    try:
        key = nacl.signing.VerifyKey(base64.b64decode(public_key, validate=True))
        key.verify(lock.read_bytes(), base64.b64decode(signature.read_text(encoding="ascii").strip(), validate=True))
    except (binascii.Error, ValueError, TypeError, nacl.exceptions.ValueError, UnicodeDecodeError) as error:
        raise PackError(f"the key or {signature} is no base64 of the right length ({error})") from error
    except nacl.exceptions.BadSignatureError as error:
        raise PackError(
            f"{folder}: the signature is not of this key; the pack was changed or is somebody else's"
        ) from error
    return public_key


def read_key(path: Path) -> nacl.signing.SigningKey:
    """A private key as `new_key` wrote it. Raises PackError."""
    try:
        return nacl.signing.SigningKey(base64.b64decode(path.read_text(encoding="ascii").strip(), validate=True))
    except (binascii.Error, ValueError, TypeError, nacl.exceptions.ValueError) as error:
        raise PackError(f"{path}: no private key of `rules pack --new-key`") from error


def new_key(path: Path) -> str:
    """Write a new private key, readable by its owner alone, and return the public one. Raises FileExistsError."""
    key = nacl.signing.SigningKey.generate()
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(base64.b64encode(bytes(key)).decode() + "\n", encoding="ascii")
    return public_key_of(key)


def public_key_of(key: nacl.signing.SigningKey) -> str:
    """Base64, as `--public-key` takes it."""
    return base64.b64encode(bytes(key.verify_key)).decode()
