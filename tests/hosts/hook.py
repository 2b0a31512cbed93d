"""A library that hides the content of every directory from the programs it is forced on, as rootkits of user space do.

It has two functions, `readdir` and `readdir64`, which say at once that there is no further entry. There is no compiler
on every machine that tests, so the few bytes of machine code are put into an ELF file (elf(5)) by hand.
"""

from __future__ import annotations

import platform
import struct
from pathlib import Path

# Machine of the ELF header and code that returns a null pointer.
MACHINES = {
    "x86_64": (62, bytes.fromhex("31c0c3")),  # xor %eax,%eax; ret
    "aarch64": (183, bytes.fromhex("000080d2c0035fd6")),  # mov x0,#0; ret
}
NAMES = ("readdir", "readdir64")
HEADER, SEGMENT, SYMBOL, PAGE = 64, 56, 24, 0x1000
PT_LOAD, PT_DYNAMIC, PT_STACK = 1, 2, 0x6474E551
DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT = 4, 5, 6, 10, 11
GLOBAL_FUNCTION = 0x12


def write_hook(path: Path) -> Path:
    """The library for this machine. Raises KeyError on one whose code is not known here."""
    machine, code = MACHINES[platform.machine()]
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in NAMES)
    offsets = [strings.index(name.encode() + b"\0") for name in NAMES]
    start = HEADER + 3 * SEGMENT
    symbols_at = start + len(code.ljust(16, b"\0"))
    symbols = bytes(SYMBOL) + b"".join(
        struct.pack("<IBBHQQ", name, GLOBAL_FUNCTION, 0, 1, start, len(code)) for name in offsets
    )
    hash_at = symbols_at + len(symbols)
    # One bucket whose chain holds all symbols.
    table = struct.pack("<7I", 1, 3, 1, 0, 2, 0, 0)
    strings_at = hash_at + len(table)
    dynamic_at = (strings_at + len(strings) + 15) // 16 * 16
    dynamic = b"".join(
        struct.pack("<qQ", tag, value)
        for tag, value in [
            (DT_HASH, hash_at), (DT_STRTAB, strings_at), (DT_SYMTAB, symbols_at), (DT_STRSZ, len(strings)),
            (DT_SYMENT, SYMBOL), (0, 0),
        ]
    )  # fmt: skip
    size = dynamic_at + len(dynamic)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, HEADER, 0, 0, HEADER, SEGMENT, 3, 0, 0, 0)
    segments = b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, at, at, at, length, length, align)
        for kind, flags, at, length, align in [
            (PT_LOAD, 7, 0, size, PAGE), (PT_DYNAMIC, 6, dynamic_at, len(dynamic), 8), (PT_STACK, 6, 0, 0, 16),
        ]
    )  # fmt: skip
    body = (header + segments + code).ljust(symbols_at, b"\0") + symbols + table + strings
    path.write_bytes(body.ljust(dynamic_at, b"\0") + dynamic)
    return path
