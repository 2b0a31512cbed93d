"""Start one program so that it never outlives its parent, as another user when asked.

Run as `python -I -S child.py SETTINGS PROGRAM ARGUMENT…`; standard library only, since it runs before every server.
SETTINGS is JSON: `parent` (pid), `signal` (sent by the kernel when the parent ends), `uid` and `gid` or null.
A separate program and not a `preexec_fn`: that one is unsafe in a process with threads, see subprocess's documentation.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CANNOT_START = 126


def drop_to(uid: int, gid: int) -> None:
    """Become another user for good, without root's supplementary groups."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main(settings: str, *command: str) -> int:
    options = json.loads(settings)
    os.umask(0o077)
    if options["uid"] is not None:
        drop_to(options["uid"], options["gid"])
    # After the change of user, which clears it; see prctl(2).
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, options["signal"], 0, 0, 0)
    if os.getppid() != options["parent"]:
        return CANNOT_START
    os.execv(command[0], command)  # noqa: S606 - the caller's own argument list, no shell


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except OSError as error:
        sys.stderr.write(f"{sys.argv[2]}: {error.strerror}\n")
        sys.exit(CANNOT_START)
