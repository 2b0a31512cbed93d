"""Runs a command with the system calls of Linux 2.6.32 only: `python old_kernel.py COMMAND…`.

A seccomp filter answers ENOSYS to every call that came later, as that kernel would. What the old calls do is still this
kernel's; x86-64 and i386 programs only.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, KILL, NO_SUCH_CALL = 0x7FFF0000, 0x80000000, 0x00050000 | 38
# AUDIT_ARCH_*, and the first number that 2.6.32 did not have (recvmmsg, of 2.6.33, on both).
X86_64, I386 = (0xC000003E, 299), (0x40000003, 337)


def build_filter() -> bytes:
    """The filter as struct sock_filter[]: u16 code, u8 jump if true, u8 jump if false, u32 value; see seccomp(2)."""
    steps = [
        (LOAD_WORD, 0, 0, 4),
        (JUMP_EQUAL, 0, 2, X86_64[0]),
        (LOAD_WORD, 0, 0, 0),
        (JUMP_AT_LEAST, 4, 5, X86_64[1]),
        (JUMP_EQUAL, 0, 2, I386[0]),
        (LOAD_WORD, 0, 0, 0),
        (JUMP_AT_LEAST, 1, 2, I386[1]),
        (RETURN, 0, 0, KILL),
        (RETURN, 0, 0, NO_SUCH_CALL),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def enter() -> None:
    """Installs the filter in this process for good. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = build_filter()
    program = ctypes.create_string_buffer(code)
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(program))
    for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0)):
        if libc.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    enter()
    os.execv(sys.argv[1], sys.argv[1:])
