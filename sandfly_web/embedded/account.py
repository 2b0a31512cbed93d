"""Which user the embedded servers run as."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.paths import ROOT_UID

if TYPE_CHECKING:
    from sandfly_web.embedded.paths import DataDir

NAMED_ACCOUNT = "sandfly"
# Part of the range that distributions leave to services without a line in /etc/passwd (systemd's UIDS-GIDS.md).
UNNAMED_UIDS = range(62700, 65500)
# initdb(1) looks its own user up by name, so it needs one with a line in /etc/passwd.
INITDB_ACCOUNTS = ("nobody", "daemon", "bin")


@dataclass(frozen=True)
class Account:
    """User and group of the servers; `is_other` when it is not the user that starts them."""

    uid: int
    gid: int
    is_other: bool


def read_entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def has_name(uid: int) -> bool:
    """Whether /etc/passwd, or what stands beside it, knows the uid."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def service_account(data: DataDir) -> Account:
    """Who the servers run as.

    A normal user runs them himself. PostgreSQL refuses root, so root runs them as the user that owns the database
    already, else as `sandfly` where an administrator has made that account, else under a uid that nobody else has: an
    account shared with other services, such as nobody, would let those read the evidence.
    """
    if os.geteuid() != ROOT_UID:
        return Account(os.geteuid(), os.getegid(), is_other=False)
    if data.cluster.exists():
        owner = data.cluster.stat()
        return Account(owner.st_uid, owner.st_gid, is_other=True)
    if (entry := read_entry(NAMED_ACCOUNT)) and entry.pw_uid != ROOT_UID:
        return Account(entry.pw_uid, entry.pw_gid, is_other=True)
    uid = next(uid for uid in UNNAMED_UIDS if not has_name(uid))
    return Account(uid, uid, is_other=True)


def initdb_account(account: Account) -> Account:
    """Who may run initdb for the account: the account itself, or a stand-in that has a name.

    The stand-in keeps the account's group, which is what opens the data directory. Raises EmbeddedError when this
    system has no such user.
    """
    if has_name(account.uid):
        return account
    if not account.is_other:
        raise EmbeddedError(
            f"the user with uid {account.uid} has no entry in /etc/passwd, which PostgreSQL needs: add one, or set "
            "DATABASE_URL to a PostgreSQL server"
        )
    for name in INITDB_ACCOUNTS:
        if (entry := read_entry(name)) and entry.pw_uid != ROOT_UID:
            return Account(entry.pw_uid, account.gid, is_other=True)
    raise EmbeddedError(
        "PostgreSQL does not run as root and this system has none of the users "
        f"{', '.join(INITDB_ACCOUNTS)}: add a user named {NAMED_ACCOUNT}"
    )
