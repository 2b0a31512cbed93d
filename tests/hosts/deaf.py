"""`deaf.py PID INTERFACE PROGRAM ARGV…`: PROGRAM asks the kernel for PID and hears from one interface only.

To every other call that tells whether a number is taken the kernel says that there is nobody (seccomp(2)), as a rootkit
does whose author thought of all of them but that one. Runs by itself, from any directory.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

# Number of the call on x86-64 and arm64, and which argument is the process.
CALLS = {
    "sched_getscheduler": (145, 120, 0),
    "getsid": (124, 156, 0),
    "getpgid": (121, 155, 0),
    "getpriority": (140, 141, 1),
    "kill": (62, 129, 0),
    "proc_status": (269, 48, None),  # faccessat: of all paths, since a filter cannot read them
}
SET_NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2
LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def instructions(pid: int, interface: str) -> list[tuple[int, int, int, int]]:
    """Classic BPF over struct seccomp_data: the number at 0, the low half of argument n at 16 + 8n."""
    code = []
    for name, (x86, arm, argument) in CALLS.items():
        if name == interface:
            continue
        number = x86 if platform.machine() == "x86_64" else arm
        code.append((LOAD, 0, 0, 0))
        if argument is None:
            code += [(EQUALS, 0, 1, number), (RETURN, 0, 0, FAIL | errno.ENOENT)]
        else:
            code += [(EQUALS, 0, 3, number), (LOAD, 0, 0, 16 + 8 * argument), (EQUALS, 0, 1, pid)]
            code.append((RETURN, 0, 0, FAIL | errno.ESRCH))
    return [*code, (RETURN, 0, 0, ALLOW)]


def main() -> None:
    code = [struct.pack("=HBBI", *one) for one in instructions(int(sys.argv[1]), sys.argv[2])]
    held = ctypes.create_string_buffer(b"".join(code))
    program = struct.pack("@HP", len(code), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, MODE_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
    os.execv(sys.argv[3], sys.argv[3:])


if __name__ == "__main__":
    main()
