"""Make the data directory and keep others out of it."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandfly_web.embedded.account import Account, service_account
from sandfly_web.embedded.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandfly_web.embedded.paths import DataDir

LAYOUT_VERSION = "1"
# sun_path of sockaddr_un holds 108 bytes with the final zero.
SOCKET_PATH_BYTES = 107
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
# A fresh cluster takes 40 MB and its first write-ahead log 16 to 80 MB more.
NEEDED_BYTES = 200 << 20
SECRET_KEY_BYTES = 64
# Where it is present, the mode does not tell who may enter; see acl(5).
ACCESS_LIST = "system.posix_acl_access"


def prepare(data: DataDir) -> Account:
    """Create the directory and its parts with their modes; safe to repeat. Returns the servers' account.

    Raises EmbeddedError when the directory is somebody else's, holds something else, is too deep or cannot be made.
    """
    check_socket_length(data)
    try:
        _claim(data)
        account = service_account(data)
        if account.is_other:
            _check_reachable(data.root)
        _make_parts(data, account)
    except OSError as error:
        raise EmbeddedError(
            f"cannot use {error.filename or data.root} ({error.strerror}): set SANDFLY_DATA_DIR to a directory of yours"
        ) from None
    return account


def check_socket_length(data: DataDir) -> None:
    longest = os.fsencode(data.run.absolute() / LONGEST_SOCKET_NAME)
    if len(longest) > SOCKET_PATH_BYTES:
        raise EmbeddedError(
            f"the data directory {data.root} is {len(longest) - SOCKET_PATH_BYTES} bytes too deep for a Unix socket: "
            "set SANDFLY_DATA_DIR to a shorter path"
        )


def _claim(data: DataDir) -> None:
    """Create the directory, or see that it is one of ours; never changes the mode of any other directory."""
    root = data.root
    if not root.is_absolute():
        raise EmbeddedError(f"SANDFLY_DATA_DIR={root}: use an absolute path")
    if not root.exists():
        root.mkdir(mode=0o700, parents=True)
    if root.stat().st_uid != os.geteuid():
        raise EmbeddedError(f"{root} belongs to another user: run this as that user, or set SANDFLY_DATA_DIR")
    if data.layout.exists():
        if (found := data.layout.read_text(encoding="ascii").strip()) != LAYOUT_VERSION:
            raise EmbeddedError(f"{root} was written by another version (layout {found}): update sandfly")
        return
    if any(root.iterdir()):
        raise EmbeddedError(f"{root} holds something else: set SANDFLY_DATA_DIR to an empty or a new directory")
    write_private(data.layout, LAYOUT_VERSION + "\n")


def _check_reachable(root: Path) -> None:
    """The servers' user must get here through every parent, whose modes are none of our business."""
    for parent in root.parents:
        if not parent.stat().st_mode & stat.S_IXOTH and ACCESS_LIST not in os.listxattr(parent):
            raise EmbeddedError(
                f"{parent} is closed to other users, and PostgreSQL does not run as root: set SANDFLY_DATA_DIR to a "
                "directory elsewhere, such as /var/lib/sandfly"
            )


def _make_parts(data: DataDir, account: Account) -> None:
    _own(data.root, 0o710 if account.is_other else 0o700, gid=account.gid)
    _own(data.postgres, 0o710 if account.is_other else 0o700, gid=account.gid)
    for private in (data.logs, data.zone_key("x").parent):
        _own(private, 0o700)
    for served in (data.run, data.redis):
        _own(served, 0o700, uid=account.uid, gid=account.gid)


def _own(directory: Path, mode: int, *, uid: int = -1, gid: int = -1) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    os.chown(directory, uid, gid, follow_symlinks=False)
    directory.chmod(mode)


def write_private(path: Path, text: str, *, mode: int = 0o600, gid: int = -1) -> None:
    """Put a file in place at once, never readable for others in between and never half written."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchown(file.fileno(), -1, gid)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    finally:
        fresh.unlink(missing_ok=True)


def ensure_secret_key(data: DataDir) -> bool:
    """Django's secret key in a 0600 file; True when it was made now."""
    if data.secret_key.exists():
        return False
    write_private(data.secret_key, secrets.token_urlsafe(SECRET_KEY_BYTES) + "\n")
    return True


def check_space(data: DataDir) -> None:
    """Raises EmbeddedError when the file system is about to be full: a database that cannot write its log stops."""
    free = shutil.disk_usage(data.root).free
    if free < NEEDED_BYTES:
        raise EmbeddedError(
            f"the disk under {data.root} is full: {free >> 20} MB free, {NEEDED_BYTES >> 20} MB needed. Free some "
            "space, or set SANDFLY_DATA_DIR to a directory on another disk"
        )


def take_lock(data: DataDir, name: str) -> int:
    """Lock the directory for one program until the descriptor is closed or this process ends, however it ends.

    Raises EmbeddedError when another process holds it.
    """
    descriptor = os.open(data.lock(name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise EmbeddedError(
            f"{name} already runs on {data.root} (process {holder}): stop that first, or set SANDFLY_DATA_DIR"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


@contextmanager
def locked(data: DataDir, name: str) -> Iterator[None]:
    """`take_lock` for the length of a block."""
    descriptor = take_lock(data, name)
    try:
        yield
    finally:
        os.close(descriptor)
